"""A folder of pictures through the captioner, as a ratio to a bare transformers loop and to one picture after another, on this machine.

    python -m benchmarks.captions [--pictures 64] [--batch 16] [--pairs 7] [--beams 1] [--tokens 20] [--model FOLDER] [--device cpu]

A is what a folder job does: read, turn upright, caption in batches, note in the ledger, write a .txt beside each picture. B is a bare loop:
PIL, the processor, `generate`, `batch_decode` and `write_text`, with the same batches. C is A with one picture at a time. They take turns
in one process, on copies of the same files, without captions when a turn begins; what they wrote must be the same. Model: the starter
captioner, or any folder of one.
--size makes one of random weights instead ("base" or "large": BLIP's true sizes).
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
import transformers
from PIL import Image

from benchmarks.program import machine
from modules.caption.installed import captioners, describe
from modules.caption.loading import load
from modules.folders import Folders
from modules.inputs import Inputs
from modules.processing.caption_folder import run_folder
from modules.processing.caption_folder_plan import resolve_folder
from modules.processing.caption_run import CaptionDesk
from modules.processing.captioner_slot import CaptionerSlot
from modules.request.caption_folder import FolderRequest
from modules.settings import Settings

SIDES = ((512, 512), (640, 480), (480, 640), (768, 512))
SIZES: dict[str, dict[str, Any]] = {
    "base": {"hidden_size": 768, "intermediate_size": 3072, "num_hidden_layers": 12, "num_attention_heads": 12},
    "large": {"hidden_size": 1024, "intermediate_size": 4096, "num_hidden_layers": 24, "num_attention_heads": 16},
}
WORDS, BEGIN, END = 30524, 30522, 102  # of BERT's vocabulary
TEXT = {"hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12, "bos_token_id": BEGIN, "sep_token_id": END}


class Control:
    """What a job is told by, with nobody listening."""

    interrupted = False

    def take_skip(self) -> bool:
        return False

    def status(self, text: str) -> None: ...

    def event(self, kind: str, data: dict[str, Any]) -> None: ...

    def progress(self, **values: Any) -> None: ...


def drawn(folder: Path, count: int) -> list[Path]:
    """Pictures as photographs are: several sizes, colours that run, JPEG."""
    folder.mkdir(parents=True)
    for n in range(count):
        width, height = SIDES[n % len(SIDES)]
        low = np.random.default_rng(n).integers(0, 255, (12, 16, 3), dtype=np.uint8)
        Image.fromarray(low).resize((width, height), Image.Resampling.BICUBIC).save(folder / f"{n:04}.jpg", quality=90)
    return sorted(folder.glob("*.jpg"))


def random_blip(folder: Path, size: str) -> Path:
    """A BLIP captioner of a true size with random weights, and a vocabulary of words that mean nothing."""
    words = ["[PAD]", *(f"[unused{n}]" for n in range(99)), "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocab = {word: n for n, word in enumerate([*words, *(f"w{n}" for n in range(WORDS - len(words)))])}
    tokenizer = transformers.BertTokenizer(vocab=vocab, model_max_length=512)
    text = {**TEXT, "vocab_size": WORDS, "encoder_hidden_size": SIZES[size]["hidden_size"]}
    config = transformers.BlipConfig(text_config=text, vision_config={**SIZES[size], "image_size": 384})
    transformers.BlipProcessor(transformers.BlipImageProcessor(), tokenizer).save_pretrained(folder)
    transformers.BlipForConditionalGeneration(config).save_pretrained(folder)
    return folder


def bare(model: Path, paths: list[Path], args: argparse.Namespace) -> Callable[[], None]:
    """The loop that anybody would write."""
    captioner = load(describe(model), device=args.device, dtype=args.dtype)  # the same weights, in eval mode on the device
    tokenizer, images, dtype = captioner.processor.tokenizer, captioner.processor.image_processor, getattr(torch, args.dtype)
    given = {"max_new_tokens": args.tokens, "num_beams": args.beams, "do_sample": False}
    given |= {"min_new_tokens": args.tokens} if args.full else {}
    given |= {"early_stopping": True, "length_penalty": 1.0} if args.beams > 1 else {}

    def run() -> None:
        for first in range(0, len(paths), args.batch):
            some = paths[first : first + args.batch]
            opened = [Image.open(path).convert("RGB") for path in some]
            pixels = images(images=opened, return_tensors="pt")["pixel_values"].to(args.device, dtype)
            with torch.inference_mode():
                made = captioner.model.generate(pixel_values=pixels, **given)
            for path, text in zip(some, tokenizer.batch_decode(made, skip_special_tokens=True), strict=True):
                path.with_suffix(".txt").write_text(" ".join(text.split()))

    return run


def ours(folders: Folders, folder: Path, desk: CaptionDesk, batch: int, args: argparse.Namespace) -> Callable[[], None]:
    """What the worker does of a folder's job, with a new ledger each time."""
    lengths = {"max_length": args.tokens, **({"min_length": args.tokens} if args.full else {})}
    request = FolderRequest(
        folder=str(folder), model=args.name, num_beams=args.beams, batch_size=batch, existing="overwrite", precision=args.dtype, **lengths
    )
    plan = resolve_folder(request, Settings(interrogate_keep_models_in_memory=True), folders, anywhere=True).to_data()
    count = iter(range(1_000_000))

    def run() -> None:
        state, result = run_folder({"id": f"{batch}-{next(count)}", "resolved": plan}, Control(), desk)
        if state != "done" or result["faults"]:
            raise SystemExit(f"{state}: {result['faults'][:3]}")

    return run


def timed(run: Callable[[], None], device: str) -> tuple[float, float]:
    """(seconds by the clock, seconds of processors)."""
    began, worked = time.perf_counter(), time.process_time()
    run()
    if device.startswith("cuda"):
        torch.cuda.synchronize()
    return time.perf_counter() - began, time.process_time() - worked


def texts(paths: list[Path]) -> list[str]:
    return [path.with_suffix(".txt").read_text() for path in paths]


def measure(args: argparse.Namespace, place: Path) -> None:
    folders = Folders.at(place / "data")
    if args.size:
        args.model = random_blip(folders.models / "BLIP" / f"random-{args.size}", args.size)
    rows, _ = captioners(folders)
    found = describe(Path(args.model)) if args.model else next(row for row in rows if "caption" in row.does)
    args.name = found.name
    slot = CaptionerSlot(
        device=args.device,
        dtype=args.dtype,
        dtypes=("float32", "float16", "bfloat16"),
        memory=lambda: (1 << 40, 1 << 40),
        make_room=lambda: False,
    )
    desk = CaptionDesk(folders=folders, inputs=Inputs(folders), slot=slot)
    sides = {name: drawn(place / name, args.pictures) for name in ("a", "b", "c")}
    runs = {
        "a": ours(folders, place / "a", desk, args.batch, args),
        "b": bare(found.path, sides["b"], args),
        "c": ours(folders, place / "c", desk, 1, args),
    }
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    worked: dict[str, list[float]] = {name: [] for name in runs}
    for n in range(args.pairs + 1):
        for name in runs if n % 2 else reversed(runs):
            if name == "c" and n > args.singles:
                continue
            for path in sides[name]:
                path.with_suffix(".txt").unlink(missing_ok=True)
            took, work = timed(runs[name], args.device)
            if n:  # one to warm up
                seconds[name].append(took)
                worked[name].append(work)
        if texts(sides["a"]) != texts(sides["b"]):
            raise SystemExit("the two wrote different captions, so their times cannot be compared")
    _report(args, found.name, seconds, worked)


def _report(args: argparse.Namespace, name: str, seconds: dict[str, list[float]], worked: dict[str, list[float]]) -> None:
    say = sys.stdout.write
    how = f"{args.pictures} pictures, {args.batch} at once, {args.beams} beams, {args.tokens} tokens"
    say(f"{machine()}, load {os.getloadavg()[0]:.1f}\n{name} in {args.dtype} on {args.device}, {how}\n")
    for key, words in (("a", "folder job        "), ("b", "bare transformers "), ("c", "folder job, single")):
        if took := seconds[key]:
            middle = statistics.median(took)
            pace, work = args.pictures / middle, statistics.median(worked[key])
            say(f"{words}: median {middle:.3f} s ({min(took):.3f} to {max(took):.3f}), {pace:.1f} pictures/s, {work:.3f} s of processors\n")
    ratios = [theirs / mine for mine, theirs in zip(seconds["a"], seconds["b"], strict=True)]
    say(
        f"throughput against the bare loop, pair by pair: median {statistics.median(ratios):.3f} ({min(ratios):.3f} to {max(ratios):.3f})\n"
    )
    if seconds["c"]:
        say(f"throughput against one by one: {statistics.median(seconds['c']) / statistics.median(seconds['a']):.2f}\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=64)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--pairs", type=int, default=7)
    parser.add_argument("--singles", type=int, default=3, help="so often is one by one measured")
    parser.add_argument("--beams", type=int, default=1)
    parser.add_argument("--tokens", type=int, default=20)
    parser.add_argument("--full", action="store_true", help="no caption ends before that many tokens")
    parser.add_argument("--model", default="", help="folder of a captioner")
    parser.add_argument("--size", choices=("", *SIZES), default="")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--threads", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    transformers.logging.set_verbosity_error()
    logging.disable(logging.INFO)
    with tempfile.TemporaryDirectory() as place, contextlib.suppress(BrokenPipeError):
        measure(args, Path(place))


if __name__ == "__main__":
    main()
