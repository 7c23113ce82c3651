"""The worker's house of guests: a job that scripts take part in is led from here. See `modules.processing.stage.House`.

Start reading at `ScriptHouse.receive`; `build` is the entry of the worker process.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from PIL import Image

from modules.compat.axes import apply as apply_axes
from modules.compat.cast import TABS, Cast
from modules.compat.face import overrides
from modules.compat.guest import Params, ScriptGuest
from modules.compat.house_words import PICTURE
from modules.compat.making import Lead, OncePerJob, new_p
from modules.compat.postprocessing import PostprocessedImage
from modules.compat.processed import Processed, StableDiffusionProcessingImg2Img, StableDiffusionProcessingTxt2Img
from modules.compat.sketch import SketchModule
from modules.compat.troupe import Troupe
from modules.compat.views import Ways
from modules.faults import Cancelled, Fault
from modules.folders import Folders
from modules.grids.gathering import run_grid
from modules.grids.records import GRID
from modules.library import Library
from modules.plugins import extensions, switched_on
from modules.processing.runner import PictureRunner
from modules.processing.stage import Stage
from modules.request import Result, Use
from modules.request.guests import AXES
from modules.saver import Saver
from modules.settings import Settings, SettingsStore
from modules.upscale.enlarge import upscale

log = logging.getLogger(__name__)
KINDS = (StableDiffusionProcessingTxt2Img, StableDiffusionProcessingImg2Img)


class ScriptHouse:
    """Loads the scripts when the first job asks for them, and leads such jobs."""

    def __init__(self, folders: Folders, flags: Mapping[str, Any]) -> None:
        self._folders = folders
        self._flags = flags
        self._lead: Lead | None = None
        self._troupe: Troupe | None = None
        self._known: tuple[Any, ...] = ()
        self._casts: dict[str, Cast] = {}

    def receive(self, stage: Stage) -> Callable[[Result], list[dict[str, Any]]]:
        """Make the job's pictures with its scripts. The answer, called with the result, gives the trace."""
        troupe = self._at_work(stage.torch_device)
        visit = stage.resolved.visit
        uses = visit.uses if visit is not None else ()
        asked = {use.name: use for use in uses}
        natives = [guest for guest in troupe.natives_now() if guest.name in asked]
        views = troupe.views
        callbacks, state = views.callbacks, views.state
        views.opts.forget()
        views.opts.wear(visit.options if visit is not None else {})
        state.control = stage.control
        state.begin(f"scripts_{stage.resolved.task}")
        args = {name: tuple(_opened(use.args, stage)) for name, use in asked.items()}
        lead = self._lead = Lead(
            stage=stage, state=state, callbacks=callbacks, natives=natives, ledger=OncePerJob(troupe.ledger), args=args,
            opts=views.opts, tags=views.tags, sd_model=views.sd_model,
        )  # fmt: skip
        try:
            cast = self._cast(troupe, stage.resolved.task)
            known = {AXES, *cast.title_map, *(guest.name for guest in natives)}
            for use in uses:
                if use.name not in known:
                    stage.warn(f"The script {use.name} is not here any more or is switched off; the pictures were made without it.")
            self._perform(troupe, lead, cast, [Use(name=u.name, args=args[u.name], selected=u.selected) for u in uses])
        finally:
            self._lead = None
            state.control = None
        return lambda result: _settle(lead, result)

    def _perform(self, troupe: Troupe, lead: Lead, cast: Cast, uses: list[Use]) -> None:
        stage = lead.stage
        p = new_p(lead, cast, KINDS)
        p.script_args = cast.values(uses)
        hooks = lead.hooks([])
        for guest in [ScriptGuest(s, p, p.script_args[s.args_from : s.args_to]) for s in cast.alwayson_scripts]:
            if overrides(guest.script, "setup"):
                hooks.guarded(guest, "setup", lambda g=guest: g.call("setup"))
        if axes := lead.args.get(AXES):
            apply_axes(troupe, p, axes)
        place = int(p.script_args[0] or 0)
        processed: Processed | None = None
        if place:
            processed = self._selected(lead, cast, p, cast.selectable_scripts[place - 1])
        if processed is None and not (stage.shown or stage.control.interrupted):
            processed = lead.process_images(new_like(p, lead, cast) if place else p)
        if processed is not None:
            lead.show(p, processed)

    def _selected(self, lead: Lead, cast: Cast, p: Any, script: Any) -> Processed | None:
        """The selected script's run. Its failure is a warning; the pictures made so far stay, or a plain run follows."""
        stage, name = lead.stage, str(script.name)
        try:
            found = cast.run(p, *p.script_args)
        except Cancelled:
            raise
        except Exception as error:
            if stage.control.interrupted:
                return None
            if isinstance(error, Fault) and not stage.shown:
                raise
            log.warning("the script %s failed", name, exc_info=error)
            text = f"{type(error).__name__}: {error}"[:500]
            more = "the pictures it made so far are shown" if stage.shown else "the pictures were made without it"
            stage.warn(f"The script {name} failed, so {more}: {text}")
            if lead.ledger.fault(name, "run", text):
                stage.warn(f"The script {name} failed too often and is switched off until it is switched on again or its file changes.")
            return None
        return found

    def finish(
        self, device: str, image: Image.Image, asked: dict[str, Any], warn: Callable[[str], None]
    ) -> tuple[Image.Image, dict[str, str], list[Image.Image]]:
        """See `modules.processing.stage.House`."""
        troupe = self._at_work(device)
        names = {str(script.name).casefold() for script in troupe.finishing.scripts}
        for name in asked:
            if str(name).casefold() not in names:
                warn(f"The post-processing script {name} is not here any more or is switched off.")
        pp = PostprocessedImage(image)

        def guard(name: str, work: Callable[[], None]) -> None:
            try:
                work()
            except Cancelled:
                raise
            except Exception as error:
                log.warning("the post-processing script %s failed", name, exc_info=error)
                warn(f"The post-processing script {name} failed and was passed over: {type(error).__name__}: {error}"[:500])

        troupe.finishing.run(pp, {str(name): given for name, given in asked.items() if isinstance(given, dict)}, guard)
        more = [one.image if isinstance(one, PostprocessedImage) else one for one in pp.extra_images]
        return pp.image, {str(key): str(value) for key, value in pp.info.items() if value is not None}, more

    # ---- scripts ----------------------------------------------------------------------------------------------------

    def _at_work(self, device: str) -> Troupe:
        """The scripts, loaded anew when another set of them is switched on."""
        settings = SettingsStore(self._folders.config_file).current
        known = switched_on(self._folders, settings, self._flags)
        if self._troupe is None or known != self._known:
            self._troupe, self._known, self._casts = self._load(settings, device), known, {}
        return self._troupe

    def _load(self, settings: Settings, device: str) -> Troupe:
        ways = Ways(
            settings=lambda: self._lead.stage.resolved.settings if self._lead else settings.to_data(),
            process_images=lambda p: self._now().process_images(p),
            process_many=lambda ps: self._now().process_many(ps),
            save=self._save,
            upscale=self._upscale,
            model=lambda: self._lead.stage.model() if self._lead else None,
            checkpoints=self._checkpoints,
            rows=self._rows,
            restore=self._restore,
            text_of=lambda p, index: self._now().text_of(p, index),
            name_of=lambda p, pattern, image: self._now().name_of(p, pattern, image),
            extensions=lambda: extensions(self._folders, settings, self._flags),
            worker=True,
            device=lambda: device,
        )
        troupe = Troupe.load(self._folders, settings, self._flags, ways, SketchModule("gradio"))
        troupe.tell("before_ui", reverse=True)
        return troupe

    def _cast(self, troupe: Troupe, task: str) -> Cast:
        for tab in TABS:
            if tab not in self._casts:
                self._casts[tab] = troupe.cast(tab)
        view = troupe.views.offer("modules.scripts")
        cast = self._casts[task]
        for script in list(cast.scripts):
            if troupe.ledger.off(str(script.name)):
                cast.drop(script)
        for name, value in (
            ("scripts_txt2img", self._casts["txt2img"]),
            ("scripts_img2img", self._casts["img2img"]),
            ("scripts_current", cast),
        ):
            setattr(view, name, value)
        return cast

    def _now(self) -> Lead:
        if self._lead is None:
            raise RuntimeError("pictures can be made while a job runs, not when a script is loaded")
        return self._lead

    def _save(self, image: Image.Image, p: Any, text: str | None, grid: bool) -> str:
        return self._now().keep(image, p, text=text, grid=grid).path

    def _upscale(self, image: Image.Image, factor: float, name: str) -> Image.Image:
        stage = self._now().stage
        return upscale(image, stage.upscaling(stage.resolved.settings), factor=factor, name=name).image

    def _restore(self, image: Image.Image, name: str, weight: float) -> Image.Image:
        """With its faces restored; as it is when there are none."""
        return self._now().stage.restored(image, name, weight)

    def _checkpoints(self) -> list[Any]:
        return self._asked(lambda library: library.checkpoints())

    def _rows(self, kind: str) -> list[Any]:
        return self._asked(lambda library: library.sure_rows(kind))

    def _asked(self, what: Callable[[Library], Iterable[Any]]) -> list[Any]:
        library = Library(self._folders)
        try:
            return list(what(library))
        finally:
            library.close()


def new_like(p: Any, lead: Lead, cast: Cast) -> Any:
    """p as it was before a selected script had it."""
    fresh = new_p(lead, cast, KINDS)
    fresh.script_args = p.script_args
    return fresh


def _opened(args: tuple[Any, ...], stage: Stage) -> list[Any]:
    """Arguments with their pictures opened."""
    return [stage.inputs.open(a[PICTURE], "script_args") if isinstance(a, dict) and PICTURE in a else a for a in args]


def _settle(lead: Lead, result: Result) -> list[dict[str, Any]]:
    """Tell native guests that the job is over; one trace of all that happened."""
    if lead.natives:
        lead.hooks(lead.natives).tell("job_done", result)
    rows: dict[tuple[str, str], dict[str, Any]] = {}
    for hooks in lead.opened:
        for row in hooks.close(result.seconds.get("total", 0.0)):
            if row["guest"] == Params.name:
                continue
            known = rows.setdefault((row["guest"], row["hook"]), {**row, "calls": 0, "seconds": 0.0, "changed": [], "faults": []})
            known["calls"] += row["calls"]
            known["seconds"] = round(known["seconds"] + row["seconds"], 4)
            for name in ("changed", "faults"):
                known[name] += [one for one in row[name] if one not in known[name]]
    lead.ledger.settle({guest for guest, _ in rows} | set(lead.args))
    return list(rows.values())


def build(folders: Folders, flags: dict[str, Any], device_index: int, saver: Saver | None = None) -> PictureRunner:
    """The runner of the worker process, with a house for scripts. saver: see `PictureRunner`. Raises Fault when no device works."""
    return PictureRunner(folders, flags, device_index, ScriptHouse(folders, flags), {GRID: run_grid}, saver)
