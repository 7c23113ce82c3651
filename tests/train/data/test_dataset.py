"""What the loop reads: pixels, captions and order follow from (seed, epoch, index) alone, and from what is on the disk."""

from __future__ import annotations

import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from modules.faults import RequestFault
from modules.train.data import crops
from modules.train.data.class_pictures import wanted
from modules.train.data.dataset import Dataset
from modules.train.sessions import Session
from tests.train.data.conftest import Draw, config, noise


@pytest.fixture
def mixed(session: Session, draw: Draw) -> Session:
    """Four squares, three wide ones, one of which comes three times."""
    for name in ("a", "b", "c", "d"):
        draw(f"{name}.png", caption=f"{name}, x, y, z")
    for name in ("v.png", "w.png", "3_often/u.png"):
        draw(name, (128, 64), caption=f"{name}, x, y, z")
    return session


def test_pixels_are_those_of_the_file(session: Session, draw: Draw) -> None:
    path = draw("a.png", (64, 64))
    example = Dataset.of(session, config()).example(0, 0)
    assert example.pixels is not None
    assert example.pixels.dtype == torch.float32
    assert example.pixels.shape == (3, 64, 64)
    with Image.open(path) as image:
        exact = np.asarray(image, np.float32).transpose(2, 0, 1) / 127.5 - 1
    assert np.array_equal(example.pixels.numpy(), exact)
    assert (example.caption, example.name, example.weight, example.is_prior) == ("a cat", "a.png", 1.0, False)
    assert (example.original_size, example.crop_top_left, example.target_size) == ((64, 64), (0, 0), (64, 64))


def test_sizes_as_sdxl_is_told_them(session: Session, draw: Draw) -> None:
    draw("a.png", (400, 200))
    square = config(enable_bucket=False, smart_crop=False, flip_aug=True)
    crops.put(session.paths.crops, {"a.png": crops.Crop((100, 0, 400, 200), (400, 200))})
    dataset = Dataset.of(session, square)
    found = {dataset.example(0, epoch, pixels=False).crop_top_left for epoch in range(20)}
    assert found == {(0, 16)}  # 300x200 becomes 96x64; 16 on either side of the middle, mirrored or not
    example = dataset.example(0, 0, pixels=False)
    assert (example.original_size, example.target_size) == ((200, 300), (64, 64))
    assert example.pixels is None


def test_flips(session: Session, draw: Draw) -> None:
    draw("a.png")
    dataset = Dataset.of(session, config(flip_aug=True))
    seen = {
        (example.key, example.pixels.numpy().tobytes()) for epoch in range(30) if (example := dataset.example(0, epoch)).pixels is not None
    }
    assert len(seen) == 2
    one, other = (np.frombuffer(pixels, np.float32).reshape(3, 64, 64) for _, pixels in seen)
    assert np.array_equal(one, other[:, :, ::-1])


def test_an_order_holds_everything_once_in_batches_of_one_size(mixed: Session) -> None:
    dataset = Dataset.of(mixed, config(train_batch_size=2))
    assert len(dataset) == 9
    for epoch in range(4):
        order = dataset.order(epoch, 7)
        assert sorted(index for batch in order for index in batch) == list(range(9))
        assert sorted(map(len, order)) == [1, 2, 2, 2, 2]
        for batch in order:
            assert len({dataset.example(index, epoch, pixels=False).target_size for index in batch}) == 1
    names = Counter(dataset.example(index, 0, pixels=False).name for index in range(9))
    assert names["3_often/u.png"] == 3
    assert names["a.png"] == 1
    assert len({repr(dataset.order(epoch, seed)) for epoch in range(3) for seed in range(3)}) == 9
    assert sorted(map(len, Dataset.of(mixed, config(train_batch_size=2, num_processes=2)).order(0, 0))) == [1, 4, 4]


def test_everything_follows_from_seed_epoch_and_index(mixed: Session, tmp_path: Path) -> None:
    asked = config(shuffle_caption=True, caption_dropout=0.2, flip_aug=True, train_batch_size=2, enable_bucket=False)

    def told(dataset: Dataset) -> list[tuple]:
        found = [dataset.example(index, epoch) for epoch in (3, 1) for index in reversed(range(len(dataset)))]
        return [(each.caption, each.key, each.crop_top_left, each.pixels.numpy().tobytes()) for each in found if each.pixels is not None]

    first = Dataset.of(mixed, asked)
    again = Dataset.of(mixed, asked)
    [again.example(index, 9) for index in range(5)]  # what was asked before does not matter
    elsewhere = Session("dogs", Path(shutil.copytree(mixed.folder, tmp_path / "another place")))
    shutil.rmtree(elsewhere.paths.cache)
    moved = Dataset.of(elsewhere, asked)
    assert told(first) == told(again) == told(moved)
    assert first.order(5, 1) == moved.order(5, 1)
    assert first.fingerprint() == moved.fingerprint()
    assert told(first) != told(Dataset.of(mixed, asked.changed(seed=1)))
    assert {first.example(0, epoch, pixels=False).caption for epoch in range(40)} > {""}


def test_the_fingerprint_says_what_changed(mixed: Session) -> None:
    asked = config()
    seen = [Dataset.of(mixed, asked).fingerprint()]
    (mixed.paths.pictures / "a.txt").write_text("other words")
    seen.append(Dataset.of(mixed, asked).fingerprint())
    crops.put(mixed.paths.crops, {"a.png": crops.Crop((0, 0, 32, 32), (64, 64))})
    seen.append(Dataset.of(mixed, asked).fingerprint())
    noise((64, 64), "new").save(mixed.paths.pictures / "b.png")
    seen.append(Dataset.of(mixed, asked).fingerprint())
    seen += [Dataset.of(mixed, asked.changed(**value)).fingerprint() for value in ({"resolution": 96}, {"flip_aug": True}, {"repeats": 2})]
    assert len(set(seen)) == len(seen)
    assert Dataset.of(mixed, asked.changed(learning_rate=1.0, sample_every=7)).fingerprint() == seen[3]


def test_keys_follow_the_content(session: Session, draw: Draw) -> None:
    path = draw("a.png", (96, 64))
    first = Dataset.of(session, config()).example(0, 0).key
    (session.paths.pictures / "b.png").write_bytes(path.read_bytes())
    both = Dataset.of(session, config())
    assert both.example(0, 0).key == both.example(1, 0).key == first, "the same picture is encoded once"
    noise((96, 64), "another").save(path)
    assert Dataset.of(session, config()).example(0, 0).key != first
    assert Dataset.of(session, config(resolution=96)).example(1, 0).key != first


def test_the_smart_crop_moves_the_cut(session: Session) -> None:
    image = Image.new("RGB", (300, 100), "white")
    image.paste("navy", (220, 20, 280, 80))
    image.save(session.paths.pictures / "a.png")
    square = {"enable_bucket": False, "trigger_word": "x"}
    middle = Dataset.of(session, config(smart_crop=False, **square)).example(0, 0)
    clever = Dataset.of(session, config(**square)).example(0, 0)
    assert middle.pixels is not None
    assert clever.pixels is not None
    assert float(middle.pixels.min()) == 1.0
    assert float(clever.pixels.min()) < -0.9
    assert middle.crop_top_left == (0, 64)
    assert clever.crop_top_left[1] > 110


def test_validation_is_kept_apart(mixed: Session) -> None:
    asked = config(validation_split=0.3, caption_dropout=1.0, flip_aug=True)
    dataset = Dataset.of(mixed, asked)
    held = [dataset.example(index, 0, pixels=False) for index in dataset.validation()]
    trained = {dataset.example(index, 0, pixels=False).name for batch in dataset.order(0, 0) for index in batch}
    assert len(held) == 2
    assert not trained & {each.name for each in held}
    assert len(trained) == 5
    assert all(each.caption.endswith(", x, y, z") for each in held)
    assert [each.key for each in held] == [dataset.example(index, 5, pixels=False).key for index in dataset.validation()]
    assert Dataset.of(mixed, config()).validation() == range(9, 9)


def test_pictures_of_the_class_stand_beside_their_own(mixed: Session) -> None:
    asked = config(prior_preservation=True, class_prompt="a cat", num_class_images=5, train_batch_size=2, trigger_word="sks")
    missing = wanted(mixed, asked).missing
    assert len(missing) == 5
    assert len({each.seed for each in missing}) == 5
    assert {each.prompt for each in missing} == {"a cat"}
    with pytest.raises(RequestFault, match="pictures of the class"):
        Dataset.of(mixed, asked)
    for number, each in enumerate(missing):
        each.path.parent.mkdir(exist_ok=True)
        noise((each.side, each.side), str(number)).save(each.path)
    assert wanted(mixed, asked).missing == ()
    assert len(wanted(mixed, asked).there) == 5
    dataset = Dataset.of(mixed, asked)
    assert len(dataset) == 18
    turns: set[str] = set()
    for epoch in range(3):
        for batch in dataset.order(epoch, 0):
            one, other = (dataset.example(index, epoch) for index in batch)
            assert (one.is_prior, other.is_prior) == (False, True)
            assert one.target_size == other.target_size
            assert other.pixels is not None
            assert other.pixels.shape[1:] == one.target_size
            assert other.caption == "a cat"
            assert one.caption.startswith("sks, ")
            turns.add(other.name)
    assert len(turns) == 5


def test_another_prompt_makes_other_pictures_of_the_class(session: Session) -> None:
    asked = config(prior_preservation=True, class_prompt="a cat", num_class_images=3)
    first = wanted(session, asked)
    first.folder.mkdir()
    noise((64, 64), "own").save(first.folder / "my own.png")
    noise((64, 64), "made").save(first.missing[0].path)
    assert [each.path for each in wanted(session, asked).missing] == [first.missing[1].path]
    other = wanted(session, asked.changed(class_prompt="a dog"))
    assert other.there == ("my own.png",)
    assert len(other.missing) == 2
    assert wanted(session, config()).count == 0


@pytest.mark.parametrize("what", ["nothing", "broken"])
def test_no_training_without_pictures(session: Session, draw: Draw, what: str) -> None:
    if what == "broken":
        draw("a.png")
        draw("kaputt.png").write_bytes(b"\x89PNG")
    with pytest.raises(RequestFault, match=r"kaputt\.png" if what == "broken" else "there are none"):
        Dataset.of(session, config())


def test_a_picture_that_goes_while_training(session: Session, draw: Draw) -> None:
    path = draw("a.png")
    dataset = Dataset.of(session, config())
    noise((32, 32), "other").save(path)
    with pytest.raises(RequestFault, match=r"a\.png was replaced"):
        dataset.example(0, 0)
    path.unlink()
    with pytest.raises(RequestFault, match=r"a\.png"):
        dataset.example(0, 0)
    assert dataset.example(0, 0, pixels=False).pixels is None


def test_what_can_be_asked_of_the_text_encoder(mixed: Session) -> None:
    dataset = Dataset.of(mixed, config(caption_dropout=0.5, trigger_word="sks"))
    asked = {dataset.example(index, epoch, pixels=False).caption for index in range(9) for epoch in range(30)}
    assert asked == set(dataset.captions())
    assert "" in asked
