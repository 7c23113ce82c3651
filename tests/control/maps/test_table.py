"""The table of preprocessors: names of the well-known extension, values that are closed, and what is said when weights are missing."""

from __future__ import annotations

from pathlib import Path

import pytest

from modules.control.maps import ALL, LACKING, MAPS, control_types, lacking, models_of_type, of_type
from modules.control.maps.files import found
from modules.faults import ModelFault, UnknownName
from modules.folders import Folders

FREE = (
    "none", "canny", "invert", "threshold", "scribble_xdog", "lineart_standard", "tile_resample", "tile_colorfix", "tile_colorfix+sharp",
    "blur_gaussian", "shuffle", "recolor_luminance", "recolor_intensity", "inpaint_only", "inpaint_global_harmonious", "reference_only",
    "t2ia_color_grid",
)  # fmt: skip


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ("depth", "depth_midas"), ("HED", "softedge_hed"), ("normal_map", "normal_midas"), ("segmentation", "seg_ufade20k"),
        ("invert (from white bg & black line)", "invert"), ("color", "t2ia_color_grid"), ("inpaint", "inpaint_global_harmonious"),
        ("ip-adapter_clip_sd15", "ip-adapter_clip_h"), ("canny", "canny"),
    ],
)  # fmt: skip
def test_old_names_and_names_of_pages_mean_the_same(said: str, name: str):
    assert MAPS.get(said).name == name


def test_what_needs_no_weights_works_at_once(folders: Folders):
    assert all(MAPS.get(name).works_at_once and lacking(MAPS.get(name), folders) == "" for name in FREE)
    with_networks = [row for _, row in MAPS if row.needs]
    assert len(with_networks) > 25
    assert all(lacking(row, folders) for row in with_networks)


def test_a_name_that_is_not_there_is_answered_with_near_ones():
    with pytest.raises(UnknownName, match="canny"):
        MAPS.get("cany")


def test_values_outside_of_a_slider_are_the_preprocessors_own():
    assert MAPS.get("canny").closed(-1, -1, 300) == (512, 100, 200)
    assert MAPS.get("canny").closed(768, 0, 256) == (768, 0, 256)
    assert MAPS.get("depth_midas").closed(8, 3, 3) == (512, LACKING, LACKING)
    assert MAPS.get("tile_resample").closed(1024, 2.5, 9) == (512, 2.5, LACKING), "it has no resolution"
    assert MAPS.get("softedge_anyline").closed(-1, -1, -1)[0] == 1280


def test_control_types_begin_with_all_and_each_with_its_usual_preprocessor():
    kinds = control_types()
    assert kinds[0] == ALL
    assert kinds[1:] == sorted(kinds[1:])
    assert {row.name for row in of_type(ALL)} == set(MAPS.names())
    firsts = {kind: of_type(kind)[1].name for kind in kinds[1:]}
    assert firsts["Canny"] == "canny"
    assert firsts["OpenPose"] == "openpose_full"
    assert firsts["Inpaint"] == "inpaint_only"
    assert all(of_type(kind)[0].name == "none" for kind in kinds)
    assert all(sum(row.first for row in of_type(kind)) == 1 for kind in set(kinds[1:]) - {"Instant-ID", "Revision", "Sketch", "Blur"})


def test_models_are_told_apart_by_their_names():
    titles = ["control_v11p_sd15_canny [d14c016b]", "control_v11f1p_sd15_depth", "xinsir-union-promax", "t2iadapter_color", "my_normals"]
    assert models_of_type(ALL, titles) == titles
    assert models_of_type("Canny", titles) == [titles[0], titles[2]]
    assert models_of_type("NormalMap", titles) == [titles[2], titles[4]]
    assert models_of_type("T2I-Adapter", titles) == titles[2:4]


def test_missing_weights_are_named_with_size_and_place(folders: Folders):
    row = MAPS.get("softedge_hed")
    said = lacking(row, folders)
    place = folders.data / "models" / "ControlNetPreprocessor"
    assert "ControlNetHED.safetensors, about 29 MB" in said
    assert str(place) in said
    said = lacking(MAPS.get("depth_zoe"), folders)
    assert "zoedepth-nyu-kitti" in said
    assert "1.4 GB" in said
    assert "config.json" in said


def test_a_pickle_is_not_taken_and_how_to_convert_it_is_said(folders: Folders):
    place = folders.data / "models" / "ControlNetPreprocessor" / "hed"
    place.mkdir(parents=True)
    (place / "ControlNetHED.pth").write_bytes(b"PK")
    said = lacking(MAPS.get("softedge_hed"), folders)
    assert "is a pickle" in said
    assert f"models unpickle {place / 'ControlNetHED.pth'}" in said


def test_weights_are_found_in_folders_of_the_flag_and_below(folders: Folders, tmp_path: Path):
    row = MAPS.get("softedge_hed")
    more = Folders.at(folders.data, controlnet_annotator_models_path=tmp_path / "annotators")
    (tmp_path / "annotators" / "hed").mkdir(parents=True)
    file = tmp_path / "annotators" / "hed" / "ControlNetHED.safetensors"
    file.write_bytes(b"x")
    assert found(row.needs[0], row, more) == file
    with pytest.raises(ModelFault, match="ControlNetHED"):
        found(row.needs[0], row, folders)


def test_another_model_of_the_kind_will_do(folders: Folders):
    row = MAPS.get("depth_anything_v2")
    place = folders.data / "models" / "ControlNetPreprocessor" / "Depth-Anything-V2-Large-hf"
    place.mkdir(parents=True)
    (place / "config.json").write_text("{}")
    assert lacking(row, folders), "without weights it is not whole"
    (place / "model.safetensors").write_bytes(b"x")
    assert found(row.needs[0], row, folders) == place
    assert lacking(row, folders) == ""


def test_what_this_version_does_not_have_says_why(folders: Folders):
    absent = {row.name: lacking(row, folders) for _, row in MAPS if row.why_not}
    assert "inpaint_only+lama" in absent
    assert "inpaint_only" in absent["inpaint_only+lama"]
    assert all(said.endswith(".") and name in said for name, said in absent.items())
