"""Everything that people or files bring is shown as text, never as markup."""

from __future__ import annotations

import pytest

from modules.request import Picture, Result
from modules.web.messages import TEXT_LIMIT, fault_box, file_text, notice_box, picture_cards, warning_box

HOSTILE = "<img src=x onerror=alert(1)>\" onmouseover='alert(2)' ${alert(3)} {{value}} </pre><script>alert(4)</script>"


def picture(**changes: object) -> Picture:
    given = {"index": 0, "path": "/out/00001.png", "seed": 5, "width": 128, "height": 64, "infotext": HOSTILE, **changes}
    return Picture(**given)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize(
    "html",
    [
        fault_box({"kind": "request", "message": HOSTILE}),
        fault_box({"kind": HOSTILE, "message": HOSTILE}),
        warning_box([HOSTILE]),
        notice_box([HOSTILE], HOSTILE),
        picture_cards(Result(pictures=(picture(path=f"/out/{HOSTILE}", kind=HOSTILE),))),
        file_text(HOSTILE, {HOSTILE: HOSTILE}),
        file_text("", {HOSTILE: HOSTILE}),
    ],
)
def test_nothing_hostile_survives(html: str):
    assert "<img" not in html
    assert "<script" not in html
    assert "&lt;img src=x onerror" in html or "Something went wrong" in html
    assert "'alert(2)'" not in html
    assert '" onmouseover' not in html


def test_nothing_to_say_is_nothing():
    assert warning_box([]) == notice_box([]) == ""


def test_a_fault_stays_and_says_what_to_do():
    html = fault_box({"kind": "out_of_memory", "message": "Too big. Make it smaller."})
    assert 'role="alert"' in html
    assert "Not enough memory" in html
    assert "Make it smaller." in html
    assert "close-box" in html


def test_one_card_a_picture_and_the_first_is_shown():
    pictures = (picture(kind="grid", index=-1), picture(seed=6, saved=False), picture(kind="partial"))
    html = picture_cards(Result(pictures=pictures, seconds={"total": 2.04}))
    assert html.count("<article") == 3
    assert html.count(" hidden>") == 2
    assert 'data-n="1" data-seed="6"' in html
    assert "not saved" in html
    assert "2.0 s" in html
    assert "stopped before its last step" in html


def test_a_picture_without_parameters_says_so():
    assert "no generation parameters" in file_text("", {})


def test_a_giant_text_is_cut_and_says_so():
    assert "5 more characters" in file_text("x" * (TEXT_LIMIT + 5), {})
