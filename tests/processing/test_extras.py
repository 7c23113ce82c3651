"""Jobs of Extras: planned as every door plans them, done by the true code on true files, with a tiny network of a real architecture."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageCms

from modules.faults import ModelFault, OutOfMemory, RequestFault, UnknownName
from modules.folders import Folders
from modules.inputs import Inputs
from modules.pixels.metadata import read_parameters
from modules.processing import extras as extras_module
from modules.processing.extras import Desk, restored, run_extras
from modules.processing.extras_plan import resolve_extras
from modules.request import Result
from modules.request.extras import ExtrasRequest, ResolvedExtras
from modules.saver import Saver
from modules.settings import Settings
from modules.upscale.shelf import Shelf
from tests.processing.pictures import PARAMETERS, data_of, noise, with_text
from tests.upscale.networks import tiny
from tests.upscale.onnx_files import bright, yunet
from tests.upscale.test_faces import painter


class Control:
    """Stands for the worker's end of the conversation. stop_at: interrupt after so many reports with a step."""

    def __init__(self, stop_at: int = 0, skip_at: int = 0) -> None:
        self.interrupted, self.stop_at, self.skip_at = False, stop_at, skip_at
        self.told: list[dict[str, Any]] = []
        self.events: list[tuple[str, dict[str, Any]]] = []
        self._skip = False

    def take_skip(self) -> bool:
        skip, self._skip = self._skip, False
        return skip

    def progress(self, **told: Any) -> None:
        self.told.append(told)
        steps = sum(1 for one in self.told if one["step"])
        self.interrupted = self.interrupted or (self.stop_at > 0 and steps >= self.stop_at)
        self._skip = self._skip or (told["step"] > 0 and steps == self.skip_at)

    def event(self, kind: str, data: dict[str, Any]) -> None:
        self.events.append((kind, data))


class Bench:
    """A data folder with two tiny networks, and jobs run in it."""

    def __init__(self, folder: Path) -> None:
        self.folders = Folders.at(folder)
        self.inputs = Inputs(self.folders)
        self.desk = Desk(folders=self.folders, saver=Saver(self.folders), inputs=self.inputs, shelf=Shelf())
        self.settings = Settings()
        tiny(folder / "models" / "ESRGAN" / "Tiny2x.safetensors")
        tiny(folder / "models" / "RealESRGAN" / "RealESRGAN_x4plus.safetensors", scale=4, seed=1)

    def plan(self, *pictures: bytes | str, anywhere: bool = False, **fields: Any) -> ResolvedExtras:
        images = [self.inputs.put(data) for data in pictures if isinstance(data, bytes)]
        request = ExtrasRequest.from_data({"images": images, "upscaling_resize": 2, **fields})
        return resolve_extras(request, self.settings, self.folders, self.inputs, anywhere=anywhere)

    def run(self, plan: ResolvedExtras, control: Control | None = None, made: Any = ()) -> tuple[str, Result]:
        job = {"id": "job", "kind": "extras", "resolved": plan.to_data(), "made": list(made)}
        state, data = run_extras(job, control or Control(), self.desk)
        return state, Result.from_data(data)

    def made(self, *pictures: bytes, **fields: Any) -> Image.Image:
        """The result of a job with one picture, from its file."""
        state, result = self.run(self.plan(*pictures, **fields))
        assert state == "done"
        (picture,) = result.pictures
        image = Image.open(picture.path)
        assert image.size == (picture.width, picture.height)
        return image


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def array(image: Image.Image) -> np.ndarray:
    return np.asarray(image).astype(int)


def test_by_a_factor_with_lanczos_is_pillows_lanczos(bench: Bench) -> None:
    picture = noise()
    result = bench.made(data_of(picture), upscaler_1="Lanczos", upscaling_resize=2.5)
    assert (array(result) == array(picture.resize((100, 75), Image.Resampling.LANCZOS))).all()


def test_the_network_is_run_and_brought_to_the_size(bench: Bench) -> None:
    picture = noise()
    network = bench.desk.shelf.get(bench.folders.models / "ESRGAN" / "Tiny2x.safetensors")
    with torch.inference_mode():
        answer = network.descriptor(torch.from_numpy(np.array(picture)).permute(2, 0, 1)[None].float() / 255)[0]
    plain = (answer.permute(1, 2, 0).clamp(0, 1) * 255 + 0.5).numpy().astype(np.uint8)
    result = bench.made(data_of(picture), upscaler_1="Tiny2x", upscaling_resize=2)
    assert np.abs(array(result) - plain.astype(int)).max() <= 1
    assert result.info["postprocessing"] == "Postprocess upscale by: 2, Postprocess upscaler: Tiny2x"


@pytest.mark.parametrize(
    ("fields", "size"),
    [
        ({"resize_mode": 1, "upscaling_resize_w": 64, "upscaling_resize_h": 64, "upscaling_crop": True}, (64, 64)),
        ({"resize_mode": 1, "upscaling_resize_w": 64, "upscaling_resize_h": 64, "upscaling_crop": False}, (85, 64)),
        ({"upscaling_resize": 4, "max_side_length": 100}, (100, 75)),
        ({"upscaling_resize": 0.5}, (20, 15)),
    ],
)
@pytest.mark.parametrize("upscaler", ["Nearest", "R-ESRGAN 4x+"])
def test_sizes(bench: Bench, fields: dict[str, Any], size: tuple[int, int], upscaler: str) -> None:
    assert bench.made(data_of(noise()), upscaler_1=upscaler, **fields).size == size


def test_two_upscalers_are_blended_by_visibility(bench: Bench) -> None:
    picture = data_of(noise())
    one, two = bench.made(picture, upscaler_1="Tiny2x"), bench.made(picture, upscaler_1="Nearest")
    both = bench.made(picture, upscaler_1="Tiny2x", upscaler_2="Nearest", extras_upscaler_2_visibility=0.25)
    assert np.abs(array(both) - (0.75 * array(one) + 0.25 * array(two))).max() <= 1
    assert both.info["postprocessing"].endswith("Postprocess upscaler: Tiny2x, Postprocess upscaler 2: Nearest")


def test_text_and_transparency_of_the_picture_stay(bench: Bench) -> None:
    picture = noise(mode="RGBA")
    result = bench.made(with_text(picture, parameters=PARAMETERS, workflow='{"a": 1}'), upscaler_1="Tiny2x")
    assert result.mode == "RGBA"
    alpha = picture.getchannel("A").resize((80, 60), Image.Resampling.LANCZOS)
    assert (array(result.getchannel("A")) == array(alpha)).all()
    assert result.info["parameters"] == PARAMETERS
    assert result.info["workflow"] == '{"a": 1}'
    assert result.info["postprocessing"] == "Postprocess upscale by: 2, Postprocess upscaler: Tiny2x"


def test_a_jpeg_carries_both_in_one_text_and_transparency_is_not_thrown_away(bench: Bench) -> None:
    bench.settings = Settings(samples_format="jpg")
    plan = bench.plan(with_text(noise(), parameters=PARAMETERS), upscaler_1="Lanczos")
    path = Path(bench.run(plan)[1].pictures[0].path)
    assert path.suffix == ".jpg"
    assert read_parameters(path)[0] == f"{PARAMETERS}, Postprocess upscale by: 2, Postprocess upscaler: Lanczos"
    see_through = bench.run(bench.plan(data_of(noise(mode="RGBA")), upscaler_1="Lanczos"))[1].pictures[0]
    assert see_through.path.endswith(".png")


def test_a_photo_that_lies_on_its_side_and_one_of_16_bits(bench: Bench) -> None:
    photo, exif = noise(), Image.Exif()
    exif[0x0112] = 6
    assert bench.made(data_of(photo, "JPEG", exif=exif), upscaler_1="Nearest").size == (60, 80)
    deep = Image.fromarray(np.linspace(0, 65535, 600).reshape(20, 30).astype(np.uint16))
    result = array(bench.made(data_of(deep), upscaler_1="Nearest", upscaling_resize=1))
    assert result[0, 0, 0] == 0
    assert result[-1, -1, 0] == 255
    assert abs(result[10, 0, 0] - 85 * 1.5) < 2


def test_no_upscaler_is_said(bench: Bench) -> None:
    picture = noise()
    state, result = bench.run(bench.plan(data_of(picture)))
    assert state == "done"
    assert result.warnings == ("No upscaler, face restoration or background removal was chosen, so the pictures are as they were.",)
    assert (array(Image.open(result.pictures[0].path)) == array(picture)).all()


def test_single_pictures_get_numbers_and_batches_keep_their_names(bench: Bench, tmp_path: Path) -> None:
    first = bench.run(bench.plan(data_of(noise()), upscaler_1="Lanczos", image_names=["cat.png"]))[1].pictures[0]
    assert Path(first.path) == tmp_path / "outputs" / "extras-images" / "00000.png"
    pair = (data_of(noise(seed=1)), data_of(noise(seed=2)))
    names = ["C:\\pictures\\cat.jpg", "../../etc/dog.png"]
    bench.run(bench.plan(*pair, upscaler_1="Lanczos", image_names=names))
    result = bench.run(bench.plan(*pair, upscaler_1="Lanczos", image_names=names))[1]
    assert [Path(p.path).name for p in result.pictures] == ["cat-1.png", "dog-1.png"]  # nothing is written over
    assert {Path(p.path).parent for p in result.pictures} == {tmp_path / "outputs" / "extras-images"}
    bench.settings = Settings(use_original_name_batch=False, use_upscaler_name_as_suffix=True)
    result = bench.run(bench.plan(*pair, upscaler_1="Lanczos", image_names=names))[1]
    assert [Path(p.path).name for p in result.pictures] == ["00001-Lanczos.png", "00002-Lanczos.png"]


def test_a_folder_with_a_broken_file_and_a_folder_of_its_own_for_results(bench: Bench, tmp_path: Path) -> None:
    place = tmp_path / "outputs" / "mine"
    place.mkdir(parents=True)
    for name in ("a.png", "c.webp"):
        noise().save(place / name, lossless=True)
    (place / "b.png").write_bytes(b"nothing")
    (place / "notes.txt").write_text("no picture")
    plan = bench.plan(input_dir="outputs/mine", output_dir="outputs/larger", upscaler_1="Nearest")
    control = Control()
    state, result = bench.run(plan, control)
    assert state == "done"
    assert sorted(p.name for p in (tmp_path / "outputs" / "larger").iterdir()) == ["a.png", "c.png"]
    assert [p.index for p in result.pictures] == [0, 2]
    (warning,) = result.warnings
    assert warning.startswith("b.png: is not a picture")
    assert ("warning", {"text": warning}) in control.events
    assert [told["fraction"] for told in control.told] == sorted(told["fraction"] for told in control.told)


def test_a_folder_into_itself_keeps_the_originals(bench: Bench, tmp_path: Path) -> None:
    place = tmp_path / "outputs" / "mine"
    place.mkdir(parents=True)
    before = data_of(noise())
    (place / "a.png").write_bytes(before)
    bench.run(bench.plan(input_dir="outputs/mine", output_dir="outputs/mine", upscaler_1="Nearest"))
    assert (place / "a.png").read_bytes() == before
    assert Image.open(place / "a-1.png").size == (80, 60)


def test_only_broken_files_are_a_fault(bench: Bench, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    for name in ("a.png", "b.png"):
        (tmp_path / "bad" / name).write_bytes(b"nothing")
    with pytest.raises(RequestFault, match="none of the 2 pictures"):
        bench.run(bench.plan(input_dir="bad", upscaler_1="Nearest"))


@pytest.mark.parametrize("folder", ["..", "/", "outputs/../../elsewhere"])
def test_folders_outside_the_data_folder_are_for_the_command_line(bench: Bench, folder: str) -> None:
    with pytest.raises(RequestFault) as caught:
        bench.plan(input_dir=folder, upscaler_1="Nearest")
    assert caught.value.field == "input_dir"
    (bench.folders.data / "in").mkdir()
    noise().save(bench.folders.data / "in" / "a.png")
    with pytest.raises(RequestFault) as caught:
        bench.plan(input_dir="in", output_dir=folder, upscaler_1="Nearest")
    assert caught.value.field == "output_dir"


def test_links_that_lead_out_are_left_out_and_the_command_line_takes_any_folder(
    bench: Bench, tmp_path_factory: pytest.TempPathFactory
) -> None:
    outside = tmp_path_factory.mktemp("outside")
    noise().save(outside / "secret.png")
    inside = bench.folders.data / "in"
    inside.mkdir()
    (inside / "link.png").symlink_to(outside / "secret.png")
    with pytest.raises(RequestFault, match="no pictures"):
        bench.plan(input_dir="in", upscaler_1="Nearest")
    plan = bench.plan(input_dir=str(outside), output_dir=str(outside / "out"), upscaler_1="Nearest", anywhere=True)
    assert Path(bench.run(plan)[1].pictures[0].path) == outside / "out" / "secret.png"


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"upscaler_1": "Lancos"}, "upscaler_1"),
        ({"upscaler_1": "Lanczos", "upscaler_2": "Tiny9x"}, "upscaler_2"),
        ({"background_removal": "u3net"}, "background_removal"),
        ({"upscaler_1": "Lanczos", "upscaling_resize": 900}, "upscaling_resize"),
        ({"upscaler_1": "Lanczos", "resize_mode": 1, "upscaling_resize_w": 60000, "upscaling_resize_h": 60000}, "upscaling_resize"),
        ({"gfpgan_visibility": 1}, "gfpgan_visibility"),
        ({"codeformer_visibility": 0.5}, "codeformer_visibility"),
        ({"background_removal": "u2net"}, "background_removal"),
        ({"input_dir": "outputs"}, "images"),
        ({"input_dir": "nowhere", "images": []}, "input_dir"),
        ({"images": []}, "images"),
        ({"images": ["input:" + "0" * 64]}, "images"),
        ({"images": ["/etc/passwd"]}, "images"),
        ({"override_settings": {"samples_format": "exe"}}, "samples_format"),
    ],
)
def test_what_cannot_be_done_is_said_before_it_is_queued(bench: Bench, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(RequestFault) as caught:
        bench.plan(data_of(noise()), **fields)
    assert caught.value.field == field


def test_a_pickle_is_named_with_what_to_do(bench: Bench) -> None:
    (bench.folders.models / "ESRGAN" / "4x-Old.pth").write_bytes(b"x")
    with pytest.raises(RequestFault, match="Models tab"):
        bench.plan(data_of(noise()), upscaler_1="4x-Old")
    with pytest.raises(UnknownName, match="Tiny2x"):
        bench.plan(data_of(noise()), upscaler_1="Tiny3x")


def test_a_damaged_network_ends_the_job_with_its_name(bench: Bench) -> None:
    path = tiny(bench.folders.models / "ESRGAN" / "Damaged.safetensors")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(ModelFault, match=r"Damaged\.safetensors"):
        bench.run(bench.plan(data_of(noise()), upscaler_1="Damaged"))


def test_stopped_midway_the_finished_pictures_stay(bench: Bench) -> None:
    bench.settings = Settings(ESRGAN_tile=64)
    pictures = [data_of(noise(200, 200, seed=n)) for n in range(3)]
    control = Control(stop_at=20)  # sixteen tiles are a picture
    state, result = bench.run(bench.plan(*pictures, upscaler_1="Tiny2x"), control)
    assert state == "canceled"
    assert result.interrupted
    assert len(result.pictures) == 1
    assert Path(result.pictures[0].path).exists()
    assert control.told[-1]["steps"] == 16


def test_skip_leaves_one_picture_out(bench: Bench) -> None:
    bench.settings = Settings(ESRGAN_tile=64)
    pictures = [data_of(noise(200, 200, seed=n)) for n in range(2)]
    state, result = bench.run(bench.plan(*pictures, upscaler_1="Tiny2x", image_names=["a.png", "b.png"]), Control(skip_at=3))
    assert state == "done"
    assert [p.index for p in result.pictures] == [1]
    assert result.warnings == ("a.png was skipped.",)


def test_a_second_attempt_does_only_what_is_missing(bench: Bench) -> None:
    pictures = [data_of(noise(seed=n)) for n in range(3)]
    plan = bench.plan(*pictures, upscaler_1="Nearest", image_names=["a.png", "b.png", "c.png"])
    _, first = bench.run(plan)
    before = {p.path: Path(p.path).stat().st_mtime_ns for p in first.pictures[:2]}
    Path(first.pictures[2].path).unlink()
    _, again = bench.run(plan, made=[p.to_data() for p in first.pictures])
    assert [p.path for p in again.pictures] == [p.path for p in first.pictures]
    assert {path: Path(path).stat().st_mtime_ns for path in before} == before


def test_unsaved_results_go_into_the_cache(bench: Bench, tmp_path: Path) -> None:
    picture = bench.run(bench.plan(data_of(noise()), upscaler_1="Nearest", save_images=False))[1].pictures[0]
    assert Path(picture.path).is_relative_to(tmp_path / "cache" / "job-files" / "job")
    assert not picture.saved
    assert not (tmp_path / "outputs").exists()


def test_memory_that_ran_out_is_tried_once_more_when_there_was_a_model(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    real: Callable[..., Any] = extras_module.upscale
    calls: list[int] = []

    def once(*args: Any, **named: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            raise OutOfMemory("It does not fit.")
        return real(*args, **named)

    monkeypatch.setattr(extras_module, "upscale", once)
    plan = bench.plan(data_of(noise()), upscaler_1="Nearest")
    with pytest.raises(OutOfMemory):
        bench.run(plan)
    calls.clear()
    bench.desk = Desk(folders=bench.folders, saver=bench.desk.saver, inputs=bench.inputs, shelf=Shelf(), make_room=lambda: True)
    _, result = bench.run(plan)
    assert len(result.pictures) == 1
    assert "put away" in result.warnings[0]


def test_faces_are_restored_by_visibility_and_no_face_is_said(bench: Bench) -> None:
    """The detector is a true ONNX file; the network for faces is a painter in white, as a true one takes half a minute here."""
    place = bench.folders.models / "GFPGAN"
    yunet(place / "face_detection_yunet_2023mar.onnx")
    weights = place / "GFPGANv1.4.safetensors"
    weights.write_bytes(b"x")
    bench.desk.loaded[weights, weights.stat().st_mtime_ns] = painter(lambda face: face * 0 + 1)
    picture = Image.new("RGB", (1000, 700), (10, 10, 10))
    _, result = bench.run(bench.plan(data_of(picture), gfpgan_visibility=1))
    assert result.warnings == ("No face was found, so none was restored.",)
    picture.paste((255, 255, 255), (512, 384, 544, 416))
    image = bench.made(data_of(picture), gfpgan_visibility=0.5)
    assert image.info["postprocessing"] == "GFPGAN visibility: 0.5"
    assert abs(array(image)[440, 560, 0] - 132) <= 2  # half of 10 and 255, in the face and beside the bright cell
    assert (array(image)[:, :200] == 10).all()
    clear = picture.convert("RGBA")
    clear.putalpha(77)
    assert restored(clear, "GFPGAN", 1.0, 0.5, bench.desk)[0].getchannel("A").getextrema() == (77, 77)


def test_the_background_goes_after_everything_else(bench: Bench) -> None:
    bright(bench.folders.models / "rembg" / "u2netp.onnx")
    picture = Image.new("RGB", (40, 30))
    picture.paste((255, 255, 255), (10, 5, 30, 25))
    image = bench.made(data_of(picture), upscaler_1="Nearest", background_removal="U2NETP")
    assert image.size == (80, 60)
    assert image.getchannel("A").getpixel((40, 30)) > 235
    assert image.getchannel("A").getpixel((2, 2)) < 30
    assert image.info["postprocessing"].endswith("Postprocess upscaler: Nearest, Background removal: u2netp")


def test_a_colour_profile_is_kept(bench: Bench) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    result = bench.made(data_of(noise(), icc_profile=profile), upscaler_1="Tiny2x")
    assert result.info["icc_profile"] == profile
    assert "icc_profile" not in Image.open(io.BytesIO(data_of(noise()))).info


def test_a_plan_survives_its_row(bench: Bench) -> None:
    plan = bench.plan(data_of(noise()), upscaler_1="lanczos", codeformer_weight=None, image_names=["a.png"])
    assert plan.request.upscaler_1 == "Lanczos"
    assert plan.request.codeformer_weight == 0.5
    assert plan.title == "Extras: a.png"
    assert ResolvedExtras.from_data(plan.to_data()) == plan
    with pytest.raises(RequestFault, match="another version"):
        ResolvedExtras.from_data({**plan.to_data(), "request": {"unknown": 1}})
