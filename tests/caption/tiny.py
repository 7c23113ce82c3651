"""Tiny random models of every kind of captioner, of the true class, with true processor and tokenizer files. Seconds in all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
import transformers as tr
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors

SIDE_PX = 32
SENTENCE = "a the cat dog red blue on in small large what is it question answer : ? photo of sky tree house"
WORDS = SENTENCE.split()
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[DEC]"]
LETTERS = [*"abcdefghijklmnopqrstuvwxyz", *(f"##{c}" for c in "abcdefghijklmnopqrstuvwxyz")]
VISION = {
    "hidden_size": 16,
    "intermediate_size": 32,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "image_size": SIDE_PX,
    "patch_size": 8,
}
TEXT = {"hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2}


def bert_tokenizer() -> Any:
    """As BLIP and GIT have it."""
    vocab = {word: n for n, word in enumerate(dict.fromkeys([*SPECIAL, *WORDS, *LETTERS]))}
    return tr.BertTokenizer(vocab=vocab, bos_token="[DEC]", model_max_length=64)


def gpt_tokenizer(*, ends: bool = False) -> Any:
    """Bytes and a few merges, as GPT-2 and OPT have it. ends: every text gets the sign for its end, as CLIP wants it."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    merges = [("Ġ", "t"), ("Ġ", "a"), ("c", "a"), ("ca", "t")]
    vocab = {"<pad>": 0, "</s>": 1}
    for token in (*alphabet, *(a + b for a, b in merges)):
        vocab[token] = len(vocab)
    raw = Tokenizer(models.BPE(vocab=vocab, merges=merges))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore[reportAttributeAccessIssue]
    raw.decoder = decoders.ByteLevel()  # pyright: ignore[reportAttributeAccessIssue]
    if ends:
        raw.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])  # pyright: ignore[reportAttributeAccessIssue]
    return tr.PreTrainedTokenizerFast(tokenizer_object=raw, pad_token="<pad>", eos_token="</s>", bos_token="</s>", unk_token="</s>")


def _spread(model: Any) -> Any:
    """Random weights that tell pictures apart and do not write one word for ever: fresh ones are too near to zero for that."""
    torch.manual_seed(7)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1:
                weight.normal_(0, 0.35 if "embed" in name or "query_tokens" in name else 0.6 / weight.shape[-1] ** 0.5 * 2)
    return model.eval()


def saved(folder: Path, model: Any, *parts: Any) -> Path:
    """The folder with the model's weights spread and its files in it."""
    for part in (_spread(model), *parts):
        part.save_pretrained(folder)
    return folder


def _images(cls: Any) -> Any:
    more = {"crop_size": {"height": SIDE_PX, "width": SIDE_PX}} if "CLIP" in cls.__name__ else {}
    size = {"shortest_edge": SIDE_PX} if more else {"height": SIDE_PX, "width": SIDE_PX}
    return cls(size=size, **more)


def _blip_config(tokenizer: Any) -> Any:
    ids = {"bos_token_id": tokenizer.convert_tokens_to_ids("[DEC]"), "sep_token_id": tokenizer.sep_token_id}
    text = {
        **TEXT, **ids, "vocab_size": len(tokenizer), "eos_token_id": tokenizer.sep_token_id, "pad_token_id": tokenizer.pad_token_id,
        "max_position_embeddings": 64, "encoder_hidden_size": 16, "is_decoder": True, "projection_dim": 16,
    }  # fmt: skip
    return tr.BlipConfig(text_config=text, vision_config={**VISION, "projection_dim": 16}, image_text_hidden_size=12, projection_dim=16)


def blip(folder: Path, cls: Any = tr.BlipForConditionalGeneration) -> Path:
    tokenizer = bert_tokenizer()
    return saved(folder, cls(_blip_config(tokenizer)), tr.BlipProcessor(_images(tr.BlipImageProcessor), tokenizer))


def blip_vqa(folder: Path) -> Path:
    return blip(folder, tr.BlipForQuestionAnswering)


def blip_itm(folder: Path) -> Path:
    return blip(folder, tr.BlipForImageTextRetrieval)


def blip2(folder: Path, *, old: bool = False, bare: bool = False) -> Path:
    """old: as snapshots from before the places of the queries were written down; bare: and their sign was not in the vocabulary."""
    tokenizer, plain = gpt_tokenizer(), gpt_tokenizer()
    processor = tr.Blip2Processor(_images(tr.BlipImageProcessor), tokenizer, num_query_tokens=4)
    text = tr.OPTConfig(
        vocab_size=len(plain if bare else tokenizer), hidden_size=16, ffn_dim=32, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=96, word_embed_proj_dim=16, bos_token_id=1, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    config = tr.Blip2Config(
        vision_config={**VISION}, qformer_config={**TEXT, "encoder_hidden_size": 16, "vocab_size": 40}, text_config=text.to_dict(),
        num_query_tokens=4, image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )  # fmt: skip
    model = tr.Blip2ForConditionalGeneration(config)
    if old or bare:
        config.image_token_index = None
        processor.num_query_tokens = None
    saved(folder, model, processor)
    if bare:
        plain.save_pretrained(folder)
    return folder


def vit_gpt2(folder: Path) -> Path:
    tokenizer = gpt_tokenizer()
    encoder = tr.ViTConfig(**VISION)
    decoder = tr.GPT2Config(
        vocab_size=len(tokenizer), n_positions=64, n_embd=16, n_layer=2, n_head=2, add_cross_attention=True, is_decoder=True,
        bos_token_id=1, eos_token_id=1, pad_token_id=0,
    )  # fmt: skip
    config = tr.VisionEncoderDecoderConfig.from_encoder_decoder_configs(encoder, decoder)
    config.decoder_start_token_id, config.pad_token_id, config.eos_token_id = 1, 0, 1
    model = tr.VisionEncoderDecoderModel(config)
    model.generation_config = tr.GenerationConfig(decoder_start_token_id=1, pad_token_id=0, eos_token_id=1)
    return saved(folder, model, _images(tr.ViTImageProcessor), tokenizer)


def git(folder: Path) -> Path:
    tokenizer = bert_tokenizer()
    config = tr.GitConfig(
        **TEXT, vision_config={**VISION}, vocab_size=len(tokenizer), max_position_embeddings=64, bos_token_id=tokenizer.cls_token_id,
        eos_token_id=tokenizer.sep_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    return saved(folder, tr.GitForCausalLM(config), tr.GitProcessor(_images(tr.CLIPImageProcessor), tokenizer))


def clip(folder: Path) -> Path:
    tokenizer = gpt_tokenizer(ends=True)
    text = {**TEXT, "vocab_size": len(tokenizer), "max_position_embeddings": 48, "bos_token_id": 1, "eos_token_id": 1, "pad_token_id": 0}
    config = tr.CLIPConfig(text_config={**text, "projection_dim": 12}, vision_config={**VISION, "projection_dim": 12}, projection_dim=12)
    return saved(folder, tr.CLIPModel(config), tr.CLIPProcessor(_images(tr.CLIPImageProcessor), tokenizer))


def lora(folder: Path, rank: int = 2) -> Path:
    """An adapter for `blip`, as peft writes it: its decoder looks elsewhere in its own words."""
    folder.mkdir(parents=True)
    layers = [f"text_decoder.bert.encoder.layer.{n}.attention.self.{part}" for n in range(2) for part in ("query", "value")]
    draw, tensors = torch.Generator().manual_seed(3), dict[str, torch.Tensor]()
    for layer in layers:
        tensors[f"base_model.model.{layer}.lora_A.weight"] = torch.randn(rank, 16, generator=draw)
        tensors[f"base_model.model.{layer}.lora_B.weight"] = torch.randn(16, rank, generator=draw)
    save_file(tensors, folder / "adapter_model.safetensors")
    config = {"peft_type": "LORA", "r": rank, "lora_alpha": 2 * rank, "target_modules": layers}
    (folder / "adapter_config.json").write_text(json.dumps(config), encoding="utf-8")
    return folder


MAKERS = {"blip": blip, "blip-vqa": blip_vqa, "blip-itm": blip_itm, "blip-2": blip2, "vit-gpt2": vit_gpt2, "git": git, "clip": clip}
