"""`modules.scripts_postprocessing`: scripts that work on finished pictures in Extras, and who runs them. Plain; no torch.

Start reading at `PostprocessRunner`. Source: the names and order of A1111 1.10.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modules.compat.sketch import as_argument, default_of

log = logging.getLogger(__name__)


@dataclass
class SharedInfo:
    """What scripts agree on before pictures are made: the size that results will have."""

    target_width: int | None = None
    target_height: int | None = None


class PostprocessedImage:
    """A picture on its way. info: pairs of the parameters text; extra_images: more pictures to be saved; nametags: for file names."""

    def __init__(self, image: Any) -> None:
        self.image = image
        self.info: dict[str, Any] = {}
        self.shared = SharedInfo()
        self.extra_images: list[Any] = []
        self.nametags: list[str] = []
        self.disable_processing = False
        self.caption: str | None = None

    def get_suffix(self, used_suffixes: Any = None) -> str:
        tags = "".join(f"-{tag}" for tag in self.nametags)
        return tags

    def create_copy(self, new_image: Any, *, nametags: Any = None, disable_processing: bool = False) -> PostprocessedImage:
        """Another picture made from this one."""
        made = PostprocessedImage(new_image)
        made.shared, made.info = self.shared, dict(self.info)
        made.nametags = [*self.nametags, *(nametags or [])]
        made.disable_processing = disable_processing
        return made


class ScriptPostprocessing:
    """What scripts inherit from. ui() gives a dict: name of an argument of `process` -> control."""

    filename: str | None = None
    controls: dict[str, Any] | None = None
    args_from: int | None = None
    args_to: int | None = None
    group: Any = None
    order = 1000
    name: str | None = None

    def ui(self) -> Any: ...

    def process(self, pp: PostprocessedImage, **args: Any) -> None: ...

    def process_firstpass(self, pp: PostprocessedImage, **args: Any) -> None: ...

    def image_changed(self) -> None: ...


def create_auto_ui_component(control: Any, *_: Any) -> Any:
    """A control by its name, as A1111 makes them for such scripts."""
    return control


@dataclass(kw_only=True)
class PostprocessRunner:
    """The post-processing scripts of one process, in their order. problems: what failed while controls were built, by file."""

    scripts: list[ScriptPostprocessing] = field(default_factory=list[ScriptPostprocessing])
    problems: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(cls, kinds: list[tuple[type[ScriptPostprocessing], Path]]) -> PostprocessRunner:
        runner = cls()
        for kind, path in kinds:
            try:
                script = kind()
                script.filename = str(path)
                controls = script.ui()
                script.controls = dict(controls) if controls else {}
                runner.scripts.append(script)
            except Exception as error:
                log.warning("the post-processing script %s cannot be shown", path, exc_info=error)
                runner.problems[str(path)] = f"{type(error).__name__}: {error}"
        runner.scripts.sort(key=lambda one: (one.order, str(one.name)))
        return runner

    @property
    def scripts_in_preferred_order(self) -> list[ScriptPostprocessing]:
        return self.scripts

    def values(self, script: ScriptPostprocessing, given: Mapping[str, Any]) -> dict[str, Any]:
        """Its arguments: what was given, else what its controls begin with."""
        controls = script.controls or {}
        return {name: as_argument(control, given[name]) if name in given else default_of(control) for name, control in controls.items()}

    def run(self, pp: PostprocessedImage, asked: Mapping[str, Mapping[str, Any]], guard: Callable[[str, Callable[[], None]], None]) -> None:
        """All scripts on one picture. asked: name of a script, any case -> its values; guard(name, work) keeps faults away."""
        values = {str(name).casefold(): given for name, given in asked.items()}
        rows = [(one, self.values(one, values.get(str(one.name).casefold(), {}))) for one in self.scripts]
        for script, args in rows:
            guard(str(script.name), lambda s=script, a=args: s.process_firstpass(pp, **a))
        for script, args in rows:
            for one in [pp, *pp.extra_images]:
                if isinstance(one, PostprocessedImage) and not one.disable_processing:
                    guard(str(script.name), lambda s=script, a=args, one=one: s.process(one, **a))
