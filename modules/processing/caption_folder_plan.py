"""From a `FolderRequest` to a `ResolvedFolder`: which pictures, how they are captioned, and everything that can be wrong beforehand.

Looks at names of files only; imports no torch. Start reading at `resolve_folder`.
"""

from __future__ import annotations

from pathlib import Path

from modules.caption.ledger import Ledger
from modules.caption.sidecars import shelf_of
from modules.faults import RequestFault
from modules.folders import Folders
from modules.processing.caption_plan import MOST_FILES, resolve_described
from modules.processing.extras_plan import ENDINGS
from modules.processing.picture_folders import folder_of, pictures_in
from modules.request.caption import CaptionRequest
from modules.request.caption_folder import ARROW, NOT_FOR_FOLDERS, Cleaning, FolderRequest, ResolvedFolder
from modules.settings import Settings


def resolve_folder(request: FolderRequest, settings: Settings, folders: Folders, *, anywhere: bool = False) -> ResolvedFolder:
    """The request with nothing left open. anywhere: the folder may lie outside the data folder; for people at this machine only.

    Raises RequestFault, UnknownName and ModelFault naming the field: no such folder, no pictures, a file of captions that is damaged.
    """
    folder = folder_of(request.folder, folders, anywhere=anywhere)
    within = None if anywhere else folders.data
    names = pictures_in(folder, recursive=request.recursive, within=within)
    if not names:
        inner = "" if request.recursive else "; folders inside it are left out"
        raise RequestFault("folder", f"holds no pictures ({', '.join(sorted(ENDINGS))}){inner}", got=str(folder))
    if len(names) > MOST_FILES:
        raise RequestFault("folder", f"holds {len(names)} pictures; take {MOST_FILES} at once at most", got=str(folder))
    shelf_of(folder, request.output)
    plain = {name: value for name, value in request.to_data().items() if name not in NOT_FOR_FOLDERS}
    caption = resolve_described(CaptionRequest.from_data(plain), settings, folders)
    return ResolvedFolder(
        title=f"Captions: {folder.name or folder}, {len(names)} pictures",
        caption=caption,
        folder=str(folder),
        within=str(within or ""),
        recursive=request.recursive,
        output=request.output,
        existing=request.existing,
        cleaning=_cleaning(request),
        resume=_resumed(request, folder, folders),
        n_iter=len(names),
        warnings=caption.warnings,
    )


def _cleaning(request: FolderRequest) -> Cleaning:
    pairs: list[tuple[str, str]] = []
    for line in (str(line) for line in request.replace):
        find, arrow, to = line.partition(ARROW)
        if not line.strip():
            continue
        if not arrow or not find.strip():
            raise RequestFault("replace", f"must be lines such as grey {ARROW} gray", got=line)
        pairs.append((find.strip(), to.strip()))
    never = tuple(word.strip() for word in request.blacklist.replace("\n", ",").split(",") if word.strip())
    return Cleaning(replace=tuple(pairs), never=never, prefix=request.prefix, suffix=request.suffix)


def _resumed(request: FolderRequest, folder: Path, folders: Folders) -> str:
    """The job to go on with. Raises RequestFault when its list is gone, or was made for something else."""
    job = request.resume.strip()
    if not job:
        return ""
    ledger = Ledger.open(folders, job)
    if ledger is None:
        raise RequestFault("resume", "there is no list of what that job did; begin anew", got=job)
    if ledger.undone:
        raise RequestFault("resume", "that job was undone; begin anew", got=job)
    if ledger.head != {"folder": str(folder), "output": request.output}:
        raise RequestFault("resume", f"that job worked on {ledger.head.get('folder')} into {ledger.head.get('output')}", got=job)
    return job
