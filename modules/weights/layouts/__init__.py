"""Where the components of a model lie in weight files, and how to get from a single file to diffusers' components and back.

Works from names and shapes alone; sizes are never fixed, so it holds for any model of these layouts. Knows nothing about families
(above) or pipelines. Start reading at `LAYOUTS` in `table`, then `component.open_component`; the other way: `write`,
`to_folder`, then `verify`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from modules.weights.header import Header
from modules.weights.layouts.check import verify
from modules.weights.layouts.component import component_of, find, open_component
from modules.weights.layouts.export import write
from modules.weights.layouts.files import Tensors, cast
from modules.weights.layouts.folder import to_folder
from modules.weights.layouts.table import LAYOUTS, Layout, Part

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ["LAYOUTS", "Layout", "Part", "components", "configs", "read", "to_folder", "verify", "write"]


def components(header: Header, layout: str) -> tuple[str, ...]:
    """The diffusers components that a file holds, in the order of the layout."""
    return tuple(name for name, part in LAYOUTS[layout].parts.items() if find(header, part))


def configs(header: Header, layout: str, published: Mapping[str, Mapping[str, Any]] | None = None) -> dict[str, dict[str, Any]]:
    """Component -> its diffusers or transformers config, from shapes; what those cannot tell: the file's metadata, then `published`
    (component -> config), then the layout's own table. Raises ModelFault."""
    found: dict[str, dict[str, Any]] = {}
    for name in LAYOUTS[layout].parts:
        component = component_of(header, layout, name, (published or {}).get(name))
        if component is not None:
            found[name] = dict(component.config)
    return found


def read(path: Path, layout: str, component: str, dtype: str | None = None) -> dict[str, Tensor]:
    """The tensors of one component of a file or folder, under the names of its class, on the CPU. dtype: "float16", ...; None: as
    stored. Raises ModelFault when it is not there."""
    found = open_component(path, layout, component)
    with Tensors() as files:
        return {found.own(name): cast(found.read(files, name), dtype) for name in found.tensors}
