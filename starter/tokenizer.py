"""The text model's tokenizer: byte-level BPE in CLIP's layout, learnt from the captions. `make(work)` writes the files."""

from __future__ import annotations

import json
import random
from pathlib import Path

from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers, trainers

from starter.scenes import KINDS, Painter

VOCABULARY = 4000
START, END = "<|startoftext|>", "<|endoftext|>"
# Words that people type although no drawing carries them; they should stay one or two tokens.
COMMON = (
    "masterpiece best quality high quality highly detailed photo of picture of image of drawing of a cute beautiful big large little tiny "
    "bright dark colorful simple centered isolated white background icon emoji sticker render painting illustration low quality blurry "
    "worst quality bad ugly text watermark left right above below next to and on top of under"
)
_WORDS = Regex(r"<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+")


def make(folder: Path, painter: Painter) -> None:
    """Write vocab.json, merges.txt and the configs that CLIPTokenizer reads. The same drawings give the same files."""
    rng = random.Random(0)
    shares: dict[str, float] = dict.fromkeys(KINDS, 1.0)
    texts = [painter.caption(painter.draw_scene(rng, shares), rng) for _ in range(30_000)]
    texts += [text for row in painter.rows for text in (row.label, *row.names, *(t.lower() for t in row.tags))]
    texts += [COMMON] * 20
    learner = Tokenizer(models.BPE(unk_token=END, end_of_word_suffix="</w>", continuing_subword_prefix=""))
    learner.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Replace(Regex(r"\s+"), " "), normalizers.Lowercase()])
    learner.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(_WORDS, behavior="removed", invert=True), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    learner.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=VOCABULARY,
            min_frequency=2,
            end_of_word_suffix="</w>",
            continuing_subword_prefix="",
            initial_alphabet=alphabet,
            special_tokens=[],
            show_progress=False,
        ),
    )
    merges = [tuple(m) if isinstance(m, list) else tuple(m.split(" ")) for m in json.loads(learner.to_str())["model"]["merges"]]
    _write(folder, _byte_letters(), merges)


def _byte_letters() -> list[str]:
    """CLIP's letter for each byte: printable ones stand for themselves, the rest follow from U+0100 on."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [b for b in range(256) if b not in plain]
    return [chr(b) for b in plain] + [chr(256 + n) for n in range(len(others))]


def _write(folder: Path, letters: list[str], merges: list[tuple[str, ...]]) -> None:
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    known = set(tokens)
    kept: list[tuple[str, ...]] = []
    for left, right in merges:
        if left in known and right in known:
            kept.append((left, right))
            if left + right not in known:
                known.add(left + right)
                tokens.append(left + right)
    tokens += [START, END]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({t: i for i, t in enumerate(tokens)}, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *(" ".join(m) for m in kept), ""]), encoding="utf-8")
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    config = {
        **special,
        "model_max_length": 77,
        "tokenizer_class": "CLIPTokenizer",
        "do_lower_case": True,
        "add_prefix_space": False,
        "errors": "replace",
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=1))
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=1))
