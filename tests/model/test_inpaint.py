"""Inpainting: the same as a plain diffusers call for every family, nothing changed outside the mask, the right place for any mask."""

from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageDraw

from modules.families import FAMILIES
from modules.inputs import Inputs
from modules.pixels.incoming import picture_hash
from modules.pixels.mask import blur, blur_reach_px
from modules.processing.passes import first_pass
from modules.processing.repaint import prepared
from modules.processing.resolve import resolve
from modules.processing.sampling import sample
from modules.processing.tools import Wanted
from modules.prompts.styles import Styles
from modules.request import GenerationRequest, Result
from modules.settings import Settings
from tests.model.conftest import FakeControl, Studio
from tests.model.painting import MODELS, Easel, difference, gradient, plain, rectangle
from tests.model.two_models import QUIET, SIDE

BOX = (16, 24, 48, 56)
CAN = [name for name in MODELS if "pix2pix" not in name]
Keep = np.ndarray[Any, Any]


@pytest.fixture(scope="module")
def easel(tmp_path_factory: pytest.TempPathFactory) -> Easel:
    return Easel(tmp_path_factory.mktemp("inpaint"))


def outside(mask: Image.Image, blur_px: int = 0) -> Keep:
    """Where not even the blurred mask reaches."""
    return np.asarray(blur(mask, blur_px, blur_px)) == 0


def changed(a: Image.Image, b: Image.Image) -> Keep:
    return (np.asarray(a) != np.asarray(b)).any(-1)


@pytest.mark.parametrize("name", CAN)
def test_a_picture_equals_the_plain_call(easel: Easel, name: str) -> None:
    mask = rectangle(BOX)
    without_overlay = {"overlay_inpaint": False}
    [ours] = easel.ours(name, gradient(), mask, settings=without_overlay).images
    theirs = plain(easel.checkpoint(name), MODELS[name][1], "inpaint", gradient(), mask)
    assert difference(theirs, gradient()) > 10
    assert difference(ours, theirs) == 0


@pytest.mark.parametrize(("sampler", "left"), [("Heun", 4), ("DPM++ SDE", 4), ("LMS", 4), ("UniPC", 3)])
def test_other_samplers_equal_the_plain_call(easel: Easel, sampler: str, left: int) -> None:
    """Those of the timed kind, as UniPC, run a step less."""
    [ours] = easel.ours("sd15", gradient(), rectangle(BOX), sampler=sampler, settings={"overlay_inpaint": False}).images
    assert difference(ours, plain(easel.checkpoint("sd15"), sampler, "inpaint", gradient(), rectangle(BOX), left=left)) == 0


OTHERWISE = [(name, way) for name in ("sd15", "sd15 inpainting", "sd3", "flux dev") for way in ("soft", "not round")]


@pytest.mark.parametrize(("name", "way"), [*((name, "plain") for name in MODELS), *OTHERWISE])
def test_what_is_not_masked_stays_to_the_bit(easel: Easel, name: str, way: str) -> None:
    mask, about = rectangle(BOX), {"soft_inpainting": way == "soft", "mask_round": way != "not round"}
    [made] = easel.ours(name, gradient(), mask, mask_blur_x=3, mask_blur_y=3, steps=3, **about).images
    assert not (changed(made, gradient()) & outside(mask, 3)).any()
    assert changed(made, gradient())[30:50, 22:42].mean() > 0.9


@pytest.mark.parametrize(("name", "about"), [("sd15", {}), ("sd15 instruct-pix2pix", {}), ("sd3", {"mask_round": False}), ("flux dev", {})])
def test_inside_the_network_everything_else_is_kept_too(easel: Easel, name: str, about: dict[str, Any]) -> None:
    """The latent outside the mask is the picture's own at the end, whatever is laid over it later."""
    resolved = easel.asked(name, gradient(), rectangle(BOX), **about)
    model = easel.take(Wanted.first(resolved))
    painting = prepared(model, resolved, first_pass(resolved, 0), easel.tools)
    made = sample(model, resolved, painting.run, QUIET)
    assert painting.mask is not None
    kept = painting.mask == 0
    assert kept.float().mean() > 0.4
    assert float(((made.latents - easel.latent(name)).abs() * kept).max()) < 1e-5


@pytest.mark.parametrize("fill", range(4))
def test_every_masked_content(easel: Easel, fill: int) -> None:
    made = [
        easel.ours("sd15", gradient(), rectangle(BOX), inpainting_fill=n, denoising_strength=0.5).images[0] for n in (fill, (fill + 1) % 4)
    ]
    assert difference(*made) > 0
    assert not (changed(made[0], gradient()) & outside(rectangle(BOX))).any()


def test_latent_noise_is_each_pictures_own(easel: Easel) -> None:
    batch = easel.ours("sd15", gradient(), rectangle(BOX), inpainting_fill=2, batch_size=2).images
    single = easel.ours("sd15", gradient(), rectangle(BOX), inpainting_fill=2, seed=6).images[0]
    assert difference(batch[1], single) <= 2


def test_the_mask_the_other_way_round(easel: Easel) -> None:
    [made] = easel.ours("sd15", gradient(), rectangle(BOX), inpainting_mask_invert=1).images
    left, top, right, bottom = BOX
    assert not changed(made, gradient())[top:bottom, left:right].any()
    assert changed(made, gradient())[:top].mean() > 0.9


def test_an_inpainting_model_may_be_shown_what_is_masked(easel: Easel) -> None:
    hidden, half, seen = (
        easel.ours("sd15 inpainting", gradient(), rectangle(BOX), settings={"inpainting_mask_weight": weight}).images[0]
        for weight in (1.0, 0.5, 0.0)
    )
    assert difference(hidden, half) > 0
    assert difference(half, seen) > 0


@pytest.mark.parametrize("name", ["sdxl inpainting", "flux dev"])
@pytest.mark.parametrize("about", [{}, {"soft_inpainting": True, "mask_blur_x": 6, "mask_blur_y": 6}], ids=["plain", "soft"])
def test_a_batch_equals_its_singles(easel: Easel, name: str, about: dict[str, Any]) -> None:
    batch = easel.ours(name, gradient(), rectangle(BOX), batch_size=2, **about).images
    for i, together in enumerate(batch):
        [alone] = easel.ours(name, gradient(), rectangle(BOX), seed=5 + i, **about).images
        assert difference(alone, together) <= 2


@pytest.mark.parametrize(("name", "soft"), [("sd15", True), ("sd15 inpainting", False)])
def test_a_sampler_that_takes_pictures_one_by_one_does_so_here_too(easel: Easel, name: str, soft: bool) -> None:
    turned, about = gradient().rotate(90), {"soft_inpainting": soft, "sampler": "DPM adaptive", "denoising_strength": 0.1, "cfg_scale": 1.0}
    batch = easel.ours(name, [gradient(), turned], rectangle(BOX), batch_size=2, **about).images
    [alone] = easel.ours(name, turned, rectangle(BOX), seed=6, **about).images
    assert difference(alone, batch[1]) <= 2


@pytest.mark.parametrize(("name", "sampler"), [("sd15", "Euler"), ("sd15", "UniPC"), ("sd15 v", "DEIS"), ("sd3", "Heun"), ("sd3", "UniPC")])
def test_soft_inpainting_changes_more_where_the_mask_is_stronger(easel: Easel, name: str, sampler: str) -> None:
    ramp = Image.linear_gradient("L").resize((SIDE, SIDE))
    changes = {"soft_inpainting": True, "settings": {"overlay_inpaint": False}, "denoising_strength": 0.9, "steps": 6}
    [made] = easel.ours(name, gradient(), ramp, sampler=sampler, **changes).images
    apart = np.abs(np.asarray(made, float) - np.asarray(easel.through_the_vae(name), float)).mean((1, 2))
    assert apart[:12].mean() < apart[-24:].mean() * 0.75
    [held] = easel.ours(name, gradient(), ramp, sampler=sampler, soft_preservation_strength=8.0, **changes).images
    stronger = np.abs(np.asarray(held, float) - np.asarray(easel.through_the_vae(name), float)).mean()
    assert stronger < apart.mean()


def test_masks_are_saved_and_shown_on_request(easel: Easel) -> None:
    easel.kept.clear()
    settings = dict.fromkeys(("save_mask", "save_mask_composite", "return_mask", "return_mask_composite"), True)
    batch = easel.ours("sd15", gradient(), rectangle(BOX), settings=settings)
    assert [(index, suffix, image.mode) for image, index, suffix in easel.kept] == [(0, "-mask", "L"), (0, "-mask-composite", "RGBA")]
    [[(mask_kind, mask), (composite_kind, composite)]] = batch.beside
    assert (mask_kind, composite_kind) == ("mask", "mask-composite")
    assert difference(mask.convert("RGB"), rectangle(BOX).convert("RGB")) == 0
    assert composite.getchannel("A").getbbox() == BOX
    assert not easel.ours("sd15", gradient(), rectangle(BOX)).beside[0]


def test_a_blank_mask(easel: Easel) -> None:
    nothing = Image.new("L", (SIDE, SIDE))
    assert difference(easel.ours("sd15", gradient(), nothing).images[0], gradient()) == 0
    batch = easel.ours("sd15", gradient(), nothing, inpaint_full_res=True)
    assert difference(batch.images[0], easel.ours("sd15", gradient()).images[0]) == 0
    assert any("blank" in warning for warning in batch.warnings)


def test_the_worker_saves_and_shows_what_was_asked_for(studio: Studio) -> None:
    """Results, masks and init pictures in folders of their own; what is only shown is not saved."""
    inputs = Inputs(studio.folders)
    picture, mask = gradient((128, 96)), rectangle((20, 20, 90, 70), (128, 96))
    wanted = dict.fromkeys(("save_mask", "save_mask_composite", "return_mask", "return_mask_composite", "save_init_img"), True)
    asked: dict[str, Any] = {"prompt": "a red apple", "steps": 3, "seed": 4, "width": 128, "height": 96, "inpaint_full_res": True}
    asked |= {"init_images": [inputs.put_picture(picture)], "mask": inputs.put_picture(mask), "override_settings": wanted}
    resolved = resolve(GenerationRequest.from_data(asked), Settings(), studio.library, Styles(studio.folders.styles_file), inputs)
    job = {"id": "job-1", "kind": "txt2img", "resolved": resolved.to_data(), "attempts": 1, "made": []}
    state, data = studio.runner.run(job, FakeControl())
    result = Result.from_data(data)
    assert (state, [p.kind for p in result.pictures]) == ("done", ["sample", "mask", "mask-composite"])
    assert [p.saved for p in result.pictures] == [True, False, False]
    with Image.open(result.pictures[0].path) as made:
        assert not (changed(made.convert("RGB"), picture) & outside(mask, 4)).any()
    digest = picture_hash(picture)
    assert f"Init image hash: {digest}" in result.pictures[0].infotext
    assert (studio.folders.outputs / "init-images" / f"{digest}.png").is_file()
    names = sorted(path.name for path in (studio.folders.outputs / "img2img-images").rglob("*.png"))
    assert [name[5:] for name in names] == ["-4-mask.png", "-4-mask-composite.png", "-4.png"]


def a_mask(draw: random.Random, size: tuple[int, int]) -> Image.Image:
    """A shape or several anywhere in a picture of that size."""
    mask = Image.new("L", size)
    pen = ImageDraw.Draw(mask)
    for _ in range(draw.randint(1, 3)):
        x, y = draw.randrange(size[0]), draw.randrange(size[1])
        shape = (x, y, min(size[0] - 1, x + draw.randint(0, size[0] // 2)), min(size[1] - 1, y + draw.randint(0, size[1] // 2)))
        draw.choice([pen.rectangle, pen.ellipse])(shape, fill=255)
    return mask


def test_two_hundred_masks_and_sizes(easel: Easel) -> None:
    """Nothing changes outside the blurred mask, and nearly everything inside; the result has the size that it must have."""
    draw = random.Random(7)
    for case in range(200):
        size = (draw.randint(20, 110), draw.randint(20, 110))
        drawn = {"width": draw.randrange(32, 57, 8), "height": draw.randrange(32, 57, 8)}
        only_masked, blur_px, turned = draw.random() < 0.7, draw.choice([0, 0, 1, 2, 5]), draw.random() < 0.2
        picture, mask = gradient(size), a_mask(draw, size)
        about = {"inpaint_full_res": only_masked, "inpaint_full_res_padding": draw.choice([0, 4, 32]), "inpainting_fill": draw.randrange(4)}
        about |= {"mask_blur_x": blur_px, "mask_blur_y": blur_px, "inpainting_mask_invert": int(turned)}
        [made] = easel.ours("sd15", picture, mask, sampler="Euler", steps=1, **drawn, **about).images
        meant = Image.eval(mask, lambda value: 255 - value) if turned else mask
        if only_masked:
            kept, base = outside(meant, blur_px), picture
        else:
            base = picture.resize((drawn["width"], drawn["height"]), Image.Resampling.LANCZOS)
            blurred = blur(meant, blur_px, blur_px)
            kept = np.asarray(blurred.resize(base.size, Image.Resampling.BILINEAR)) == 0
        said = (case, size, drawn, about)
        assert made.size == base.size, said
        assert not (changed(made, base) & kept).any(), said
        core = ~kept if blur_px == 0 else np.asarray(meant.resize(base.size, Image.Resampling.NEAREST)) == 255
        if core.any():
            assert changed(made, base)[core].mean() > 0.7, said
    assert blur_reach_px(5) == 13  # so that the band left out is no larger than said


@pytest.mark.parametrize("name", MODELS)
def test_which_models_paint_masks_is_what_the_family_says(easel: Easel, name: str) -> None:
    checkpoint = easel.checkpoint(name)
    tasks = FAMILIES.get(checkpoint.family).variant(checkpoint.variant).tasks
    assert "img2img" in tasks
    assert ("inpaint" in tasks) == ("pix2pix" not in name)
