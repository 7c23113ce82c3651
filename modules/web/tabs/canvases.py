"""The HTML that the canvases begin as; the page's scripts (canvas.js, img2img.js, style_picture.js, control_panel.js) make them work.

No value of a person ever goes into these. Start reading at `sub_tab`.
"""

from __future__ import annotations

# Mode -> title and A1111's id of the sub-tab.
SUB_TABS = {
    "img2img": ("img2img", "img2img_img2img_tab"),
    "sketch": ("Sketch", "img2img_img2img_sketch_tab"),
    "inpaint": ("Inpaint", "img2img_inpaint_tab"),
    "inpaint_sketch": ("Inpaint sketch", "img2img_inpaint_sketch_tab"),
    "inpaint_upload": ("Inpaint upload", "img2img_inpaint_upload_tab"),
    "batch": ("Batch", "img2img_batch_tab"),
}
# Mode -> its canvases: A1111's id, name of the canvas, what is painted ("": nothing, "mask", "colour"), words in the empty frame.
CANVASES = {
    "img2img": (("img2img_image", "img2img", "", "Drop a picture here"),),
    "sketch": (("img2img_sketch", "sketch", "colour", "Drop a picture to paint on"),),
    "inpaint": (("img2maskimg", "inpaint", "mask", "Drop a picture, then paint over what shall change"),),
    "inpaint_sketch": (("inpaint_sketch", "inpaint_sketch", "colour", "Drop a picture, then paint what shall be there"),),
    "inpaint_upload": (
        ("img_inpaint_base", "inpaint_upload", "", "Drop the picture here"),
        ("img_inpaint_mask", "inpaint_mask", "", "Drop the mask here: white is painted anew, black is kept"),
    ),
}
COPY_TARGETS = {mode: title for mode, (title, _) in SUB_TABS.items() if mode != "batch"}
ACCEPTED = "image/png,image/jpeg,image/webp,image/avif,image/gif,image/bmp,image/tiff,.tif,.tiff"

UPLOADS = f"""
<div class="dr-uploads">
  <input type="file" multiple accept="{ACCEPTED}" aria-label="Pictures of the batch" hidden>
  <p><button type="button" class="dr-button" data-do="batch-choose">Choose pictures</button>
  <button type="button" class="dr-button" data-do="batch-clear">Remove all</button>
  <span class="dr-uploads-state dr-quiet" role="status"></span></p>
  <ul class="dr-upload-list" aria-label="Pictures of the batch"></ul>
</div>
"""


def sub_tab(mode: str) -> str:
    """The canvases of a sub-tab and the buttons that copy its picture to the others."""
    frames = "".join(_canvas(*canvas) for canvas in CANVASES[mode])
    copies = "".join(
        f'<button type="button" data-do="copy-picture" data-from="{mode}" data-to="{target}">{title}</button>'
        for target, title in COPY_TARGETS.items()
        if target != mode
    )
    return f'<div class="dr-canvases" data-mode="{mode}">{frames}</div><div class="dr-copy"><span>Copy picture to</span>{copies}</div>'


def style(tab: str) -> str:
    """The small canvas of the style picture. tab: "txt2img" or "img2img"."""
    return _canvas(f"{tab}_style_picture", f"{tab}_style", "", "Drop a picture whose look shall be taken over")


def control(tab: str) -> str:
    """Where the ControlNet units of a tab go, and the canvas that each of them has. tab: "txt2img" or "img2img"."""
    words = "Drop the picture that steers" + ("; without one it is img2img's own" if tab == "img2img" else "")
    frame = '<p class="dr-control-wait dr-quiet" role="status">Fetching the lists…</p>'
    return f'<div class="dr-units" data-tab="{tab}">{frame}<template>{_canvas("", "", "", words)}</template></div>'


def _canvas(elem_id: str, name: str, paints: str, words: str) -> str:
    return f"""
<div class="dr-canvas" id="{elem_id}" data-canvas="{name}" data-paints="{paints}" tabindex="0" role="group" aria-label="{words}">
  <div class="dr-canvas-bar" hidden></div>
  <div class="dr-canvas-stage">
    <canvas hidden></canvas>
    <div class="dr-canvas-empty"><p>{words}</p>
      <p class="dr-quiet">paste one with Ctrl+V, or</p>
      <button type="button" class="dr-button" data-do="canvas-choose">Choose a file</button></div>
    <div class="dr-canvas-state" role="status" hidden></div>
  </div>
  <input type="file" accept="{ACCEPTED}" aria-label="Picture file" hidden>
</div>"""
