"""What scripts do to the page besides their own controls: tabs, words about every control, routes once the server is up.

Source: the callbacks of A1111 1.10. Start reading at `ScriptPage`.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from typing import Any

import gradio as gr
from gradio.blocks import Block, BlockContext, Blocks
from gradio.context import get_render_context, set_render_context
from starlette.routing import Mount

from modules.app import App
from modules.compat.callbacks import Callback
from modules.compat.cast import Cast
from modules.compat.gradio_old import OldGradio
from modules.compat.troupe import Troupe
from modules.web.messages import fault_box

log = logging.getLogger(__name__)


class ScriptPage:
    """The scripts of one page, loaded with Gradio for it. Made before the page's own Blocks; tabs: (their Blocks, title, elem_id)."""

    def __init__(self, app: App) -> None:
        self.troupe: Troupe | None = app.scripts.load(OldGradio()) if app.scripts is not None else None
        self.tabs: list[tuple[Blocks, str, str]] = []
        self._app = app
        self._blocks: Blocks | None = None
        self._told = -1
        self._asked: list[Callback] = []
        if self.troupe is not None:
            self.troupe.tell("before_ui", reverse=True)
            self._ask_for_tabs()

    def begin(self, blocks: Blocks) -> None:
        """The page's own Blocks, to be filled now."""
        self._blocks = blocks

    def announce(self, cast: Cast | None = None) -> None:
        """Tell scripts about every component that came since the last time. cast: of the tab that is being built."""
        if self.troupe is None or self._blocks is None:
            return
        fresh = [block for number, block in list(self._blocks.blocks.items()) if number > self._told]
        self._told = max([self._told, *self._blocks.blocks])
        for block in fresh:
            self.troupe.announce(cast, _with_place(block))
        self._told = max([self._told, *self._blocks.blocks])  # what scripts put there themselves is not told

    def _ask_for_tabs(self) -> None:
        """Of the functions that were registered since the last time. Of several tabs with one id the first counts, as scripts are made
        once for txt2img and once for img2img.
        """
        rows = [row for row in self.troupe.views.callbacks.of("ui_tabs") if row not in self._asked] if self.troupe is not None else []
        self._asked += rows
        for row in rows:
            known = {elem_id for _, _, elem_id in self.tabs}
            self.tabs += [tab for tab in _tabs_of(self.troupe and self.troupe.call(row)) if tab[2] not in known]

    def _ask_later(self) -> None:
        """The same inside the page: a tab's own Blocks must not become a part of the page's while it is filled."""
        inner = get_render_context()
        set_render_context(None)
        try:
            self._ask_for_tabs()
        finally:
            if self._blocks is not None:
                self._blocks.__enter__()  # what is made from here on belongs to the page again
            set_render_context(inner)

    def place_tabs(self) -> None:
        """Here, inside the page's tabs. Scripts may register theirs when they are made, which they are by now."""
        self._ask_later()
        for blocks, title, elem_id in self.tabs:
            with gr.Tab(title, id=elem_id, elem_id=f"tab_{elem_id}"):
                try:
                    blocks.render()
                except Exception as error:
                    log.exception("The tab %s of an extension cannot be shown", title)
                    why = f"{type(error).__name__}: {error}. Ask its author, or switch the extension off on the Extensions tab."
                    gr.HTML(fault_box({"message": f"The extension's tab cannot be shown: {why}"}))

    def started(self, api: Any) -> None:
        """The server is up. Routes that extensions add are put before the page, which takes every address that is left."""
        if self.troupe is None or api is None:
            return
        self.troupe.tell("app_started", self._blocks, api)
        routes = api.router.routes
        last = [route for route in routes if isinstance(route, Mount) and not route.path]
        routes[:] = [*(route for route in routes if route not in last), *last]
        if self._app.scripts is not None:
            self._app.scripts.learn(self.troupe)


def _with_place(block: Block) -> Iterator[tuple[Any, dict[str, Any]]]:
    """A component while its place is the one where new ones go, so that a script can put something beside it."""
    parent = block.parent
    outer = get_render_context()
    count = len(parent.children) if isinstance(parent, BlockContext) else 0
    try:
        if isinstance(parent, BlockContext):
            set_render_context(parent)
        yield block, {**getattr(block, "constructor_args", {}), "elem_id": getattr(block, "elem_id", None)}
    finally:
        set_render_context(outer)
    if isinstance(parent, BlockContext) and len(parent.children) > count:
        added = parent.children[count:]
        rest = parent.children[:count]
        place = rest.index(block) + 1 if block in rest else count
        parent.children = [*rest[:place], *added, *rest[place:]]


def _tabs_of(found: Any) -> list[tuple[Blocks, str, str]]:
    """What a function of on_ui_tabs gave, as far as it is tabs."""
    rows = [row for row in found if isinstance(row, list | tuple) and len(row) > 2] if isinstance(found, list | tuple) else []
    return [(row[0], str(row[1]), str(row[2])) for row in rows if isinstance(row[0], Blocks)]
