"""`Processed`: what a run gave, in A1111's form; and A1111's `StableDiffusionProcessing`, the request that scripts read and change.

Plain data here; `modules.compat.making` carries it out. Start reading at `StableDiffusionProcessing`.
"""

from __future__ import annotations

import copy
import json
from typing import Any

from modules.compat.extra_networks import Tags
from modules.compat.face import CannotWork
from modules.faults import RequestFault
from modules.knobs import knobs_of
from modules.request import GenerationRequest, Guests

# What A1111's p has beside the fields of the request.
OWN: dict[str, Any] = {
    "sd_model": None, "outpath_samples": None, "outpath_grids": None, "prompt_for_display": None, "do_not_save_samples": False,
    "do_not_save_grid": False, "extra_generation_params": None, "overlay_images": None, "restore_faces": None, "comments": None,
    "disable_extra_networks": False, "override_settings_restore_afterwards": True, "sampler_noise_scheduler_override": None,
    "seed_enable_extras": True, "is_api": False, "user": None, "scripts": None, "script_args": (), "all_prompts": None,
    "all_negative_prompts": None, "all_seeds": None, "all_subseeds": None, "iteration": 0, "batch_index": 0, "prompts": None,
    "negative_prompts": None, "seeds": None, "subseeds": None, "main_prompt": "", "main_negative_prompt": "", "is_hr_pass": False,
    "sampler": None, "rng": None, "c": None, "uc": None, "init_latent": None, "image_conditioning": None, "nmask": None,
    "mask_for_overlay": None, "paste_to": None, "color_corrections": None, "extra_network_data": None, "step_multiplier": 1,
    "sd_model_name": "", "sd_model_hash": "", "sd_vae_name": None, "sd_vae_hash": None, "clip_skip": 1, "token_merging_ratio": 0,
    "token_merging_ratio_hr": 0, "latent_mask": None, "image_mask": None, "resize_mode": 0, "txt2img_upscale": False,
    "hr_upscale_to_x": 0, "hr_upscale_to_y": 0, "cached_c": None, "cached_uc": None, "is_using_inpainting_conditioning": False,
    "asked_seed": -1, "hr_c": None, "hr_uc": None, "hr_prompts": None, "hr_negative_prompts": None, "all_hr_prompts": None,
    "all_hr_negative_prompts": None, "truncate_x": 0, "truncate_y": 0, "latent_scale_mode": None, "hr_extra_network_data": None,
    "masks": None, "firstpass_steps": None, "lora_hashes": None, "refiner_checkpoint_info": None, "mask_to_blend": None,
}  # fmt: skip
FIELDS = {name: field for name, field in knobs_of(GenerationRequest).items() if name not in knobs_of(Guests)}
FRESH: tuple[str, ...] = ("extra_generation_params", "comments")


def _refused(self: Any, *_: Any, **__: Any) -> Any:
    """Steps of A1111's sampling that there are none of. Raises CannotWork."""
    raise CannotWork("This method of p cannot work here: pictures are made by process_images(p), inside a diffusers pipeline.")


class StableDiffusionProcessing:
    """A1111's p. Any attribute may be set; those with the names of fields count when `process_images` is called."""

    _is_img2img = False
    script_args: Any
    comments: dict[str, Any]
    do_not_save_samples: bool
    token_merging_ratio: float
    token_merging_ratio_hr: float

    def __init__(
        self, sd_model: Any = None, outpath_samples: Any = None, outpath_grids: Any = None, prompt: Any = "", **given: Any
    ) -> None:
        for name, field in FIELDS.items():
            setattr(self, name, copy.copy(field.default))
        for name, value in OWN.items():
            setattr(self, name, {} if name in FRESH else value)
        self.sampler_name = self.scheduler = None
        self.steps, self.cfg_scale, self.width, self.height = 50, 7.0, 512, 512
        self.image_mask = None
        given = {**given, "sd_model": sd_model, "outpath_samples": outpath_samples, "outpath_grids": outpath_grids, "prompt": prompt}
        mask = given.pop("mask", None)
        for name, value in given.items():
            if name == "mask_blur":
                self.mask_blur = value
            elif name in FIELDS or name in OWN or name in ("sampler_index",):
                setattr(self, name, copy.copy(value) if isinstance(value, list | dict) else value)
            else:
                raise TypeError(f"{type(self).__name__} has no field {name!r}")
        if mask is not None:
            self.image_mask = mask
        self.override_settings = dict(self.override_settings or {})
        self.styles = list(self.styles or [])

    @property
    def mask_blur(self) -> int | None:
        return self.mask_blur_x if self.mask_blur_x == self.mask_blur_y else None

    @mask_blur.setter
    def mask_blur(self, value: Any) -> None:
        if value is not None:
            self.mask_blur_x = self.mask_blur_y = int(value)

    def comment(self, text: str) -> None:
        self.comments[text] = 1

    @property
    def script_args_value(self) -> Any:
        return self.script_args

    def setup_prompts(self) -> None: ...

    def parse_extra_network_prompts(self) -> None:
        """Tags of this batch's prompts become `extra_network_data`; `prompts` are left without them."""
        self.prompts, self.extra_network_data = Tags().parse_prompts(list(self.prompts or []))

    def close(self) -> None: ...

    def clear_prompt_cache(self) -> None: ...

    def save_samples(self) -> bool:
        return not self.do_not_save_samples

    init = sample = setup_conds = get_conds = get_conds_with_caching = _refused
    txt2img_image_conditioning = img2img_image_conditioning = depth2img_image_conditioning = _refused

    def get_token_merging_ratio(self, for_hr: bool = False) -> float:
        return self.token_merging_ratio_hr if for_hr else self.token_merging_ratio


class StableDiffusionProcessingTxt2Img(StableDiffusionProcessing):
    """From noise."""

    def calculate_target_resolution(self) -> None: ...


class StableDiffusionProcessingImg2Img(StableDiffusionProcessing):
    """From pictures: init_images and image_mask are PIL pictures."""

    _is_img2img = True

    def __init__(self, *args: Any, init_images: Any = None, resize_mode: int = 0, denoising_strength: float = 0.75, **given: Any) -> None:
        super().__init__(*args, **{"denoising_strength": denoising_strength, "resize_mode": resize_mode, **given})
        self.init_images = list(init_images or [])


class Processed:
    """What a run gave. images: the grid first when there is one; infotexts: one for each."""

    def __init__(self, p: Any, images_list: list[Any], seed: int = -1, info: str = "", subseed: Any = None, all_prompts: Any = None,
                 all_negative_prompts: Any = None, all_seeds: Any = None, all_subseeds: Any = None, index_of_first_image: int = 0,
                 infotexts: Any = None, comments: str = "") -> None:  # fmt: skip
        self.images, self.info, self.comments = images_list, info, comments
        self.prompt, self.negative_prompt = _first(p.prompt), _first(p.negative_prompt)
        self.seed, self.subseed = seed, subseed
        for name in ("width", "height", "sampler_name", "cfg_scale", "steps", "batch_size", "denoising_strength", "styles",
                     "subseed_strength", "sd_model_name", "sd_model_hash", "clip_skip", "restore_faces",
                     "extra_generation_params"):  # fmt: skip
            setattr(self, name, getattr(p, name, None))
        self.index_of_first_image = index_of_first_image
        self.all_prompts = all_prompts or p.all_prompts or [self.prompt]
        self.all_negative_prompts = all_negative_prompts or p.all_negative_prompts or [self.negative_prompt]
        self.all_seeds = all_seeds or p.all_seeds or [seed]
        self.all_subseeds = all_subseeds or p.all_subseeds or [subseed]
        self.infotexts = infotexts or [info] * len(images_list)
        self.extra_images: list[Any] = []

    def js(self) -> str:
        plain = {k: v for k, v in vars(self).items() if k not in ("images", "extra_images")}
        return json.dumps(plain, default=lambda value: None)

    def infotext(self, p: Any, index: int) -> str:
        return self.infotexts[index] if index < len(self.infotexts) else self.info


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list) and value else value


def flat(value: Any, count: int, name: str) -> list[Any]:
    """One value a picture. Raises RequestFault for a list of another length."""
    if not isinstance(value, list):
        return [value] * count
    if len(value) != count:
        raise RequestFault(name, f"a script gave {len(value)} for {count} pictures", got=len(value))
    return list(value)
