"""The Train tab: sessions of pictures from which a LoRA, a model, a word or a captioner is trained.

Nearly all of it is drawn by the page's scripts (train.js and those it names) from /api/v2/train, so that it costs the first load nothing.
Knows the frame of the tab and nothing of what is in it. Start reading at `build`.
"""

from __future__ import annotations

import gradio as gr

FRAME = """
<div id="dr_train">
  <div id="train_message"></div>
  <div class="dr-train-body"></div>
</div>
"""


def build() -> None:
    """Place the frame that the page's scripts fill."""
    gr.HTML(FRAME, apply_default_css=False, elem_id="train_frame")
