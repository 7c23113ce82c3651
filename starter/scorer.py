"""The scorer: a small CLIPModel that says how well a text fits a picture; it also judges the other parts in `starter.evaluate`."""

from __future__ import annotations

import random
from pathlib import Path

import torch
from transformers import CLIPConfig, CLIPImageProcessor, CLIPModel, CLIPProcessor, CLIPTokenizer

from starter.captioner import SHARES, plain_caption
from starter.scenes import Painter
from starter.sizes import Size
from starter.training import device, train


def build(size: Size, tokens: CLIPTokenizer) -> CLIPModel:
    """Random weights."""
    width = size.vision_width
    text = {
        "vocab_size": len(tokens),
        "hidden_size": width,
        "intermediate_size": width * 4,
        "num_hidden_layers": max(2, size.vision_layers // 2),
        "num_attention_heads": 4,
        "max_position_embeddings": 77,
        "projection_dim": width,
        "bos_token_id": tokens.bos_token_id,
        "eos_token_id": tokens.eos_token_id,
        "pad_token_id": tokens.pad_token_id,
    }
    vision = {
        "hidden_size": width,
        "intermediate_size": width * 4,
        "num_hidden_layers": size.vision_layers,
        "num_attention_heads": 4,
        "image_size": 128,
        "patch_size": 16,
        "projection_dim": width,
    }
    return CLIPModel(CLIPConfig(text_config=text, vision_config=vision, projection_dim=width))


def make(work: Path, size: Size, painter: Painter) -> Path:
    """Train on matching pairs of a batch and save model and processor in float16. Returns the folder."""
    tokens = CLIPTokenizer.from_pretrained(work / "tokenizer", local_files_only=True)
    torch.manual_seed(0)
    model = build(size, tokens).to(device())

    def loss(rng: random.Random, step: int) -> dict[str, torch.Tensor]:
        scenes = [painter.draw_taught(rng, SHARES) for _ in range(size.scorer.batch)]
        pixels = torch.nn.functional.interpolate(painter.render(scenes, rng), (128, 128), mode="area") * 2 - 1
        texts = [plain_caption(s, painter) if rng.random() < 0.5 else painter.caption(s, rng) for s in scenes]
        ids = tokens(texts, padding="max_length", max_length=77, truncation=True, return_tensors="pt").to(pixels.device)
        logits = model(pixel_values=pixels, **ids).logits_per_image.float()
        right = torch.arange(len(scenes), device=pixels.device)
        both = torch.nn.functional.cross_entropy(logits, right) + torch.nn.functional.cross_entropy(logits.T, right)
        return {"loss": both / 2, "right": (logits.argmax(1) == right).float().mean()}

    train({"scorer": model}, loss, size.scorer, work / "state" / "scorer.safetensors")
    folder = work / "scorer"
    image = CLIPImageProcessor(size={"height": 128, "width": 128}, do_center_crop=False, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    model.cpu().half().eval().save_pretrained(folder)
    CLIPProcessor(image, tokens).save_pretrained(folder)
    return folder
