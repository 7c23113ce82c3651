"""Tiny models of every family and variant, and every form in which such a model can lie in a data folder.

Nothing here has a name that tells what it is. Start reading at `MODELS`, `Shelf` and `FORMS`.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import diffusers
import torch
from PIL import Image
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from modules.folders import Folders
from modules.library import Library
from modules.processing.resolve import resolve
from modules.processing.runner import PictureRunner
from modules.prompts.styles import Styles
from modules.request import GenerationRequest, ResolvedRequest, Result
from modules.samplers.build import build_scheduler
from modules.settings import Settings
from modules.weights.layouts import LAYOUTS, carried
from tests.model import tiny
from tests.model.conftest import FakeControl
from tests.model.test_families import NEGATIVE, PROMPT, SIDE, _own
from tests.weights.layouts.test_gguf import q8_0, write_gguf

STARTER = "darkroom-starter"
Tensors = dict[str, torch.Tensor]
Options = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Model:
    """builder and options: of `tiny`; layout, family: ids. variant: what detection has to find; unsaid: what it finds when a file holds a
    network and says nothing, where that differs. sampler: as A1111 calls it."""

    builder: str
    layout: str
    family: str
    variant: str = ""
    unsaid: str | None = None
    options: Options = field(default_factory=dict[str, Any])
    sampler: str = "Euler"


_V = {"prediction": "v_prediction", "zero_snr": True}
MODELS: dict[str, Model] = {
    "sd15": Model(builder="sd15", layout="sd1", family="sd15", options={"full_text": True}, sampler="DPM++ 2M"),
    "sd15 inpainting": Model(
        builder="sd15", layout="sd1", family="sd15", variant="inpainting", options={"full_text": True, "variant": "inpainting"}
    ),
    "sd15 instruct-pix2pix": Model(
        builder="sd15", layout="sd1", family="sd15", variant="instruct-pix2pix", options={"full_text": True, "variant": "instruct-pix2pix"}
    ),
    "sd2": Model(builder="sd2", layout="sd2", family="sd2", unsaid="768", sampler="DDIM"),
    "sd2 v": Model(builder="sd2", layout="sd2", family="sd2", variant="768", options={"variant": "768", **_V}),
    "sdxl": Model(builder="sdxl", layout="sdxl", family="sdxl", options={"full_text": True}, sampler="DPM++ 2M"),
    "sdxl inpainting": Model(
        builder="sdxl", layout="sdxl", family="sdxl", variant="inpainting", options={"full_text": True, "variant": "inpainting"}
    ),
    "sdxl refiner": Model(
        builder="sdxl_refiner", layout="sdxl-refiner", family="sdxl", variant="refiner", options={"full_text": True}
    ),
    "sd3 medium": Model(builder="sd3", layout="sd3", family="sd3", variant="medium", options={"full_text": True}),
    "sd3.5 medium": Model(
        builder="sd3", layout="sd3", family="sd3", variant="3.5-medium", options={"full_text": True, "variant": "3.5-medium"}
    ),
    "sd3.5 large": Model(
        builder="sd3", layout="sd3", family="sd3", variant="3.5-large", sampler="DPM++ 2M",
        options={"full_text": True, "variant": "3.5-large"},
    ),
    "flux dev": Model(builder="flux", layout="flux", family="flux", variant="dev", options={"full_text": True}),
    "flux schnell": Model(
        builder="flux", layout="flux", family="flux", variant="schnell", options={"full_text": True, "guidance": False}
    ),
}  # fmt: skip


@dataclass
class Made:
    """A model of MODELS. folder: as diffusers wrote it; whole: the same as one file; scrap: a folder that goes with it."""

    name: str
    model: Model
    folder: Path
    whole: Path
    scrap: Path
    pictures: dict[str, Image.Image] = field(default_factory=dict[str, Image.Image])

    def plain(self, folder: Path, *, settled: bool, **given: Any) -> Image.Image:
        """The picture of a plain call. settled: see `tiny.settled`; given: components instead of the folder's."""
        key = f"{folder.name} {settled} {sorted(given)}"
        if key not in self.pictures:
            absent = {part: None for part, row in json.loads((folder / "model_index.json").read_text()).items() if row == [None, None]}
            pipeline = diffusers.DiffusionPipeline.from_pretrained(
                folder, dtype=torch.float32, local_files_only=True, **{**absent, **given}
            )
            self.pictures[key] = called(tiny.settled(pipeline) if settled else pipeline, self.model.sampler)
        return self.pictures[key]


def called(pipeline: Any, sampler: str) -> Image.Image:
    """What anyone gets who calls a diffusers pipeline once."""
    pipeline.set_progress_bar_config(disable=True)
    pipeline.scheduler = build_scheduler(sampler, "Automatic", dict(pipeline.scheduler.config))
    generator = torch.Generator("cpu").manual_seed(5)
    pipeline.scheduler.generators = [generator]
    usual = {"prompt": PROMPT, "negative_prompt": NEGATIVE, "num_inference_steps": 2, "guidance_scale": 4.0}
    return pipeline(**{**usual, "generator": generator, **_own(pipeline, generator)}).images[0]


class Shelf:
    """A data folder of one test, into which models are laid."""

    def __init__(self, data: Path, runner: PictureRunner) -> None:
        self.folders = Folders.at(data)
        self.models = self.folders.models
        self._runner = runner
        self._laid = 0

    def place(self, folder: str = "", ending: str = ".safetensors") -> Path:
        """Where the next file may lie, under a name that tells nothing."""
        self._laid += 1
        path = self.models / folder / f"{self._laid * 7919:x}{ending}"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def resolved(self, sampler: str, **overrides: Any) -> ResolvedRequest:
        """The request of a door, once the only model that is no starter model was found."""
        library = Library(self.folders)
        try:
            library.refresh()
            [found] = [c for c in library.checkpoints() if c.model_name != STARTER]
            asked = {
                "prompt": PROMPT, "negative_prompt": NEGATIVE, "steps": 2, "cfg_scale": 4.0, "width": SIDE, "height": SIDE, "seed": 5,
                "sampler_name": sampler, "override_settings": {"sd_model_checkpoint": found.title, **overrides}, "save_images": False,
            }  # fmt: skip
            return resolve(GenerationRequest.from_data(asked), Settings(), library, Styles(self.folders.styles_file))
        finally:
            library.close()

    def picture(self, resolved: ResolvedRequest) -> Image.Image:
        """Through the runner of the worker."""
        data = json.loads(json.dumps(resolved.to_data()))
        job = {"id": "chain", "kind": "txt2img", "resolved": data, "attempts": 1, "made": []}
        state, result = self._runner.run(job, FakeControl())
        assert state == "done"
        with Image.open(Result.from_data(result).pictures[0].path) as image:
            return image.convert("RGB")


def split(made: Made) -> dict[str, Path]:
    """Component -> a file with nothing else in it, as VAEs and text encoders are handed round; written once.

    A text encoder carries its tokenizer, since the vocabulary of these small ones is their own.
    """
    target = made.scrap / "parts"
    if not target.exists():
        target.mkdir()
        with safe_open(made.whole, framework="pt") as file:
            tokenizers = json.loads(file.metadata()[carried.TOKENIZER])
        tensors = load_file(made.whole)
        for name, part in LAYOUTS[made.model.layout].parts.items():
            own = {part.tokenizer: tokenizers[part.tokenizer]} if part.tokenizer else {}
            metadata = {carried.TOKENIZER: json.dumps(own)} if own else None
            save_file(under(tensors, part.homes[0][1]), target / f"{name}.safetensors", metadata)
    return {path.stem: path for path in sorted(target.iterdir())}


def under(tensors: Tensors, prefix: str) -> Tensors:
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def core_of(made: Made) -> str:
    return LAYOUTS[made.model.layout].core


def lay_parts(made: Made, shelf: Shelf, folders: Mapping[str, str] | None = None) -> None:
    """VAE and text encoders beside the network; loose in models/ unless folders says otherwise."""
    for name, path in split(made).items():
        if name != core_of(made):
            shelf.place((folders or {}).get(name, "")).hardlink_to(path)


def lay_folder(made: Made, shelf: Shelf) -> None:
    shutil.copytree(made.folder, shelf.place("Stable-diffusion", ""), copy_function=lambda a, b: Path(b).hardlink_to(a))


def lay_whole(made: Made, shelf: Shelf) -> None:
    shelf.place("Stable-diffusion").hardlink_to(made.whole)


def lay_network(made: Made, shelf: Shelf) -> None:
    """The network under the names and the prefix of single files, with the marks of velocity and zero SNR where they belong."""
    marks = {name: value for name, value in load_file(made.whole).items() if name in ("v_pred", "ztsnr")}
    network = {f"model.diffusion_model.{name}": value for name, value in load_file(split(made)[core_of(made)]).items()}
    save_file({**network, **marks}, shelf.place())
    lay_parts(made, shelf)


def lay_diffusers_network(made: Made, shelf: Shelf) -> None:
    """The network under diffusers' names, all files in their folders."""
    shelf.place("Stable-diffusion").hardlink_to(made.folder / core_of(made) / "diffusion_pytorch_model.safetensors")
    lay_parts(
        made, shelf, {"vae": "VAE", "text_encoder": "text_encoder", "text_encoder_2": "text_encoder", "text_encoder_3": "text_encoder"}
    )


def lay_gguf(made: Made, shelf: Shelf, *, quantised: bool = False) -> None:
    """The network as GGUF, with bare names. quantised: matrices in Q8_0."""
    rows: dict[str, tuple[str, tuple[int, ...], bytes]] = {}
    for name, value in load_file(split(made)[core_of(made)]).items():
        wide = quantised and is_wide(value)
        raw = q8_0(value.numpy()) if wide else value.to(torch.float32).numpy().tobytes()
        rows[name] = ("Q8_0" if wide else "F32", tuple(value.shape), raw)
    write_gguf(shelf.place(ending=".gguf"), rows, {"general.architecture": made.model.family})
    lay_parts(made, shelf)


def is_wide(value: torch.Tensor) -> bool:
    return value.ndim == 2 and value.shape[1] % 32 == 0


FORMS: Mapping[str, Callable[[Made, Shelf], None]] = {
    "folder": lay_folder,
    "whole": lay_whole,
    "network": lay_network,
    "network, diffusers names": lay_diffusers_network,
    "gguf": lay_gguf,
}
