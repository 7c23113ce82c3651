"""Taggers as ONNX files: the WD taggers and DeepDanbooru's own network in that form. A folder with model.onnx and a list of tags.

This file knows what such a folder is; imports no torch and no ONNX. Running one is `tagging`'s. Start reading at `KIND` and `is_tagger`.
"""

from __future__ import annotations

import re
from pathlib import Path

from modules.caption.kind import CAPTION, TAGS, Kind, Published
from modules.caption.tags import LISTS

ID = "tagger"
MODEL = "model.onnx"
PLACES = ("taggers", "torch_deepdanbooru")  # folders in models/; the second is where A1111 kept its own
_NOT_ONE = "(no class of transformers)"
_OLD_FORMS = {
    ".pt": "a pickle of a network that A1111 brought along",
    ".h5": "a Keras file, which needs TensorFlow",
}
_WD14 = re.compile(r"wd14-(?P<net>[a-z0-9]+)(?:-tagger)?-v(?P<version>\d)")
_V3 = re.compile(r"wd-(?P<net>vit|swinv2|convnext|vit-large|eva02-large)(?:-tagger)?-v(?P<version>3)")


def is_tagger(folder: Path) -> bool:
    """Does the folder hold a network as ONNX and a list of tags?"""
    return (folder / MODEL).is_file() and any((folder / name).is_file() for name in LISTS)


def folder_name(text: str) -> str:
    """The name of the repository that other programs' names for WD taggers mean ("wd14-vit-v2-git", "wd-v1-4-vit-tagger.v2"); else text."""
    plain = re.sub(r"[._]", "-", text.strip().casefold()).removesuffix("-git")
    if match := _WD14.fullmatch(plain):
        series = "wd" if match["version"] == "3" else "wd-v1-4"
        return f"{series}-{match['net']}-tagger-v{match['version']}"
    if match := _V3.fullmatch(plain):
        return f"wd-{match['net']}-tagger-v3"
    return plain


def old_forms(folders: list[Path]) -> str:
    """What is said of DeepDanbooru's files that cannot be read, if there are any in these folders."""
    for folder in folders:
        for path in sorted(folder.glob("*")) if folder.is_dir() else []:
            if path.suffix.lower() in _OLD_FORMS and ("deep" in path.name.lower() or "resnet_custom" in path.name.lower()):
                return f"{path.name} is {_OLD_FORMS[path.suffix.lower()]}, and is not read. "
    return ""


KIND = Kind(
    id=ID,
    title="Tagger (ONNX)",
    does=(CAPTION, TAGS),
    architecture=_NOT_ONE,
    model_type=_NOT_ONE,
    processor="",
    tensors=(),
    blind="a tagger gives a chance for each tag of the whole picture, and writes no words one after the other",
    published=(
        Published(repo="SmilingWolf/wd-swinv2-tagger-v3", gigabytes=0.47, licence="Apache-2.0"),
        Published(repo="SmilingWolf/wd-vit-tagger-v3", gigabytes=0.38, licence="Apache-2.0"),
        Published(repo="SmilingWolf/wd-convnext-tagger-v3", gigabytes=0.39, licence="Apache-2.0"),
        Published(repo="SmilingWolf/wd-vit-large-tagger-v3", gigabytes=1.26, licence="Apache-2.0"),
        Published(repo="SmilingWolf/wd-eva02-large-tagger-v3", gigabytes=1.26, licence="Apache-2.0"),
        Published(repo="SmilingWolf/wd-v1-4-moat-tagger-v2", gigabytes=0.33, licence="Apache-2.0"),
        Published(repo="SmilingWolf/wd-v1-4-swinv2-tagger-v2", gigabytes=0.46, licence="Apache-2.0"),
        Published(repo="SmilingWolf/wd-v1-4-convnext-tagger-v2", gigabytes=0.39, licence="Apache-2.0"),
        Published(repo="SmilingWolf/wd-v1-4-convnextv2-tagger-v2", gigabytes=0.39, licence="Apache-2.0"),
        Published(repo="SmilingWolf/wd-v1-4-vit-tagger-v2", gigabytes=0.37, licence="Apache-2.0"),
    ),
)
