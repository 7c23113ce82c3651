"""All guests of one process: their files executed, script classes and native guests collected, and how well each fits (grade A, B, C).

Start reading at `Troupe.load`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

from modules.compat import stand_in
from modules.compat.announcing import announce, sketched, wanted
from modules.compat.callbacks import NOT_CALLED as IDLE_CALLBACKS
from modules.compat.callbacks import Callback
from modules.compat.cast import Cast, Class_
from modules.compat.face import NOT_CALLED, Script, ScriptClassData, scripts_in
from modules.compat.loading import Loader
from modules.compat.postprocessing import PostprocessRunner, ScriptPostprocessing
from modules.compat.views import Views, Ways
from modules.folders import Folders
from modules.hooks import Guest
from modules.plugins import FaultLedger, Source, find
from modules.settings import Settings

log = logging.getLogger(__name__)


@dataclass(kw_only=True)
class Grade:
    """How a file fits: A works, B works with limits, C is refused; reasons in words."""

    file: str
    extension: str
    grade: str = "A"
    reasons: list[str] = field(default_factory=list[str])

    def less(self, grade: str, reason: str) -> None:
        """Down to that grade, unless it is lower already."""
        self.grade = max(self.grade, grade)
        if reason not in self.reasons:
            self.reasons.append(reason)

    def to_data(self) -> dict[str, Any]:
        return {"file": self.file, "extension": self.extension, "grade": self.grade, "reasons": list(self.reasons)}


@dataclass(kw_only=True)
class Troupe:
    """classes: in load order; natives: guests of our own kind; grades: by path; notices: about files and their order.

    homes: guest -> the path of its file; options: key -> the path of the file that added it; paths: of the files, by name.
    """

    views: Views
    loader: Loader
    ledger: FaultLedger
    classes: list[Class_] = field(default_factory=list[Class_])
    natives: list[Guest] = field(default_factory=list[Guest])
    grades: dict[str, Grade] = field(default_factory=dict[str, Grade])
    notices: list[str] = field(default_factory=list[str])
    homes: dict[str, str] = field(default_factory=dict[str, str])
    options: dict[str, str] = field(default_factory=dict[str, str])
    paths: dict[str, str] = field(default_factory=dict[str, str])
    asked: list[Callback] = field(default_factory=list[Callback])
    told: set[str] = field(default_factory=set[str])
    finishers: list[tuple[type[ScriptPostprocessing], Path]] = field(default_factory=list[tuple[type[ScriptPostprocessing], Path]])
    finishing: PostprocessRunner = field(default_factory=PostprocessRunner)

    @classmethod
    def load(cls, folders: Folders, settings: Settings, flags: Mapping[str, Any], ways: Ways, gradio: ModuleType) -> Troupe:
        """Every script that is switched on, executed once. A file that fails is grade C and stops nobody."""
        sources, notices = find(folders, settings, flags)
        views = Views(folders, flags, ways, gradio)
        instead = frozenset[str]() if ways.worker else stand_in.HEAVY
        loader = Loader(sources, views.offer, gradio, instead=instead)
        troupe = cls(views=views, loader=loader, ledger=FaultLedger(folders), notices=notices)
        for source in sources:
            troupe._load(source, ways)
        troupe._finish()
        troupe._add_options()
        return troupe

    def _add_options(self) -> None:
        """The options of scripts that registered some since the last time: some do when they are loaded, some when they are made."""
        rows, labels = self.views.callbacks.of("ui_settings"), self.views.opts.data_labels
        for row in [row for row in rows if row not in self.asked]:
            self.asked.append(row)
            known = set(labels)
            self.call(row)
            path = self.paths.get(row.file, "")
            self.options |= {key: path for key in labels if key not in known}

    def _finish(self) -> None:
        """The scripts of Extras, with their controls built."""
        self.finishing = PostprocessRunner.of(self.finishers)
        for path, problem in self.finishing.problems.items():
            self.grades[path].less("C", problem)
        self.views.offered("modules.scripts").scripts_postproc = self.finishing

    def limits(self) -> None:
        """What scripts asked for in vain so far, written into their grades."""
        for file, said in self.views.limits.items():
            homes = (path for path in self.grades if path == file or Path(file).is_relative_to(Path(path).parent.parent))
            path = file if file in self.grades else next(homes, "")
            for text in said if path else ():
                self.grades[path].less("B", text)

    def tell(self, kind: str, *args: Any, reverse: bool = False) -> list[Any]:
        """What the functions registered for that kind give back, Nones left out. One that fails is grade B and stops nobody.

        Those for "before_ui" are called once, whoever tells them first.
        """
        if kind == "before_ui" and kind in self.told:
            return []
        self.told.add(kind)
        rows = self.views.callbacks.of(kind)
        found = [self.call(row, *args) for row in (reversed(rows) if reverse else rows)]
        return [one for one in found if one is not None]

    def call(self, row: Callback, *args: Any) -> Any:
        """One registered function; None when it fails."""
        try:
            return row.call(*args)
        except Exception as error:
            log.warning("on_%s of %s", row.kind, row.file, exc_info=error)
            grade = self.grades.get(self.paths.get(row.file, ""))
            if grade is not None:
                grade.less("B", f"on_{row.kind} failed: {type(error).__name__}: {error}")
            return None

    def _load(self, source: Source, ways: Ways) -> None:
        grade = self.grades[str(source.path)] = Grade(file=source.path.name, extension=source.extension)
        self.paths.setdefault(source.module, str(source.path))
        self.homes.setdefault(source.module, str(source.path))
        self.views.basedir, self.views.callbacks.file = source.basedir, source.module
        try:
            module = self.loader.script(source)
            kinds, natives = scripts_in(module), _natives_in(module)
            self.finishers += [(kind, source.path) for kind in classes_in(module, ScriptPostprocessing)]
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            log.warning("the script %s cannot be loaded", source.path, exc_info=error)
            grade.less("C", f"{type(error).__name__}: {error}")
            return
        for kind in kinds:
            self.classes.append(Class_(kind=kind, path=source.path, basedir=source.basedir))
            ways.classes.append(ScriptClassData(kind, str(source.path), str(source.basedir), module))
            for method, why in NOT_CALLED.items():
                if getattr(kind, method) is not getattr(Script, method):
                    grade.less("B", f"{method} is not called: {why}")
        for row in self.views.callbacks.rows:
            if row.file == source.module and row.kind in IDLE_CALLBACKS:
                grade.less("B", f"on_{row.kind} is taken and not called")
        self._add_natives(natives, source, grade)

    def _add_natives(self, kinds: list[type[Guest]], source: Source, grade: Grade) -> None:
        for kind in kinds:
            guest = kind()
            if not guest.name or guest.name in {other.name for other in self.natives}:
                grade.less("C", f"{kind.__name__} needs a name of its own")
                continue
            self.natives.append(guest)
            self.homes[guest.name] = str(source.path)
            self.ledger.know(guest.name, source.path)

    def cast(self, tab: str, **how: Any) -> Cast:
        """Fresh instances for a tab; what failed is graded C, what is off for its faults is left out.

        how: as `Cast.of` takes it; without a page the scripts are told about sketches of the usual controls.
        """
        cast = Cast.of(tab, self.classes, **{"ready": lambda made: self.announce(made, sketched(tab)), **how})
        self._add_options()
        view = self.views.offered("modules.scripts")
        vars(getattr(view, f"scripts_{tab}")).update(vars(cast))
        setattr(view, f"scripts_{tab}", cast)
        for path, problem in cast.problems.items():
            self.grades[path].less("C", problem)
        for script in list(cast.scripts):
            self.homes[str(script.name)] = str(script.filename)
            self.ledger.know(str(script.name), Path(str(script.filename)))
            if off := self.ledger.off(str(script.name)):
                self.grades[str(script.filename)].less("C", f"switched off: {off}")
                cast.drop(script)
        return cast

    def announce(self, cast: Cast | None, components: Iterable[tuple[Any, Mapping[str, Any]]]) -> None:
        """Tell the scripts of a tab, and the functions registered for all, about components and what they were made with."""
        scripts, rows = (cast.scripts if cast is not None else []), self.views.callbacks.rows
        if wanted(scripts, rows):
            for component, about in components:
                announce(component, about, scripts, rows, self._failed)

    def _failed(self, who: Any, hook: str, error: Exception) -> None:
        path = self.paths.get(who.file, "") if isinstance(who, Callback) else str(who.filename)
        if path in self.grades:
            self.grades[path].less("B", f"{hook} failed: {type(error).__name__}: {error}")

    def natives_now(self) -> list[Guest]:
        """The native guests that are not off for their faults."""
        return [guest for guest in self.natives if not self.ledger.off(guest.name)]


def _natives_in(module: ModuleType) -> list[type[Guest]]:
    return classes_in(module, Guest)


def classes_in(module: ModuleType, base: type[Any]) -> list[type[Any]]:
    """The classes of that kind that a module defines itself."""
    found = [v for v in vars(module).values() if isinstance(v, type) and issubclass(v, base) and v is not base]
    return [kind for kind in dict.fromkeys(found) if kind.__module__ == module.__name__]
