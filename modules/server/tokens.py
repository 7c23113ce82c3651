"""POST /internal/token-count: how many tokens a prompt takes with the model in use.

Knows where the tokenizer of a model lies; `prompts.counting` counts. Start reading at `routes`.
"""

from __future__ import annotations

import tempfile
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastapi import APIRouter

from modules.families import FAMILIES, shipped
from modules.faults import ModelFault, RequestFault, UnknownName
from modules.processing.calls import call_named
from modules.prompts.comments import without_comments
from modules.prompts.counting import IdsOf, count, open_tokenizer
from modules.prompts.dynamic import expand
from modules.prompts.limits import check_marks
from modules.prompts.reading import Reading
from modules.prompts.text_sets import ONE_CLIP, TextSet
from modules.request import PROMPT_LIMIT
from modules.server.body import Body
from modules.weights import header
from modules.weights.layouts import carried

if TYPE_CHECKING:
    from modules.app import App

STEPS_LIMIT = 1000
DEFAULT_CONFIG = "sd15"
_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["text"],
                    "properties": {
                        "text": {"type": "string"},
                        "steps": {"type": "integer", "description": "sampling steps, for [from:to:when]", "default": 20},
                        "styles": {"type": "array", "items": {"type": "string"}, "description": "names of styles to be added"},
                        "negative": {"type": "boolean", "description": "it is a negative prompt", "default": False},
                    },
                }
            }
        },
    }
}


def routes(app: App) -> APIRouter:
    """The route of the token counters."""
    router = APIRouter(prefix="/internal", tags=["page"])

    @router.post("/token-count", openapi_extra=_BODY)
    def token_count(body: Body) -> dict[str, int | None]:
        """used: tokens of the longest form of the prompt, without tags; limit: the room for them. Both null when switched off."""
        settings = app.settings.current
        if settings.disable_token_counters:
            return {"used": None, "limit": None}
        text, steps = _text(app, body), body.get("steps", 20)
        if not isinstance(steps, int) or not 1 <= steps <= STEPS_LIMIT:
            raise RequestFault("steps", f"must be a whole number from 1 to {STEPS_LIMIT}", got=steps)
        ids_of, fixed = _tokenizer(app)
        found = count(text, steps, ids_of, Reading.of(settings.to_data()), fixed=fixed)
        return {"used": found.used, "limit": found.limit}

    return router


def _text(app: App, body: dict[str, Any]) -> str:
    """The prompt as it would be encoded, with one draw of its choices; lines of wildcard files are not looked up."""
    settings, text, styles, negative = app.settings.current, body.get("text"), body.get("styles", []), bool(body.get("negative"))
    if not isinstance(text, str) or len(text) > PROMPT_LIMIT:
        raise RequestFault("text", f"must be text of at most {PROMPT_LIMIT} characters")
    check_marks("text", text)
    if not isinstance(styles, list):
        raise RequestFault("styles", "must be a list of names", got=styles)
    if settings.include_styles_into_token_counters:
        ours, against, _ = app.styles.apply("" if negative else text, text if negative else "", [str(name) for name in styles])
        text = against if negative else ours
    if settings.enable_prompt_comments:
        text = without_comments(text)
    return expand(text, "", [0], []).prompts[0] if settings.wildcards_enabled else text


def _tokenizer(app: App) -> tuple[IdsOf, int | None]:
    """(the tokenizer of the model in use, the length of a text encoder without chunks). CLIP's when there is no model."""
    try:
        checkpoint = app.library.default_checkpoint(app.settings.current.sd_model_checkpoint)
    except (ModelFault, UnknownName):
        return _opened(Path(), 0, DEFAULT_CONFIG, "tokenizer"), None
    family = FAMILIES.get(checkpoint.family)
    variant = family.variant(checkpoint.variant)
    task = variant.tasks.get("txt2img")
    listens = call_named(task).text if task else ONE_CLIP
    path = Path(checkpoint.path)
    stamp = path.stat().st_mtime_ns if path.exists() else 0
    component, fixed = _counted(listens, variant.prompt_tokens, path)
    return _opened(path, stamp, variant.config, component), fixed


def _counted(listens: TextSet, prompt_tokens: int | None, path: Path) -> tuple[str, int | None]:
    """(whose tokens are counted, its length when it has no chunks): the first encoder that reads word by word and is there."""
    if not listens.words:
        return listens.long.replace("text_encoder", "tokenizer"), prompt_tokens or listens.long_tokens
    names = [name.replace("text_encoder", "tokenizer") for name in listens.words]
    there = [name for name in names if (path / name).is_dir()] if path.is_dir() else names
    return (there or names)[0], None


@lru_cache(maxsize=3)
def _opened(path: Path, stamp: int, config: str, component: str) -> IdsOf:
    """A model's own tokenizer, else the one that comes with us. stamp: of the path, so that a changed model is read again."""
    if stamp and path.is_dir() and (path / component).is_dir():
        try:
            return open_tokenizer(path / component)
        except ModelFault:
            return open_tokenizer(shipped.tokenizer_folder(config, component))
    if stamp and path.suffix == ".safetensors":
        with tempfile.TemporaryDirectory(prefix="tokenizer-") as folder:
            if carried.unpack_tokenizer(header.read(path), component, Path(folder)):
                return open_tokenizer(Path(folder))
    return open_tokenizer(shipped.tokenizer_folder(config, component))
