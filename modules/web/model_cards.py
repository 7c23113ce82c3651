"""The fixed HTML of the Models tab and of the drawer under the prompts, and the list of well-known models.

What comes from files is drawn by the page's script, as text. Start reading at `INSTALLED`.
"""

from __future__ import annotations

from html import escape

from modules.families import FAMILIES
from modules.upkeep import known

CHIPS = (
    ("", "All"), ("checkpoint", "Checkpoints"), ("lora", "LoRA"), ("embedding", "Embeddings"), ("vae", "VAE"), ("controlnet", "ControlNet"),
    ("text_encoder", "Text encoders"), ("upscaler", "Upscalers"), ("refused", "Not usable"),
)  # fmt: skip
CHIP = '<button type="button" data-do="models-kind" data-kind="{kind}"><span>{title}</span> <b></b></button>'
ACCOUNT = '<span class="dr-badge" title="Its site wants an account that has accepted the licence">account needed</span>'
PLACE_WORDS = {"Stable-diffusion": "Checkpoint", "VAE": "VAE", "text_encoder": "Text encoder", "Lora": "LoRA"}

WORKS = '<ul id="dr_works" aria-label="Work on model files" hidden></ul>'

INSTALLED = f"""
<div id="dr_models">
  <div class="dr-models-bar">
    <input type="search" id="dr_models_search" placeholder="Search by name, folder or family" aria-label="Search models" autocomplete="off">
    <button type="button" class="dr-button" data-do="models-refresh" title="Look at the model folders again">Refresh</button>
    <span class="dr-models-state dr-quiet" role="status"></span>
  </div>
  <div class="dr-chips" role="group" aria-label="Kinds">
    {"".join(CHIP.format(kind=kind, title=title) for kind, title in CHIPS)}
  </div>
  <div class="dr-models-body">
    <div class="dr-models-list">
      <ul class="dr-model-cards" aria-label="Models"></ul>
      <p class="dr-models-none dr-hint" hidden></p>
      <div class="dr-models-more"></div>
    </div>
    <aside class="dr-model-panel" aria-label="About the model" tabindex="-1" hidden></aside>
  </div>
</div>
"""

NETWORKS = """
<details id="txt2img_extra_tabs">
  <summary>LoRA and embeddings</summary>
  <div class="dr-models-bar">
    <input type="search" placeholder="Search" aria-label="Search LoRAs and embeddings" autocomplete="off">
    <span class="dr-models-state dr-quiet" role="status"></span>
  </div>
  <ul class="dr-tiles" aria-label="LoRAs and embeddings"></ul>
</details>
"""


def known_models() -> str:
    """Cards of the well-known models; a click fills the form, it fetches nothing."""
    rows = "".join(_known(model) for model in known.models())
    return f'<h2>Well-known models</h2><p>Choosing one fills in the form; nothing is fetched yet.</p><ul class="dr-known">{rows}</ul>'


def _known(model: known.KnownModel) -> str:
    family = FAMILIES.get(model.family).title if model.family else ""
    facts = [PLACE_WORDS.get(model.place, model.place), family, gigabytes(model.size_bytes) if model.size_bytes else "", model.licence]
    needs = f'<p class="dr-quiet">Needs: {escape(", ".join(model.needs))}</p>' if model.needs else ""
    return (
        f'<li data-known="{escape(model.id)}"><div><strong>{escape(model.title)}</strong>{ACCOUNT if model.gated else ""}'
        f"<p>{' · '.join(escape(fact) for fact in facts if fact)}</p>"
        f'<p class="dr-quiet">{escape(model.note)}</p>{needs}</div>'
        f'<button type="button" class="dr-button" data-do="known-model" data-source="{escape(model.id)}">Choose</button></li>'
    )


def gigabytes(size_bytes: int) -> str:
    """A file's size for people."""
    return f"{size_bytes / 1e9:.1f} GB" if size_bytes >= 1e9 else f"{max(1, round(size_bytes / 1e6))} MB"
