"""The History tab: every picture that was made, searched, compared, sent to other tabs, put into the bin.

The list is drawn by the page's script from /internal/history, so that twenty thousand pictures cost nothing here. Knows the frame of the
tab and nothing of what is in it. Start reading at `build`.
"""

from __future__ import annotations

import gradio as gr

# The longer side in pixels, "least-most" -> words.
SIZES = (
    ("", "Any size"), ("-512", "Up to 512 px"), ("513-1024", "513 to 1024 px"), ("1025-2048", "1025 to 2048 px"),
    ("2049-", "Above 2048 px"),
)  # fmt: skip

FRAME = f"""
<div id="dr_history" data-view="list">
  <div class="dr-history-bar dr-models-bar">
    <input type="search" id="dr_history_search" placeholder="Search prompts and models" aria-label="Search pictures" autocomplete="off"
      title='Words, &quot;quoted phrases&quot;, -without, negative:word, model:name, name:file, seed:123'>
    <button type="button" class="dr-button" data-do="history-filters" aria-expanded="false" aria-controls="dr_history_filters">
      Filters
    </button>
    <button type="button" class="dr-button" data-do="history-bin">Bin</button>
    <span class="dr-models-state dr-quiet" role="status"></span>
  </div>
  <div id="dr_history_filters" hidden>
    <label>Model <select name="model"><option value="">Any model</option></select></label>
    <label>Sampler <select name="sampler"><option value="">Any sampler</option></select></label>
    <label>Longer side <select name="size">{"".join(f'<option value="{value}">{words}</option>' for value, words in SIZES)}</select></label>
    <label>From <input type="date" name="since"></label>
    <label>To <input type="date" name="until"></label>
    <label>Order <select name="sort"><option value="newest">Newest first</option></select></label>
    <button type="button" class="dr-button" data-do="history-clear">Clear filters</button>
    <button type="button" class="dr-button" data-do="history-refresh" title="Look at every output folder and file again">Refresh</button>
    <button type="button" class="dr-button" data-do="history-rebuild" title="Forget the list and read every file again; marks stay">
      Rebuild index
    </button>
  </div>
  <div class="dr-chips" role="group" aria-label="Kinds"></div>
  <div class="dr-history-chosen" role="group" aria-label="Chosen pictures" hidden></div>
  <div class="dr-history-message" aria-live="polite"></div>
  <div class="dr-models-body">
    <div class="dr-models-list">
      <div class="dr-history-list" role="listbox" aria-multiselectable="true" aria-label="Pictures"></div>
      <div class="dr-history-none" hidden></div>
    </div>
    <aside class="dr-model-panel dr-history-panel" aria-label="About the picture" tabindex="-1" hidden></aside>
  </div>
  <div class="dr-history-other" hidden></div>
</div>
"""


def build() -> None:
    """Place the frame that the page's script fills."""
    gr.HTML(FRAME, apply_default_css=False, elem_id="history_frame")
