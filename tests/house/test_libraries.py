"""Rules on libraries: which floor may import which, and what may be imported late, inside a function."""

from __future__ import annotations

import sys

import pytest

from tests.house.test_floors import NAMES
from tests.house.tree import File, Finding, Import, Tree, report

TENSORS = frozenset(
    {"torch", "torchvision", "diffusers", "transformers", "accelerate", "peft", "safetensors", "huggingface_hub", "tokenizers"}
)
PICTURES = frozenset({"PIL", "numpy", "cv2", "piexif"})
SERVER = frozenset({"fastapi", "starlette", "uvicorn", "pydantic"})
PAGE = frozenset({"gradio", "gradio_client"})
MACHINE = frozenset({"psutil", "torch_directml"})
# Room or floor -> what it may import beside the standard library and modules. A room's own row goes before its floor's.
MAY_IMPORT: dict[str, frozenset[str]] = {
    "knobs": frozenset({"annotated_types"}),
    "ground": frozenset(),
    "words": frozenset(),
    "hardware": TENSORS | MACHINE,
    "upscale": TENSORS | PICTURES | {"spandrel"},
    "backends": TENSORS | PICTURES | {"onnxruntime", "openvino", "psutil"},  # psutil: is a process still writing?
    "caption": TENSORS | PICTURES | {"onnx", "onnxruntime"},
    # one process trains a session; scikit-image's cascade finds faces; free memory; the log that TensorBoard reads
    "train": TENSORS | PICTURES | {"filelock", "skimage", "psutil", "tensorboardX"},
    "machine": frozenset({"psutil"}),
    "remote": frozenset({"psutil", "segno"}),  # addresses of network cards; QR codes
    "tools": TENSORS | PICTURES,
    "upkeep": TENSORS | PICTURES | {"certifi"},
    "library": PICTURES | {"filelock"},  # previews; one process fills the index
    "cluster": PICTURES | {"filelock", "ray"},  # torch comes into the worker there with processing/
    "jobs": frozenset({"filelock"}),  # torch comes into the worker with processing/, the queue itself never sees it
    "users": frozenset({"argon2", "limits", "filelock"}),
    "work": TENSORS | PICTURES,
    "plugins": frozenset({"packaging"}),
    # torch in the worker process, Gradio in the web process; fastapi and pydantic are names that scripts take from A1111's API modules
    "compat": TENSORS | PICTURES | PAGE | {"fastapi", "pydantic"},
    "hall": frozenset(),
    "web": PAGE | PICTURES | {"starlette"},
    "server": SERVER | PICTURES | {"h11", "mcp", "mcp_types", "psutil"},
    "cli": frozenset(),
    "launch": frozenset(),
}
# Of the standard library: what asks other machines, and what runs code from data.
NOWHERE = ("urllib.request", "http.client", "ftplib", "smtplib", "xmlrpc", "pickle", "marshal", "shelve")
# The one file that asks other machines, and what it uses for that -> why. It asks only where a person told it to.
ASKS: dict[tuple[str, str], str] = {
    ("modules/upkeep/reach.py", "http.client"): "downloads that a person asked for, each address checked before it is connected to",
    ("modules/upkeep/reach.py", "urllib.request.getproxies"): "reads which proxy the system uses; connects to nothing",
    ("modules/upkeep/reach.py", "urllib.request.proxy_bypass"): "reads which proxy the system uses; connects to nothing",
}
# What doors may know as a type only (TYPE_CHECKING).
TYPES_ONLY: dict[str, frozenset[str]] = {"web": frozenset({"fastapi"}), "launch": frozenset({"fastapi"})}
# launch.py starts on a bare Python: what it imports at its top must run there.
BARE_ROOMS = frozenset({"faults", "registry", "folders", "flags", "setup"})
HEAVY = TENSORS | PICTURES | SERVER | PAGE | MACHINE | {"spandrel", "skimage", "tensorboardX", "onnx", "onnxruntime", "openvino"}
# (file, own module it imports inside a function) -> why not at the top.
LATE_OWN: dict[tuple[str, str], str] = {
    ("modules/web/mounting.py", "modules.web.page"): "imports Gradio, seconds of work; the API answers meanwhile",
    ("modules/server/create.py", "modules.server.mcp"): "loads the SDK of the Model Context Protocol, for those who ask for it",
    ("modules/server/poses.py", "modules.control.maps.skeleton"): "OpenCV, when poses are to be drawn",
    ("modules/compat/names_pictures.py", "modules.pixels.masked_content"): "numpy, when a script fills a picture",
    ("modules/compat/model_facts.py", "modules.pixels.mask"): "numpy, when a script makes a mask",
    ("modules/compat/model_facts.py", "modules.pixels.colour"): "numpy, when a script matches colours",
    ("modules/compat/names_prompt.py", "modules.compat.noise"): "torch, in the worker process alone",
    ("modules/train/data/cropping.py", "modules.train.data.looking"): "scikit-image and OpenCV, when a picture is looked at",
    ("modules/compat/names_prompt.py", "modules.samplers.philox"): "numpy, when a script draws NVIDIA's numbers",
    ("modules/app.py", "modules.cluster"): "nothing of it without --cluster",
    ("modules/cluster/bridge.py", "modules.cluster.ties"): "Ray, when a cluster is spoken to; who tests a bridge need not have it",
    ("modules/cluster/rank.py", "modules.processing.train_process"): "torch, in a process that trains; who starts it has no use for it",
    ("modules/cli/cluster.py", "modules.hardware"): "torch, when a machine joins without being told how many may work on it",
}


def find_foreign(tree: Tree) -> list[Finding]:
    """Imports of a library on a floor that has no business with it."""
    return [
        Finding(file.name, i.line, "libraries", f"{file.room} may not import {i.target if i.top in sys.stdlib_module_names else i.top}")
        for file in tree.under("modules", "launch.py")
        for i in file.imports
        if not _may(file, i)
    ]


def find_late(tree: Tree, late_own: dict[tuple[str, str], str] = LATE_OWN) -> list[Finding]:
    """Imports inside functions: only heavy libraries, launch.py's and the ones with a reason."""
    found: list[Finding] = []
    used: set[tuple[str, str]] = set()
    for file in tree.under("modules"):
        for i in file.imports:
            if not i.inner or i.top in HEAVY:
                continue
            reason = next((key for key in late_own if key[0] == file.name and f"{i.target}.".startswith(f"{key[1]}.")), None)
            if reason:
                used.add(reason)
            else:
                found.append(Finding(file.name, i.line, "late imports", f"{i.target} inside a function; move it to the top"))
    return found + [
        Finding(name, 0, "late imports", f"{target} is no longer imported late; take it off LATE_OWN")
        for name, target in set(late_own) - used
    ]


def find_early(tree: Tree) -> list[Finding]:
    """What launch.py imports before it has an environment: the standard library and the rooms that need nothing else."""
    found: list[Finding] = []
    for file in tree.under("launch.py"):
        for i in file.imports:
            room = i.target.split(".")[1] if i.top == "modules" and "." in i.target else None
            bare = i.top in sys.stdlib_module_names or room in BARE_ROOMS
            if not (i.inner or i.typing_only or bare):
                found.append(
                    Finding(file.name, i.line, "bare start", f"{i.target} at the top of launch.py; a bare Python does not have it")
                )
    return found


def _may(file: File, i: Import) -> bool:
    if (file.name, i.target) in ASKS:
        return True
    if any(f"{i.target}.".startswith(f"{name}.") for name in NOWHERE):
        return False
    if i.top in sys.stdlib_module_names or i.top in ("modules", "__future__", ""):
        return True
    room = file.room or ""
    own = MAY_IMPORT.get(room, MAY_IMPORT.get(NAMES.get(room, ""), frozenset()))
    return i.top in own or (i.typing_only and i.top in TYPES_ONLY.get(room, frozenset()))


def test_house_keeps_libraries_on_their_floors():
    assert not (found := report(find_foreign(Tree.read()))), found


def test_house_imports_at_the_top():
    assert not (found := report(find_late(Tree.read()))), found


def test_house_starts_on_a_bare_python():
    assert not (found := report(find_early(Tree.read()))), found


@pytest.mark.parametrize(
    ("path", "code", "words"),
    [
        ("modules/request.py", "import torch", "request may not import torch"),
        ("modules/jobs/store.py", "import gradio as gr", "jobs may not import gradio"),
        ("modules/web/page.py", "from fastapi import FastAPI", "web may not import fastapi"),
        ("modules/server/routes.py", "def f():\n    import torch", "server may not import torch"),
        ("modules/server/routes.py", "import gradio", "server may not import gradio"),
        ("modules/faults.py", "import pydantic", "faults may not import pydantic"),
        ("modules/app.py", "import numpy", "app may not import numpy"),
        ("modules/weights/old.py", "import pickle", "weights may not import pickle"),
        ("modules/library/library.py", "from urllib.request import urlopen", "library may not import urllib.request.urlopen"),
    ],
)
def test_catches_a_foreign_library(path: str, code: str, words: str):
    assert words in report(find_foreign(Tree.made({path: code})))


def test_lets_the_owners_import():
    files = {
        "modules/web/page.py": "import gradio\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from fastapi import FastAPI",
        "modules/knobs.py": "import annotated_types as at",
        "modules/families/sd15.py": "def load():\n    from diffusers import UNet2DConditionModel",
    }
    assert find_foreign(Tree.made(files)) == []
    assert find_late(Tree.made(files), {}) == []


def test_catches_a_late_import():
    tree = Tree.made({"modules/jobs/store.py": "def f():\n    from modules.faults import Fault\n    import json"})
    assert len(find_late(tree, {})) == 2
    assert len(find_late(tree, {("modules/jobs/store.py", "modules.faults"): "a reason"})) == 1
    assert "take it off" in report(find_late(Tree.made({}), {("modules/a.py", "modules.faults"): "a reason"}))


def test_catches_an_early_import_in_launch():
    assert "bare start" in report(find_early(Tree.made({"launch.py": "import gradio"})))
    assert "bare start" in report(find_early(Tree.made({"launch.py": "from modules.app import build"})))
    assert (
        find_early(
            Tree.made(
                {"launch.py": "import json\nfrom modules import flags\nfrom modules.folders import Folders\ndef f():\n    import uvicorn"}
            )
        )
        == []
    )
