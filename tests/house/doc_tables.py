"""The tables in docs/, made from the program's own registries, so that they cannot say something else.

    python -m tests.house.doc_tables            say which are out of date; exit 1 when some are
    python -m tests.house.doc_tables --write    write them

A table stands between `<!-- table: NAME -->` and `<!-- end of table -->`. Start reading at `TABLES`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modules import flags
from modules.caption import CAPTIONERS
from modules.control.maps import MAPS, Needed
from modules.families import FAMILIES
from modules.knobs import Knob, KnobField, knobs_of
from modules.request import GenerationRequest
from modules.request.caption import CaptionRequest
from modules.request.caption_folder import FolderRequest
from modules.request.train import PRESETS
from modules.request.train_learning import Learning, Loss, Network, Subject
from modules.request.train_pictures import Captions, Pictures, Prior, Watching
from modules.samplers import SAMPLERS, SCHEDULES
from modules.server.accepted import AcceptedImg2img, AcceptedTxt2img
from modules.server.fields import DEFAULTS, IMG2IMG_DEFAULTS
from modules.server.rules import RULES
from modules.settings import Settings
from modules.steering import OPTIONS
from tests.house import api_page, computing_tables
from tests.house.markdown import table
from tests.house.tree import ROOT

PLACE = re.compile(r"(<!-- table: (?P<name>[a-z-]+) -->\n)(?P<body>.*?)(<!-- end of table -->)", re.DOTALL)
TYPES = {int: "whole number", float: "number", str: "text", bool: "true or false", list: "list", tuple: "list", dict: "object"}

TRAINING: dict[str, type] = {
    "What is trained": Subject,
    "The network": Network,
    "Learning": Learning,
    "Noise and loss": Loss,
    "Pictures": Pictures,
    "Captions": Captions,
    "Pictures of the class": Prior,
    "Watching and saving": Watching,
}


def code(value: Any) -> str:
    """A value as it would be typed; empty text is "empty"."""
    if value is None or value in ("", [], {}, ()):
        return "none" if value is None else "empty"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def allowed(field: KnobField) -> str:
    """The range or the choices of a field, in words."""
    knob: Knob = field.knob
    if isinstance(knob.choices, tuple):
        return ", ".join(f"`{c}`" for c in knob.choices)
    if isinstance(knob.choices, str):
        return f"one of the {knob.choices}"
    if knob.low is not None and knob.high is not None:
        return f"{number(knob.low)} to {number(knob.high)}"
    if knob.max_chars is not None:
        return f"up to {knob.max_chars:,} characters"
    return TYPES[field.kind]


def number(value: float) -> str:
    """Without ".0", large powers of two as such."""
    if value == 2**63 - 1:
        return "2^63 - 1"
    return str(int(value)) if float(value).is_integer() else str(value)


def settings_table() -> str:
    """Every setting, by its section on the page."""
    parts: list[str] = []
    fields = knobs_of(Settings)
    for section in dict.fromkeys(f.knob.section or "Other" for f in fields.values()):
        rows = [
            (f"`{name}`", f.knob.label + (f". {f.knob.help}" if f.knob.help else ""), code(f.default), allowed(f))
            for name, f in fields.items()
            if (f.knob.section or "Other") == section
        ]
        parts.append(f"### {section}\n\n" + table(("Name", "What it does", "Default", "Allowed"), rows))
    return "\n".join(parts)


def request_table() -> str:
    """Every field of a generation. The default is the API's where it differs from the page's."""
    rows = [
        (
            f"`{name}`",
            f.knob.label + (f". {f.knob.help}" if f.knob.help else ""),
            code({**IMG2IMG_DEFAULTS, **DEFAULTS}.get(name, f.default)),
            allowed(f),
            f.knob.infotext or "",
        )
        for name, f in knobs_of(GenerationRequest).items()
    ]
    return table(("Field", "What it is", "Default", "Allowed", "Key in the parameters text"), rows)


def accepted_table() -> str:
    """A1111's fields that are checked and echoed."""
    fields = {**knobs_of(AcceptedTxt2img), **knobs_of(AcceptedImg2img)}
    rows = [(f"`{name}`", f.knob.label, code(f.default), f.knob.help) for name, f in fields.items()]
    return table(("Field", "A1111's meaning", "Default", "Here"), rows)


def routes_table() -> str:
    """Every route of ours but those of /api/v2, with the first line of its description."""
    described = api_page.described()["paths"]
    rows = [
        (method.upper(), f"`{path}`", str(about.get("description") or about["summary"]).partition("\n")[0])
        for path, methods in sorted(described.items(), key=lambda row: (row[0].startswith("/internal"), row[0]))
        if not path.startswith(api_page.PREFIX)  # they have a page of their own
        for method, about in methods.items()
    ]
    return table(("Method", "Path", "What it does"), rows)


def samplers_table() -> str:
    """Every sampler, in the page's order."""
    rows = [
        (
            row.name,
            ", ".join(f"`{a}`" for a in row.aliases),
            row.default_schedule,
            str(row.calls),
            "" if row.eta is None else code(row.eta),
            row.name if row.flow else row.nearest,
            row.source,
            row.note,
        )
        for _, row in SAMPLERS
    ]
    titles = ("Sampler", "Other names", "Automatic means", "Calls a step", "Eta", "Flow matching models take", "Source", "Note")
    return table(titles, rows)


def schedules_table() -> str:
    """Every schedule."""
    rows = [(row.label, ", ".join(f"`{a}`" for a in (row.name, *row.aliases)), row.source) for _, row in SCHEDULES]
    return table(("Schedule", "Other names", "Source"), rows)


def steering_table() -> str:
    """Every way of steering, with the families it works for."""
    rows = [
        (
            option.label,
            ", ".join(f"`{name}`" for name in (*option.fields, *option.settings)),
            ", ".join(dict.fromkeys(family.title for _, family in FAMILIES if family.architecture in option.architectures)),
            option.source,
        )
        for option in OPTIONS
    ]
    return table(("Way", "Fields and settings", "Works for", "Source"), rows)


def commands_table() -> str:
    """The sub-commands of launch.py."""
    return table(("Command", "What it does"), [(f"`python launch.py {name}`", what) for name, what in flags.COMMANDS.items()])


def flags_table() -> str:
    """Every flag, by its group."""
    parts: list[str] = []
    for group in dict.fromkeys(f.metadata["group"] for f in flags.table()):
        rows = [
            (
                f"`{flags.spelling(f.name)}{' ' + f.metadata['value'] if f.metadata['value'] else ''}`",
                f.metadata["help"],
                code(f.default) if f.default else "",
            )
            for f in flags.table()
            if f.metadata["group"] == group
        ]
        parts.append(f"### {group}\n\n" + table(("Flag", "What it does", "Default"), rows))
    return "\n".join(parts)


def families_table() -> str:
    """Every variant of every family, with what is taken when nothing is asked for."""
    rows: list[tuple[str, ...]] = []
    for _, family in FAMILIES:
        for name, variant in family.variants.items():
            own = family.defaults_of(name)
            notes = [variant.note, family.optional_note] if name == next(iter(family.variants)) else [variant.note]
            rows.append(
                (
                    ": ".join(word for word in (family.title, variant.title) if word),
                    str(variant.native_px),
                    f"{own['steps']}, {own['cfg_scale']:g}, {own['sampler_name']}",
                    " ".join(note for note in notes if note),
                )
            )
    return table(("Family", "Side in pixels", "Steps, CFG scale, sampler", "Good to know"), rows)


def captioners_table() -> str:
    """Every kind of captioner with the models that are published of it."""
    rows = [
        (
            kind.title,
            f"`{known.repo}`",
            ", ".join(known.does or kind.does),
            _sizes(known.gigabytes, alone=not kind.tensors),
            known.licence,
            known.note,
        )
        for _, kind in CAPTIONERS
        for known in kind.published
    ]
    return table(("Kind", "Model", "What it does", "GB in 32, 16, about 8, 4 bits", "Licence", "Good to know"), rows)


def _sizes(gigabytes: float, *, alone: bool) -> str:
    """Of the weights in memory. Tables stay as they are in 8 and 4 bits: somewhat more than a quarter and an eighth. alone: in 32 only."""
    return f"{gigabytes:g}" if alone else ", ".join(f"{gigabytes * part:.2g}" for part in (1, 1 / 2, 0.3, 0.18))


def caption_request_table() -> str:
    """Every field of a caption."""
    fields = [f for f in knobs_of(CaptionRequest).values() if f.name not in ("images", "image_names")]
    return table(
        ("Field", "What it does", "Default", "Allowed"), [(f"`{f.name}`", f.knob.help, code(f.default), allowed(f)) for f in fields]
    )


def caption_folder_table() -> str:
    """What a folder's captions have beside the fields of a caption."""
    own = [f for f in knobs_of(FolderRequest).values() if f.name not in knobs_of(CaptionRequest)]
    return table(("Field", "What it does", "Default", "Allowed"), [(f"`{f.name}`", f.knob.help, code(f.default), allowed(f)) for f in own])


def roles_table() -> str:
    """Which role a path takes: the rows of the guard's table, in its order."""
    rows = [
        (rule.least, ", ".join(sorted(rule.methods)) or "all", " ".join(f"`{path.strip('<>')}`" for path in rule.paths)) for rule in RULES
    ]
    return table(("Least role", "Methods", "Paths, and what lies below them; the first row that fits counts"), rows)


def preprocessors_table() -> str:
    """Every preprocessor with its sliders and what it needs."""

    def needs(one: Needed) -> str:
        return f"`{one.name}` ({one.megabytes} MB; {one.published})"

    rows = [
        (
            f"`{row.name}`",
            ", ".join(row.types),
            "; ".join(f"{s.name} {number(s.low)} to {number(s.high)}, {number(s.value)}" for s in (row.a, row.b) if s is not None),
            str(int(row.resolution.value)) if row.resolution else "",
            f"not there: {row.why_not}" if row.why_not else "; ".join(map(needs, row.needs)) or "nothing",
        )
        for _, row in MAPS
    ]
    return table(("Name", "Control types", "Thresholds: range, usual value", "Resolution", "Needs"), rows)


def training_table() -> str:
    """Every option of a training, by what it is about."""
    parts: list[str] = []
    for title, block in TRAINING.items():
        rows = [
            (f"`{name}`", f.knob.label + (f". {f.knob.help}" if f.knob.help else ""), code(f.default), allowed(f))
            for name, f in knobs_of(block).items()
        ]
        parts.append(f"### {title}\n\n" + table(("Name", "What it does", "Default", "Allowed"), rows))
    return "\n".join(parts)


def training_presets_table() -> str:
    """Every starting point of a training."""
    rows = [
        (
            f"`{name}`",
            preset.title,
            preset.method,
            ", ".join(preset.families) + (f" ({preset.native_px} px)" if preset.native_px else ""),
            f"{preset.memory_gb} GB" if preset.memory_gb else "any",
            preset.note,
        )
        for name, preset in PRESETS.items()
    ]
    return table(("Name", "Title", "Method", "Families", "Memory from", "Note"), rows)


TABLES: dict[str, Callable[[], str]] = {
    "preprocessors": preprocessors_table,
    "families": families_table,
    "captioners": captioners_table,
    "caption-request": caption_request_table,
    "caption-folder": caption_folder_table,
    "quantisers": computing_tables.quantisers_table,
    "settings": settings_table,
    "request": request_table,
    "accepted": accepted_table,
    "routes": routes_table,
    "reference": api_page.reference,
    "samplers": samplers_table,
    "schedules": schedules_table,
    "steering": steering_table,
    "backends": computing_tables.backends_table,
    "attentions": computing_tables.attentions_table,
    "commands": commands_table,
    "flags": flags_table,
    "roles": roles_table,
    "training": training_table,
    "training-presets": training_presets_table,
}


def renew(text: str, tables: dict[str, Callable[[], str]] = TABLES) -> str:
    """The text with each of its tables made anew. Raises KeyError for a table that nobody makes."""
    return PLACE.sub(lambda m: f"{m[1]}{tables[m['name']]()}{m[4]}", text)


def pages(root: Path = ROOT) -> list[Path]:
    """The Markdown files that may hold tables."""
    return sorted([*root.glob("*.md"), *(root / "docs").glob("*.md")])


def stale(root: Path = ROOT, tables: dict[str, Callable[[], str]] = TABLES) -> dict[Path, str]:
    """Pages whose tables are out of date -> what they should be."""
    new = {page: renew(page.read_text(encoding="utf-8"), tables) for page in pages(root)}
    return {page: text for page, text in new.items() if text != page.read_text(encoding="utf-8")}


def main(words: list[str]) -> int:
    """Check, or write with --write. Returns the exit status."""
    found = stale()
    for page, text in found.items():
        if "--write" in words:
            page.write_text(text, encoding="utf-8")
        print(f"{page.relative_to(ROOT)}: {'written' if '--write' in words else 'out of date'}")
    return 1 if found and "--write" not in words else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
