"""The Cluster tab, of a program that was started with --cluster: machines, their workers, what each does and holds, which were lost.

The page's script (cluster.js) draws it from /internal/system/cluster while somebody looks. Knows the frame alone. Start reading at `build`.
"""

from __future__ import annotations

import gradio as gr

FRAME = """
<div id="dr_cluster">
  <p class="dr-quiet" role="status"></p>
  <div class="dr-sys-grid"></div>
</div>
"""


def build() -> None:
    """Place the frame that the page's script fills."""
    gr.HTML(FRAME, apply_default_css=False, elem_id="cluster_frame")
