"""The Queue tab: what runs, what waits and in which order, what has ended, whoever asked for it.

The list is drawn by the page's script from /internal/queue, a part at a time. Knows the frame of the tab and nothing of what is in it.
Start reading at `build`.
"""

from __future__ import annotations

import gradio as gr

# What the finished part can be narrowed to: value -> words.
SHOWN = (("", "All"), ("done", "Done"), ("failed", "Failed"), ("canceled", "Cancelled"))
LANES = (("device", "Waiting"), ("files", "Waiting: work on model files"), ("train", "Waiting: training"))

_CHIP = '<button type="button" data-do="board-show" data-show="{value}" aria-pressed="false"><span>{words}</span> <b>0</b></button>'
_WAITING = """
  <section class="dr-board-part" data-part="waiting-{lane}" aria-labelledby="dr_board_{lane}" hidden>
    <h2 id="dr_board_{lane}">{words} <b></b></h2>
    <ol class="dr-board-list" data-lane="{lane}"></ol>
    <button type="button" class="dr-button dr-board-more" data-do="board-more" data-part="waiting" hidden>Show more</button>
  </section>"""

FRAME = f"""
<div id="dr_board">
  <div class="dr-board-bar">
    <button type="button" class="dr-button" data-do="board-pause">Pause the queue</button>
    <span class="dr-board-state dr-quiet" role="status"></span>
  </div>
  <div id="queue_message"></div>
  <div class="dr-board-paused dr-box dr-warning" hidden><strong>The queue is paused</strong>
    <p>What runs goes on to its end; nothing new begins until you resume, also after a restart.</p></div>
  <p class="dr-board-said" aria-live="polite"></p>
  <section class="dr-board-part" data-part="running" aria-labelledby="dr_board_running" hidden>
    <h2 id="dr_board_running">Running</h2>
    <ul class="dr-board-list"></ul>
  </section>
  {"".join(_WAITING.format(lane=lane, words=words) for lane, words in LANES)}
  <section class="dr-board-part" data-part="past" aria-labelledby="dr_board_past" hidden>
    <div class="dr-board-bar"><h2 id="dr_board_past">Finished</h2>
      <button type="button" class="dr-button" data-do="board-clear" aria-expanded="false">Clear finished</button></div>
    <div class="dr-chips" role="group" aria-label="Which of them">{"".join(_CHIP.format(value=v, words=w) for v, w in SHOWN)}</div>
    <ul class="dr-board-list"></ul>
    <p class="dr-board-nothing dr-quiet" hidden></p>
    <button type="button" class="dr-button dr-board-more" data-do="board-more" data-part="past" hidden>Show more</button>
  </section>
  <div class="dr-board-none" hidden>
    <p>Nothing runs and nothing waits</p>
    <p class="dr-quiet">Press Generate as often as you like: every wish waits here in line, and the line survives a reload, a closed browser
      and a restart. Here you change the order, hold a job back, or run an earlier one again.</p>
    <p><button type="button" class="dr-button dr-main" data-do="go-txt2img">Make a picture</button></p>
    <dl>
      <dt>From a program</dt><dd><code>POST /sdapi/v1/txt2img</code>, as A1111's clients send it (<a href="docs" target="_blank"
        rel="noopener">API</a>)</dd>
      <dt>From the command line</dt><dd><code>python launch.py txt2img "a red apple, 3d"</code></dd>
    </dl>
  </div>
</div>
"""


def build() -> None:
    """Place the frame that the page's script fills."""
    gr.HTML(FRAME, apply_default_css=False, elem_id="queue_frame")
