"""A picture made again from its file alone: what the file says as a request, and what stands in the way.

Settings that the text speaks of are taken from it, or are at their defaults where it is silent; those it never speaks of stay as they
are here. Knows files, texts and models; runs nothing and compares nothing (`verdict` does). Start reading at `read`, then `plan`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from PIL import Image

from modules import infotext
from modules.faults import Fault, ModelFault, RequestFault, UnknownName
from modules.infotext import Parsed
from modules.inputs import Inputs
from modules.knobs import knobs_of
from modules.library import Library
from modules.pixels.metadata import open_picture, read_parameters
from modules.request import GenerationRequest
from modules.settings import Settings

NEEDED = ("Steps", "Sampler", "Seed")
OWN = "Darkroom"
SAMPLER_SECTION = "Sampler parameters"
PICTURE_FIELDS = ("init_images", "mask", "firstpass_image")
# The file is made for comparing only: no loss, nothing beside it. The prompt in the text is final: comments are out, wildcards drawn.
QUIETLY: dict[str, Any] = {
    "samples_format": "png", "live_previews_enable": False, "save_images_before_highres_fix": False, "enable_prompt_comments": False,
    "wildcards_enabled": False,
    "add_model_hash_to_info": True, "add_model_name_to_info": True, "add_vae_name_to_info": True, "add_vae_hash_to_info": True,
    "lora_add_hashes_to_infotext": True, "textual_inversion_add_hashes_to_infotext": True,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Original:
    """The picture that is to be made again. image: its pixels, upright; format: Pillow's name of the file's."""

    name: str
    path: Path
    image: Image.Image
    format: str
    text: str
    parsed: Parsed

    @property
    def own(self) -> bool:
        """It was made by this program, of whatever version."""
        return self.parsed.get("Version", "").startswith(OWN)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What to submit. ways: requests to try, each with the picture's place in it (0, 1, ...), until one gives the same picture.

    The picture alone is tried first; then, where it was one of a batch, a batch of that size, as sums come out in another order there.
    notes: what is known beforehand to be otherwise than it was, in sentences.
    """

    ways: tuple[tuple[GenerationRequest, int], ...]
    notes: list[str] = field(default_factory=list[str])


def read(path: Path) -> Original:
    """The picture and its parameters. Raises RequestFault when it is no picture or carries no parameters to make it from."""
    try:
        with path.open("rb") as file:
            data = file.read()
    except OSError as error:
        raise RequestFault("file", f"cannot be read: {error.strerror}", got=str(path)) from error
    image = open_picture(data)
    text = read_parameters(data)[0]
    parsed = infotext.parse(text)
    if any(key.startswith("Postprocess ") for key in parsed.told):
        raise RequestFault("file", "came out of the Extras tab; the picture that it was made from can be made again", got=path.name)
    if missing := [key for key in NEEDED if key not in parsed.told]:
        raise RequestFault("file", f"carries no parameters that it could be made from ({', '.join(missing)} missing)", got=path.name)
    with Image.open(path) as header:
        kind = header.format or ""
    return Original(name=path.name, path=path, image=image, format=kind, text=text, parsed=parsed)


def plan(original: Original, library: Library, inputs: Inputs, current: Settings, given: Sequence[str] = ()) -> Plan:
    """The request that makes a picture again, alone, also when it was one of a batch. Nothing is saved under outputs/.

    given: references of input pictures that take the place of those the text cannot name. Raises RequestFault, UnknownName or
    ModelFault when it cannot be made.
    """
    _refuse_grid(original)
    values = infotext.to_request(original.parsed, Settings())
    notes: list[str] = []
    overrides = {**_neutral(current), **values.get("override_settings", {}), **QUIETLY}
    told = original.parsed.told
    if "VAE" not in told:
        overrides["sd_vae"] = "None"
    if parts := [original.parsed[key] for key in sorted(told) if key.startswith("Module ")]:
        overrides["forge_additional_modules"] = parts
    if "RNG" not in told and not original.own:
        overrides["randn_source"] = original.parsed["RNG"]
    overrides["sd_model_checkpoint"] = _model(original.parsed, library, notes)
    values |= _pictures(original, values, inputs, given)
    values |= {"override_settings": overrides, "batch_size": 1, "n_iter": 1, "save_images": False, "styles": []}
    if not original.own:
        maker = original.parsed.get("Version", "a version that does not say its name")
        notes.append(f"It was made by another program ({maker}), whose pictures can be made alike but seldom to the last bit.")
    request = GenerationRequest.from_data({name: value for name, value in values.items() if value is not None})
    return Plan(ways=((request, 0), *_as_batch(original.parsed, request)), notes=notes)


def _as_batch(parsed: Parsed, alone: GenerationRequest) -> Iterator[tuple[GenerationRequest, int]]:
    """The request for a batch of the size that the text names, with the picture in its place."""
    try:
        size, place = int(parsed["Batch size"]), int(parsed["Batch pos"])
    except (KeyError, ValueError):
        return
    moved = "subseed" if alone.subseed_strength > 0 else "seed"
    first = getattr(alone, moved) - place
    if 1 < size <= 64 and 0 <= place < size and first >= 0:
        yield dataclasses.replace(alone, batch_size=size, **{moved: first}), place


def _neutral(current: Settings) -> dict[str, Any]:
    """Settings that a text speaks of when they are in force, put back to their defaults where they differ here."""
    found: dict[str, Any] = {}
    for name, item in knobs_of(Settings).items():
        spoken = item.knob.infotext is not None or item.knob.section == SAMPLER_SECTION
        if spoken and getattr(current, name) != item.default:
            found[name] = item.default
    return found


def _refuse_grid(original: Original) -> None:
    """Raises RequestFault for a grid: its sides are multiples of the size that the text names, which says nothing of enlarging."""
    try:
        size = int(original.parsed["Size-1"]), int(original.parsed["Size-2"])
    except (KeyError, ValueError):
        return
    wide, high = original.image.size
    enlarged = any(key.startswith(("Hires ", "First pass", "SD upscale")) for key in original.parsed.told)
    if not enlarged and (wide, high) != size and min(size) > 0 and wide % size[0] == 0 and high % size[1] == 0:
        raise RequestFault(
            "file", f"is {wide}x{high}, but its text speaks of {size[0]}x{size[1]}: a grid of several pictures, or enlarged since. "
            "Single pictures can be made again, as they came out", got=original.name,
        )  # fmt: skip


def _model(parsed: Parsed, library: Library, notes: list[str]) -> str:
    """The title of the model: by its hash, else by its name. Raises UnknownName or ModelFault when neither is here."""
    digest, name = parsed.get("Model hash", ""), parsed.get("Model", "")
    if not digest and not name:
        notes.append("The text names no model; the one in use here was taken.")
        return ""
    for wanted in filter(None, (digest, name)):
        try:
            found = library.with_hash(library.find_checkpoint(wanted))
        except (UnknownName, ModelFault):
            continue
        if wanted == digest and (found.sha256 or "").startswith(digest.lower()):
            return found.title
        if wanted == name and name.casefold() in (found.model_name.casefold(), found.title.rpartition(" [")[0].casefold()):
            return found.title
    wanted = f"{name} [{digest}]" if name and digest else name or digest
    raise ModelFault(f"The model {wanted} that made it is not here. Put it into models/Stable-diffusion and refresh the list.")


def _pictures(original: Original, values: dict[str, Any], inputs: Inputs, given: Sequence[str]) -> dict[str, Any]:
    """The fields for the pictures it began from, each of which must be in the store. Raises RequestFault naming what is missing."""
    found = {name: values[name] for name in PICTURE_FIELDS if values.get(name)}
    if not found and "Denoising strength" in original.parsed.told and not values.get("enable_hr"):
        if not given:
            raise RequestFault(
                "init_images",
                "is not named: this is an img2img picture, and its text does not say what it began from. Give it with --input",
            )
        found["init_images"] = list(given[:1])
    for name, references in found.items():
        for reference in references if isinstance(references, list) else [references]:
            try:
                inputs.path(reference, name)
            except Fault as fault:
                digest = reference.rpartition(":")[2]
                raise RequestFault(
                    name, f"is a picture that is not kept here any more (sha256 {digest[:12]}…). Give its file with --input", got=digest
                ) from fault
    return found
