"""The fixed pieces of HTML that the page's script fills and moves: progress, empty gallery, buttons, queue, lightbox.

No value of a person ever goes into these. Start reading at `over_gallery`.
"""

from __future__ import annotations

EXAMPLES = ("a red apple, 3d", "a happy cat on a blue background", "a car on a yellow background")
INVITATIONS = {
    "txt2img": f"""
  <p>Type a prompt and press Generate</p>
  <p class="dr-quiet">or start from one of these:</p>
  <div class="dr-examples">{"".join(f'<button type="button" data-do="example">{text}</button>' for text in EXAMPLES)}</div>
  <p class="dr-first" hidden>New here? <button type="button" class="dr-link" data-do="tour">Take the tour</button> in five steps, or
  <button type="button" class="dr-link" data-do="tour-never">never show this again</button>.</p>""",
    "img2img": """
  <p>Give it a picture to begin with, say what it should become, and press Generate</p>
  <p class="dr-quiet">Drop one on the canvas, paste it with Ctrl+V, or send one over from txt2img.</p>""",
}
TARGETS = (
    ("img2img", "img2img", "Begin an img2img run with this picture"),
    ("inpaint", "Inpaint", "Repaint a part of this picture"),
    ("style", "Style", "Take over the look of this picture"),
    ("controlnet", "ControlNet", "Steer a run by this picture"),
    ("extras", "Extras", "Enlarge or finish this picture"),
    ("caption", "Caption", "Say in words what this picture shows"),
)
SEND = '<button type="button" id="{tab}_send_to_{target}" data-do="send-picture" data-target="{target}" title="{title}">{text}</button>'
UPSCALE = """<button type="button" id="txt2img_upscale" data-do="upscale"
  title="Make this picture again larger, with the settings under Hires. fix">Upscale</button>"""


def over_gallery(tab: str) -> str:
    """What lies over a tab's gallery: an invitation while it is empty, the live preview, progress."""
    return f"""
<div id="{tab}_empty">{INVITATIONS[tab]}
</div>
<img id="{tab}_live" alt="Preview of the picture being made" title="Large or small" data-do="live-size" hidden>
<div id="{tab}_progress" hidden>
  <div class="dr-line"><span class="dr-what" role="status"></span><span class="dr-left"></span></div>
  <div class="dr-bar" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100"><i></i></div>
</div>
"""


def image_buttons(tab: str) -> str:
    """What can be done with the picture that is selected."""
    send = "".join(SEND.format(tab=tab, target=target, text=text, title=title) for target, text, title in TARGETS)
    return f"""
<div id="image_buttons_{tab}" class="dr-image-buttons" hidden>
  <button type="button" data-do="open-lightbox">Full view</button>
  {UPSCALE if tab == "txt2img" else ""}
  <span class="dr-send"><span>Send to</span>{send}<button type="button" data-do="send-png-info">PNG Info</button></span>
  <a data-do="download" download>Download</a>
  <button type="button" id="save_{tab}" data-do="keep"
    title="Copy this picture into the folder for the good ones, with a line in its log.csv">Keep</button>
  <a id="save_zip_{tab}" data-do="zip" download title="All pictures shown, in one file">Zip</a>
  <a data-do="open-file" target="_blank" rel="noopener">Open file</a>
</div>
"""


ESTIMATE = '<p class="dr-estimate dr-quiet" role="status"></p>'
QUEUE_SLOT = '<div class="dr-slot" data-slot="dr_queue"></div>'
NETWORKS_SLOT = '<div class="dr-slot" data-slot="txt2img_extra_tabs"></div>'
QUEUE = f"""
{QUEUE_SLOT.removesuffix("</div>")}<details id="dr_queue" hidden>
  <summary><span class="dr-count">Queue</span></summary>
  <div class="dr-queue-tools"><button type="button" data-do="queue-pause">Pause</button><span class="dr-quiet"></span></div>
  <ol></ol>
</details></div>
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
  <span class="dr-me" hidden><span></span><button type="button" class="dr-link" data-do="sign-out" hidden>Sign out</button></span>
  <span class="dr-ways"><button type="button" class="dr-link" id="dr_keys_help" data-do="keys-help">Keys</button>
  <button type="button" class="dr-link" data-do="tour">Tour</button>
  <button type="button" class="dr-link" data-do="contrast" aria-pressed="false">High contrast</button>
  <button type="button" class="dr-link" data-do="theme">Light / dark</button></span>
</div>
"""
