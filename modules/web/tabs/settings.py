"""The Settings tab: every setting with its declaration, styles, defaults of the forms, older versions, and taking over other programs.

All of it is drawn by the page's scripts (settings.js and those it names) from /internal/settings, so that it costs the first load nothing.
Knows the frame of the tab and nothing of what is in it. Start reading at `build`.
"""

from __future__ import annotations

import gradio as gr

FRAME = """
<div id="dr_settings">
  <div id="settings_message"></div>
  <div class="dr-set-bar">
    <input type="search" id="dr_set_search" placeholder="Search all settings" aria-label="Search all settings" autocomplete="off"
      spellcheck="false">
    <label><input type="checkbox" id="dr_set_changed"> Changed only</label>
    <select id="dr_set_where" aria-label="Page of the settings"></select>
    <span class="dr-set-said dr-quiet" role="status" aria-live="polite"></span>
  </div>
  <div class="dr-set-waiting dr-box dr-warning" hidden></div>
  <div class="dr-set-body">
    <nav class="dr-set-pages" aria-label="Pages of the settings"></nav>
    <div class="dr-set-page"></div>
  </div>
</div>
"""


def build() -> None:
    """Place the frame that the page's scripts fill."""
    gr.HTML(FRAME, apply_default_css=False, elem_id="settings_frame")
