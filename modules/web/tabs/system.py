"""The System tab: devices, memory over time, disk use, benchmark, what can compute, logs, versions, the report, and who is connected.

All of it is drawn by the page's scripts (system.js and those beside it) from /internal/system, so that it costs the first load nothing.
Knows the frame of the tab and nothing of what is in it. Start reading at `build`.
"""

from __future__ import annotations

import gradio as gr

SPANS = (("hour", "Last hour"), ("day", "Last day"))
LEVELS = (("info", "All lines"), ("warning", "Warnings and errors"), ("error", "Errors"))
COUNTS = (200, 500, 2000)

_CHIP = '<button type="button" data-do="system-span" data-span="{0}" aria-pressed="false">{1}</button>'
_OPTION = '<option value="{0}">{1}</option>'

FRAME = f"""
<div id="dr_system">
  <div id="system_message"></div>
  <div class="dr-sys-closed dr-quiet" hidden><p>This tab tells about the machine, and is for administrators.</p></div>
  <div class="dr-sys-grid" hidden>
    <section class="dr-sys-part" data-part="machine" aria-labelledby="dr_sys_machine">
      <h2 id="dr_sys_machine">This machine</h2>
      <div class="dr-sys-body"></div>
    </section>
    <section class="dr-sys-part" data-part="memory" aria-labelledby="dr_sys_memory">
      <div class="dr-sys-head"><h2 id="dr_sys_memory">Memory over time</h2>
        <div class="dr-chips" role="group" aria-label="How far back">{"".join(_CHIP.format(*one) for one in SPANS)}</div></div>
      <div class="dr-sys-plot"></div>
      <p class="dr-sys-read dr-quiet" role="status"></p>
    </section>
    <section class="dr-sys-part" data-part="disk" aria-labelledby="dr_sys_disk">
      <div class="dr-sys-head"><h2 id="dr_sys_disk">Disk</h2>
        <button type="button" class="dr-button" data-do="system-count">Count again</button></div>
      <div class="dr-sys-body"></div>
    </section>
    <section class="dr-sys-part" data-part="benchmark" aria-labelledby="dr_sys_benchmark">
      <div class="dr-sys-head"><h2 id="dr_sys_benchmark">Benchmark</h2>
        <button type="button" class="dr-button" data-do="system-bench">Run benchmark</button></div>
      <div class="dr-sys-body"></div>
    </section>
    <section class="dr-sys-part dr-sys-wide" data-part="computing" aria-labelledby="dr_sys_computing">
      <h2 id="dr_sys_computing">What can compute</h2>
      <div class="dr-sys-body"></div>
    </section>
    <section class="dr-sys-part dr-sys-wide" data-part="logs" aria-labelledby="dr_sys_logs">
      <div class="dr-sys-head"><h2 id="dr_sys_logs">Logs</h2></div>
      <div class="dr-sys-tools">
        <label>Log <select data-log="name"></select></label>
        <label>Show <select data-log="level">{"".join(_OPTION.format(*one) for one in LEVELS)}</select></label>
        <label>Lines <select data-log="lines">{"".join(_OPTION.format(n, n) for n in COUNTS)}</select></label>
        <label class="dr-sys-words">Words <input type="search" data-log="text" maxlength="200" placeholder="only lines with these"></label>
        <label class="dr-sys-check"><input type="checkbox" data-log="follow" checked> Follow</label>
      </div>
      <pre class="dr-sys-log" tabindex="0" role="log" aria-live="off" aria-label="Lines of the log"></pre>
      <p class="dr-sys-logsaid dr-quiet"></p>
    </section>
    <section class="dr-sys-part" data-part="versions" aria-labelledby="dr_sys_versions">
      <h2 id="dr_sys_versions">Versions</h2>
      <div class="dr-sys-body"></div>
    </section>
    <section class="dr-sys-part" data-part="report" aria-labelledby="dr_sys_report">
      <div class="dr-sys-head"><h2 id="dr_sys_report">Report</h2>
        <button type="button" class="dr-button" data-do="system-doctor">Make the report</button>
        <button type="button" class="dr-button dr-main" data-do="system-copy" hidden>Copy for a bug report</button></div>
      <p class="dr-quiet">What <code>launch.py doctor</code> prints: it tries the devices, which takes some seconds. Passwords and the name
        of your home folder are not in it.</p>
      <p class="dr-sys-reportsaid" role="status"></p>
      <pre class="dr-sys-report" tabindex="0" aria-label="The report" hidden></pre>
    </section>
    <section id="dr_remote"></section>
  </div>
</div>
"""


def build() -> None:
    """Place the frame that the page's scripts fill."""
    gr.HTML(FRAME, apply_default_css=False, elem_id="system_frame")
