"""A checkpoint opened for work on its tensors: its components under diffusers' names, whether it is a file or a folder.

Start reading at `open_model`; `single_file` gives any checkpoint as one file. No tensor is read before it is asked for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.families import FAMILIES
from modules.faults import ModelFault
from modules.upkeep.growing import scratch_beside
from modules.upkeep.report import Report
from modules.weights.layouts import LAYOUTS, write
from modules.weights.layouts.component import Component, component_of, open_component
from modules.weights.layouts.files import header_of


@dataclass(frozen=True, kw_only=True)
class Model:
    """A checkpoint of the job (`Checkpoint.to_data()`), where it lies now, its layout and components."""

    about: Mapping[str, Any]
    path: Path
    layout: str
    components: Mapping[str, Component]

    @property
    def name(self) -> str:
        return str(self.about["model_name"])

    @property
    def core(self) -> Component:
        """The UNet or transformer. Raises ModelFault."""
        core = LAYOUTS[self.layout].core
        if core not in self.components:
            raise ModelFault(f"{self.name} has no {core}; there is nothing to work on.")
        return self.components[core]

    @property
    def architecture(self) -> str:
        """What LoRAs for it are made for: "sd1", "sdxl", ..."""
        return FAMILIES.get(self.about["family"]).architecture


def layout_of(about: Mapping[str, Any]) -> str:
    """The layout of a checkpoint's family; some variants have one of their own (the refiner of SDXL)."""
    layout = FAMILIES.get(about["family"]).layout
    own = f"{layout}-{about.get('variant', '')}"
    return own if own in LAYOUTS else layout


def open_model(about: Mapping[str, Any], path: Path | None = None) -> Model:
    """The components of a checkpoint. path: where it lies, if not where the library saw it. Raises ModelFault."""
    path, layout = path or Path(about["path"]), layout_of(about)
    found: dict[str, Component] = {}
    if path.is_dir():
        for name in LAYOUTS[layout].parts:
            if (path / name).is_dir():
                found[name] = open_component(path, layout, name)
    else:
        source = header_of(path)
        found = {name: c for name in LAYOUTS[layout].parts if (c := component_of(source, layout, name)) is not None}
    return Model(about=about, path=path, layout=layout, components=found)


@contextmanager
def single_file(about: Mapping[str, Any], beside: Path, report: Report) -> Iterator[Model]:
    """The checkpoint as one file: itself, or one made of its folder for the time of the block, beside the target."""
    path = Path(about["path"])
    if not path.is_dir():
        yield open_model(about)
        return
    with scratch_beside(beside) as scratch:
        report.say(f"Putting {about['model_name']} into one file…")
        write(path, scratch, layout_of(about), each=report.part)
        yield open_model(about, scratch)
