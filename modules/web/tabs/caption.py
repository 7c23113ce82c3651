"""The Caption tab: pictures in, words out as they are written; where the model looked; a folder of pictures captioned into files.

The page's scripts (caption.js, caption_cards.js, caption_folder.js) fill it from /internal/captions. Knows the frame of the tab and which
field of a request each control sets. Start reading at `build`.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import Any

import gradio as gr

from modules.knobs import KnobField, knobs_of
from modules.request.caption import BACKENDS, FITS, PRECISIONS, CaptionRequest
from modules.request.caption_folder import EXISTING, OUTPUTS, FolderRequest
from modules.request.tagging import TagFields, Tagging

ACCEPTED = "image/png,image/jpeg,image/webp,image/avif,image/gif,image/bmp,image/tiff,.tif,.tiff"
MODES = (("caption", "Caption"), ("question", "Question"), ("interrogate", "Interrogate"), ("score", "Score"))
WRITING = (
    "num_beams", "num_return_sequences", "min_length", "max_length", "do_sample", "temperature", "top_k", "top_p", "repetition_penalty",
    "length_penalty", "early_stopping", "seed", "batch_size",
)  # fmt: skip
FIT_WORDS = dict(zip(FITS, ("As the model was made for", "Stretch", "Cut out the middle", "Add bars"), strict=True))
BACKEND_WORDS = dict(zip(BACKENDS, ("PyTorch", "ONNX Runtime"), strict=True))
EXISTING_WORDS = dict(zip(EXISTING, ("Leave it", "Write over it", "Put the new one behind it", "Put the new one before it"), strict=True))
OUTPUT_WORDS = dict(
    zip(OUTPUTS, ("picture.txt beside each", "picture.caption beside each", "one metadata.jsonl", "one captions.csv"), strict=True)
)
KNOBS = knobs_of(FolderRequest)
_TAGS = Tagging()
# What a tagger does where a field is left open; "" says it by itself.
USUAL_TAGS: Mapping[str, Any] = {
    "threshold": _TAGS.threshold, "character_threshold": _TAGS.character, "max_tags": "all", "tag_order": _TAGS.order,
    "tag_ratings": _TAGS.ratings, "tag_spaces": _TAGS.spaces, "tag_escape": _TAGS.escape, "tag_chances": _TAGS.chances,
    "tag_skip": "lowres, watermark",
}  # fmt: skip
YES_NO = {True: "yes", False: "no"}


def build() -> None:
    """Place the frame that the page's scripts fill."""
    gr.HTML(FRAME, apply_default_css=False, elem_id="caption_frame")


def _options(words: Mapping[Any, str]) -> str:
    return "".join(f'<option value="{escape(value)}">{escape(text)}</option>' for value, text in words.items())


def _field(field: KnobField, usual: Any = "") -> str:
    """A control of a Knob: a number whose placeholder is what is used when it is left open, or a choice of three. usual: what that is."""
    knob = field.knob
    head = f'<label title="{escape(knob.help or "")}"><span>{escape(knob.label)}</span>'
    shown = escape(YES_NO[usual] if isinstance(usual, bool) else str(usual))
    as_it_is = f'<option value="">as it is{f": {shown}" if shown else ""}</option>'
    if knob.choices:
        rest = "".join(f'<option value="{escape(str(one))}">{escape(str(one))}</option>' for one in knob.choices)
        return f'{head}<select name="{field.name}" data-words>{as_it_is}{rest}</select></label>'
    if field.kind is str:
        return f'{head}<input type="text" name="{field.name}" placeholder="{shown}" autocomplete="off"></label>'
    if field.kind is bool:
        rest = '<option value="true">yes</option><option value="false">no</option>'
        return f'{head}<select name="{field.name}">{as_it_is}{rest}</select></label>'
    limits = "".join(
        f' {name}="{value:g}"' for name, value in (("min", knob.low), ("max", knob.high), ("step", knob.step)) if value is not None
    )
    return f'{head}<input type="number" name="{field.name}"{limits or " step=any"} placeholder="{shown}" inputmode="decimal"></label>'


def _text(name: str, words: str, *, area: bool = False, placeholder: str = "") -> str:
    """A text control of a folder's request."""
    field = KNOBS[name]
    inner = f'name="{name}" placeholder="{escape(placeholder)}" autocomplete="off"'
    control = f'<textarea rows="2" {inner}></textarea>' if area else f'<input type="text" {inner}>'
    return f'<label title="{escape(field.knob.help or "")}"><span>{words}</span>{control}</label>'


_WRITING = "".join(_field(knobs_of(CaptionRequest)[name]) for name in WRITING)
_TAGGING = "".join(_field(field, USUAL_TAGS[name]) for name, field in knobs_of(TagFields).items())
_MODES = "".join(
    f'<button type="button" role="radio" data-do="caption-mode" data-mode="{mode}" aria-checked="false">{words}</button>'
    for mode, words in MODES
)

_SOURCES = f"""
<div class="dr-cap-switch" role="tablist" aria-label="What is captioned">
  <button type="button" role="tab" data-do="caption-source" data-source="pictures" aria-selected="true">Pictures</button>
  <button type="button" role="tab" data-do="caption-source" data-source="folder" aria-selected="false">Folder</button>
</div>
<div class="dr-cap-pictures">
  <div id="caption_drop" class="dr-drop" tabindex="0" role="group" aria-label="Pictures to caption">
    <input type="file" accept="{ACCEPTED}" multiple aria-label="Picture files" hidden>
    <div class="dr-drop-empty"><p>Drop pictures anywhere in this tab</p><p class="dr-quiet">paste with Ctrl+V, or</p>
      <button type="button" class="dr-button" data-do="caption-choose">Choose files</button></div>
    <div class="dr-drop-held" hidden></div>
    <div class="dr-drop-state dr-quiet" role="status"></div>
  </div>
  <div class="dr-cap-modes" role="radiogroup" aria-label="What is asked">{_MODES}</div>
</div>
<div class="dr-cap-folder" hidden>
  {_text("folder", "Folder", placeholder="such as outputs/txt2img-images")}
  <label class="dr-cap-check"><input type="checkbox" name="recursive"> Folders inside it too</label>
  <div class="dr-cap-pair">
    <label><span>Captions go into</span><select name="output">{_options(OUTPUT_WORDS)}</select></label>
    <label><span>Where there is a caption</span><select name="existing">{_options(EXISTING_WORDS)}</select></label>
  </div>
  <details class="dr-cap-fold"><summary>Change the words</summary><div>
    <div class="dr-cap-pair">{_text("prefix", "Prefix", placeholder="mystyle, ")}
      {_text("suffix", "Suffix", placeholder=", best quality")}</div>
    {_text("replace", "Find and replace, one a line", area=True, placeholder="grey => gray")}
    {_text("blacklist", "Never say, between commas", area=True, placeholder="watermark, signature")}
  </div></details>
</div>"""

_ASKED = f"""
<label class="dr-cap-model"><span>Model</span>
  <select name="model" id="caption_model" aria-describedby="caption_model_facts"></select></label>
<p id="caption_model_facts" class="dr-quiet"></p>
<label id="caption_task" title="What the model is told to do" hidden><span>Task</span><select name="task"></select></label>
<label class="dr-cap-asks" data-mode="caption" title="The caption goes on from here"><span>Beginning</span>
  <input type="text" name="prompt" placeholder="such as: a photo of" autocomplete="off"></label>
<label class="dr-cap-asks" data-mode="question" hidden><span>Question</span>
  <input type="text" name="question" placeholder="What colour is the car?" autocomplete="off"></label>
<label class="dr-cap-asks" data-mode="score" hidden><span>Texts to compare, one a line</span>
  <textarea name="texts" rows="4" placeholder="a cat on a sofa&#10;a dog in the grass"></textarea></label>
<label class="dr-cap-asks" data-mode="score" title="Its pictures, and those of folders in it, are ranked for each text" hidden>
  <span>Search a folder instead of these pictures</span>
  <input type="text" name="search" placeholder="such as outputs/txt2img-images" autocomplete="off"></label>
<details class="dr-cap-fold" id="caption_writing"><summary>How it writes</summary><div>
  <div class="dr-cap-presets">
    <label><span>Way</span><select name="preset"></select></label>
    <button type="button" class="dr-button" data-do="caption-preset-save"
      title="Keep these values as a GenerationConfig file beside the model">Save as…</button>
    <button type="button" class="dr-button" data-do="caption-preset-remove" disabled>Delete</button>
  </div>
  <div class="dr-cap-naming" hidden><input type="text" name="preset_name" maxlength="60" placeholder="Name; empty: the model's own"
      aria-label="Name of the way of writing">
    <button type="button" class="dr-button dr-main" data-do="caption-preset-keep">Save</button></div>
  <div class="dr-cap-grid">{_WRITING}</div>
  <div class="dr-cap-pair">
    <label title="How a picture is brought to the size that the model takes"><span>Fit</span>
      <select name="fit">{_options(FIT_WORDS)}</select></label>
    <label title="Number type"><span>Precision</span><select name="precision">{_options({p: p for p in PRECISIONS})}</select></label>
    <label class="dr-cap-own" title="{escape(KNOBS["adapter"].knob.help)}"><span>Adapter</span>
      <input type="text" name="adapter" list="caption_adapters" placeholder="none" autocomplete="off"></label>
    <datalist id="caption_adapters"></datalist>
  </div>
  <div class="dr-cap-pair dr-cap-own">
    <label title="What runs the captioner"><span>Backend</span><select name="backend">{_options(BACKEND_WORDS)}</select></label>
    <button type="button" class="dr-button" data-do="caption-export"
      title="Make what ONNX Runtime runs, in float32 and int8">Export to ONNX</button>
  </div>
  <label class="dr-cap-check dr-cap-pictures"><input type="checkbox" name="show_input"> Show the picture that the model sees</label>
</div></details>
<details class="dr-cap-fold" id="caption_tagging" hidden><summary>Which tags</summary><div class="dr-cap-grid">{_TAGGING}</div></details>
<div class="dr-cap-run">
  <button type="button" class="dr-button dr-main" id="caption_run" data-do="caption-run">Caption</button>
  <button type="button" class="dr-button" id="caption_stop" data-do="caption-stop" hidden>Stop</button>
  <label class="dr-cap-check dr-cap-pictures" title="Begin as soon as a picture is dropped">
    <input type="checkbox" name="at_once" checked> At once</label>
</div>"""

_RESULTS = """
<div id="caption_message"></div>
<div id="caption_progress" hidden>
  <div class="dr-line"><span class="dr-what" role="status"></span><span class="dr-left"></span></div>
  <div class="dr-bar" role="progressbar" aria-label="Progress" aria-valuemin="0" aria-valuemax="100"><i></i></div>
</div>
<div class="dr-cap-pictures">
  <div class="dr-cap-none"><p>Drop a picture, and its caption is written here word by word</p>
    <p class="dr-quiet">Then click a word to see where the model looked, send the text to a prompt, or make the picture again from
      it.</p></div>
  <div class="dr-cap-ranking" hidden></div>
  <div class="dr-cap-cards" aria-live="polite"></div>
</div>
<div class="dr-cap-folder" hidden>
  <div class="dr-cap-none" data-folder><p>Name a folder, and each picture in it gets a caption in a file</p>
    <p class="dr-quiet">Folders lie in the data folder; on the command line any folder can be used:
      <code>python launch.py caption FOLDER</code>.
      Broken files are named and left out. A run that was stopped goes on where it was, and every run can be undone.</p></div>
  <div id="caption_folder" hidden>
    <div class="dr-cap-sum"></div>
    <div class="dr-cap-faults"></div>
    <details class="dr-cap-fold dr-cap-tags"><summary>How often which words stand</summary><div></div></details>
    <div class="dr-cap-bar"><input type="search" placeholder="Search captions and names" aria-label="Search captions">
      <div class="dr-chips" role="group" aria-label="Which of them"></div></div>
    <ul class="dr-cap-rows" aria-label="Captions"></ul>
    <button type="button" class="dr-button" data-do="caption-rows-more" hidden>Show more</button>
  </div>
</div>"""

FRAME = f"""
<div id="dr_caption" data-source="pictures">
  <form id="caption_form" class="dr-cap-form" autocomplete="off">{_SOURCES}{_ASKED}</form>
  <section class="dr-cap-results" aria-label="Captions">{_RESULTS}</section>
</div>
"""
