"""Names of files: every token of the patterns, and names that every file system takes."""

from __future__ import annotations

import dataclasses
import hashlib
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from PIL import Image

from modules.pixels.names import PART_BYTES, PART_CHARS, PATTERNS, Scene, fill_pattern, safe_part
from modules.prompts.styles import Style
from tests.words.examples import CHECKPOINT, resolved

NOW, BEGAN = datetime.fromisoformat("2026-03-04T15:06:07"), datetime.fromisoformat("2026-03-04T15:00:00")
IMAGE = Image.new("RGB", (64, 48), (1, 2, 3))
OIL = Style("oil", "{prompt}, oil painting", "")


def scene(index: int = 0, styles: tuple[Style, ...] = (), **changes: Any) -> Scene:
    return Scene(resolved(**changes), index, IMAGE, NOW, BEGAN, styles)


def sha(text: str | bytes) -> str:
    return hashlib.sha256(text if isinstance(text, bytes) else text.encode()).hexdigest()


ROWS = [
    ("[seed]", "1001"), ("[seed_first]-[seed_last]", "1000-1003"), ("[steps]", "20"), ("[cfg]", "7.0"), ("[width]x[height]", "64x48"),
    ("[styles]", "None"), ("[sampler]", "DPM++ 2M"), ("[scheduler]", "Karras"), ("[sampler_scheduler]", "DPM++ 2M Karras"),
    ("[model_hash]", "0a1b2c3d4e"), ("[model_name]", "exampleMix_v1"), ("[[model_name]]", "[exampleMix_v1]"), ("[date]", "2026-03-04"),
    ("[datetime]", "20260304150607"), ("[datetime<%H-%M>]", "15-06"), ("[datetime<%Y><No/Where>]", "2026"),
    ("[datetime<>]", "20260304150607"),
    ("[job_timestamp]", "20260304150000"), ("[prompt]", "a_red_apple,_3d"), ("[prompt_spaces]", "a red apple, 3d"),
    ("[prompt_no_styles]", "a red apple, 3d"), ("[prompt_words]", "a red apple 3d"), ("[prompt_hash]", sha("a red apple, 3d")[:8]),
    ("[prompt_hash<4>]", sha("a red apple, 3d")[:4]), ("[negative_prompt_hash]", sha("bad")[:8]),
    ("[full_prompt_hash]", sha("a red apple, 3d bad")[:8]), ("[batch_number]", "2"), ("[batch_size]", "2"), ("[generation_number]", "2"),
    ("[hasprompt<Apple|fruit><car|none>]", "Applenone"), ("[denoising]x", "x"), ("a[none]b", "ab"),
    ("[image_hash<6>]", sha(IMAGE.tobytes())[:6]),
    ("[image_hash]", sha(IMAGE.tobytes())), ("[unknown]-[seed]", "[unknown]-1001"), ("[seed", "[seed"), ("[SEED]", "1001"),
    ("", ""), ("plain", "plain"),
]  # fmt: skip


@pytest.mark.parametrize(("pattern", "name"), ROWS)
def test_tokens(pattern: str, name: str) -> None:
    request = {"n_iter": 2, "batch_size": 2, "negative_prompt": "bad", "sampler_name": "DPM++ 2M", "scheduler": "Karras"}
    assert fill_pattern(pattern, scene(1, **request)) == name


def test_every_token_of_the_table_is_among_them() -> None:
    tested = " ".join(pattern for pattern, _ in ROWS)
    assert not [token for token in PATTERNS if f"[{token}]" not in tested and f"[{token}<" not in tested]


@pytest.mark.parametrize(
    ("pattern", "name"),
    [
        ("[seed]-[batch_number]", "1000"), ("[seed]-[generation_number]x", "1000x"), ("[seed_first]-[seed_last]", "1000"),
        ("a-[denoising]-[seed]", "-1000"), ("[sampler_scheduler]", "Euler a"),
    ],
)  # fmt: skip
def test_tokens_that_do_not_apply_take_the_text_before_them_along(pattern: str, name: str) -> None:
    assert fill_pattern(pattern, scene()) == name


def test_a_time_zone() -> None:
    expected = NOW.astimezone(UTC).strftime("%Y-%m-%d %H.%M")
    assert fill_pattern("[datetime<%Y-%m-%d %H.%M><UTC>]", scene()) == expected


def test_styles_and_the_prompt_without_them() -> None:
    styled = scene(styles=(OIL, Style("old", "old master", "")), prompt="a cat, oil painting, old master")
    assert fill_pattern("[prompt_no_styles]", styled) == "a cat"
    named = dataclasses.replace(styled.resolved, styles=("oil", "old"))
    assert fill_pattern("[styles]", dataclasses.replace(styled, resolved=named)) == "oil, old"


def test_a_model_without_hash_and_an_empty_prompt() -> None:
    empty = scene(prompt="", checkpoint=dataclasses.replace(CHECKPOINT, sha256=None))
    assert fill_pattern("[model_hash]|[prompt_words]", empty) == "|empty"
    assert fill_pattern("[prompt_words]", scene(prompt="one two three", settings={"directories_max_prompt_words": 2})) == "one two"


def test_a_prompt_makes_no_folders() -> None:
    assert fill_pattern("[prompt_spaces]/x", scene(prompt="../../etc/passwd")) == ".._.._etc_passwd/x"


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("a b", "a b"), ('#<>:"/\\|?*', "_" * 10), ("a\nb\tc\x00d\x7f", "a_b_c_d_"), (" .. x . . ", "x"), ("..", ""), ("...", ""), ("", ""),
        ("con", "_con"), ("CON.txt", "_CON.txt"), ("com1", "_com1"), ("LPT9.a.b", "_LPT9.a.b"), ("console", "console"), ("nul ", "_nul"),
        ("abc\u202egnp", "abc_gnp"), ("a\u200bb\ufeff", "a_b_"), ("e\u0301", "\u00e9"), ("中文", "中文"), ("👩\u200d👧", "👩\u200d👧"),
        ("\ud800", "_"),
        ("x" * 300, "x" * 128), ("🍎" * 300, "🍎" * 50), ("中" * 300, "中" * 66), ("a" * 127 + ". tail", "a" * 127),
    ],
)  # fmt: skip
def test_safe_parts(text: str, part: str) -> None:
    assert safe_part(text) == part


@given(st.text())
@example("con" + "\u0301" * 300)
@example(" " * 500 + "x")
def test_any_text_gives_a_name_that_can_be_written(text: str) -> None:
    part = safe_part(text)
    assert len(part) <= PART_CHARS
    assert len(part.encode()) <= PART_BYTES
    assert not set(part) & set('/\\:*?"<>|#\n\r\t\x00')
    assert part == part.strip(" ").rstrip(".")
    assert part not in (".", "..")
    assert safe_part(part) == part
