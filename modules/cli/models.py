"""`python launch.py models`: what is there, and work on model files through the same queue as the page's.

Start reading at `main`. The flags of each kind of work are the Knobs of its record in `modules.upkeep.work`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from modules.app import App, build
from modules.cli.arguments import flag_lines, read
from modules.cli.following import INTERRUPTED, OK, WRONG, Stopped, fail, follow, warn
from modules.families import FAMILIES, Description
from modules.families.kinds import kind_of
from modules.faults import Fault, ModelFault, RequestFault
from modules.flags import Flags
from modules.upkeep import known
from modules.upkeep.work import KINDS
from modules.weights import model_folder
from modules.weights.header import Header
from modules.weights.layouts.files import header_of

USAGE = "python launch.py models COMMAND"
# Command -> (kind of work, the fields that words without a flag are, what it does).
WORK = {
    "download": ("download", ("source",), "fetch a known model, org/name[:file] of the hub, or an https address"),
    "convert": ("convert", ("source",), "another form or precision of a model"),
    "quantise": ("quantise", ("source",), "a model as a folder in 8 or 4 bits"),
    "merge": ("merge", ("model_a", "model_b", "model_c"), "mix two or three models"),
    "unpickle": ("unpickle", ("source",), "a .ckpt or .pt file as .safetensors, read in a locked-up process"),
    "extract-lora": ("extract_lora", ("tuned", "base"), "the difference of two models as a LoRA"),
    "merge-lora": ("merge_lora", ("model", "loras"), "LoRAs as part of a model"),
    "export-captioner": ("export_captioner", ("model",), "a captioner as ONNX graphs, in float32 and int8"),
}
LOOKS = {
    "list": "the models that are there, and why others cannot be used",
    "known": "well-known models that `download` knows by their id",
    "info": "what a model file or folder is: models info FILE",
}


def main(flags: Flags, rest: Sequence[str]) -> int:
    """Carry out `models COMMAND …`. Returns 0, 1 when it failed, 2 for wrong arguments, 130 after Ctrl+C."""
    command, *words = [*rest] or ["--help"]
    if command in ("--help", "-h"):
        return _say(help_text())
    if command not in {**WORK, **LOOKS}:
        return fail(f"There is no command models {command}; models --help lists them all.", WRONG)
    if "--help" in words or "-h" in words:
        return _say(help_of(command))
    try:
        looks: dict[str, Callable[[], int]] = {"known": _known, "info": lambda: info(words)}
        if command in looks:
            return looks[command]()
        app = build(flags)
        try:
            return _list(app) if command == "list" else _work(app, command, words)
        finally:
            app.stop()
    except RequestFault as fault:
        return fail(fault.message, WRONG)
    except Fault as fault:
        return fail(fault.message)


def _work(app: App, command: str, words: Sequence[str]) -> int:
    kind, bare, _ = WORK[command]
    job = app.submit_work(kind, read(words, KINDS[kind], bare=bare, command=f"models {command}"), owner="cli")
    try:
        job = follow(app, job)
    except Stopped:
        sys.stderr.write("canceled\n")
        return INTERRUPTED
    warn(job)
    for path in (job.result or {}).get("files", ()):
        _say(f"{path}\n")
    return OK if job.state == "done" else fail((job.fault or {}).get("message", "The job was canceled."))


def _list(app: App) -> int:
    for row in app.library.checkpoints():
        kind = " ".join(filter(None, [FAMILIES.get(row.family).title, row.variant]))
        _say(f"{row.title}  ({kind}, {row.format}, {row.native_px} px)\n")
    for path, why in app.library.refused().items():
        sys.stderr.write(f"not usable: {path}: {why}\n")
    return OK


def _known() -> int:
    for model in known.models():
        size = f"{model.size_bytes / 1e9:.1f} GB" if model.size_bytes else "size not known"
        gated = ", wants an account (HF_TOKEN)" if model.gated else ""
        needs = f" Needs {', '.join(model.needs)}." if model.needs else ""
        _say(f"{model.id:<18} {model.title}: {size}, {model.licence}{gated}. {model.note}{needs}".rstrip() + "\n")
    return OK


def info(words: Sequence[str]) -> int:
    """Print what a file or folder is, with each family's reason. Raises RequestFault, ModelFault."""
    if len(words) != 1:
        raise RequestFault("file", "one file or folder is needed: models info FILE")
    path = Path(words[0])
    if not path.exists():
        raise ModelFault(f"There is no {path}.")
    description: Description = model_folder.read(path) if path.is_dir() else header_of(path)
    for line in _described(description):
        _say(f"{line}\n")
    return OK


def _described(description: Description) -> list[str]:
    lines: list[str] = []
    if isinstance(description, Header):
        kind = kind_of(description)
        types = sorted({info.dtype for info in description.tensors.values()})
        lines.append(f"kind: {kind.kind}{f' for {kind.architecture}' if kind.architecture else ''}, because {kind.why}")
        lines.append(f"tensors: {len(description.tensors)}, {', '.join(types)}, {description.format}")
    for _, family in FAMILIES:
        match = family.detect(description)
        fits = f"yes ({match.variant or 'plain'}, {match.native_px} px, {match.prediction or 'no prediction told'})" if match.fits else "no"
        lines.append(f"{family.title}: {fits}; {match.why}")
    if isinstance(description, Header):
        lines += [f"{name}: {text[:200]}" for name, text in sorted(description.metadata.items())]
    return lines


def help_text() -> str:
    """What `models --help` prints."""
    rows = {**LOOKS, **{name: about for name, (_, _, about) in WORK.items()}}
    lines = [f"usage: {USAGE}", "", *(f"  {name:<17} {about}" for name, about in rows.items())]
    return "\n".join([*lines, "", "models COMMAND --help lists the flags of a command.", ""])


def help_of(command: str) -> str:
    """What `models COMMAND --help` prints."""
    if command not in WORK:
        return f"usage: python launch.py models {command}\n\n  {LOOKS[command]}\n"
    kind, bare, about = WORK[command]
    lines = [f"usage: python launch.py models {command} {' '.join(name.upper() for name in bare)} [flags]", "", f"  {about}", ""]
    return "\n".join([*lines, *flag_lines(KINDS[kind]), ""])


def _say(text: str) -> int:
    sys.stdout.write(text)
    sys.stdout.flush()
    return OK
