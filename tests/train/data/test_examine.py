"""The check before a training tells everything that is wrong, by name, and what an epoch would be."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from modules.faults import RequestFault
from modules.request.files import Checkpoint
from modules.train.data.examine import Report, examine
from modules.train.sessions import Session
from tests.train.data.conftest import Draw, config, noise

FLUX = Checkpoint(title="flux", model_name="flux", path="/flux", family="flux", native_px=1024, variant="dev")
SD15 = Checkpoint(title="sd", model_name="sd", path="/sd", family="sd15", native_px=512)


def told(report: Report, *, fatal: bool | None = None) -> set[tuple[str, str]]:
    return {(problem.name, problem.kind) for problem in report.problems if fatal is None or problem.fatal == fatal}


def test_a_folder_with_everything_wrong(session: Session, draw: Draw) -> None:
    folder = session.paths.pictures
    draw("good.png")
    draw("ünïcødé 猫 🐈.webp")
    broken = draw("broken.png")
    broken.write_bytes(broken.read_bytes()[:-200])
    (folder / "words.jpg").write_text("no picture at all")
    (folder / "empty.png").touch()
    draw("dot.png", (1, 1))
    draw("twin.png")
    draw("twin.jpg")
    draw("Case.png")
    draw("case.webp")
    draw("silent.png", caption=None)
    (folder / "copy.png").write_bytes((folder / "good.png").read_bytes())
    (folder / "copy.txt").write_text("the same again")
    (folder / "notes.doc").write_text("?")
    (folder / "nobody.txt").write_text("a caption without a picture")
    report = examine(session, config())
    assert told(report, fatal=True) == {
        ("broken.png", "unreadable"), ("words.jpg", "unreadable"), ("empty.png", "unreadable"), ("dot.png", "tiny"),
    }  # fmt: skip
    warnings = told(report, fatal=False)
    assert {("twin.png", "same_name"), ("silent.png", "no_caption"), ("notes.doc", "unused"), ("nobody.txt", "unused")} <= warnings
    assert {name for name, kind in warnings if kind == "same_content"} == {"good.png"}  # copy.png comes first
    assert len([name for name, kind in warnings if kind == "same_name"]) == 2  # one of the twins, one of the cases
    assert "ünïcødé 猫 🐈.webp" not in {name for name, _ in warnings}
    assert report.counts.pictures == 9
    assert report.counts.broken == 3
    assert report.to_data()["ok"] is False


def test_no_pictures(session: Session) -> None:
    report = examine(session, config())
    assert told(report) == {("", "no_pictures")}
    assert report.fatal
    assert report.summary == "Nothing to train."


def test_odd_files_are_read_as_people_see_them(session: Session, draw: Draw) -> None:
    draw("cmyk.jpg", mode="CMYK")
    draw("grey.png", mode="L")
    exif = Image.Exif()
    exif[0x0112] = 6
    draw("turned.jpg", (96, 48), exif=exif)
    sixteen = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    Image.fromarray(sixteen).save(session.paths.pictures / "sixteen.png")
    frames = [noise((64, 64), str(number)) for number in range(3)]
    frames[0].save(session.paths.pictures / "moving.webp", save_all=True, append_images=frames[1:])
    cut_out = noise((64, 64), "clear")
    cut_out.putalpha(Image.new("L", (64, 64), 90))
    cut_out.save(session.paths.pictures / "clear.png")
    report = examine(session, config(trigger_word="sks"))
    rows = {row.name: row for row in report.pictures}
    assert (rows["turned.jpg"].width, rows["turned.jpg"].height) == (48, 96)
    assert not report.fatal
    assert len(rows) == 6
    assert {(name, kind) for name, kind in told(report) if kind != "no_caption"} == {
        ("moving.webp", "frames"),
        ("clear.png", "transparent"),
    }


def test_the_same_picture_in_another_format(session: Session, draw: Draw) -> None:
    draw("one.png", (128, 96))
    with Image.open(session.paths.pictures / "one.png") as image:
        image.resize((256, 192), Image.Resampling.BICUBIC).save(session.paths.pictures / "two.webp", lossless=True)
    draw("three.png", (128, 96))
    assert ("two.webp", "same_look") in told(examine(session, config()))
    assert not any(name == "three.png" for name, _ in told(examine(session, config())))


def test_what_is_said_when_there_is_no_caption(session: Session, draw: Draw) -> None:
    draw("10_sks cat/IMG_0001.png", caption=None)
    draw("sks dog (3).png", caption=None)
    draw("DSC01234.png", caption=None)
    draw("hollow.png", caption="")
    rows = {row.name: row for row in examine(session, config(repeats=2)).pictures}
    assert (rows["10_sks cat/IMG_0001.png"].caption, rows["10_sks cat/IMG_0001.png"].repeats) == ("sks cat", 20)
    assert rows["sks dog (3).png"].caption == "sks dog"
    assert rows["DSC01234.png"].caption == rows["hollow.png"].caption == ""
    with_word = {row.name: row.caption for row in examine(session, config(trigger_word="ohwx")).pictures}
    assert with_word["DSC01234.png"] == "ohwx"
    assert with_word["sks dog (3).png"] == "ohwx, sks dog"
    assert {name for name, kind in told(examine(session, config())) if kind == "no_caption"} == set(rows)


def test_a_captioner_needs_captions(session: Session, draw: Draw) -> None:
    draw("sks dog.png", caption=None)
    report = examine(session, config(method="captioner_lora", captioner="x"))
    assert told(report, fatal=True) == {("sks dog.png", "no_caption")}


@pytest.mark.parametrize(
    ("checkpoint", "values", "fatal"),
    [
        (SD15, {"resolution": 512}, None),
        (SD15, {"resolution": 500}, "resolution"),
        (SD15, {"resolution": 1024}, "resolution"),
        (SD15, {"resolution": 1024, "any_resolution": True}, None),
        (FLUX, {"resolution": 512}, None),
        (FLUX, {"resolution": 1024, "bucket_reso_steps": 8}, "step"),
        (FLUX, {"resolution": 64}, "resolution"),
    ],
)
def test_sizes_against_the_model(session: Session, draw: Draw, checkpoint: Checkpoint, values: dict, fatal: str | None) -> None:
    draw("a.png")
    report = examine(session, config(**{"bucket_reso_steps": 64, **values}), checkpoint)
    assert {problem.kind for problem in report.fatal} == ({fatal} if fatal else set())


def test_fewer_pictures_than_a_batch(session: Session, draw: Draw) -> None:
    draw("a.png")
    draw("b.png")
    assert told(examine(session, config(train_batch_size=4))) == {("", "fewer_than_batch")}
    draw("wide.png", (128, 64))
    draw("c.png")
    assert told(examine(session, config(train_batch_size=3))) == {("", "bucket")}


def test_small_and_long_pictures(session: Session, draw: Draw) -> None:
    draw("small.png", (20, 20))
    draw("long.png", (900, 64))
    assert told(examine(session, config())) == {("small.png", "small"), ("long.png", "cut")}
    assert told(examine(session, config(bucket_no_upscale=True)), fatal=True) == set()
    draw("less.png", (12, 40))
    assert told(examine(session, config(bucket_no_upscale=True)), fatal=True) == {("less.png", "tiny")}


def test_counts(session: Session, draw: Draw) -> None:
    for number in range(5):
        draw(f"{number}.png")
    draw("3_wide/w.png", (128, 64))
    report = examine(session, config(train_batch_size=2, repeats=2, max_train_steps=100, gradient_accumulation_steps=2))
    assert [(row.width, row.height, row.pictures, row.examples) for row in report.buckets] == [(64, 64, 5, 10), (80, 48, 1, 6)]
    counts = report.counts
    assert (counts.examples, counts.batches, counts.steps_per_epoch, counts.epochs) == (16, 8, 4, 25)
    assert "6 pictures, 16 examples an epoch" in report.summary
    assert "100 steps are 25 epochs" in report.summary


def test_missing_pictures_of_the_class(session: Session, draw: Draw) -> None:
    draw("a.png")
    report = examine(session, config(prior_preservation=True, class_prompt="a cat", num_class_images=7))
    assert ("", "class_pictures") in told(report)
    assert report.counts.class_missing == 7


def test_a_damaged_file_of_crops_is_told(session: Session, draw: Draw) -> None:
    draw("a.png")
    session.paths.crops.write_text("{")
    with pytest.raises(RequestFault, match=r"crops\.json cannot be read"):
        examine(session, config())


def test_an_edited_picture_is_looked_at_again(session: Session, draw: Draw) -> None:
    path = draw("a.png")
    assert not examine(session, config()).fatal
    known, data = path.stat(), path.read_bytes()
    path.write_bytes(data[:60] + bytes(len(data) - 60))  # as long as before
    os.utime(path, ns=(known.st_atime_ns, known.st_mtime_ns))
    assert told(examine(session, config()), fatal=True) == {("a.png", "unreadable")}
    path.write_bytes(data)
    assert not examine(session, config()).fatal


def test_no_torch_is_loaded() -> None:
    code = (
        "import sys, modules.train.data.examine, modules.train.data.tags; print([m for m in ('torch', 'numpy', 'cv2') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
