"""What `resolve` makes of a request whose picture grows: sizes, fields that then say nothing, and what cannot be."""

from __future__ import annotations

from typing import Any

import pytest
from PIL import Image

from modules.faults import RequestFault
from modules.folders import Folders
from modules.infotext import parse, to_request, write
from modules.library import Library
from modules.processing.resolve_outpaint import OWN_SIZE
from modules.processing.turns import turns_of
from modules.request import GenerationRequest, Outpaint, ResolvedRequest
from tests.model.two_models import QUIET
from tests.processing.test_repaint import Door


@pytest.fixture
def door(tmp_path: Any) -> Door:
    folders = Folders.at(tmp_path)
    return Door(folders, Library(folders))


def test_off_while_no_side_grows(door: Door) -> None:
    asked = {"outpaint_begin": "latent noise", "outpaint_overlap": 3, "outpaint_in_turns": True}
    plain = door.ask(init_images=[door.small], seed=3, subseed=1)
    assert door.ask(init_images=[door.small], seed=3, subseed=1, **asked) == plain
    assert plain.outpaint is None
    assert door.ask(outpaint_left=64).outpaint is None  # txt2img


@pytest.mark.parametrize(
    ("sides", "painted"),
    [({"left": 32}, (136, 64)), ({"right": 28, "down": 4}, (128, 64)), ({"up": 1}, (104, 64)), ({"left": 1024, "up": 1024}, (1128, 1088))],
    ids=str,
)
def test_the_picture_keeps_its_own_size(door: Door, sides: dict[str, int], painted: tuple[int, int]) -> None:
    """100x60 and what was added, on a ground of whole steps; the width and height of the form say nothing."""
    resolved = door.ask(init_images=[door.small], **{f"outpaint_{name}": px for name, px in sides.items()})
    assert (resolved.width, resolved.height) == painted
    assert resolved.outpaint == Outpaint(**{f"outpaint_{name}": px for name, px in sides.items()})  # pyright: ignore[reportArgumentType]
    assert not any("rounded down" in text for text in resolved.warnings)
    assert ResolvedRequest.from_data(resolved.to_data()) == resolved


def test_what_then_says_nothing(door: Door) -> None:
    asked = {"resize_mode": 2, "inpaint_full_res": True, "inpainting_fill": 2, "inpaint_full_res_padding": 8, "inpainting_mask_invert": 1}
    grown = door.ask(init_images=[door.small], seed=1, subseed=1, outpaint_right=8, outpaint_in_turns=True)
    assert door.ask(init_images=[door.small], seed=1, subseed=1, outpaint_right=8, **asked) == grown
    kept = door.ask(init_images=[door.small], outpaint_right=8, mask_blur_x=9, mask_round=False, soft_inpainting=True).image
    assert kept is not None
    assert (kept.mask_blur_x, kept.mask_round, kept.soft_inpainting) == (9, False, True)
    assert OWN_SIZE in door.ask(init_images=[door.small], outpaint_right=8, scale_by=2).warnings
    assert OWN_SIZE not in door.ask(init_images=[door.small], outpaint_right=8, scale_by=1).warnings
    turned = door.ask(init_images=[door.small], mask=door.mask, inpainting_mask_invert=1, outpaint_right=8).warnings
    assert not any("blank" in text for text in turned)


def test_what_cannot_be(door: Door) -> None:
    wide = door.inputs.put_picture(Image.new("RGB", (16000, 8), "red"))
    for given, field in (
        ({"init_images": [wide], "outpaint_right": 400}, "outpaint_right"),
        ({"init_images": [wide], "outpaint_left": 400}, "outpaint_left"),
        ({"init_images": [door.small, door.other], "batch_size": 2, "outpaint_up": 8}, "init_images"),
        ({"init_images": [door.small], "outpaint_up": 1025}, "outpaint_up"),
        ({"init_images": [door.small], "outpaint_up": -1}, "outpaint_up"),
        ({"init_images": [door.small], "outpaint_begin": "nothing"}, "outpaint_begin"),
    ):
        with pytest.raises(RequestFault) as caught:
            door.ask(**given)
        assert caught.value.field == field
    large = door.inputs.put_picture(Image.new("RGB", (8000, 8000), "red"))
    with pytest.raises(RequestFault, match="over the limit"):
        door.ask(init_images=[large], outpaint_up=64)


def test_the_text_tells_it_and_is_understood(door: Door) -> None:
    resolved = door.ask(
        init_images=[door.small], outpaint_left=24, outpaint_down=7, outpaint_begin="matched noise", outpaint_in_turns=True, mask_blur_x=6,
        mask_blur_y=6,
    )  # fmt: skip
    text = write(resolved, 0)
    for words in ("Outpaint left: 24", "Outpaint down: 7", "Outpaint begin: matched noise", "Outpaint in turns: True", "Mask blur: 6"):
        assert words in text
    assert "Outpaint right" not in text
    assert "Mask image" not in text
    assert GenerationRequest.from_data(to_request(parse(text))).group(Outpaint) == resolved.outpaint


def test_turns_are_runs_of_their_own(door: Door) -> None:
    resolved = door.ask(init_images=[door.small], mask=door.mask, outpaint_left=8, outpaint_down=16, outpaint_in_turns=True)
    told: list[tuple[int, int]] = []
    found = turns_of(resolved, QUIET.__class__(stop=lambda: False, step=lambda done, of: told.append((done, of))))
    assert [run.outpaint.sides for run, _ in found if run.outpaint] == [(8, 0, 0, 0), (0, 0, 0, 16)]
    assert [run.image.mask for run, _ in found if run.image] == [door.mask, None]
    assert [run.save_images for run, _ in found] == [False, True]
    for _, hooks in found:
        hooks.step(1, 4)
        hooks.step(4, 4)
    assert told == [(1, 8), (4, 8), (5, 8), (8, 8)]
