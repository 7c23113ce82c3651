"""Where captions stand, and how they are said at each step."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from modules.train.data.captions import about_tokens, plain, read, read_table, said, with_trigger, write
from modules.train.data.draws import draws
from modules.train.data.naming import folder_words, name_words
from tests.train.data.conftest import config

TAGS = "one, two, three, four, five"


def spoken(count: int, text: str = TAGS, **values: object) -> list[str]:
    asked = config(**values)
    return [said(text, asked, draws("test", number)) for number in range(count)]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sks dog (3).png", "sks dog"), ("a_red_hat_0012.jpg", "a red hat"), ("猫.png", ""), ("白い猫.png", "白い猫"), ("IMG_2041.JPG", ""),
        ("DSC01234.jpg", ""), ("PXL_20230101_101010.jpg", ""), ("Screenshot 2024-01-01 at 10.00.png", ""), ("00012-1234567.png", ""),
        ("3f2504e0-4f89-11d3-9a0c-0305e82c3301.png", ""), ("photo-1.jpg", ""), ("a photo of a cat.png", "a photo of a cat"), ("1.png", ""),
    ],
)  # fmt: skip
def test_what_a_name_says(name: str, words: str) -> None:
    assert name_words(name) == words


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("10_sks cat/a.png", (10, "sks cat")), ("deep/3_a_b/a.png", (3, "a b")), ("a.png", (1, "")), ("0_x/a.png", (1, "x")),
        ("5_/a.png", (5, "")), ("99999_x/a.png", (10_000, "x")), ("cats/a.png", (1, "")),
    ],
)  # fmt: skip
def test_what_a_folder_says(name: str, found: tuple[int, str]) -> None:
    assert folder_words(name) == found


def test_sources_in_their_order(tmp_path: Path) -> None:
    (tmp_path / "metadata.jsonl").write_text('{"file_name": "my cat.png", "text": "of the table"}\nnonsense\n{"file_name": "x.png"}\n')
    table = read_table(tmp_path)

    def found() -> tuple[str, str]:
        caption = read(tmp_path, "my cat.png", table, "sks")
        return caption.text, caption.source

    assert found() == ("of the table", "metadata.jsonl")
    (tmp_path / "my cat.caption").write_text("a\ncaption ")
    assert found() == ("a caption", ".caption")
    (tmp_path / "my cat.txt").write_bytes("\ufeffein  Käse\r\n".encode())
    assert found() == ("ein Käse", ".txt")
    (tmp_path / "my cat.txt").write_bytes("Käse".encode("utf-16"))
    assert found() == ("Käse", ".txt")
    (tmp_path / "my cat.txt").write_bytes("Käse".encode("latin-1"))
    assert read(tmp_path, "my cat.png", table).damaged
    write(tmp_path, "my cat.png", " neu\n geschrieben ")
    assert found() == ("neu geschrieben", ".txt")
    assert read(tmp_path, "my dog.png", table, "sks").source == "name"
    assert read(tmp_path, "0001.png", table, "sks") == read(tmp_path, "0002.png", {}, "sks")


def test_nothing_is_changed_without_being_asked() -> None:
    assert spoken(20, "a cat,  on a mat. 猫") == ["a cat,  on a mat. 猫"] * 20


def test_shuffling_keeps_all_tags_and_the_first_ones() -> None:
    heard = spoken(300, shuffle_caption=True, keep_tokens=2)
    assert all(text.startswith("one, two, ") and sorted(text.split(", ")) == sorted(TAGS.split(", ")) for text in heard)
    assert len(set(heard)) == 6
    assert min(Counter(heard).values()) > 25


def test_dropout_comes_as_often_as_asked() -> None:
    heard = spoken(1000, caption_dropout=0.3)
    assert 240 < heard.count("") < 360
    assert set(heard) == {"", TAGS}
    assert spoken(50, caption_dropout=1.0) == [""] * 50
    thinned = spoken(1000, caption_tag_dropout=0.5, keep_tokens=1)
    assert all(text.startswith("one") for text in thinned)
    assert "one" in thinned
    assert 1.8 < sum(text.count(",") for text in thinned) / 1000 < 2.2


def test_the_trigger_word_is_always_there() -> None:
    heard = spoken(200, trigger_word="ohwx", shuffle_caption=True, caption_tag_dropout=0.9)
    assert all(text.split(", ")[0] == "ohwx" for text in heard)
    own = spoken(100, "ohwx, a, b, c", trigger_word="ohwx", shuffle_caption=True)
    assert all(text.startswith("ohwx, ") and text.count("ohwx") == 1 for text in own)
    assert len(set(own)) == 6
    assert spoken(1, "", trigger_word="ohwx") == ["ohwx"]
    assert with_trigger("a photo of OHWX on a mat", "ohwx") == "a photo of OHWX on a mat"
    assert with_trigger("ohwxs", "ohwx") == "ohwx, ohwxs"
    assert plain("x", config(trigger_word=" my  word ")) == "my word, x"


def test_the_same_draws_say_the_same() -> None:
    values = {"shuffle_caption": True, "caption_dropout": 0.2, "caption_tag_dropout": 0.2}
    assert spoken(50, **values) == spoken(50, **values)
    assert draws(1, "a", 2).random() == 0.07410317052229287  # on every machine


@pytest.mark.parametrize(
    ("text", "least", "most"), [("a photo of a cat", 5, 5), ("", 0, 0), ("photorealistic, 8k, (masterpiece:1.2)", 9, 16)]
)
def test_about_tokens(text: str, least: int, most: int) -> None:
    assert least <= about_tokens(text) <= most
