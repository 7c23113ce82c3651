"""The web process's shelf of scripts: what can be asked for, what it takes, and how well each file fits. Never loads torch.

The App holds one; it loads the files when somebody asks. Start reading at `Scripts.visit`.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from modules import infotext
from modules.compat.axes import axes_of
from modules.compat.cast import TABS, Cast
from modules.compat.option_rows import described, fitting
from modules.compat.pasting import arguments
from modules.compat.sketch import SketchModule, args_of
from modules.compat.troupe import Troupe
from modules.compat.views import Ways
from modules.faults import RequestFault, UnknownName, UnknownScript
from modules.folders import Folders
from modules.grids.axis import Axis
from modules.hooks import Guest
from modules.knobs import KnobField, knobs_of
from modules.library import Library
from modules.plugins import Extension, extensions, switched_on
from modules.plugins.values import ARGS_LIMIT, lower_titles, values_of
from modules.plugins.values import args_of as asked_args
from modules.prompts.networks import NO_SUCH_KIND
from modules.request import GenerationRequest, Use, Visit
from modules.request.guests import AXES
from modules.settings import Settings, SettingsStore

log = logging.getLogger(__name__)
NONE = ("", "None")
SELECTABLE = "Cannot have a selectable script in the always on scripts params"


class Scripts:
    """Every script that is switched on. Safe to use from several threads."""

    def __init__(self, folders: Folders, flags: Mapping[str, Any], settings: SettingsStore, library: Library) -> None:
        self._folders = folders
        self._flags = flags
        self._settings = settings
        self._library = library
        self._lock = threading.RLock()
        self._known: tuple[Any, ...] = ()
        self._troupe: Troupe | None = None
        self._casts: dict[str, Cast] = {}
        self._on_page: dict[str, str] = {}

    # ---- what there is ----------------------------------------------------------------------------------------------

    def names(self) -> dict[str, list[str]]:
        """Lower-case titles by tab, of the scripts that have controls: A1111's /sdapi/v1/scripts."""
        return {tab: [row["name"] for row in self.infos() if row["is_img2img"] == (tab == "img2img")] for tab in TABS}

    def infos(self) -> list[dict[str, Any]]:
        """A1111's /sdapi/v1/script-info: {name, is_alwayson, is_img2img, args: [{label, value, minimum, maximum, step, choices}]}."""
        found: list[dict[str, Any]] = []
        for tab in TABS:
            cast, natives = self._cast(tab)
            for script in [*cast.alwayson_scripts, *cast.selectable_scripts]:
                if script.controls is not None:
                    args = [args_of(control) for control in script.controls]
                    found.append({"name": script.name, "is_alwayson": script.alwayson, "is_img2img": tab == "img2img", "args": args})
            for guest in natives:
                args = [_knob_args(field) for field in guest.controls().values()]
                found.append({"name": guest.name, "is_alwayson": True, "is_img2img": tab == "img2img", "args": args})
        return found

    def titles(self, tab: str) -> list[str]:
        """Titles of the selectable scripts of a tab, as shown."""
        return self._cast(tab)[0].titles

    def grades(self) -> list[dict[str, Any]]:
        """How each file fits: {file, extension, grade ("A", "B", "C"), reasons}."""
        for tab in TABS:
            self._cast(tab)
        troupe = self._at_work()
        troupe.limits()
        for path, grade in troupe.grades.items():
            if names := sorted(troupe.loader.stood_in.get(path, ())):
                grade.less("A", f"needs {', '.join(names)}, which only the making of pictures loads; the page's controls do without")
            if path in self._on_page:
                grade.less("B", f"on the page: {self._on_page[path]}")
        return [{"path": path, **grade.to_data()} for path, grade in troupe.grades.items()]

    def homes(self) -> dict[str, str]:
        """Guest, as traces and the ledger of faults name it -> the path of its file."""
        for tab in TABS:
            self._cast(tab)
        return dict(self._at_work().homes)

    def forgive(self, guest: str) -> None:
        """One that was switched off for its faults may try again, from the next job on."""
        with self._lock:
            self._at_work().ledger.forgive(guest)
            self._casts = {}

    def options(self) -> list[dict[str, Any]]:
        """Options that extensions added, with their values now and the path of the file that added them."""
        troupe = self._at_work()
        opts, stored = troupe.views.opts, self._settings.others
        return [described(key, info, stored.get(key, info.default), troupe.options.get(key, "")) for key, info in opts.data_labels.items()]

    def set_option(self, key: str, value: Any) -> None:
        """Keep the value of an option that an extension added. Raises UnknownName, RequestFault."""
        known = self._at_work().views.opts.data_labels
        if key not in known:
            raise UnknownName("key", key, known)
        self._settings.keep_others({key: fitting(key, known[key], value)})

    def learn(self, troupe: Troupe) -> None:
        """What was found when the page's controls were built."""
        self._on_page |= {path: "; ".join(grade.reasons) for path, grade in troupe.grades.items() if grade.grade != "A"}

    def extensions(self) -> list[Extension]:
        """Every extension on the disk, switched on or off."""
        return extensions(self._folders, self._settings.current, self._flags)

    def own_tags(self) -> list[str]:
        """Words of prompt tags that scripts carry out."""
        troupe = self._at_work()
        troupe.tell("before_ui", reverse=True)
        tags = troupe.views.tags
        return [*tags.extra_network_registry, *tags.extra_network_aliases]

    def without_own_tags(self, warnings: Sequence[str]) -> tuple[str, ...]:
        """These warnings without those about tags that a script carries out."""
        if not any(NO_SUCH_KIND in text for text in warnings):
            return tuple(warnings)
        words = self.own_tags()
        return tuple(text for text in warnings if not any(text.endswith(f"{NO_SUCH_KIND} {word!r}.") for word in words))

    @property
    def notices(self) -> list[str]:
        """What is wrong with files and their order, in words."""
        return list(self._at_work().notices)

    # ---- what is asked for ------------------------------------------------------------------------------------------

    def before_resolve(self, request: GenerationRequest) -> tuple[GenerationRequest, list[str]]:
        """(the request as guests want it, what they failed in). Call site of the hook `before_resolve`."""
        said: list[str] = []
        for guest in self._cast(request.task)[1]:
            if type(guest).before_resolve is Guest.before_resolve:
                continue
            try:
                found = guest.before_resolve(request)
                if found is not None and not isinstance(found, GenerationRequest):
                    raise TypeError(f"gave back {type(found).__name__}")
                request = found or request
            except Exception as error:
                log.warning("the script %s failed in before_resolve", guest.name, exc_info=error)
                text = f"{type(error).__name__}: {error}"[:500]
                said.append(f"The script {guest.name} failed in before_resolve and was passed over there: {text}")
                self._at_work().ledger.fault(guest.name, "before_resolve", text)
        return request, said

    def told_by(self, text: str, tab: str, chosen: str | None = None) -> dict[str, list[Any]]:
        """Name of a script -> its arguments, of the always-on scripts and the chosen one, as far as a parameters text speaks of them."""
        cast, keys = self._cast(tab)[0], dict(infotext.parse(text))
        self._at_work().tell("infotext_pasted", text, keys)  # some fill in keys of their own here
        taking_part = {str(s.name) for s in cast.alwayson_scripts} | {str(chosen).strip().casefold()}
        return {name: args for name, args in arguments(cast, keys).items() if name in taking_part}

    def own_options(self, request: GenerationRequest) -> tuple[GenerationRequest, dict[str, Any]]:
        """(the request without them, the options of extensions among its override_settings). Raises RequestFault for a value of no use."""
        mine = set(request.override_settings) - set(knobs_of(Settings))
        known = self._at_work().views.opts.data_labels if mine else {}
        for tab in TABS if mine - set(known) else ():  # some scripts add theirs when they are made
            self._cast(tab)
        found: dict[str, Any] = {}
        for key in sorted(mine & set(known)):
            try:
                found[key] = fitting(key, known[key], request.override_settings[key])
            except RequestFault as fault:
                raise RequestFault("override_settings", f"{key}: {fault.why}", got=request.override_settings[key]) from fault
        rest = {key: value for key, value in request.override_settings.items() if key not in found}
        return (dataclasses.replace(request, override_settings=rest) if found else request), found

    def visit(self, request: GenerationRequest, options: dict[str, Any] | None = None) -> Visit | None:
        """Who takes part in a job and with what; None for nobody. options: as `own_options` gives them.

        Raises UnknownScript, RequestFault naming the field.
        """
        cast, natives = self._cast(request.task)
        given = lower_titles(request.alwayson_scripts)
        uses: list[Use] = []
        for script in cast.alwayson_scripts:
            name = str(script.name)
            args = _filled(_plain(cast.defaults_of(script)), asked_args(given.pop(name.casefold(), None), name))
            uses.append(Use(name=name, file=_file(script), args=args))
        for guest in natives:
            args = values_of(guest, given)
            if guest.takes_part(args):
                uses.append(Use(name=guest.name, args=args))
        if AXES in given:
            uses.append(Use(name=AXES, args=tuple(asked_args(given.pop(AXES), AXES))))
        for title in given:
            words = SELECTABLE if cast.script(title) is not None else ""
            sent = next(str(name) for name in request.alwayson_scripts if str(name).casefold() == title)
            raise UnknownScript("alwayson_scripts", sent, [str(s.name) for s in cast.alwayson_scripts], words)
        if request.script_name not in (None, *NONE):
            uses.append(self._selected(cast, str(request.script_name), request.script_args))
        return Visit(uses=tuple(uses), asked=_asked(request), options=dict(options or {})) if uses or options else None

    @staticmethod
    def _selected(cast: Cast, title: str, args: list[Any]) -> Use:
        script = next((s for s in cast.selectable_scripts if str(s.name) == title.strip().lower()), None)
        if script is None:
            raise UnknownScript("script_name", title, cast.titles)
        if len(args) > ARGS_LIMIT:
            raise RequestFault("script_args", f"holds {len(args)} values; the most is {ARGS_LIMIT}")
        return Use(name=str(script.name), file=_file(script), args=_filled(_plain(cast.defaults_of(script)), list(args)), selected=True)

    def axes(self, tab: str) -> list[Axis]:
        """The axes of X/Y/Z grids that scripts brought."""
        with self._lock:
            self._cast(tab)
            return axes_of(self._at_work(), tab)

    def started(self, api: Any) -> None:
        """The server is up and has no page: extensions may add their routes."""
        self._at_work().tell("app_started", None, api)

    # ---- loading ----------------------------------------------------------------------------------------------------

    def load(self, gradio: ModuleType) -> Troupe:
        """The scripts loaded with another Gradio: for the page."""
        nothing = _only_in_worker
        ways = Ways(
            settings=self._current, process_images=nothing, process_many=nothing, save=nothing, upscale=nothing, model=lambda: None,
            checkpoints=lambda: list(self._library.checkpoints()), worker=False, rows=self._library.sure_rows,
            refresh=self._library.refresh, extensions=self.extensions, restore=nothing, text_of=nothing,
        )  # fmt: skip
        return Troupe.load(self._folders, self._settings.current, self._flags, ways, gradio)

    def _current(self) -> dict[str, Any]:
        return self._settings.current.to_data()

    def _at_work(self) -> Troupe:
        settings = self._settings.current
        known = switched_on(self._folders, settings, self._flags)
        with self._lock:
            if self._troupe is None or known != self._known:
                self._troupe, self._known, self._casts = self.load(SketchModule("gradio")), known, {}
            return self._troupe

    def _cast(self, tab: str) -> tuple[Cast, list[Guest]]:
        with self._lock:
            troupe = self._at_work()
            if tab not in self._casts:
                self._casts[tab] = troupe.cast(tab)
            cast = self._casts[tab]
            for script in list(cast.scripts):
                if troupe.ledger.off(str(script.name)):
                    cast.drop(script)
            return cast, [guest for guest in troupe.natives_now() if tab in guest.tabs]


def _only_in_worker(*_: Any, **__: Any) -> Any:
    raise RuntimeError("pictures are made in the worker process, not where controls are built")


def _asked(request: GenerationRequest) -> dict[str, Any]:
    return {name: value for name, value in request.to_data().items() if name not in ("script_args", "alwayson_scripts", "script_name")}


def _file(script: Any) -> str:
    return str(script.filename).replace("\\", "/").rpartition("/")[2]


def _filled(defaults: list[Any], given: list[Any]) -> tuple[Any, ...]:
    """The values given, then the starts of the controls left out; more than there are controls are passed over."""
    return (*given[: len(defaults)], *defaults[len(given) :])


def _plain(values: list[Any]) -> list[Any]:
    return [value if isinstance(value, str | int | float | bool | list | dict | None) else None for value in values]


def _knob_args(field: KnobField) -> dict[str, Any]:
    knob = field.knob
    choices = list(knob.choices) if isinstance(knob.choices, tuple) else None
    return {"label": knob.label, "value": field.default, "minimum": knob.low, "maximum": knob.high, "step": knob.step, "choices": choices}
