"""The scripts of one tab as A1111's `ScriptRunner` knows them: instances, their titles, and which slice of the values is whose.

Made in both processes; in the worker with sketched controls, on the page with real ones. Start reading at `Cast.of`.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from modules.compat.face import AlwaysVisible, Script, overrides
from modules.compat.sketch import default_of
from modules.faults import Cancelled
from modules.request import Use

log = logging.getLogger(__name__)
TABS = ("txt2img", "img2img")


@dataclass(frozen=True, kw_only=True)
class Class_:
    """A script class and its file."""

    kind: type[Script]
    path: Path
    basedir: Path


class Calls:
    """The runner's own methods: a hook of every always-on script, in order. One that raises is passed over."""

    alwayson_scripts: list[Script]

    def _call(self, hook: str, p: Any, given: tuple[Any, ...], named: Mapping[str, Any]) -> None:
        for script in [script for script in self.alwayson_scripts if overrides(script, hook)]:
            try:
                getattr(script, hook)(p, *given, *p.script_args[script.args_from : script.args_to], **named)
            except Cancelled:
                raise
            except Exception as error:
                log.warning("the script %s failed in %s", script.name, hook, exc_info=error)

    def postprocess_batch(self, p: Any, images: Any, **named: Any) -> None:
        self._call("postprocess_batch", p, (), {"images": images, **named})


def _calling(hook: str) -> Callable[..., None]:
    def call(self: Calls, p: Any, *given: Any, **named: Any) -> None:
        self._call(hook, p, given, named)  # pyright: ignore[reportPrivateUsage] - a method of that class

    return call


HOOKS = (
    "before_process", "process", "before_process_batch", "after_extra_networks_activate", "process_batch", "process_before_every_sampling",
    "before_hr", "post_sample", "on_mask_blend", "postprocess_batch_list", "postprocess_image", "postprocess_maskoverlay",
    "postprocess_image_after_composite", "postprocess",
)  # fmt: skip
for _hook in HOOKS:
    setattr(Calls, _hook, _calling(_hook))


@dataclass(kw_only=True)
class Cast(Calls):
    """The runner. scripts: all of the tab, in order; inputs: their controls, one after another, the dropdown's place first."""

    tab: str
    scripts: list[Script] = field(default_factory=list[Script])
    selectable_scripts: list[Script] = field(default_factory=list[Script])
    alwayson_scripts: list[Script] = field(default_factory=list[Script])
    inputs: list[Any] = field(default_factory=lambda: [None])
    infotext_fields: list[Any] = field(default_factory=list[Any])
    paste_field_names: list[str] = field(default_factory=list[str])
    problems: dict[str, str] = field(default_factory=dict[str, str])

    @classmethod
    def of(
        cls,
        tab: str,
        classes: Iterable[Class_],
        around: Callable[[Script], Any] | None = None,
        ready: Callable[[Cast], None] = lambda cast: None,
    ) -> Cast:
        """Fresh instances of the scripts that show themselves on this tab, with their controls built.

        around(script): a context in which its controls are placed; ready(cast): called when the instances are there and no control is.
        What fails is left out and stands in `problems`, by file.
        """
        cast, is_img2img = cls(tab=tab), tab == "img2img"
        for one in classes:
            try:
                script = one.kind()
                script.filename, script.tabname = str(one.path), tab
                script.is_txt2img, script.is_img2img = not is_img2img, is_img2img
                shown = script.show(is_img2img)
                if not shown:
                    continue
                script.alwayson = shown == AlwaysVisible
                script.name = str(script.title()).lower()
                cast.scripts.append(script)
                (cast.alwayson_scripts if script.alwayson else cast.selectable_scripts).append(script)
            except Exception as error:
                log.warning("the script %s cannot be shown", one.path, exc_info=error)
                cast._note(one.path, error)
        ready(cast)
        for script in [*cast.alwayson_scripts, *cast.selectable_scripts]:
            cast._build(script, is_img2img, around)
        return cast

    def _note(self, path: Any, error: Exception) -> None:
        text, known = f"{type(error).__name__}: {error}", self.problems.get(str(path))
        self.problems[str(path)] = f"{known}; {text}" if known else text

    def _build(self, script: Script, is_img2img: bool, around: Callable[[Script], Any] | None) -> None:
        script.args_from = script.args_to = len(self.inputs)
        try:
            if around is None:
                controls = script.ui(is_img2img)
            else:
                with around(script):
                    controls = (script.page_ui or script.ui)(is_img2img)
        except Exception as error:
            log.warning("the controls of %s cannot be made", script.filename, exc_info=error)
            self._note(script.filename, error)
            controls = None
            self.drop(script)
        script.controls = None if controls is None else list(controls)
        self.inputs += script.controls or []
        script.args_to = len(self.inputs)
        if script.infotext_fields:
            self.infotext_fields += list(script.infotext_fields)
        if script.paste_field_names:
            self.paste_field_names += list(script.paste_field_names)

    @property
    def callback_map(self) -> dict[str, list[Script]]:
        """Name of a hook -> the scripts that have it, in order."""
        hooks = [name for name in vars(Script) if not name.startswith("_") and callable(getattr(Script, name))]
        found = {name: [script for script in self.alwayson_scripts if overrides(script, name)] for name in hooks}
        return {name: scripts for name, scripts in found.items() if scripts}

    def reload_sources(self, cache: Any = None) -> None:
        """A1111 reads changed files again for its API; here the program does so itself, at its start."""

    def drop(self, script: Script) -> None:
        """Without it from now on; the values of others stay where they are."""
        for rows in (self.scripts, self.selectable_scripts, self.alwayson_scripts):
            if script in rows:
                rows.remove(script)

    @property
    def titles(self) -> list[str]:
        return [str(script.title()) for script in self.selectable_scripts]

    @property
    def title_map(self) -> dict[str, Script]:
        return {str(script.name): script for script in self.scripts}

    def script(self, title: str) -> Script | None:
        """The script of that title, any case."""
        return self.title_map.get(title.lower())

    def defaults_of(self, script: Script) -> list[Any]:
        """What the script receives when nobody touches its controls."""
        return [default_of(control) for control in script.controls or []]

    def values(self, uses: Iterable[Use]) -> list[Any]:
        """The flat vector of all values; first the place of the selected script, from 1, 0 for none."""
        found: list[Any] = [0, *[None] * (len(self.inputs) - 1)]
        for script in [*self.alwayson_scripts, *self.selectable_scripts]:
            found[script.args_from : script.args_to] = self.defaults_of(script)
        for use in uses:
            script = self.title_map.get(use.name)
            if script is None or script.args_from is None or script.args_to is None:
                continue
            found[script.args_from : script.args_from + len(use.args)] = use.args[: script.args_to - script.args_from]
            if use.selected and script in self.selectable_scripts:
                found[0] = self.selectable_scripts.index(script) + 1
        return found

    def set_named_arg(self, args: list[Any], script_name: str, arg_elem_id: str, value: Any, fuzzy: bool = False) -> None:
        """Set the value of a script's control, named by the end of its id."""
        script = self.script(script_name)
        for n, control in enumerate((script.controls if script else None) or []):
            own = str(getattr(control, "elem_id", "") or "")
            if script is not None and script.args_from is not None and (own == arg_elem_id or (fuzzy and own.endswith(arg_elem_id))):
                args[script.args_from + n] = value

    def run(self, p: Any, *args: Any) -> Any:
        """The selected script's `run`; None without one."""
        place = int(args[0] or 0) if args else 0
        if not 0 < place <= len(self.selectable_scripts):
            return None
        script = self.selectable_scripts[place - 1]
        return script.run(p, *args[script.args_from : script.args_to])

    def setup_scrips(self, p: Any, *, is_ui: bool = True) -> None:
        """A1111's spelling."""
        for script in self.alwayson_scripts:
            if is_ui or not script.setup_for_ui_only:
                script.setup(p, *p.script_args[script.args_from : script.args_to])
