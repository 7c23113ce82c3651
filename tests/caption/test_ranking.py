"""Word lists of ours and of a person's, and words ranked with kept vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from modules.caption import ranking
from modules.caption.matching import image_features, text_features
from modules.caption.ranking import Ranker
from modules.caption.word_lists import OWN, WordList, word_lists
from modules.folders import Folders

CATS = WordList(name="animals", top=2, entries=("a cat", "a dog", "the sky", "a house"))
SIZES = WordList(name="sizes", top=9, entries=("small", "large"))


def test_our_own_lists(folders: Folders):
    found = {words.name: words for words in word_lists(folders)}
    assert {name: words.top for name, words in found.items()} == {"artists": 1, "flavors": 3, "mediums": 1, "movements": 1}
    assert all(len(words.entries) == len(set(words.entries)) >= 40 for words in found.values())


def test_a_persons_lists_take_the_place_of_ours_and_add_to_them(folders: Folders):
    place = folders.models / "interrogate"
    place.mkdir(parents=True)
    (place / "artists.txt").write_text("\ufeffOne\r\n\r\n  Two \nOne\n", encoding="utf-8")
    (place / "moods.top12.txt").write_text("calm\nwild\nodd\n")
    (place / "empty.txt").write_text("\n\n")
    (place / "notes.md").write_text("no list")
    found = {words.name: words for words in word_lists(folders, most=2, skip=("Movements",))}
    assert found["artists"].entries == ("One", "Two")
    assert (found["moods"].top, found["moods"].entries) == (12, ("calm", "wild"))
    assert set(found) == {"artists", "flavors", "mediums", "moods"}


def test_the_starters_scorer_has_lists_of_what_it_knows(folders: Folders):
    found = {words.name: words for words in word_lists(folders, "darkroom-starter-scorer")}
    assert set(found) == {"styles", "things"}
    assert len(found["things"].entries) > 190
    assert [words.name for words in word_lists(folders, "../lists")] == [words.name for words in word_lists(folders)]


def test_lists_are_plain_text():
    for path in OWN.rglob("*.txt"):
        lines = path.read_text(encoding="utf-8").splitlines()
        assert lines == [line.strip() for line in lines if line.strip()], path


@pytest.mark.parametrize("kind", ["clip", "blip-itm"])
def test_the_nearest_words_by_cosine(kind: str, captioner_of: Any, pictures: list[Image.Image], tmp_path: Path):
    scorer = captioner_of(kind)
    found = Ranker(scorer, tmp_path).rank(pictures, [CATS, SIZES])
    near = image_features(scorer, pictures) @ text_features(scorer, CATS.entries).T
    for row, cosines in zip(found, near.tolist(), strict=True):
        wanted = sorted(zip(cosines, CATS.entries, strict=True), reverse=True)[:2]
        assert [word for word, _ in row["animals"]] == [word for _, word in wanted]
        assert [score for _, score in row["animals"]] == pytest.approx([cosine for cosine, _ in wanted], abs=1e-4)
        assert len(row["sizes"]) == 2


def test_vectors_are_kept_by_what_the_list_and_the_model_hold(
    captioner_of: Any, pictures: list[Image.Image], tmp_path: Path, monkeypatch: Any
):
    scorer = captioner_of("clip")
    wanted = Ranker(scorer, tmp_path).rank(pictures, [CATS])
    (file,) = tmp_path.glob("*.safetensors")

    def never(*_: Any) -> torch.Tensor:
        raise RuntimeError("the vectors were made again")

    with monkeypatch.context() as patch:
        patch.setattr(ranking, "text_features", never)
        assert Ranker(scorer, tmp_path).rank(pictures, [CATS]) == wanted
        with pytest.raises(RuntimeError, match="made again"):
            Ranker(scorer, tmp_path).rank(pictures, [WordList(name="animals", top=1, entries=("a cat",))])
        with pytest.raises(RuntimeError, match="made again"):
            Ranker(captioner_of("blip-itm"), tmp_path).rank(pictures, [CATS])
    file.write_bytes(file.read_bytes()[:50])
    assert Ranker(scorer, tmp_path).rank(pictures, [CATS]) == wanted
    assert file.stat().st_size > 50


def test_only_the_newest_vectors_stay(captioner_of: Any, pictures: list[Image.Image], tmp_path: Path, monkeypatch: Any):
    monkeypatch.setattr(ranking, "MOST_KEPT", 2)
    ranker = Ranker(captioner_of("clip"), tmp_path)
    for n in range(4):
        ranker.rank(pictures[:1], [WordList(name="n", top=1, entries=(f"a cat {n}",))])
    assert len(list(tmp_path.glob("*.safetensors"))) == 2
