"""Pictures that grow, through the models: what was there stays, the new part goes on with it, and every family can do it."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from PIL import Image

from modules.pixels.mask import blur_reach_px
from modules.request import Outpaint
from modules.request.outpaint import BEGINS
from tests.model.conftest import FakeControl, Studio
from tests.model.painting import Easel, counted, difference, gradient

ON_BLUE = "a red apple on a blue background"


@pytest.fixture(scope="module")
def easel(tmp_path_factory: pytest.TempPathFactory) -> Easel:
    return Easel(tmp_path_factory.mktemp("outpaint"))


def grown(image: Image.Image, sides: tuple[int, int, int, int]) -> tuple[int, int]:
    return image.width + sides[0] + sides[1], image.height + sides[2] + sides[3]


def asked(sides: tuple[int, int, int, int], **more: Any) -> Outpaint:
    return Outpaint(outpaint_left=sides[0], outpaint_right=sides[1], outpaint_up=sides[2], outpaint_down=sides[3], **more)


def kept(made: Image.Image, picture: Image.Image, sides: tuple[int, int, int, int], reach: int) -> bool:
    """Is the picture to the bit in its place, but for a band of reach px at the sides that grew?"""
    own = np.asarray(made)[sides[2] : sides[2] + picture.height, sides[0] : sides[0] + picture.width]
    left, right, up, down = (reach if px else 0 for px in sides)
    inner = np.s_[up : max(up, picture.height - down), left : max(left, picture.width - right)]
    return bool((own[inner] == np.asarray(picture)[inner]).all())


@pytest.mark.parametrize("name", ["sd15", "sd15 inpainting", "sdxl", "sd3", "flux dev", "sd15 instruct-pix2pix"])
@pytest.mark.parametrize("begin", [BEGINS[0], BEGINS[2]])
def test_every_kind_of_model(easel: Easel, name: str, begin: str) -> None:
    """The picture fits no latent, so that what was rounded up has to go again."""
    picture, sides = gradient((61, 43)), (19, 0, 0, 8)
    outpaint = asked(sides, outpaint_begin=begin, outpaint_overlap=6)
    [made] = easel.ours(name, picture, steps=2, outpaint=outpaint, mask_blur_x=2, mask_blur_y=2).images
    assert made.size == grown(picture, sides)
    assert kept(made, picture, sides, 6 + blur_reach_px(2))
    assert len(set(map(tuple, np.asarray(made)[:, :19].reshape(-1, 3)))) > 20


def test_random_sizes_and_sides_on_the_starter_model(studio: Studio) -> None:
    drawn = random.Random(7)
    for _ in range(12):
        picture = gradient((drawn.randint(40, 90), drawn.randint(40, 90)))
        sides = (0, 0, 0, 0)
        while not any(sides):
            sides = tuple(drawn.choice([0, 0, drawn.randint(1, 40)]) for _ in range(4))  # pyright: ignore[reportAssignmentType]
        overlap, blur = drawn.randint(0, 12), drawn.randint(0, 4)
        fields = dict(zip(("outpaint_left", "outpaint_right", "outpaint_up", "outpaint_down"), sides, strict=True))
        [made] = studio.pictures(
            prompt="a red apple", steps=2, seed=drawn.randint(0, 99), init_images=[studio.inputs.put_picture(picture)], **fields,
            outpaint_begin=drawn.choice(BEGINS), outpaint_overlap=overlap, mask_blur_x=blur, mask_blur_y=blur,
            soft_inpainting=drawn.choice([True, False]), outpaint_in_turns=drawn.choice([True, False]),
        )  # fmt: skip
        assert made.size == grown(picture, sides)
        assert kept(made, picture, sides, overlap + blur_reach_px(blur))


@pytest.mark.parametrize("begin", BEGINS)
def test_the_new_part_goes_on_with_the_picture(studio: Studio, begin: str) -> None:
    """There are no words; only the picture says what colour its ground has. Beside it a control: the same size and seed from noise
    alone, on which the picture would but be laid."""
    new, control = [], []
    for seed in (3, 4):
        words = {"steps": 8, "cfg_scale": 4.0, "seed": seed}
        [picture] = studio.pictures(prompt=ON_BLUE, **words)
        reference = studio.inputs.put_picture(picture)
        [made] = studio.pictures(init_images=[reference], outpaint_up=48, outpaint_begin=begin, denoising_strength=0.8, **words)
        [other] = studio.pictures(width=128, height=176, **words)
        edge = np.median(np.asarray(picture, float)[:8], (0, 1))
        new.append(np.abs(np.median(np.asarray(made, float)[:40], (0, 1)) - edge).mean())
        control.append(np.abs(np.median(np.asarray(other, float)[:40], (0, 1)) - edge).mean())
    assert np.mean(new) < 0.5 * np.mean(control)


def test_one_side_after_another(easel: Easel) -> None:
    picture, sides = gradient((48, 40)), (16, 8, 0, 12)
    told, hooks = counted()
    plain = easel.ours("sd15", picture, outpaint=asked(sides), mask_blur_x=0).images[0]
    [made] = easel.ours("sd15", picture, hooks=hooks, outpaint=asked(sides, outpaint_in_turns=True), mask_blur_x=0).images
    assert made.size == plain.size == grown(picture, sides)
    assert kept(made, picture, sides, 16)
    assert difference(made, plain) > 0
    assert {of for _, of in told} == {told[-1][0]}
    assert [done for done, _ in told] == sorted(done for done, _ in told)


def test_noise_in_pixels_is_each_pictures_own(easel: Easel) -> None:
    outpaint = asked((32, 0, 0, 0), outpaint_begin="matched noise")
    batch = easel.ours("sd15", gradient(), outpaint=outpaint, batch_size=2, denoising_strength=0.3).images
    single = easel.ours("sd15", gradient(), outpaint=outpaint, seed=6, denoising_strength=0.3).images[0]
    assert difference(batch[1], single) <= 2
    assert difference(batch[0], batch[1]) > 10


def test_ended_between_two_sides(studio: Studio) -> None:
    """The steps of all sides are counted as one run; what was painted until then is there."""
    picture = gradient((64, 64))
    words = {"init_images": [studio.inputs.put_picture(picture)], "steps": 4, "denoising_strength": 1.0, "prompt": "a red apple"}
    sides = {"outpaint_left": 16, "outpaint_right": 16, "outpaint_in_turns": True}
    control = FakeControl(stop_at=6)
    state, result = studio.make(control, **words, **sides)
    assert (state, result.interrupted) == ("canceled", True)
    [found] = [p for p in result.pictures if p.kind != "grid"]
    assert (found.kind, found.width, found.height) == ("partial", 96, 64)
    early = FakeControl(stop_at=2)
    _, result = studio.make(early, **words, **sides)
    assert [(p.kind, p.width) for p in result.pictures if p.kind != "grid"] == [("partial", 80)]


def test_the_masks_shown_beside_are_of_the_result(studio: Studio) -> None:
    settings = {"return_mask": True, "return_mask_composite": True}
    picture = gradient((50, 41))
    made = studio.pictures(
        prompt="a red apple", steps=2, init_images=[studio.inputs.put_picture(picture)], outpaint_left=13, override_settings=settings
    )
    assert [image.size for image in made] == [(63, 41)] * 3
    mask = np.asarray(made[1].convert("L"))
    assert (mask[:, :13] == 255).all()
    assert (mask[:, 45:] == 0).all()
