"""A language model from a folder that goes on writing a prompt. torch lives here; nothing is fetched and no code of the folder is run.

Start reading at `Writer.more`.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from modules.faults import ModelFault

SAFE: dict[str, Any] = {"use_safetensors": True, "dtype": torch.float32}
TASK = (
    "You add detail to descriptions of pictures. You are given the beginning of a description. Answer with a few more details of the same "
    "picture, as short phrases with commas between them, and with nothing else."
)
_TAGS = re.compile(r"<[^<>]*>")
_MARKS = re.compile(r"[()\[\]{}<>|\\$:#*\"“”]|\b(?:AND|BREAK)\b")


class Writer:
    """One opened model, on the processor."""

    def __init__(self, folder: Path) -> None:
        """Raises ModelFault when the folder has no causal language model in safetensors."""
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True)
            self._model: Any = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, **SAFE).train(False)
        except (OSError, ValueError, RuntimeError, KeyError) as error:
            raise ModelFault(f"The language model {folder.name} cannot be opened: {str(error)[:300]}") from error

    def more(self, prompt: str, *, seed: int, most: int, temperature: float) -> str:
        """Words to put behind a prompt, cleaned of the marks of its language; the same for the same seed. most: tokens."""
        given = self._asked(_TAGS.sub("", prompt).strip(" ,"))
        length = given["input_ids"].shape[1]
        how: dict[str, Any] = {"do_sample": True, "temperature": temperature, "top_p": 0.95, "top_k": 50, "repetition_penalty": 1.1}
        with torch.inference_mode(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            ids = self._model.generate(**given, max_new_tokens=most, pad_token_id=self._ending(), **how)
        return cleaned(self._tokenizer.decode(ids[0, length:], skip_special_tokens=True))

    def _asked(self, text: str) -> dict[str, torch.Tensor]:
        if getattr(self._tokenizer, "chat_template", None):
            talk = [{"role": "system", "content": TASK}, {"role": "user", "content": text or "a picture"}]
            found = self._tokenizer.apply_chat_template(talk, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        else:
            found = self._tokenizer(f"{text}, " if text else "A picture of", return_tensors="pt")
        return {name: found[name] for name in ("input_ids", "attention_mask")}

    def _ending(self) -> int:
        ending = self._tokenizer.eos_token_id
        return 0 if ending is None else int(ending)


def cleaned(text: str) -> str:
    """One line without the marks of the prompt's language, cut after the last whole phrase."""
    line = " ".join(_MARKS.sub(" ", text).split())
    whole = max(line.rfind(","), line.rfind("."))
    return re.sub(r"\s+([,.])", r"\1", line[:whole] if whole > len(line) // 2 else line).strip(" ,.;-")
