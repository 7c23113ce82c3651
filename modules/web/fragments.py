"""The fixed pieces of HTML that the page's script fills and moves: progress, empty gallery, buttons, queue, lightbox.

No value of a person ever goes into these. Start reading at `OVER_GALLERY`.
"""

from __future__ import annotations

EXAMPLES = ("a red apple, 3d", "a happy cat on a blue background", "a car on a yellow background")

OVER_GALLERY = f"""
<div id="txt2img_empty">
  <p>Type a prompt and press Generate</p>
  <p class="dr-quiet">or start from one of these:</p>
  <div class="dr-examples">{"".join(f'<button type="button" data-do="example">{text}</button>' for text in EXAMPLES)}</div>
</div>
<img id="txt2img_live" alt="Preview of the picture being made" title="Large or small" data-do="live-size" hidden>
<div id="txt2img_progress" hidden>
  <div class="dr-line"><span class="dr-what" role="status"></span><span class="dr-left"></span></div>
  <div class="dr-bar" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100"><i></i></div>
</div>
"""

IMAGE_BUTTONS = """
<div id="image_buttons_txt2img" hidden>
  <button type="button" data-do="open-lightbox">Full view</button>
  <button type="button" data-do="send-png-info"><span>Send to </span>PNG Info</button>
  <a data-do="open-file" target="_blank" rel="noopener">Open file</a>
  <a data-do="download" download>Download</a>
</div>
"""

QUEUE = """
<details id="dr_queue" hidden>
  <summary><span class="dr-count">Queue</span></summary>
  <div class="dr-queue-tools"><button type="button" data-do="queue-pause">Pause</button><span class="dr-quiet"></span></div>
  <ol></ol>
</details>
"""

LIGHTBOX = """
<div id="lightboxModal" role="dialog" aria-modal="true" aria-label="Full view" tabindex="-1" hidden>
  <div class="dr-stage"><img alt=""></div>
  <div class="dr-lightbox-bar">
    <span class="dr-place"></span>
    <button type="button" data-do="lightbox-zoom" aria-label="Zoom">Zoom</button>
    <button type="button" data-do="lightbox-close" aria-label="Close the full view">Close</button>
  </div>
  <button type="button" class="dr-prev" data-do="lightbox-prev" aria-label="Picture before"></button>
  <button type="button" class="dr-next" data-do="lightbox-next" aria-label="Next picture"></button>
</div>
"""

FOOTER = """
<div id="dr_footer">
  <span>Darkroom</span><a href="docs" target="_blank" rel="noopener">API</a><span class="dr-worker dr-quiet"></span>
  <button type="button" class="dr-link" data-do="theme">Light / dark</button>
</div>
"""
