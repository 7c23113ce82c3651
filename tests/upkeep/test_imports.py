"""Taking over an A1111 folder: what is told before, what is done, that nothing there changes, and the way back."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest

from modules.faults import Cancelled, DiskFault, RequestFault, UnknownName
from modules.folders import Folders, elsewhere
from modules.library import Library
from modules.library.pictures import Pictures, Wish
from modules.prompts.styles import Style, Styles
from modules.settings import SettingsStore, form_defaults
from modules.upkeep import imports
from modules.upkeep.imports import doing, records
from modules.upkeep.imports.layout import read_layout
from modules.upkeep.report import Report
from tests.upkeep import a1111_folder
from tests.upkeep.conftest import Control

PICTURES, MODELS = 120, 40
SHAPES = (
    {"key": "txt2img/Width/maximum", "then": 4096},
    {"key": "txt2img/Width/step", "then": 64},
    {"key": "txt2img/Tiling/visible", "then": False},
)


class Desk:
    """The parts that an import works with, and the folder that is taken over."""

    def __init__(self, base: Path) -> None:
        self.folders = Folders.at(data=base / "data")
        self.store = SettingsStore(self.folders.config_file)
        self.styles = Styles(self.folders.styles_file)
        self.root = base / "stable-diffusion-webui"

    def look(self) -> imports.Survey:
        return imports.survey(str(self.root), self.folders, self.store, self.styles)

    def take(self, control: Control | None = None, **asked: Any) -> tuple[imports.Record, Report]:
        """The whole import, its job included."""
        wanted = imports.read_asked({"folder": str(self.root), **asked})
        record, work = imports.take_over(wanted, self.look(), self.folders, self.store, self.styles)
        report = Report(control or Control())
        doing.carry_out(json.loads(json.dumps(work)), report)
        return record, report

    def undo(self, record: imports.Record) -> list[str]:
        return imports.undo(record.id, self.folders, self.store, self.styles)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    made = Desk(tmp_path)
    a1111_folder.build(made.root, pictures=PICTURES, models=MODELS)
    return made


@pytest.fixture
def small(tmp_path: Path) -> Desk:
    """A folder with two models and a picture."""
    made = Desk(tmp_path)
    a1111_folder.build(made.root, pictures=1, models=2)
    return made


def tree(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_looking_changes_nothing_and_tells_all(desk: Desk):
    before, own = a1111_folder.fingerprint(desk.root), tree(desk.folders.data)
    told = desk.look().to_data(desk.store.current)
    assert (a1111_folder.fingerprint(desk.root), tree(desk.folders.data)) == (before, own)
    assert told["program"] == "A1111"
    assert {row["key"]: row["then"] for row in told["settings"]["taken"]} == {
        "samples_format": "jpg", "jpeg_quality": 91, "CLIP_stop_at_last_layers": 2, "eta_noise_seed_delta": 31337, "save_txt": True,
        "quicksettings_list": ["sd_model_checkpoint"],
    }  # fmt: skip
    assert {row["key"] for row in told["settings"]["later"]} == {"sd_model_checkpoint", "sd_vae"}
    left = dict(told["settings"]["left"])
    assert set(left) == {"outdir_txt2img_samples", "quicksettings_list", "show_progress_type", "api_enable_requests", "disabled_extensions"}
    assert "Approx NN" in left["show_progress_type"]
    assert "sd_hypernetwork" in left["quicksettings_list"]
    assert told["settings"]["unknown"] == ["tac_tagFile"]
    assert told["defaults"] == {
        "taken": [{"key": "txt2img/Sampling steps/value", "then": 28}, *SHAPES, {"key": "img2img/Denoising strength/value", "then": 0.42}],
        "left": [
            ["txt2img/Height/maximum", "must be a number; it was 'much'"],
            ["txt2img/Batch size/value", "must lie between 1 and 64; it was '999999'"],
        ],
    }
    assert told["styles"] == {"new": ["inked", "plain"], "count": 2, "same": 0}
    assert sum(row["files"] for row in told["models"]) == MODELS
    assert sum(row["files"] for row in told["pictures"]) == PICTURES
    assert told["problems"] == []


@pytest.mark.parametrize("models", ["reference", "link"])
def test_everything_is_here_afterwards_and_gone_after_undoing(desk: Desk, models: str):
    before = a1111_folder.fingerprint(desk.root)
    record, report = desk.take(models=models)
    assert a1111_folder.fingerprint(desk.root) == before
    now = desk.store.current
    assert (now.jpeg_quality, now.samples_format, now.CLIP_stop_at_last_layers) == (91, "jpg", 2)
    assert now.outdir_txt2img_samples == "outputs/txt2img-images"
    assert now.api_enable_requests is False
    assert desk.store.others["tac_tagFile"] == "danbooru.csv"
    assert desk.styles.get("inked") == Style("inked", "{prompt}, ink, paper", "colour")
    assert form_defaults.read(desk.folders)["txt2img/Sampling steps/value"] == 28
    assert report.notes.get("linked", 0) == (MODELS if models == "link" else 0)

    pictures = Pictures(desk.folders, desk.store)
    try:
        pictures.refresh(thorough=True)
        assert pictures.page(Wish()).total == PICTURES
        assert [Path(row.path).name for row in pictures.page(Wish(search="number77")).rows] == ["00077-77.png"]
        assert pictures.page(Wish(kind="img2img"), limit=1).total == PICTURES // 5
    finally:
        pictures.close()
    library = Library(with_more(desk))
    try:
        library.refresh()
        end = time.monotonic() + 60
        while library.unread():  # much is read by a process of its own
            assert time.monotonic() < end
            time.sleep(0.05)
        counts = library.counts()
        assert (counts["lora"], counts["vae"], counts["embedding"]) == (28, 4, 4)
        assert counts["controlnet"] + counts["refused"] == 4  # found; theirs are no whole networks here
        imports.settle(desk.store, library)
        assert desk.store.current.sd_vae == "vae-000.safetensors"
    finally:
        library.close()

    assert desk.undo(record) == []
    assert a1111_folder.fingerprint(desk.root) == before
    assert desk.store.current == type(now)()
    assert desk.store.others == {}
    assert desk.styles.list() == []
    assert "txt2img/Sampling steps/value" not in form_defaults.read(desk.folders) or form_defaults.read(desk.folders) == shipped(desk)
    assert not list((desk.folders.models).rglob("*.safetensors")) if desk.folders.models.exists() else True
    with pytest.raises(RequestFault, match="undone already"):
        desk.undo(record)


def shipped(desk: Desk) -> dict[str, Any]:
    return json.loads((desk.folders.program / form_defaults.FILE).read_text())


def with_more(desk: Desk) -> Folders:
    """The folders of the next start."""
    more, lost = elsewhere(desk.store.current.extra_models_dirs)
    assert lost == []
    return Folders(Path(desk.folders.data / "program"), desk.folders.data, desk.folders.models, (), more)


def test_what_was_changed_since_stays(small: Desk):
    record, _ = small.take()
    small.store.set({"jpeg_quality": 50})
    small.styles.save(Style("inked", "my own", ""))
    left = small.undo(record)
    assert {"the setting jpeg_quality was changed since and stays", "the style inked was changed since and stays"} == set(left)
    assert small.store.current.jpeg_quality == 50
    assert [style.prompt for style in small.styles.list()] == ["my own"]


def test_a_second_import_takes_what_is_new_and_then_nothing(small: Desk):
    small.styles.save(Style("inked", "another", ""))
    small.take()
    assert [style.name for style in small.styles.list()] == ["inked", "inked (2)", "plain"]
    with pytest.raises(RequestFault, match="nothing that is not here already"):
        small.take()
    (small.root / "styles.csv").write_text("name,prompt,negative_prompt\nfresh,new,\n")
    small.take()
    assert [style.name for style in small.styles.list()] == ["inked", "inked (2)", "plain", "fresh"]
    assert len(imports.past(small.folders)) == 2


def test_the_styles_of_sd_next_come_along(small: Desk):
    folder = small.root / "models" / "styles"
    (folder / "art").mkdir(parents=True)
    inked = {"name": "inked", "prompt": "{prompt}, ink, paper", "negative": "colour", "extra": "", "preview": "data:image/jpeg;base64,AAAA"}
    more = [{"name": "Oil\tpaint", "prompt": "oil", "extra": "Steps: 30, Sampler: Euler", "wildcards": "COLOUR=red,blue"}, {"name": "None"}]
    (folder / "inked.json").write_text(json.dumps(inked))
    (folder / "art" / "more.json").write_text(json.dumps(more[:1]))
    (folder / "bad.json").write_text("[1]")
    (folder / "none.json").write_text(json.dumps(more[1]))
    (folder / "note.txt").write_text("no style")
    told = small.look()
    assert [(style.name, style.prompt, style.negative_prompt) for style in told.styles] == [
        ("inked", "{prompt}, ink, paper", "colour"), ("plain", "photo", ""), ("art/Oil paint", "oil", ""),
    ]  # fmt: skip
    assert told.styles_same == 1  # the one that styles.csv has too
    bad, none, beside = told.problems
    assert bad.startswith("styles/bad.json: it holds no style")
    assert none.startswith("styles/none.json: name")
    assert beside.startswith("art/Oil paint: only the prompts")
    record, _ = small.take()
    assert small.styles.get("art/Oil paint") == Style("art/Oil paint", "oil", "")
    small.undo(record)
    assert small.styles.list() == []


def test_sd_next_names_another_folder_of_styles(small: Desk):
    (small.root / "mine").mkdir()
    (small.root / "mine" / "one.json").write_text(json.dumps({"name": "one", "prompt": "p", "negative_prompt": "n"}))
    config = json.loads((small.root / "config.json").read_text())
    (small.root / "config.json").write_text(json.dumps({**config, "styles_dir": "mine"}))
    assert small.look().styles[-1] == Style("one", "p", "n")


def test_parts_may_be_left_out(small: Desk):
    record, report = small.take(settings=False, models="leave", pictures=False, defaults=False)
    assert (record.settings, record.models, record.pictures, record.later, record.defaults) == ({}, [], [], {}, {})
    assert small.store.current == SettingsStore(small.folders.data / "none.json").current
    assert len(record.styles) == 2
    assert report.notes == {}


def test_links_keep_what_belongs_to_a_model_and_names_of_our_own(small: Desk):
    lora = small.root / "models" / "Lora"
    (lora / "sub" / "lora-000.preview.png").write_bytes(b"png")
    (lora / "sub" / "lora-000.json").write_text("{}")
    (lora / "readme.md").write_text("")
    mine = small.folders.models / "Lora" / "lora-001.safetensors"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    record, report = small.take(models="link")
    there = {p.relative_to(small.folders.models).as_posix() for p in small.folders.models.rglob("*") if p.is_file()}
    assert there == {
        "Lora/lora-001.safetensors", "Lora/sub/lora-000.safetensors", "Lora/sub/lora-000.preview.png", "Lora/sub/lora-000.json"
    }  # fmt: skip
    assert mine.read_bytes() == b"mine"
    assert os.path.samefile(lora / "sub" / "lora-000.safetensors", small.folders.models / "Lora" / "sub" / "lora-000.safetensors")
    assert report.warnings == ["1 names were taken by other files of yours, which stay: Lora/lora-001.safetensors"]
    (lora / "sub" / "lora-000.safetensors").unlink()  # what is left here is the only one
    assert small.undo(record) == [
        "lora-000.safetensors stays: its file is no longer in the other program's folder, so this is the only one"
    ]
    assert {p.name for p in small.folders.models.rglob("*") if p.is_file()} == {"lora-001.safetensors", "lora-000.safetensors"}


def test_cancelled_it_leaves_whole_files_and_can_be_undone(desk: Desk):
    before = a1111_folder.fingerprint(desk.root)
    control = Control()
    control.stop_after = 2
    with pytest.raises(Cancelled):
        desk.take(control, models="link")
    [record] = imports.past(desk.folders)
    assert desk.undo(record) == []
    assert not list(desk.folders.models.rglob("*.safetensors"))
    assert a1111_folder.fingerprint(desk.root) == before


def test_links_of_another_disk_become_references(small: Desk):
    found = small.look()
    apart = type(found)(**{**vars(found), "models": [type(row)(**{**vars(row), "linkable": False}) for row in found.models]})
    asked = imports.read_asked({"folder": str(small.root), "models": "link"})
    record, work = imports.take_over(asked, apart, small.folders, small.store, small.styles)
    assert work["links"] == []
    assert record.models == [f"Lora={small.root / 'models' / 'Lora'}"]


def test_circles_of_links_and_closed_folders_are_passed_over(small: Desk):
    lora = small.root / "models" / "Lora"
    (lora / "round").symlink_to(lora, target_is_directory=True)
    (lora / "self").symlink_to(lora / "self")
    (small.root / "outputs" / "round").symlink_to(small.root, target_is_directory=True)
    found = small.look()
    assert [(row.kind, row.files) for row in found.models] == [("Lora", 2)]
    assert found.pictures[0].files == 1


def test_another_layout_is_found_by_its_flags_and_the_case_of_names(tmp_path: Path):
    root, far = tmp_path / "webui", tmp_path / "far away"
    for folder in (root / "models" / "lora", root / "models" / "Checkpoints", root / "modules_forge", far / "ckpt", far / "pics"):
        folder.mkdir(parents=True)
    (root / "webui-user.sh").write_text(
        f'#export COMMANDLINE_ARGS="--ckpt-dir /nowhere"\nexport COMMANDLINE_ARGS="--xformers --ckpt-dir \\"{far / "ckpt"}\\" --api"\n'
    )
    (root / "config.json").write_text(json.dumps({"outdir_samples": str(far / "pics"), "embeddings_dir": "gone"}))
    layout = read_layout(str(root), Folders.at(data=tmp_path / "data"))
    assert layout.program == "Forge"
    assert layout.entries == (str(root), f"Stable-diffusion={far / 'ckpt'}")
    assert set(layout.models) == {
        ("Lora", root / "models" / "lora"),
        ("Stable-diffusion", root / "models" / "Checkpoints"),
        ("Stable-diffusion", far / "ckpt"),
    }
    assert layout.pictures == (far / "pics",)


@pytest.mark.parametrize(
    ("content", "told"),
    [(b"{", "config.json cannot be read"), (b"[1]", "config.json cannot be read"), (b'{"jpeg_quality": "much"}', "")],
)
def test_broken_settings_are_told_and_the_rest_is_taken(small: Desk, content: bytes, told: str):
    (small.root / "config.json").write_bytes(content)
    data = small.look().to_data(small.store.current)
    assert data["settings"]["taken"] == []
    assert any(line.startswith(told) for line in data["problems"]) if told else data["settings"]["left"][0][0] == "jpeg_quality"
    assert data["styles"]["count"] == 2


def test_what_is_no_such_folder_is_refused(tmp_path: Path):
    desk = Desk(tmp_path)
    for folder, told in (
        (tmp_path / "none", "cannot be read"),
        (tmp_path, "has no config.json"),
        (desk.folders.program, "this program's own"),
    ):
        with pytest.raises(RequestFault, match=told):
            imports.survey(str(folder), desk.folders, desk.store, desk.styles)
    with pytest.raises(RequestFault, match="whole path"):
        imports.survey("some/where", desk.folders, desk.store, desk.styles)
    for wrong in ({"folder": " "}, {"folder": "/x", "models": "move"}):
        with pytest.raises(RequestFault):
            imports.read_asked(wrong)
    with pytest.raises(UnknownName):
        imports.read_asked({"folder": "/x", "delete": True})


def test_a_broken_ui_config_of_ours_is_not_written_over(small: Desk):
    small.folders.data.mkdir(parents=True)
    small.folders.ui_config_file.write_text("{")
    with pytest.raises(DiskFault, match=r"ui-config.json cannot be read"):
        small.take()
    assert small.folders.ui_config_file.read_text() == "{"


def test_names_of_records_lead_nowhere_else(small: Desk):
    for key in ("../../x", "", "20240101-000000/..", "x"):
        with pytest.raises(RequestFault):
            records.read(small.folders, key)
