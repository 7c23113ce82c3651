"""Stage 1b: the files that go with a checkpoint in one run: its VAE, text encoders it lacks, and the LoRAs that the
prompt's tags name. No torch.

What does not fit the checkpoint's family is refused here, before anything is queued; what is not there is a warning, and the
picture is made without it, as in A1111. Start reading at `chosen_vae`, `chosen_parts`, `chosen_networks`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from modules.families import FAMILIES
from modules.families.kinds import kind_of
from modules.families.loading import missing_words
from modules.faults import ModelFault, UnknownName
from modules.library import Library
from modules.library.index import id_of
from modules.library.rows import ModelRow
from modules.prompts.networks import NetworkUse
from modules.request import Checkpoint, Network, SideFile
from modules.settings import Settings
from modules.weights.layouts.files import header_of
from modules.weights.taesd import latent_channels

AUTOMATIC, NONE = "Automatic", "None"
TINY = "TAESD"
TINY_NAMES = {"sd1": "taesd", "sd2": "taesd", "sdxl": "taesdxl", "sd3": "taesd3", "flux": "taef1"}
# Kind of text encoder -> width of its token embeddings.
WIDTHS = {"clip_l": 768, "clip_h": 1024, "clip_g": 1280, "t5": 4096}


def chosen_vae(name: str, checkpoint: Checkpoint, library: Library) -> tuple[SideFile | None, list[str]]:
    """(the VAE file to use instead of the checkpoint's own, warnings). name: the setting sd_vae.

    Raises ModelFault when the file is damaged or its latents are not this family's.
    """
    if name in ("", NONE):
        return None, []
    try:
        row = library.vae_for(checkpoint) if name == AUTOMATIC else library.find("vae", name)
    except UnknownName:
        return None, [f"There is no VAE {name!r}; the one in {checkpoint.model_name} was used."]
    if row is None:
        return None, []
    family = FAMILIES.get(checkpoint.family)
    channels = _width(row)
    if channels not in (None, family.latent_channels):
        raise ModelFault(
            f"The VAE {row.name} makes latents of {channels} channels; {checkpoint.model_name} ({family.title}) needs "
            f"{family.latent_channels}. Choose another VAE, or Automatic."
        )
    hashed = library.hashed(row)
    return SideFile(name=Path(row.path).name, path=row.path, sha256=hashed.sha256 or ""), []


def chosen_tiny(method: str, checkpoint: Checkpoint, library: Library) -> tuple[SideFile | None, list[str]]:
    """(the tiny autoencoder to decode with, warnings). method: the setting sd_vae_decode_method, "Full" or "TAESD"."""
    if method != TINY:
        return None, []
    family = FAMILIES.get(checkpoint.family)
    rows = [row for row in library.sure_rows("vae") if row.kind == "taesd" and latent_channels(Path(row.path)) == family.latent_channels]
    if not rows:
        return None, [f"There is no TAESD file for {family.title} in models/VAE-approx; the picture was decoded with the VAE."]
    called = TINY_NAMES.get(family.architecture, "")  # shapes do not tell those of SD and SDXL apart
    row = next((r for r in rows if r.name.lower().removesuffix("_decoder") == called), rows[0])
    return SideFile(name=Path(row.path).name, path=row.path, sha256=library.hashed(row).sha256 or ""), []


def chosen_parts(checkpoint: Checkpoint, library: Library, settings: Settings, *, with_vae: bool) -> tuple[dict[str, SideFile], list[str]]:
    """(component -> file, warnings) for what a checkpoint lacks: text encoders, and the VAE unless one is chosen already.

    The files named in forge_additional_modules go first; else the only fitting one among the models is taken, or the first of several.
    Raises ModelFault naming what is missing and where to put it.
    """
    row = library.row(id_of(checkpoint.path)) if checkpoint.format != "folder" else None
    if row is None:
        return {}, []
    family = FAMILIES.get(checkpoint.family)
    encoders = family.encoders_of(checkpoint.variant)
    held = set(row.extra.get("parts", ()))
    optional = {part for part in family.optional if not settings.sd3_enable_t5}
    needed = [part for part in ("vae", *encoders) if part not in held | optional and not (part == "vae" and with_vae)]
    named = [_module(name, library) for name in settings.forge_additional_modules]
    found: dict[str, SideFile] = {}
    warnings: list[str] = []
    for part in needed:
        width = family.latent_channels if part == "vae" else WIDTHS[encoders[part]]
        rows = [r for r in named or library.sure_rows("vae" if part == "vae" else "text_encoder") if _width(r) == width]
        if len(rows) > 1 and not named:
            warnings.append(f"There are {len(rows)} files that could be the {part.replace('_', ' ')}; {rows[0].name} was used.")
        if rows:
            found[part] = SideFile(name=Path(rows[0].path).name, path=rows[0].path, sha256=library.hashed(rows[0]).sha256 or "")
    missing = [part for part in needed if part not in found and part not in family.optional]
    if missing:
        raise ModelFault(missing_words(checkpoint.model_name, missing))
    return found, warnings


def _module(name: str, library: Library) -> ModelRow:
    """A VAE or text encoder by name. Raises UnknownName."""
    try:
        return library.find("text_encoder", name)
    except UnknownName:
        return library.find("vae", name)


def _width(row: ModelRow) -> int | None:
    """Latent channels of a VAE, width of a text encoder; None when its file does not say."""
    return kind_of(header_of(Path(row.path))).width


def chosen_networks(uses: Sequence[NetworkUse], checkpoint: Checkpoint, library: Library) -> tuple[tuple[Network, ...], list[str]]:
    """(the LoRAs to apply, warnings) for the tags of a prompt, in order; a LoRA named twice is applied twice.

    Raises ModelFault when a LoRA was made for another family, with both names.
    """
    found: list[Network] = []
    warnings: list[str] = []
    for use in uses:
        if use.problem:
            warnings.append(use.problem)
            continue
        try:
            row = library.find("lora", use.name)
        except UnknownName as fault:
            warnings.append(f"There is no LoRA {use.name!r}; the picture was made without it.{_nearest(fault)}")
            continue
        _refuse_misfit(row, checkpoint)
        digest = library.hashed(row).content_sha256 or ""
        found.append(Network(name=use.name, path=row.path, sha256=digest, te=use.te, unet=use.unet, rank=use.rank))
    return tuple(found), warnings


def _refuse_misfit(row: ModelRow, checkpoint: Checkpoint) -> None:
    family = FAMILIES.get(checkpoint.family)
    if row.architecture in (None, "", family.architecture):
        return
    made_for = next((other.title for _, other in FAMILIES if other.architecture == row.architecture), row.architecture)
    raise ModelFault(
        f"The LoRA {row.name} was made for {made_for}; the checkpoint {checkpoint.model_name} is {family.title}. "
        f"Take its tag out of the prompt or choose a {made_for} checkpoint."
    )


def _nearest(fault: UnknownName) -> str:
    return f" Did you mean {fault.close[0]!r}?" if fault.close else ""
