"""What the families with a UNet have in common: how the first three generations of Stable Diffusion are told apart.

Start reading at `examine`: it finds the UNet, or says why this is none; then `generation`.
"""

from __future__ import annotations

from modules.families.backbones import UNet, find_flux, find_mmdit, find_unet
from modules.families.family import Description
from modules.weights.model_folder import ModelFolder

INPUTS = {4: "", 9: "inpainting", 8: "instruct-pix2pix"}
_ENCODERS = ("CLIPTextModel", "CLIPTextModelWithProjection")
_ID_WIDTH = 256  # each number of SDXL's size input is a vector of this width
_BASE_IDS, _REFINER_IDS = 6, 5


def examine(description: Description, pipeline: str) -> UNet | str:
    """The UNet of a description, or why it cannot be run, as the end of a sentence. pipeline: how the folder's pipeline must begin."""
    if isinstance(description, ModelFolder) and (why := _folder(description, pipeline)):
        return why
    unet = find_unet(description)
    if unet is None:
        other = find_mmdit(description) or find_flux(description)
        return "it has a transformer where this family has a UNet" if other else "it has no UNet"
    channels = _latent_channels(description)
    if unet.classes:
        return "its UNet takes class labels"
    if unet.in_channels not in INPUTS and unet.in_channels != channels:
        return f"its UNet takes {unet.in_channels} channels (4: text to picture, 9: inpainting, 8: editing)"
    if unet.out_channels != channels:
        return f"its UNet gives {unet.out_channels} channels where the VAE has {channels}"
    if not unet.context:
        return "its UNet reads no text"
    return unet


def variant_of(unet: UNet) -> str:
    """The kind that the number of input channels means: 4 text to picture, 9 with mask and picture, 8 with a picture."""
    return INPUTS.get(unet.in_channels, "")


def generation(unet: UNet) -> str:
    """ "sd1", "sd2", "sdxl" or "sdxl-refiner"; "" when its size input fits none of them.

    The published text widths are 768, 1024, 2048 and 1280. Models of other widths are told by structure: the first generation
    has convolutions around its attention, the second matrices; the third has a size input (6 numbers, the refiner's 5).
    """
    if unet.labels is None:
        return {768: "sd1", 1024: "sd2"}.get(unet.context, "sd2" if unet.linear else "sd1")
    if unet.context == 1024:  # the image input of SD 2.1 unCLIP
        return ""
    if unet.labels - _REFINER_IDS * _ID_WIDTH == unet.context:
        return "sdxl-refiner"
    return "sdxl" if 0 < unet.labels - _BASE_IDS * _ID_WIDTH < unet.context else ""


def _latent_channels(description: Description) -> int:
    if isinstance(description, ModelFolder):
        channels = description.configs.get("vae", {}).get("latent_channels", 4)
        return channels if isinstance(channels, int) else 4
    return 4


def _folder(folder: ModelFolder, pipeline: str) -> str | None:
    if not folder.pipeline:
        return f"its pipeline is not named, where {pipeline}Pipeline is meant"
    if not _is(folder.pipeline, pipeline):
        return f"its pipeline is {folder.pipeline}, not {pipeline}Pipeline"
    wanted: dict[str, tuple[str, ...]] = {"unet": ("UNet2DConditionModel",), "vae": ("AutoencoderKL",)}
    wanted.update({part: _ENCODERS for part in folder.components if part.startswith("text_encoder")})
    if not any(part.startswith("text_encoder") for part in folder.components):
        return "it has no text encoder"
    for part, names in wanted.items():
        if folder.components.get(part) not in names:
            return f"its {part} is {folder.components.get(part, 'missing')}, not {names[0]}"
    return None


def _is(name: str, base: str) -> bool:
    """Is `name` the base's text-to-picture pipeline or one of its relatives for other tasks on the same parts?"""
    tasks = ("", "Img2Img", "Inpaint", "InstructPix2Pix")
    return name in {f"{base}{task}Pipeline" for task in tasks}
