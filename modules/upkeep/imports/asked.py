"""What can be asked of an import: a record whose Knobs give the page's form and the command's flags. Start reading at `ImportAsked`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from modules.faults import RequestFault, UnknownName
from modules.knobs import Knob, coerce, knobs_of

IMPORT = "import"  # the kind of its jobs
REFERENCE, LINK, LEAVE = "reference", "link", "leave"
MODELS = (REFERENCE, LINK, LEAVE)


@dataclass(frozen=True, kw_only=True)
class ImportAsked:
    """An import. Whatever is left out stays as it is."""

    folder: Annotated[str, Knob("Folder", max_chars=4000, help="The other program's folder, with models/ and config.json in it.")]
    models: Annotated[
        str,
        Knob(
            "Models",
            choices=MODELS,
            help="reference: used where they lie; link: hard links in our models folder, which take no room; leave: not at all.",
        ),
    ] = REFERENCE
    pictures: Annotated[bool, Knob("Pictures", help="The History finds them where they lie.")] = True
    settings: Annotated[bool, Knob("Settings", help="What config.json says and this program knows.")] = True
    defaults: Annotated[bool, Knob("Defaults of the forms", help="What ui-config.json sets differently from that program's own.")] = True
    styles: Annotated[bool, Knob("Styles", help="Those of styles.csv, and SD.Next's in models/styles.")] = True


def read_asked(data: Mapping[str, Any]) -> ImportAsked:
    """From plain data, every value checked. Raises UnknownName, RequestFault."""
    known = knobs_of(ImportAsked)
    if unknown := [name for name in data if name not in known]:
        raise UnknownName("field", unknown[0], known)
    values = {name: coerce(known[name], value) for name, value in data.items()}
    if not str(values.get("folder", "")).strip():
        raise RequestFault("folder", "is needed: the folder of the other program")
    return ImportAsked(**values)
