"""The hub: what a repository holds, with sizes and digests, and which of its files make a model folder.

Asks its public listing (`/api/models`) and nothing else, and only for a repository that a person named. Start reading at `listing`.
Source: the hub's API as huggingface_hub's `model_info(files_metadata=True)` and `hf_hub_url` use it.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from modules.caption import tagger
from modules.caption.tags import DEEP_CHARACTERS, LISTS
from modules.faults import RequestFault
from modules.upkeep.reach import Broken, DownloadFault, Reach
from modules.upkeep.sources import HUB, Source

LISTING_LIMIT_BYTES = 20_000_000
INDEX = "model_index.json"
_SMALL = (".json", ".txt", ".model")
_UNUSED = ("safety_checker/",)


@dataclass(frozen=True, kw_only=True)
class HubFile:
    """path: within the repository; url: of its content at one commit; sha256: None for small files that the hub keeps in git."""

    path: str
    url: str
    size_bytes: int
    sha256: str | None


def endpoint() -> str:
    """The hub's address; HF_ENDPOINT names another one, as for huggingface_hub."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/") or HUB


def listing(source: Source, reach: Reach, base: str | None = None) -> list[HubFile]:
    """Every file of a repository, in name order. base: another address of the hub. Raises DownloadFault, RequestFault."""
    base = base or endpoint()
    url = f"{base}/api/models/{source.repo}/revision/{quote(source.revision, safe='')}?blobs=true"
    try:
        with reach.get(url) as answer:
            text = b""
            while len(text) < LISTING_LIMIT_BYTES and (chunk := answer.read(1 << 20)):
                text += chunk
        data = json.loads(text)
        commit = str(data.get("sha") or source.revision)
        rows = [_file(row, f"{base}/{source.repo}/resolve/{quote(commit, safe='')}") for row in data["siblings"]]
    except Broken as error:
        raise DownloadFault(f"The hub did not answer ({error}). Try again later.") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DownloadFault(f"The hub's answer about {source.repo} makes no sense. Try again later.") from error
    return sorted(rows, key=lambda f: f.path)


def _file(row: dict[str, Any], base: str) -> HubFile:
    large = row.get("lfs") or {}
    path = str(row["rfilename"])
    if path.startswith("/") or "\\" in path or ".." in path.split("/"):
        raise ValueError(path)
    return HubFile(
        path=path, url=f"{base}/{quote(path)}", size_bytes=int(large.get("size") or row.get("size") or 0), sha256=large.get("sha256")
    )


def the_file(files: list[HubFile], source: Source, suffixes: tuple[str, ...]) -> HubFile:
    """The file that a source names, or the only model file at the top of its repository. Raises RequestFault with those there are."""
    if source.file is not None:
        found = next((f for f in files if f.path == source.file), None)
    else:
        tops = [f for f in files if "/" not in f.path and f.path.endswith(".safetensors")]
        found = tops[0] if len(tops) == 1 else None
    if found is None:
        there = [f.path for f in files if f.path.endswith(suffixes)]
        raise RequestFault(
            "source",
            f"must name a file of {source.repo}, as {source.repo}:FILE; there are {', '.join(there[:8]) or 'no model files'}",
            got=source.text,
            allowed=there[:40],
        )
    return found


def folder_files(files: list[HubFile], index: dict[str, Any], variant: str) -> list[tuple[HubFile, str]]:
    """(file, path in the new folder) of what makes a model folder: descriptions, tokenizers, safetensors of the parts in its index.

    variant "fp16": weights that exist in half size are taken so, under the plain name. Raises RequestFault when parts lack safetensors.
    """
    parts = [name for name, value in index.items() if isinstance(value, list) and len(value) == 2 and all(value)]
    chosen: list[tuple[HubFile, str]] = [(f, f.path) for f in files if f.path == INDEX]
    for part in parts:
        inside = [f for f in files if f.path.startswith(f"{part}/") and f.path.count("/") == 1]
        if not inside or f"{part}/" in _UNUSED:
            continue
        weights = _weights([f for f in inside if f.path.endswith(".safetensors")], variant)
        if not weights and any(f.path.endswith((".bin", ".pt")) for f in inside):
            raise RequestFault("source", f"has its part {part} as pickles only, which can hold programs; take another repository")
        small = [(f, f.path) for f in inside if f.path.endswith(_SMALL) and ".index." not in f.path]
        shards = [(f, f.path) for f in inside if f.path.endswith(".safetensors.index.json")] if len(weights) > 1 else []
        chosen += small + shards + weights
    if not any(f.path.endswith(".safetensors") for f, _ in chosen):
        raise RequestFault("source", "holds no model in the safetensors format")
    return chosen


def captioner_files(files: list[HubFile]) -> list[tuple[HubFile, str]]:
    """(file, its name) of what makes a model of transformers: descriptions, tokenizer and safetensors, all at the top of a repository.

    Raises RequestFault when it has no weights, or none as safetensors.
    """
    tops = [f for f in files if "/" not in f.path]
    weights = [f for f in tops if f.path.endswith(".safetensors")]
    whole = [f for f in weights if f.path == "model.safetensors"]
    if not weights and any(f.path.endswith((".bin", ".pt", ".h5", ".msgpack")) for f in tops):
        raise RequestFault("source", "has its weights as pickles only, which can hold programs; take another repository or convert them")
    shards = [f for f in weights if f.path.startswith("model-")]
    if not (whole or shards):
        raise RequestFault("source", "holds no model.safetensors")
    index = [f for f in tops if f.path == "model.safetensors.index.json"] if not whole else []
    small = [f for f in tops if f.path.endswith(_SMALL) and ".index." not in f.path]
    return [(f, f.path) for f in (*small, *index, *(whole or shards))]


def tagger_files(files: list[HubFile]) -> list[tuple[HubFile, str]]:
    """(file, its name) of what makes a tagger: its network as ONNX, its list of tags, and what describes it.

    Raises RequestFault when the repository holds none.
    """
    tops = {f.path: f for f in files if "/" not in f.path}
    lists = [name for name in LISTS if name in tops]
    if tagger.MODEL not in tops or not lists:
        raise RequestFault("source", f"holds no tagger: it lacks {tagger.MODEL} or {' or '.join(LISTS)}")
    wanted = (tagger.MODEL, *lists, DEEP_CHARACTERS, "README.md", "config.json")
    return [(tops[name], name) for name in wanted if name in tops]


def _weights(there: list[HubFile], variant: str) -> list[tuple[HubFile, str]]:
    """One set of a part's weights. Sharded weights are taken as they are."""
    by_name = {f.path: f for f in there}
    plain = [f for f in there if f.path.rpartition("/")[2].count(".") == 1]
    if variant and len(plain) <= 1:
        half = [(f, f.path.replace(f".{variant}.", ".")) for f in there if f.path.endswith(f".{variant}.safetensors")]
        if len(half) == 1:
            return half
    if not plain and len(by_name) == 1:  # only the half-size one is offered
        only = there[0]
        folder, _, name = only.path.rpartition("/")
        return [(only, f"{folder}/{name.partition('.')[0]}.safetensors")]
    return [(f, f.path) for f in plain]
