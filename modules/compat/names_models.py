"""A1111's modules about model files: checkpoints, VAEs, embeddings, digests. Facts from the library under A1111's names.

Loads no model. Start reading at `TABLE`.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, BinaryIO

from modules.compat import stand_in
from modules.compat.face import CannotWork
from modules.prompts.attention import parse_attention
from modules.weights.hashes import content_sha256, file_sha256

Views = Any  # modules.compat.views.Views; it imports this file

AUTOMATIC = ("Automatic", "None")
_WORD = re.compile(r"[a-z]+|\d|[^\sa-z\d]+", re.IGNORECASE)


def checkpoint_info(checkpoint: Any) -> SimpleNamespace:
    """A checkpoint as A1111's CheckpointInfo: name (below its folder), title, filename, hashes."""
    path = Path(checkpoint.path)
    digest, short = checkpoint.sha256, checkpoint.short_hash
    plain = checkpoint.title.partition(" [")[0]
    return SimpleNamespace(
        name=plain, name_for_extra=path.stem, title=checkpoint.title, short_title=f"{path.stem} [{short}]" if short else path.stem,
        filename=str(path), model_name=checkpoint.model_name, path=str(path), hash=short, shorthash=short, short_hash=short, sha256=digest,
        metadata={}, is_safetensors=checkpoint.format == "safetensors", register=lambda: None, calculate_shorthash=lambda: short,
        ids=[text for text in (short, checkpoint.model_name, plain, checkpoint.title) if text],
    )  # fmt: skip


def sd_models(views: Views) -> dict[str, Any]:
    """Checkpoints. To load another one, a script names it in p.override_settings or in opts.sd_model_checkpoint."""

    def infos() -> list[Any]:
        return [checkpoint_info(one) for one in views.ways.checkpoints()]

    def tiles(use_short: bool = False) -> list[str]:
        return [one.short_title if use_short else one.title for one in infos()]

    def match(text: str) -> Any:
        wanted = str(text).casefold()
        rows = infos()
        exact = [one for one in rows if wanted in (name.casefold() for name in one.ids)]
        return next(iter(exact or [one for one in rows if wanted and wanted in one.title.casefold()]), None)

    def select() -> Any:
        return match(views.opts.sd_model_checkpoint) or next(iter(infos()), None)

    def reload(sd_model: Any = None, info: Any = None, forced_reload: bool = False) -> Any:
        """The next pictures of this job are made with that checkpoint."""
        if info is not None:
            views.opts.sd_model_checkpoint = info.title
        return views.sd_model

    aliases = {name: one for one in infos() for name in one.ids}
    return {
        "CheckpointInfo": SimpleNamespace, "checkpoint_tiles": tiles, "list_models": views.ways.refresh, "select_checkpoint": select,
        "checkpoints_list": {one.title: one for one in infos()}, "checkpoint_alisases": aliases, "checkpoint_aliases": aliases,
        "get_closet_checkpoint_match": match, "reload_model_weights": reload, "load_model": lambda info=None, *_: reload(None, info),
        "model_hash": lambda filename: file_sha256(Path(filename))[:8], "model_path": str(views.folders.models / "Stable-diffusion"),
        "model_data": SimpleNamespace(sd_model=views.sd_model, get_sd_model=lambda: views.sd_model, loaded_sd_models=[]),
        "unload_model_weights": views.refusal("sd_models.unload_model_weights", "the worker decides which models stay in memory"),
        "read_metadata_from_safetensors": views.refusal("sd_models.read_metadata_from_safetensors", "the library reads headers"),
    }  # fmt: skip


def sd_vae(views: Views) -> dict[str, Any]:
    """VAE files by name."""
    files: dict[str, str] = {}
    nothing = dict.fromkeys(("base_vae", "loaded_vae_file", "checkpoint_info"))

    def fill() -> None:
        files.clear()
        files.update({Path(row.path).name: row.path for row in views.ways.rows("vae")})

    def refresh() -> None:
        views.ways.refresh()
        fill()

    fill()
    return {**nothing, "vae_dict": files, "refresh_vae_list": refresh,
            "get_filename": lambda path: Path(path).name, "get_loaded_vae_name": lambda: None,
            "vae_path": str(views.folders.models / "VAE")}  # fmt: skip


def shared_items(views: Views) -> dict[str, Any]:
    """Lists that settings choose from."""
    return {
        "sd_vae_items": lambda: [*AUTOMATIC, *views.offered("modules.sd_vae").vae_dict],
        "refresh_vae_list": lambda: views.offered("modules.sd_vae").refresh_vae_list(),
        "sd_unet_items": lambda: list(AUTOMATIC),
        "refresh_unet_list": lambda: None,
        "list_samplers": lambda: views.offered("modules.sd_samplers").all_samplers,
        "realesrgan_models_names": lambda: [one.name for one in views.upscalers() if "ESRGAN" in one.name],
        "dat_models_names": lambda: [one.name for one in views.upscalers() if "DAT" in one.name],
        "postprocessing_scripts": lambda: views.offered("modules.scripts").scripts_postproc.scripts,
        "cross_attention_optimizations": lambda: list(AUTOMATIC),
        "list_checkpoint_tiles": lambda use_short=False: views.offered("modules.sd_models").checkpoint_tiles(use_short),
        "refresh_checkpoints": views.ways.refresh,
        "ui_reorder_categories": lambda: ["sampler", "dimensions", "cfg", "seed", "batch", "override_settings", "scripts"],
    }


def hashes(views: Views) -> dict[str, Any]:
    """Digests of files, kept by name, size and time in A1111's manner."""
    known: dict[str, tuple[tuple[int, float], str]] = {}

    def of(filename: str, title: str, use_addnet_hash: bool = False) -> str | None:
        path = Path(filename)
        try:
            stamp = (path.stat().st_size, path.stat().st_mtime)
        except OSError:
            return None
        if known.get(title, (None, ""))[0] != stamp:
            known[title] = (stamp, content_sha256(path) if use_addnet_hash else file_sha256(path))
        return known[title][1]

    def from_cache(filename: str, title: str, use_addnet_hash: bool = False) -> str | None:
        return known[title][1] if title in known else None

    return {"sha256": of, "sha256_from_cache": from_cache, "calculate_sha256": lambda filename: file_sha256(Path(filename)),
            "addnet_hash_safetensors": addnet_hash, "cache": views.kept.section,
            "dump_cache": views.kept.save}  # fmt: skip


def addnet_hash(b: BinaryIO) -> str:
    """SHA-256 of an open safetensors file behind its header."""
    b.seek(0)
    b.seek(8 + int.from_bytes(b.read(8), "little"))
    digest = hashlib.sha256()
    while block := b.read(1 << 20):
        digest.update(block)
    return digest.hexdigest()


class EmbeddingDatabase:
    """The textual inversions of the library. word_embeddings: name -> facts; skipped_embeddings: those no model here can use."""

    def __init__(self, rows: Callable[[str], list[Any]]) -> None:
        self._rows = rows
        self.word_embeddings: dict[str, Any] = {}
        self.skipped_embeddings: dict[str, Any] = {}
        self.embedding_dirs: dict[str, Any] = {}
        self.load_textual_inversion_embeddings()

    def load_textual_inversion_embeddings(self, force_reload: bool = False) -> None:
        self.word_embeddings.clear()
        for row in self._rows("embedding"):
            vectors, width = int(row.extra.get("vectors", 0) or 0), int(row.extra.get("width", 0) or 0)
            self.word_embeddings[row.name] = SimpleNamespace(
                name=row.name, vectors=vectors, shape=width, filename=row.path, vec=None, step=None, sd_checkpoint=None,
                sd_checkpoint_name=None, hash=(row.sha256 or "")[:10], shorthash=(row.sha256 or "")[:10],
            )  # fmt: skip

    def add_embedding_dir(self, path: str) -> None:
        self.embedding_dirs[path] = SimpleNamespace(path=path)


def sd_hijack(views: Views) -> dict[str, Any]:
    """`model_hijack`: which embeddings there are and how long a prompt is. Networks are not patched here."""

    def lengths(text: str, *_: Any) -> tuple[int, int]:
        """(words that count, length of the chunks): the loaded model's tokenizer says it in the worker, an estimate in the web process."""
        plain = " ".join(piece.text for piece in parse_attention(text) if not piece.is_break)
        tokens = getattr(getattr(views.ways.model(), "pipeline", None), "tokenizer", None)
        count = len(tokens(plain).input_ids) - 2 if tokens is not None else len(_WORD.findall(plain))
        return count, max(1, -(-count // 75)) * 75

    hijack = SimpleNamespace(
        embedding_db=EmbeddingDatabase(views.ways.rows), get_prompt_lengths=lengths, tokenize=lambda text: ([text], *lengths(text)),
        comments=[], extra_generation_params={}, optimization_method="scaled dot product attention", clip=None, layers=None,
        apply_optimizations=views.refusal("model_hijack.apply_optimizations", "attention is chosen in the settings"),
        undo_hijack=lambda model: None, hijack=lambda model: None, redo_hijack=lambda model: None,
    )  # fmt: skip
    return {"model_hijack": hijack, "EmbeddingDatabase": EmbeddingDatabase, "StableDiffusionModelHijack": SimpleNamespace}


def textual_inversion(views: Views) -> dict[str, Any]:
    """Embeddings and the templates of the folder for them."""
    folder = views.folders.data / "textual_inversion_templates"

    def templates() -> dict[str, Any]:
        return {path.name: SimpleNamespace(name=path.name, path=str(path)) for path in sorted(folder.glob("*.txt"))}

    return {"EmbeddingDatabase": EmbeddingDatabase, "Embedding": SimpleNamespace, "textual_inversion_templates": templates(),
            "list_textual_inversion_templates": templates}  # fmt: skip


def safe(views: Views) -> dict[str, Any]:
    """Reading of weights: safetensors alone. Pickles are not opened, whoever asks: they can run code."""
    why = "a pickle can run code; convert the file to safetensors on the Models tab and read that"
    refusals = {name: views.refusal(f"safe.{name}", why) for name in ("load", "unsafe_torch_load", "load_with_extra")}

    read: Any = stand_in.absent("load_file")
    if views.ways.worker:
        from safetensors.torch import load_file as read  # with torch

    def reader(name: str) -> Callable[..., Any]:
        def load(filename: Any, *args: Any, **kwargs: Any) -> Any:
            whole = isinstance(filename, str | Path) and Path(filename).suffix == ".safetensors"
            return read(filename) if whole else refusals[name]()

        return load

    return {**{name: reader(name) for name in refusals}, "Extra": contextlib.nullcontext, "global_extra_handler": None}


def modelloader(views: Views) -> dict[str, Any]:
    """Files of a folder. Nothing is downloaded: a file that is missing is named with its place."""

    def files(model_path: str, model_url: str | None = None, command_path: str | None = None, ext_filter: Any = None,
              download_name: str | None = None, ext_blacklist: Any = None, hash_prefix: str | None = None) -> list[str]:  # fmt: skip
        places = [Path(place) for place in (command_path, model_path) if place and Path(place).is_dir()]
        found = [str(path) for place in places for path in sorted(place.rglob("*")) if path.is_file()]
        kept = [name for name in found if not ext_filter or Path(name).suffix.lower() in {str(end).lower() for end in ext_filter}]
        return [name for name in dict.fromkeys(kept) if not any(name.endswith(end) for end in ext_blacklist or ())]

    return {"load_models": files, "load_file_from_url": file_in_place, "friendly_name": lambda file: Path(file).stem,
            "load_upscalers": lambda: None, "models_path": str(views.folders.models)}  # fmt: skip


def file_in_place(url: str, *, model_dir: str, progress: bool = True, file_name: str | None = None, hash_prefix: str | None = None) -> str:
    """Where that file lies. Raises CannotWork that says where to put it."""
    path = Path(model_dir) / (file_name or url.rpartition("/")[2])
    if not path.is_file():
        raise CannotWork(f"{path.name} is not in {path.parent}. Scripts download nothing here: get it from {url} and put it there.")
    return str(path)


def sd_unet(views: Views) -> dict[str, Any]:
    """A1111's replaceable UNets; here they are listed and none can be chosen."""
    return {"SdUnetOption": type("SdUnetOption", (), {"model_name": None, "label": None}), "SdUnet": type("SdUnet", (), {}),
            "unet_options": [], "current_unet_option": None, "current_unet": None, "original_forward": None,
            "list_unets": lambda: None, "get_unet_option": lambda option=None: None, "apply_unet": lambda option=None: None}  # fmt: skip


def networks(views: Views) -> dict[str, Any]:
    """What A1111's Lora extension knows: the files. Which are in use stands in the prompts of each batch."""

    def about(row: Any) -> SimpleNamespace:
        digest = row.content_sha256 or ""
        plain = {"name": row.name, "alias": row.alias or row.name, "filename": row.path, "metadata": {}}
        return SimpleNamespace(**plain, hash=digest, shorthash=digest[:12], is_safetensors=True)

    rows = [about(row) for row in views.ways.rows("lora")]
    found, loaded = {row.name: row for row in rows}, list[Any]()
    aliases = {name: row for row in rows for name in (row.name, row.alias)}
    return {"available_networks": found, "available_loras": found, "available_network_aliases": aliases, "available_lora_aliases": aliases,
            "loaded_networks": loaded, "loaded_loras": loaded, "forbidden_network_aliases": {}, "networks_in_memory": {},
            "list_available_networks": views.ways.refresh, "list_available_loras": views.ways.refresh}  # fmt: skip


TABLE: dict[str, Callable[[Any], dict[str, Any]]] = {
    "modules.sd_models": sd_models,
    "modules.sd_vae": sd_vae,
    "modules.shared_items": shared_items,
    "modules.hashes": hashes,
    "modules.sd_hijack": sd_hijack,
    "modules.textual_inversion": lambda views: {},
    "modules.textual_inversion.textual_inversion": textual_inversion,
    "modules.safe": safe,
    "modules.modelloader": modelloader,
    "modules.sd_unet": sd_unet,
    "lora": networks,
    "networks": networks,
}
"""Name of a module -> what makes its names."""
