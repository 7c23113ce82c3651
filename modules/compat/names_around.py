"""A1111's modules around the program: extensions on the disk, launch, the API's small functions; and what cannot be offered, with reasons.

Start reading at `TABLE`; `REFUSED` has the reasons.
"""

from __future__ import annotations

import base64
import importlib.util
import io
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal, Optional, Union

from PIL import Image
from pydantic import BaseModel, Field, create_model

from modules.compat.names_program import Timer
from modules.faults import RequestFault
from modules.pixels.incoming import read_picture

Views = Any  # modules.compat.views.Views; it imports this file

TEXT_DATA = re.compile(r"^data:image/[\w.+-]+;base64,")


def _extension(one: Any) -> SimpleNamespace:
    def files(subdirectory: str, ending: str) -> list[Any]:
        return _files(one.folder / subdirectory, ending)

    return SimpleNamespace(
        name=one.folder.name, canonical_name=one.name, path=str(one.folder), enabled=one.enabled, is_builtin=one.builtin, status="",
        can_update=False, remote=None, branch=None, version="", commit_hash="", have_info_from_repo=True, metadata=one.metadata,
        list_files=files, read_info_from_repo=lambda: None,
    )  # fmt: skip


def extensions(views: Views) -> dict[str, Any]:
    """The extensions on the disk."""
    rows = [_extension(one) for one in views.ways.extensions()]
    by_name = {row.canonical_name: row for row in rows}
    return {
        "extensions": rows, "active": lambda: [row for row in rows if row.enabled], "list_extensions": lambda: None,
        "extension_paths": {row.path: row for row in rows}, "loaded_extensions": by_name, "Extension": SimpleNamespace,
        "extensions_dir": str(views.folders.data / "extensions"), "extensions_builtin_dir": str(views.folders.program / "extensions"),
        "find_extension": lambda filename: next((row for row in rows if str(filename).startswith(row.path + os.sep)), None),
    }  # fmt: skip


def _files(folder: Path, end: str) -> list[Any]:
    found = sorted(folder.glob(f"*{end}")) if folder.is_dir() else []
    return [SimpleNamespace(basedir=str(folder.parent), filename=path.name, path=str(path)) for path in found]


def launch(views: Views) -> dict[str, Any]:
    """What install.py and others ask. Nothing is installed from inside a script."""

    def installed(package: str) -> bool:
        name = re.split(r"[=<>!~\[; ]", package)[0].replace("-", "_")
        return importlib.util.find_spec(name) is not None if name else False

    why = "scripts install no packages; put them into the program's environment by hand"
    refused = {
        name: views.refusal(f"launch.{name}", why) for name in ("run_pip", "run", "git_clone", "git_pull_recursive", "prepare_environment")
    }
    return {
        **refused, "is_installed": installed, "python": sys.executable, "args": views.cmd_opts, "index_url": "",
        "dir_repos": "repositories",
        "commit_hash": lambda: "<none>", "git_tag": lambda: "v1.10.1", "script_path": str(views.folders.program),
        "data_path": str(views.folders.data), "skip_install": False,
        "repo_dir": lambda name: str(views.folders.data / "repositories" / name),
        "list_extensions": lambda settings_file=None: [one.folder.name for one in views.ways.extensions() if one.enabled],
        "extensions_dir": str(views.folders.data / "extensions"), "startup_timer": Timer(), "check_run_python": lambda code: False,
    }  # fmt: skip


def decode_base64_to_image(encoding: str) -> Image.Image:
    """A picture from base64, with or without the words in front. Raises RequestFault."""
    try:
        data = base64.b64decode(TEXT_DATA.sub("", encoding), validate=False)
    except ValueError as error:
        raise RequestFault("image", f"is not base64: {error}") from error
    return read_picture(io.BytesIO(data), "image")


def encode_pil_to_base64(image: Any) -> bytes:
    """The picture as a PNG, base64; its parameters text goes along."""
    from PIL import PngImagePlugin

    if isinstance(image, str):
        return image.encode()
    texts = PngImagePlugin.PngInfo()
    for key, value in image.info.items():
        if isinstance(key, str) and isinstance(value, str):
            texts.add_text(key, value)
    data = io.BytesIO()
    image.save(data, format="PNG", pnginfo=texts)
    return base64.b64encode(data.getvalue())


def api(views: Views) -> dict[str, Any]:
    """The small functions of A1111's API."""
    from fastapi import Body, FastAPI, HTTPException, Request, Response  # in the worker nobody needs them until a script does

    def upscaler_to_index(name: str) -> int:
        names = [one.name.lower() for one in views.upscalers()]
        if name.lower() not in names:
            raise HTTPException(400, f"Invalid upscaler, needs to be one of these: {', '.join(names)}")
        return names.index(name.lower())

    def script_name_to_index(name: str, scripts: Any) -> int:
        titles = [str(one.title()).lower() for one in scripts]
        if name.lower() not in titles:
            raise HTTPException(422, f"Script '{name}' not found")
        return titles.index(name.lower())

    return {
        "decode_base64_to_image": decode_base64_to_image, "encode_pil_to_base64": encode_pil_to_base64, "FastAPI": FastAPI, "Body": Body,
        "Request": Request, "Response": Response, "HTTPException": HTTPException, "upscaler_to_index": upscaler_to_index,
        "script_name_to_index": script_name_to_index, "Api": type("Api", (), {}), "shared": views.offered("modules.shared"),
    }  # fmt: skip


def api_models(views: Views) -> dict[str, Any]:
    """Names that extensions take from A1111's models: pydantic's and a few answers."""
    images = {"images": (list[str] | None, None), "parameters": (dict[str, Any], {}), "info": (str, "")}
    answer: Any = create_model("TextToImageResponse", **images)  # type: ignore[call-overload]
    single: Any = create_model("ExtrasSingleImageResponse", html_info=(str, ""), image=(str | None, None))
    info: Any = create_model("PNGInfoResponse", info=(str, ""), items=(dict[str, Any], {}), parameters=(dict[str, Any], {}))
    return {
        "BaseModel": BaseModel, "Field": Field, "create_model": create_model, "Any": Any, "Optional": Optional, "Union": Union,
        "Literal": Literal, "List": list, "Dict": dict, "TextToImageResponse": answer, "ImageToImageResponse": answer,
        "ExtrasSingleImageResponse": single, "PNGInfoResponse": info, "shared": views.offered("modules.shared"),
    }  # fmt: skip


TABLE: dict[str, Callable[[Any], dict[str, Any]]] = {
    "modules.extensions": extensions,
    "modules.launch_utils": launch,
    "launch": launch,
    "modules.api": lambda views: {},
    "modules.api.api": api,
    "modules.api.models": api_models,
}
"""Name of a module -> what makes its names."""

REFUSED: dict[str, str] = {
    **dict.fromkeys(
        ("modules.sd_samplers_kdiffusion", "modules.sd_samplers_compvis", "modules.sd_samplers_timesteps", "modules.sd_samplers_common",
         "modules.sd_samplers_cfg_denoiser", "modules.sd_samplers_extra", "modules.sd_samplers_timesteps_impl", "k_diffusion",
         "modules.models.diffusion", "modules.unipc"),
        "samplers are diffusers schedulers here, so A1111's sampler classes cannot be patched or inherited from",
    ),
    **dict.fromkeys(
        ("modules.sd_hijack_unet", "modules.sd_hijack_optimizations", "modules.sd_hijack_clip", "modules.sd_hijack_open_clip",
         "modules.sd_hijack_utils", "modules.sd_hijack_checkpoint", "modules.sd_models_config", "modules.sd_models_types",
         "modules.sd_models_xl", "modules.sd_disable_initialization", "modules.xlmr", "ldm", "sgm"),
        "models are diffusers pipelines here, so there is no LDM network to patch",
    ),
    **dict.fromkeys(
        ("modules_forge", "ldm_patched", "backend", "lib_layerdiffusion"),
        "that is Forge's own; extensions for AUTOMATIC1111 are loaded here"
    ),
    "modules.initialize": "the program starts itself",
    "repositories": "scripts fetch no repositories; what they need is installed into the program's environment",
    "modules.hypernetworks": "hypernetworks are not supported",
}  # fmt: skip
"""Name of a module or package -> why it cannot be here."""
