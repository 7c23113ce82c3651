"""/api/v2/choices: the lists that fields are chosen from, under the names that their Knobs give them.

A Knob names its list, as in `choices="samplers"`; every such name is served here, so that a client can offer what the page offers.
Start reading at `lists_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from fastapi import APIRouter
from fastapi import Path as InPath

from modules.backends.attention import ATTENTIONS
from modules.backends.table import BACKENDS
from modules.caption.installed import captioners
from modules.faults import UnknownName
from modules.hardware.policies import POLICIES
from modules.knobs import knobs_of
from modules.machine.computing import cost
from modules.plugins import assets, extensions
from modules.request import GenerationRequest
from modules.request.caption_folder import FolderRequest
from modules.request.extras import ExtrasRequest
from modules.request.second import SAME_CHECKPOINT, SAME_SAMPLER, SAME_SCHEDULER
from modules.request.train import TrainConfig
from modules.server.control_units import FILMS
from modules.server.errors import Refused
from modules.server.scripts import listed
from modules.server.v2.shapes import Answer, problems
from modules.settings import Settings
from modules.steering.caches import CACHES
from modules.steering.caches import NONE as NO_CACHE
from modules.upscale.finishing import names_of
from modules.upscale.table import LATENT_MODES, NONE, upscaler_files, upscalers
from modules.weights.quantisers import QUANTISERS

if TYPE_CHECKING:
    from modules.app import App

AUTOMATIC = "Automatic"
DECLARED = (GenerationRequest, ExtrasRequest, FolderRequest, TrainConfig, Settings)


class Choice(Answer):
    """One value of a list. value: what a field takes; label: for people; aliases: other names that are taken for it."""

    value: str
    label: str
    aliases: list[str]


class Choices(Answer):
    """A list. fields: the fields of requests and settings that are chosen from it."""

    name: str
    fields: list[str]
    items: list[Choice]


class ChoiceNames(Answer):
    """The lists there are. names: name -> fields that are chosen from it."""

    names: dict[str, list[str]]


List = Callable[[], Iterable[Choice]]


def routes(app: App) -> APIRouter:
    """The routes of the lists."""
    router = APIRouter(prefix="/api/v2/choices", tags=["v2 choices"])
    lists, fields = lists_of(app), fields_by_list()

    @router.get("", summary="Name the lists of choices", responses=problems())
    def names() -> ChoiceNames:
        """The lists there are, with the fields that are chosen from each."""
        return ChoiceNames(names={name: fields.get(name, []) for name in lists})

    @router.get("/{name}", summary="Read a list of choices", responses=problems(404, 422))
    def choices(name: Annotated[str, InPath(max_length=100)]) -> Choices:
        """The values that some fields take, as they are now: files that were added count after a refresh."""
        if name not in lists:
            raise Refused(404, "Not Found", errors=UnknownName("list", name, lists).message)
        return Choices(name=name, fields=fields.get(name, []), items=list(lists[name]()))

    return router


def fields_by_list() -> dict[str, list[str]]:
    """Name of a list -> the fields whose Knobs name it."""
    found: dict[str, list[str]] = {}
    for cls in DECLARED:
        for name, field in knobs_of(cls).items():
            if isinstance(field.knob.choices, str):
                found.setdefault(field.knob.choices, []).append(name)
    return found


def lists_of(app: App) -> Mapping[str, List]:
    """Every list that a Knob names."""
    return {
        "samplers": lambda: _samplers(app),
        "schedulers": lambda: _schedulers(app),
        "styles": lambda: _plain(style.name for style in app.styles.list()),
        "checkpoints": lambda: _checkpoints(app),
        "upscalers": lambda: _plain(_upscalers(app)),
        "hr_upscalers": lambda: _plain([*LATENT_MODES, *_upscalers(app)]),
        "hr_checkpoints": lambda: [*_plain([SAME_CHECKPOINT]), *_checkpoints(app)],
        "hr_samplers": lambda: [*_plain([SAME_SAMPLER]), *_samplers(app)],
        "hr_schedulers": lambda: [*_plain([SAME_SCHEDULER]), *_schedulers(app)],
        "refiners": lambda: [*_plain([NONE]), *_checkpoints(app)],
        "ip_adapters": lambda: _plain([NONE, *(row.name for row in app.library.rows("ip_adapter"))]),
        "background_removers": lambda: _plain([NONE, *names_of("background removal")]),
        "captioners": lambda: _plain(row.name for row in captioners(app.folders)[0]),
        "backends": lambda: [Choice(value=name, label=row.title, aliases=[]) for name, row in BACKENDS],
        "attentions": lambda: [Choice(value=name, label=row.title, aliases=[]) for name, row in ATTENTIONS],
        "caches": lambda: [*_plain([NO_CACHE]), *(Choice(value=name, label=row.title, aliases=[]) for name, row in CACHES)],
        "vaes": lambda: _plain([AUTOMATIC, NONE, *_files(app, "vae")]),
        "memory_policies": lambda: [
            Choice(value=AUTOMATIC, label="Automatic: the fastest that fits", aliases=[]),
            *(Choice(value=name, label=f"{name}: {row.help}", aliases=[]) for name, row in POLICIES),
        ],
        "quantisers": _quantisers,
        "modules": lambda: _plain([*_files(app, "vae"), *_files(app, "text_encoder")]),
        "scripts": lambda: _plain(script.name for script in listed(app) if not script.is_alwayson and script.name != FILMS),
        "localizations": lambda: _plain(_languages(app)),
        "settings": lambda: [Choice(value=name, label=field.knob.label, aliases=[]) for name, field in knobs_of(Settings).items()],
    }  # fmt: skip


def _quantisers() -> list[Choice]:
    """With what each costs, as it was measured. Those whose package is missing say what to install."""
    told = {name: ", ".join(words for words in (row.title, cost(name)) if words) for name, row in QUANTISERS}
    rows = [Choice(value=name, label=f"{name}: {row.missing or told[name]}", aliases=[]) for name, row in QUANTISERS]
    return [*_plain([NONE]), *rows]


def _plain(names: Iterable[str]) -> list[Choice]:
    return [Choice(value=name, label=name, aliases=[]) for name in names]


def _languages(app: App) -> list[str]:
    """What the setting `localization` may be."""
    return [assets.NONE, *assets.localizations(app.folders, extensions(app.folders, app.settings.current, app.flags.to_data()))]


def _samplers(app: App) -> list[Choice]:
    return [Choice(value=row.name, label=row.name, aliases=list(row.aliases)) for _, row in app.samplers]


def _schedulers(app: App) -> list[Choice]:
    return [Choice(value=row.label, label=row.label, aliases=[row.name, *row.aliases]) for _, row in app.schedules]


def _checkpoints(app: App) -> list[Choice]:
    return [Choice(value=c.title, label=c.title, aliases=[c.model_name]) for c in app.library.checkpoints()]


def _upscalers(app: App) -> list[str]:
    return upscalers(upscaler_files(app.folders)[0]).names()


def _files(app: App, kind: str) -> list[str]:
    """File names of a list's rows of just that kind, as settings take them."""
    return [Path(row.path).name for row in app.library.rows(kind) if row.kind == kind]
