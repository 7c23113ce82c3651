"""What is where in a picture, each thing in a colour of its own: ADE20K's 150 kinds, or parts without names. Makers as `making` describes.

Start reading at `upernet`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from modules.control.maps.files import found
from modules.control.maps.making import Ask, Pixels
from modules.control.maps.weights import aux, filled, model_in, processor_in

TASK = "the task is semantic"
MEAN, SPREAD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # ImageNet's, for colours from 0 to 255
TASK_TOKENS = 77
PARTS_SEED = 0


def upernet(pixels: Pixels, ask: Ask) -> Pixels:
    """By UperNet."""
    folder = found(ask.row.needs[0], ask.row, ask.ground.folders)

    def load() -> tuple[Any, Any]:
        return model_in(folder, "UperNetForSemanticSegmentation", ask.ground.device), processor_in(folder)

    model, processor = ask.ground.take("upernet", (folder,), load)
    given = processor(images=Image.fromarray(pixels), return_tensors="pt").to(ask.ground.device)
    with torch.inference_mode():
        scores = model(**given).logits
    return _coloured(scores, pixels.shape[:2])


def oneformer(pixels: Pixels, ask: Ask) -> Pixels:
    """By OneFormer. Its own processor wants a list of kinds from the network; the task and the pixels are all that it needs."""
    folder = found(ask.row.needs[0], ask.row, ask.ground.folders)

    def load() -> tuple[Any, Any]:
        model = model_in(folder, "OneFormerForUniversalSegmentation", ask.ground.device)
        return model, processor_in(folder, "AutoTokenizer")

    model, tokenizer = ask.ground.take("oneformer", (folder,), load)
    length = getattr(model.config, "task_seq_len", TASK_TOKENS)
    task = tokenizer([TASK], padding="max_length", max_length=length, truncation=True, return_tensors="pt").input_ids
    values = torch.from_numpy((pixels.astype(np.float32) - MEAN) / SPREAD).permute(2, 0, 1)[None].float()
    with torch.inference_mode():
        answer = model(pixel_values=values.to(ask.ground.device), task_inputs=task.to(ask.ground.device))
        kinds = answer.class_queries_logits.softmax(dim=-1)[..., :-1]
        scores = torch.einsum("bqc,bqhw->bchw", kinds, answer.masks_queries_logits.sigmoid())
    return _coloured(scores, pixels.shape[:2])


def mobile_sam(pixels: Pixels, ask: Ask) -> Pixels:
    """Every part that Segment Anything finds, the smallest on top."""
    path = found(ask.row.needs[0], ask.row, ask.ground.folders)

    def load() -> Any:
        network = aux("segment_anything.build_sam", "sam_model_registry")["vit_t"](checkpoint=None)
        return filled(network, path, ask.ground.device)

    network = ask.ground.take("mobile_sam", (path,), load)
    with torch.inference_mode():
        parts = aux("segment_anything.automatic_mask_generator", "SamAutomaticMaskGenerator")(network).generate(pixels)
    colours = np.random.default_rng(PARTS_SEED)
    drawn = np.zeros_like(pixels)
    for part in sorted(parts, key=lambda one: -one["area"]):
        drawn[part["segmentation"]] = colours.integers(32, 256, 3, dtype=np.uint8)
    return drawn


def _coloured(scores: torch.Tensor, size: tuple[int, ...]) -> Pixels:
    """scores: (1, kinds, h, w); the likeliest kind of each pixel in its colour."""
    whole = torch.nn.functional.interpolate(scores.float(), size, mode="bilinear", align_corners=False)
    kinds = whole[0].argmax(dim=0).cpu().numpy()
    palette = np.array(aux("util", "ade_palette")(), np.uint8)
    return palette[kinds % len(palette)]
