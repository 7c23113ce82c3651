"""A selectable script that works with A1111's helpers inside a job, one part a run: what it found lies in `found`."""

import copy
import importlib
import io
import os
import tempfile

import gradio as gr
import numpy as np
import torch
from pantry import Jar, Order, __label__
from PIL import Image
from safetensors.torch import save_file

import modules.generation_parameters_copypaste as parameters_copypaste
import modules.sd_models
import modules.shared as shared
from modules import (
    cache,
    deepbooru,
    devices,
    errors,
    extensions,
    extra_networks,
    hashes,
    images,
    launch_utils,
    lowvram,
    masking,
    modelloader,
    processing,
    prompt_parser,
    rng,
    rng_philox,
    safe,
    scripts,
    sd_hijack,
    sd_samplers,
    sd_schedulers,
    sd_vae,
    shared_items,
    timer,
    txt2img,
    util,
)
from modules.api.api import decode_base64_to_image, encode_pil_to_base64
from modules.processing import Processed, StableDiffusionProcessingTxt2Img, create_infotext, process_images
from modules.shared import cmd_opts, opts, state
from modules.upscaler import Upscaler, UpscalerData

found = {}


def about_prompts(p):
    return {
        "attention": prompt_parser.parse_prompt_attention("a (red:1.5) BREAK [dot]"),
        "schedule": prompt_parser.get_learned_conditioning_prompt_schedules(["a [cat:dog:0.5]"], 4),
        "parts": prompt_parser.get_multicond_prompt_list(["a cat :1.2 AND a dog"]),
        "tags": extra_networks.parse_prompt("a <lora:x:0.5> cat")[1]["lora"][0].positional,
        "count": sd_hijack.model_hijack.get_prompt_lengths("a red circle"),
        "paste": parameters_copypaste.parse_generation_parameters("a cat\nSteps: 3, Sampler: Euler, CFG scale: 7")["Steps"],
        "infotext": create_infotext(p, p.all_prompts, p.all_seeds, p.all_subseeds, [], 0, 0),
        "pattern": images.FilenameGenerator(p, 5, "a cat", None).apply("[width]-[seed]"),
    }


def about_models(p):
    info = shared.sd_model.sd_checkpoint_info
    filename = info.filename if os.path.isfile(info.filename) else __file__
    return {
        "match": modules.sd_models.get_closet_checkpoint_match(info.model_name).title == info.title,
        "tiles": info.title in modules.sd_models.checkpoint_tiles() and info.title in shared.list_checkpoint_tiles(),
        "family": (shared.sd_model.is_sdxl, shared.sd_model.is_sd1, shared.sd_model.parameterization),
        "vae": shared_items.sd_vae_items()[:2] + list(sd_vae.vae_dict),
        "digest": hashes.sha256(filename, "x") == hashes.calculate_sha256(filename),
        "sampler": sd_samplers.samplers_map["euler a"],
        "scheduler": sd_schedulers.schedulers_map["karras"].label,
        "embeddings": sorted(sd_hijack.model_hijack.embedding_db.word_embeddings),
        "files": [os.path.basename(name) for name in modelloader.load_models(os.path.dirname(__file__), ext_filter=[".py"])],
        "tensors": _tensors(),
        "extension": [one.name for one in extensions.active()],
        "git": launch_utils.git_tag(),
        "lowvram": lowvram.is_enabled(shared.sd_model),
        "embeddings_dir": os.path.isabs(cmd_opts.embeddings_dir),
    }


def _tensors():
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "weights.safetensors")
        save_file({"weight": torch.zeros(2)}, path)
        found = list(safe.load(path))
        pickled = os.path.join(folder, "weights.pt")
        torch.save({"weight": torch.zeros(2)}, pickled)
        for load in (safe.load, safe.unsafe_torch_load):
            try:
                found += load(pickled)
            except RuntimeError as error:
                found.append("refused" if "safetensors" in str(error) else str(error))
    return found


def about_pictures(p):
    picture = Image.new("RGB", (40, 20), "red")
    mask = Image.new("L", (64, 64))
    mask.paste(255, (16, 24, 32, 40))
    box = masking.get_crop_region(np.array(mask), 4)
    larger = shared.sd_upscalers[1].scaler.upscale(picture, 2, shared.sd_upscalers[1].data_path)
    own = Doubler().upscale(picture, 2, "")
    latents = shared.sd_model.encode_first_stage(torch.zeros(1, 3, 64, 64))
    return {
        "base64": decode_base64_to_image(encode_pil_to_base64(picture).decode()).getpixel((3, 3)),
        "mask": processing.create_binary_mask(Image.new("RGBA", (4, 4), (0, 0, 0, 200))).getpixel((0, 0)),
        "box": box,
        "wide": masking.expand_crop_region(box, 64, 32, 64, 64),
        "filled": masking.fill(Image.new("RGB", (64, 64), "blue"), mask).getpixel((20, 30))[:3],
        "larger": (shared.sd_upscalers[1].name, larger.size),
        "own": own.size,
        "overlay": processing.apply_overlay(picture, None, Image.new("RGBA", (40, 20), (0, 255, 0, 255)))[0].getpixel((0, 0)),
        "colours": processing.apply_color_correction(processing.setup_color_correction(picture), Image.new("RGB", (8, 8), "grey")).mode,
        "latents": tuple(latents.shape)[1] == shared.sd_model.latent_channels,
        "decoded": tuple(shared.sd_model.decode_first_stage(latents).shape),
        "seen": sd_samplers.sample_to_image(latents).size,
        "noise": torch.equal(rng.randn(5, (4, 8, 8)), rng.ImageRNG((4, 8, 8), [5]).next()[0]),
        "philox": rng_philox.Generator(0).randn((2,)).shape,
        "random": tuple(processing.create_random_tensors((4, 8, 8), [1, 2]).shape),
        "faces": [one.name() for one in shared.face_restorers],
    }


class Doubler(Upscaler):
    """An upscaler of the script's own, as extensions add them to the list."""

    def __init__(self, dirname=None):
        self.name = "Doubler"
        super().__init__()
        self.scalers = [UpscalerData("Doubler", None, self)]

    def do_upscale(self, img, selected_model):
        return img.resize((img.width * 2, img.height * 2))


def about_program(p):
    clock = timer.Timer()
    clock.record("cook")
    values = cache.cache("surveyed")
    values["meals"] = values.get("meals", 0) + 1
    cache.dump_cache()
    before = opts.data.get("CLIP_stop_at_last_layers")
    opts.data["CLIP_stop_at_last_layers"] = 2
    changed = opts.CLIP_stop_at_last_layers
    errors.report("nothing to worry about")
    state.job_count = 2
    return {
        "pantry": (__label__, Jar().name, Order(jars=[{}]).jars[0].width, importlib.import_module("pantry").__label__),
        "shared": importlib.import_module("modules.shared") is shared,
        "anew": importlib.reload(importlib.import_module("pantry.shelves")).Jar is not Jar,
        "clock": list(clock.records),
        "meals": cache.cache("surveyed")["meals"],
        "kept": cache.cached_data_for_file("surveyed-files", "kitchen", __file__, lambda: {"lines": 1}),
        "sorted": sorted(["a10", "a9"], key=util.natural_sort_key),
        "walked": os.path.basename(__file__) in [os.path.basename(name) for name in util.walk_files(os.path.dirname(__file__), [".py"])],
        "opts": (before, changed),
        "free": devices.get_optimal_device().type,
        "gc": devices.torch_gc(),
        "styles": sorted(shared.prompt_styles.styles),
    }


def about_txt2img(p):
    """As extensions with an API of their own call it: by position."""
    made, facts, told, comments = txt2img.txt2img(
        "task(x)", None, "a blue square", "", [], 1, 1, 7.0, 64, 64, False, 0.7, 2.0, "Latent", 0, 0, 0, "Use same checkpoint",
        "Use same sampler", "Use same scheduler", "", "", [], 0,
    )  # fmt: skip
    return {"made": [one.size for one in made], "facts": facts[:1], "told": told[:3]}


def about_refusals(p):
    said = {}
    for name, call in {
        "deepbooru": lambda: deepbooru.model.tag(Image.new("RGB", (8, 8))),
        "interrogate": lambda: shared.interrogator.interrogate(Image.new("RGB", (8, 8))),
        "sample": lambda: p.sample(None, None, [1], [1], 0, [""]),
        "conditioning": lambda: prompt_parser.get_learned_conditioning(shared.sd_model, ["a"], 4),
        "pip": lambda: launch_utils.run_pip("install x", "x"),
        "network": lambda: shared.sd_model.model.diffusion_model,
        "download": lambda: modelloader.load_file_from_url("https://example.org/net.pth", model_dir=os.path.dirname(__file__)),
    }.items():
        try:
            call()
        except Exception as error:
            said[name] = str(error)
    return said


PARTS = {name[6:]: call for name, call in list(globals().items()) if name.startswith("about_")}


class Script(scripts.Script):
    def title(self):
        return "Kitchen"

    def show(self, is_img2img):
        return not is_img2img

    def ui(self, is_img2img):
        part = gr.Dropdown(label="Part", choices=list(PARTS), value="prompts", elem_id=self.elem_id("part"))
        return [part]

    def run(self, p, part):
        plain = copy.copy(p)
        processed = process_images(plain)
        found[part] = PARTS[part](plain)
        if part == "program":
            again = StableDiffusionProcessingTxt2Img(sd_model=shared.sd_model, prompt="a cat", seed=1, steps=1, width=64, height=64)
            again.sampler_name = "Euler"
            found["again"] = process_images(again).info
        return Processed(p, processed.images, p.seed, processed.info)
