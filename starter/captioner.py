"""The captioner: a small BlipForConditionalGeneration on the same drawings, a caption of fixed form for each scene."""

from __future__ import annotations

import random
import re
from pathlib import Path

import torch
from transformers import BertTokenizer, BlipConfig, BlipForConditionalGeneration, BlipImageProcessor, BlipProcessor

from starter import words
from starter.scenes import Painter, Scene
from starter.sizes import Size
from starter.training import device, train

SHARES = {"one": 0.5, "small": 0.1, "beside": 0.26, "above": 0.14}
BLURRED_SHARE = 0.3
LETTERS = "abcdefghijklmnopqrstuvwxyz0123456789"
MAX_TOKENS = 40


def plain_caption(scene: Scene, painter: Painter) -> str:
    """ "a flat apple on a blue background", "a 3d cat next to a dog on a white background"."""
    row = painter.rows[scene.first]
    name = noun(scene.first, painter)
    if scene.kind in ("beside", "above"):
        joined = "next to" if scene.kind == "beside" else "above"
        name = f"{name} {joined} {words.with_article(noun(scene.second, painter))}"
    size = "small " if scene.kind == "small" else ""
    article = "an" if scene.colour[0] in "aeiou" else "a"
    return f"a {size}{row.style} {name} on {article} {scene.colour} background"


def noun(row: int, painter: Painter) -> str:
    """What a drawing is called in captions."""
    drawing = painter.rows[row]
    return (drawing.names[0] if drawing.names else drawing.label).lower()


def tokenizer(folder: Path, painter: Painter) -> BertTokenizer:
    """Whole words of the captions, single letters for everything else. Writes vocab.txt into the folder."""
    texts = [f"{noun(i, painter)} {row.style}" for i, row in enumerate(painter.rows)]
    texts.append(f"a an on background small next to above {' '.join(words.COLOURS)}")
    known = dict.fromkeys(w for text in texts for w in re.findall(r"[a-z]+|[0-9]|[^\sa-z0-9]", text) if w not in LETTERS)
    tokens = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]", *LETTERS, *(f"##{c}" for c in LETTERS), *known]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.txt").write_text("\n".join([*tokens, ""]), encoding="utf-8")
    made = BertTokenizer.from_pretrained(folder, do_lower_case=True, local_files_only=True)
    made.add_special_tokens({"bos_token": "[DEC]"})
    return made


def build(size: Size, tokens: BertTokenizer) -> BlipForConditionalGeneration:
    """Random weights."""
    width = size.vision_width
    text = {
        "vocab_size": len(tokens),
        "hidden_size": width,
        "encoder_hidden_size": width,
        "intermediate_size": 4 * width,
        "projection_dim": width,
        "num_hidden_layers": max(2, size.vision_layers // 2),
        "num_attention_heads": 4,
        "max_position_embeddings": 64,
        "bos_token_id": tokens.bos_token_id,
        "eos_token_id": tokens.sep_token_id,
        "pad_token_id": tokens.pad_token_id,
        "sep_token_id": tokens.sep_token_id,
        "hidden_dropout_prob": 0.0,
        "attention_probs_dropout_prob": 0.0,
    }
    vision = {
        "hidden_size": width,
        "intermediate_size": 4 * width,
        "projection_dim": width,
        "num_hidden_layers": size.vision_layers,
        "num_attention_heads": 4,
        "image_size": 128,
        "patch_size": 16,
    }
    return BlipForConditionalGeneration(
        BlipConfig(text_config=text, vision_config=vision, projection_dim=width, image_text_hidden_size=width)
    )


def make(work: Path, size: Size, painter: Painter) -> Path:
    """Train, from the weights in work/begin/captioner if there are any, and save model and processor in float16. Returns the folder."""
    folder = work / "captioner"
    tokens = tokenizer(folder, painter)
    torch.manual_seed(0)
    model = build(size, tokens).to(device())
    if (begin := work / "begin" / "captioner").exists():
        model.load_state_dict(BlipForConditionalGeneration.from_pretrained(begin, dtype=torch.float32, local_files_only=True).state_dict())
    # What is drawn is also asked of the vision tower alone, by a layer that is thrown away: words teach the objects far more slowly.
    labels = {code: n for n, code in enumerate(sorted({row.code for row in painter.rows}))}
    which = torch.nn.Linear(size.vision_width, len(labels)).to(device())

    def loss(rng: random.Random, step: int) -> dict[str, torch.Tensor]:
        scenes = [painter.draw_taught(rng, SHARES) for _ in range(size.captioner.batch)]
        pixels = torch.nn.functional.interpolate(painter.render(scenes, rng), (128, 128), mode="area")
        if rng.random() < BLURRED_SHARE:  # pictures that were made here are softer, and noisier
            pixels = torch.nn.functional.interpolate(torch.nn.functional.avg_pool2d(pixels, 2), (128, 128), mode="bilinear")
        pixels = (pixels + torch.randn_like(pixels) * rng.random() * 0.05) * 2 - 1
        rows = [
            [tokens.bos_token_id, *tokens(plain_caption(s, painter), add_special_tokens=False).input_ids, tokens.sep_token_id]
            for s in scenes
        ]
        longest = max(map(len, rows))
        ids = torch.tensor([r + [tokens.pad_token_id] * (longest - len(r)) for r in rows], device=pixels.device)
        mask = torch.tensor([[1] * len(r) + [0] * (longest - len(r)) for r in rows], device=pixels.device)
        out = model(pixel_values=pixels, input_ids=ids, attention_mask=mask, labels=ids.masked_fill(mask == 0, -100))
        shown = torch.zeros(len(scenes), len(labels), device=pixels.device)
        for row, scene in zip(shown, scenes, strict=True):
            for drawing in {scene.first, scene.second} - {-1}:
                row[labels[painter.rows[drawing].code]] += 0.5 if scene.second >= 0 else 1.0
        guess = which(out.last_hidden_state[:, 0]).float()
        object_loss = torch.nn.functional.cross_entropy(guess, shown / shown.sum(1, keepdim=True))
        return {"loss": out.loss.float() + object_loss, "words": out.loss.float(), "object": object_loss}

    train({"captioner": model, "which": which}, loss, size.captioner, work / "state" / "captioner.safetensors")
    model.generation_config.max_length = MAX_TOKENS
    processor = BlipProcessor(BlipImageProcessor(size={"height": 128, "width": 128}, image_mean=[0.5] * 3, image_std=[0.5] * 3), tokens)
    model.cpu().half().eval().save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder
