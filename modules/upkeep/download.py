"""Downloads as work: from a source to a checked model file, or to a model folder of many files. Start reading at `download`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from modules.faults import Fault, RequestFault
from modules.upkeep import hub
from modules.upkeep.fetch import Wanted, fetch
from modules.upkeep.places import CAPTIONERS, PICKLES, TAGGERS, plain_name, room_for
from modules.upkeep.reach import Reach
from modules.upkeep.report import Report
from modules.upkeep.sources import Source, parse_source
from modules.weights import header, model_folder

CONFIG = "config.json"
SUFFIXES = (".safetensors", ".gguf", *PICKLES)


def download(work: dict[str, Any], report: Report, reach: Reach, *, hub_base: str | None = None) -> None:
    """Carry out a planned download. Raises Fault; after Cancelled or a broken connection what has come is kept for the next try."""
    source = parse_source(work["source"])
    folder = Path(work["folder"])
    if source.url is not None:
        wanted = Wanted(url=source.url, folder=folder, name=_suffixed(work["name"], source), sha256=work["sha256"], suffixes=SUFFIXES)
        report.say(f"Asking {source.shown.partition('//')[2].partition('/')[0]}…")
        _keep(fetch(wanted, reach, report.bytes, report.stopped), report)
        return
    report.say("Asking the hub…")
    files = hub.listing(source, reach, hub_base)
    if source.file is None and any(f.path == hub.INDEX for f in files):
        _folder(work, source, files, report, reach)
        return
    if source.file is None and folder.name in CAPTIONERS and any(f.path == CONFIG for f in files):
        _grow(work, source, hub.captioner_files(files), report, reach)
        return
    if source.file is None and folder.name == TAGGERS:
        _grow(work, source, hub.tagger_files(files), report, reach)
        return
    found = hub.the_file(files, source, SUFFIXES)
    if not found.path.lower().endswith(SUFFIXES):
        raise RequestFault("source", f"leads to {found.path}, which is no model file ({', '.join(SUFFIXES)})")
    name = plain_name(_suffixed(work["name"], source) or found.path)
    sha256 = _agreed(work["sha256"], found.sha256, name)
    wanted = Wanted(url=found.url, folder=folder, name=name, sha256=sha256, size_bytes=found.size_bytes or None)
    _keep(fetch(wanted, reach, report.bytes, report.stopped), report)


def _folder(work: dict[str, Any], source: Source, files: list[hub.HubFile], report: Report, reach: Reach) -> None:
    """A whole model in the diffusers layout: its index says what belongs to it."""
    _, growing = _places(work, source)
    index_file = next(f for f in files if f.path == hub.INDEX)
    index_path = growing / hub.INDEX
    if not index_path.exists():
        fetch(Wanted(url=index_file.url, folder=growing, name=hub.INDEX), reach, lambda *_: None, report.stopped)
    try:
        index = json.loads(index_path.read_text(encoding="utf-8"))
        chosen = hub.folder_files(files, index, work["variant"])
    except (ValueError, AttributeError) as error:
        raise RequestFault("source", f"has a broken {hub.INDEX}; take another repository") from error
    _grow(work, source, chosen, report, reach, model_folder.read)


def _places(work: dict[str, Any], source: Source) -> tuple[Path, Path]:
    """(the new folder, the name under which it grows, which no list shows). Raises RequestFault when it is there already."""
    name = work["name"] or plain_name((source.repo or "").rpartition("/")[2])
    target = Path(work["folder"]) / name
    if target.exists():
        raise RequestFault("name", f"{name} is already in {target.parent.name}; give another name", got=name)
    return target, target.with_name(f".{name}.part")


def _grow(
    work: dict[str, Any],
    source: Source,
    chosen: list[tuple[hub.HubFile, str]],
    report: Report,
    reach: Reach,
    check: Callable[[Path], object] = lambda folder: None,
) -> None:
    """Fetch the files of a folder and give it its name. check(folder): raises Fault when it is not to be kept."""
    target, growing = _places(work, source)
    total = sum(f.size_bytes for f, _ in chosen)
    here = sum(_size(growing / path) for _, path in chosen)
    room_for(target.parent, total - here, target.name)
    done = 0
    for file, path in chosen:
        report.check()
        place = growing / path
        if _size(place) != file.size_bytes or not place.exists():
            place.unlink(missing_ok=True)
            wanted = Wanted(url=file.url, folder=place.parent, name=place.name, sha256=file.sha256)
            fetch(wanted, reach, lambda got, _, done=done: report.bytes(done + got, total), report.stopped)
        done += file.size_bytes
    try:
        check(growing)
        for path in growing.rglob("*.safetensors"):
            header.read(path)
    except Fault:
        shutil.rmtree(growing, ignore_errors=True)
        raise
    growing.rename(target)
    report.made(target)


def _keep(path: Path, report: Report) -> None:
    """What has come must be what its name says; else it goes again."""
    try:
        if path.suffix.lower() == ".safetensors":
            header.read(path)
        elif path.suffix.lower() == ".gguf" and path.open("rb").read(4) != b"GGUF":
            raise RequestFault("source", f"gave a file {path.name} that is no GGUF file, perhaps a web page; use the file's own address")
    except Fault:
        path.unlink(missing_ok=True)
        raise
    report.made(path)
    if path.suffix.lower() in PICKLES:
        report.warn(f"{path.name} is a pickle file, which is never loaded as it is. Convert it on the Models tab.")


def _suffixed(name: str, source: Source) -> str:
    """The wished name with the ending of the file it is given to, "" when none is wished."""
    if not name or name.lower().endswith(SUFFIXES):
        return name
    ending = Path(source.likely_name).suffix.lower()
    return name + (ending if ending in SUFFIXES else ".safetensors")


def _agreed(wished: str | None, told: str | None, name: str) -> str | None:
    if wished and told and wished != told:
        raise RequestFault("sha256", f"is not that of {name} on the hub, which is {told}", got=wished)
    return wished or told


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0
