"""The Extensions tab: what is installed, how well it fits, what it did, installing, updates, options, the page's language.

The lists are drawn by the page's script from /internal/extensions. Knows the frame of the tab and nothing of what is in it.
Start reading at `build`.
"""

from __future__ import annotations

import gradio as gr

# Values of the setting disable_all_extensions -> words.
ALL = (("none", "Use all extensions"), ("extra", "Use those that came with the program"), ("all", "Use none"))

_OPTIONS = "".join(f'<option value="{value}">{words}</option>' for value, words in ALL)

FRAME = f"""
<div id="dr_ext">
  <div id="extensions_message"></div>
  <div class="dr-ext-bar">
    <button type="button" class="dr-button dr-main" id="dr_ext_restart" data-do="ext-restart">Apply and restart</button>
    <button type="button" class="dr-button" data-do="ext-check">Check for updates</button>
    <label>Extensions <select id="dr_ext_all" aria-label="Which extensions are used">{_OPTIONS}</select></label>
    <label>Language <select id="dr_ext_language" aria-label="Language of the page"></select></label>
    <button type="button" class="dr-button" data-do="ext-template"
      title="Every text of the page, to be translated">Download localization template</button>
  </div>
  <p class="dr-ext-said dr-quiet" role="status" aria-live="polite"></p>
  <div class="dr-ext-errand dr-box" hidden><strong></strong><pre></pre></div>
  <section aria-labelledby="dr_ext_installed">
    <h2 id="dr_ext_installed">Installed</h2>
    <ul class="dr-ext-list" data-part="extensions"></ul>
    <p class="dr-ext-none dr-quiet" hidden>There are no extensions yet.</p>
  </section>
  <section aria-labelledby="dr_ext_install">
    <h2 id="dr_ext_install">Install</h2>
    <form class="dr-ext-form" id="dr_ext_form">
      <label>From <input type="text" id="dr_ext_source" autocomplete="off" spellcheck="false"
        placeholder="https address of a repository or .zip, or a folder or .zip on this machine"></label>
      <label>Branch <input type="text" id="dr_ext_branch" autocomplete="off" spellcheck="false" placeholder="the usual one"></label>
      <button type="submit" class="dr-button">Install</button>
    </form>
    <p class="dr-quiet">An extension is a program: it can do on this machine whatever you can. Install what you trust.</p>
    <p class="dr-ext-why dr-box dr-warning" hidden></p>
  </section>
  <section aria-labelledby="dr_ext_scripts">
    <h2 id="dr_ext_scripts">Scripts</h2>
    <ul class="dr-ext-list" data-part="scripts"></ul>
  </section>
  <section class="dr-ext-bin" aria-labelledby="dr_ext_bin" hidden>
    <h2 id="dr_ext_bin">Removed</h2>
    <ul class="dr-ext-list" data-part="bin"></ul>
  </section>
</div>
"""


def build() -> None:
    """Place the frame that the page's script fills."""
    gr.HTML(FRAME, apply_default_css=False, elem_id="extensions_frame")
