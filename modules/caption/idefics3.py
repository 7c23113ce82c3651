"""Idefics 3 and SmolVLM: a picture cut into square tiles, and once more as a whole, read by a small language model that one talks to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from modules.caption import chat
from modules.caption.kind import ANSWER, CAPTION, OCR, PROMPT, REPLY, Config, Kind, Published, at, whole_number

_TILE = re.compile(r"<row_(?P<row>\d+)_col_(?P<column>\d+)>")


def _positions(config: Config) -> int | None:
    return whole_number(at(config, "text_config", "max_position_embeddings"))


def _side(config: Any) -> int:
    """Places along a side of a tile, once patches are drawn together."""
    return config.vision_config.image_size // config.vision_config.patch_size // config.scale_factor


def _tiles(tokenizer: Any, inputs: Mapping[str, Any]) -> tuple[int, int]:
    """(rows, columns) of tiles, (1, 1) for a picture that is not cut. Before each tile stands a sign for its place."""
    signs = tokenizer.convert_ids_to_tokens(inputs["input_ids"][0].tolist())
    tiles = [(int(sign["row"]), int(sign["column"])) for sign in map(_TILE.fullmatch, signs) if sign]
    return max((row for row, _ in tiles), default=1), max((column for _, column in tiles), default=1)


def _grid(model: Any, tokenizer: Any, inputs: Mapping[str, Any]) -> tuple[int, int]:
    rows, columns = _tiles(tokenizer, inputs)
    return rows * _side(model.config), columns * _side(model.config)


def _looks(model: Any, tokenizer: Any, inputs: Mapping[str, Any], words: Any) -> list[Any]:
    """Self-attention to the tiles, put beside each other, and what falls on the picture as a whole shared out over what lies there."""
    layers = chat.to_picture(model, inputs, words, model.config.image_token_id)
    (rows, columns), side = _tiles(tokenizer, inputs), _side(model.config)
    return [_laid_out(layer, rows, columns, side) for layer in layers]


def _laid_out(layer: Any, rows: int, columns: int, side: int) -> Any:
    """(heads, T, tiles and whole in a row) -> (heads, T, rows*side * columns*side)."""
    heads, count = layer.shape[:2]
    if layer.shape[-1] == side * side:
        return layer
    tiles, whole = layer[..., : -side * side], layer[..., -side * side :]
    laid = tiles.reshape(heads, count, rows, columns, side, side).transpose(3, 4).reshape(heads, count, rows * side, columns * side)
    spread = whole.reshape(heads, count, side, side).repeat_interleave(rows, 2).repeat_interleave(columns, 3) / (rows * columns)
    return (laid + spread).flatten(-2)


KIND = Kind(
    id="idefics3",
    title="SmolVLM and Idefics 3",
    does=(CAPTION, PROMPT, ANSWER, OCR),
    architecture="Idefics3ForConditionalGeneration",
    model_type="idefics3",
    processor="Idefics3Processor",
    tensors=("model.vision_model.", "model.connector.", "model.text_model."),
    positions=_positions,
    beginning=f"{chat.USUAL}{REPLY}{{}}",
    tasks=chat.TASKS,
    inputs=chat.inputs,
    returns_prompt=True,
    begun=chat.begun,
    complete=chat.complete,
    num_beams=1,
    max_length=256,
    looks=_looks,
    grid=_grid,
    published=(
        Published(repo="HuggingFaceTB/SmolVLM-256M-Instruct", gigabytes=1.03, licence="Apache-2.0"),
        Published(repo="HuggingFaceTB/SmolVLM-500M-Instruct", gigabytes=2.03, licence="Apache-2.0"),
        Published(repo="HuggingFaceTB/SmolVLM-Instruct", gigabytes=8.98, licence="Apache-2.0"),
    ),
)
