"""A captioner as two ONNX graphs, and the same with weights of 8 bits; both compared with torch before they take their place.

Start reading at `export`.
"""

from __future__ import annotations

import dataclasses
import logging
import shutil
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from modules.backends.onnx_session import session
from modules.caption.loading import Captioner
from modules.caption.onnx_files import ABOUT, BEGIN, FLOAT32, FOLDER, INT8, MADE_WITH, STEP, Export, file_of, need
from modules.caption.onnx_parts import Begin, Kept, Step, pixels, split
from modules.caption.onnx_running import OnnxModel
from modules.caption.onnx_weights import compress, strip
from modules.faults import ModelFault
from modules.folders import write_atomic

LARGE_BYTES = 1_500_000_000  # a file of ONNX itself holds 2 GB at most; larger weights lie beside it
CHECK_PICTURES = 2
CHECK_STEPS = 6
MOST_APART = 1e-3  # of the largest likelihood, for float32
EXAMPLE = (2, 3, 4)  # pictures, words that stand already, new words: sizes that no model has fixed
Say = Callable[[str], None]


def export(captioner: Captioner, precisions: tuple[str, ...], say: Say = lambda text: None) -> Export:
    """Write `onnx/` into the captioner's folder, in place of one that is there. captioner: on the CPU in float32.

    Raises ModelFault when the kind cannot be exported, packages are missing, or the graphs do not say what torch says; then what was there
    before stays. Minutes for large models, and about three times the memory of their weights.
    """
    need(MADE_WITH, "Exporting to ONNX")
    folder = captioner.installed.path
    captioner.model.set_attn_implementation("eager")
    begin, step, about = split(captioner)
    work = Path(tempfile.mkdtemp(prefix=".onnx-", dir=folder))
    try:
        (work / FOLDER).mkdir()
        say("Writing the graph that sees the picture…")
        _graph(begin, *_begin_example(captioner, about), file_of(work, BEGIN, FLOAT32))
        say("Writing the graph that writes a word…")
        _graph(step, *_step_example(captioner, begin, about), file_of(work, STEP, FLOAT32))
        checked = {FLOAT32: compare(captioner, begin, step, _runner(work, about, FLOAT32))}
        if checked[FLOAT32]["apart"] > MOST_APART:
            raise ModelFault(f"The ONNX form of {captioner.installed.name} says other things than torch does; it was not kept.")
        if INT8 in precisions:
            say("Making the weights 8 bits…")
            for part in (BEGIN, STEP):
                compress(file_of(work, part, FLOAT32), file_of(work, part, INT8))
            checked[INT8] = compare(captioner, begin, step, _runner(work, about, INT8))
        about = _finished(about, precisions, checked)
        write_atomic(work / FOLDER / ABOUT, about.to_text().encode())
        for precision in {FLOAT32, INT8} - set(precisions):
            for file in (work / FOLDER).glob("*.onnx*"):
                if file.name.startswith(tuple(file_of(work, part, precision).name for part in (BEGIN, STEP))):
                    file.unlink()
        _replace(work / FOLDER, folder / FOLDER)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return about


def compare(captioner: Captioner, begin: Begin, step: Step, runner: OnnxModel) -> dict[str, Any]:
    """How far the graphs are from torch, on pictures of noise and the words that torch writes for them.

    {"apart": largest difference of the likelihoods over the largest likelihood, "same_words": share of the words that are the same}.
    """
    about = runner.export
    seen_by_both = pixels(captioner, CHECK_PICTURES)
    with torch.inference_mode():
        kept, own = begin(seen_by_both), runner.begin(seen_by_both.numpy())
        split_at = len(kept) - about.fixed
        past, fixed = kept[:split_at] or _empty(about, CHECK_PICTURES), kept[split_at:]
        own_past = own[:split_at] or [tensor.numpy() for tensor in past]
        own_fixed = own[split_at:]
        tokens = torch.full((CHECK_PICTURES, 1), about.first)
        apart, same = 0.0, 0
        for _ in range(CHECK_STEPS):
            logits, past = step(tokens, past, fixed)
            own_logits, own_past = runner.step(tokens.numpy(), own_past, own_fixed)
            other = torch.from_numpy(own_logits)
            apart = max(apart, float((logits - other).abs().max() / logits.abs().max()))
            same += int((logits.argmax(-1) == other.argmax(-1)).sum())
            tokens = logits.argmax(-1, keepdim=True)
    return {"apart": round(apart, 6), "same_words": same / (CHECK_STEPS * CHECK_PICTURES)}


def _graph(module: Any, example: tuple[Any, ...], names: tuple[list[str], list[str]], shapes: Any, path: Path) -> None:
    quiet = [logging.getLogger(name) for name in ("onnxscript", "onnx_ir", "torch.onnx")]
    levels = [logger.level for logger in quiet]
    for logger in quiet:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            program: Any = torch.onnx.export(
                module, example, input_names=names[0], output_names=names[1], dynamic_shapes=shapes, dynamo=True, external_data=False,
                verbose=False,
            )  # fmt: skip
        size = sum(weight.numel() * weight.element_size() for weight in module.parameters())
        program.save(path, external_data=size > LARGE_BYTES)
    except (RuntimeError, ValueError, TypeError, NotImplementedError) as error:
        logging.getLogger(__name__).exception("exporting %s", path.name)
        raise ModelFault(f"This model cannot be written as an ONNX graph: {str(error).strip().splitlines()[0][:200]}") from error
    finally:
        for logger, level in zip(quiet, levels, strict=True):
            logger.setLevel(level)
    strip(path)


def _begin_example(captioner: Captioner, about: Export) -> tuple[tuple[Any, ...], tuple[list[str], list[str]], Any]:
    layers = about.grows[0]
    outputs = [f"kept_{n}" for n in range(layers)]
    return (pixels(captioner, EXAMPLE[0]),), (["pixel_values"], outputs), {"pixel_values": {0: torch.export.Dim.DYNAMIC}}


def _step_example(captioner: Captioner, begin: Begin, about: Export) -> tuple[tuple[Any, ...], tuple[list[str], list[str]], Any]:
    pictures, words, new = EXAMPLE
    layers, heads, width = about.grows
    free = torch.export.Dim.DYNAMIC
    with torch.inference_mode():
        kept = begin(pixels(captioner, pictures))
    seen: Kept = [tensor.clone() for tensor in kept] if about.fixed else []
    already = kept[0].shape[2] + words if not about.fixed else words
    past = [torch.randn(pictures, heads, already, width) for _ in range(layers)]
    names = ["input_ids", *(f"past_{n}" for n in range(layers)), *(f"seen_{n}" for n in range(about.fixed))]
    shapes = ({0: free, 1: free}, [{0: free, 2: free}] * layers, [{0: free}] * about.fixed)
    example = (torch.full((pictures, new), about.first), past, seen)
    return example, (names, ["logits", *(f"present_{n}" for n in range(layers))]), shapes


def _empty(about: Export, count: int) -> Kept:
    layers, heads, width = about.grows
    return [torch.zeros(count, heads, 0, width)] * layers


def _runner(folder: Path, about: Export, precision: str) -> OnnxModel:
    return OnnxModel(about, *(session(file_of(folder, part, precision)) for part in (BEGIN, STEP)))


def _finished(about: Export, precisions: tuple[str, ...], checked: dict[str, dict[str, Any]]) -> Export:
    return dataclasses.replace(about, precisions=precisions, checked={name: checked[name] for name in precisions})


def _replace(new: Path, old: Path) -> None:
    """Put a folder in the place of another, which is gone only once the new one is there."""
    away = new.with_name("before")
    if old.exists():
        old.rename(away)
    try:
        new.rename(old)
    except OSError:
        if away.exists():
            away.rename(old)
        raise
