"""What a folder of pictures is captioned with: where the captions go, what happens to those that are there, how they are cleaned.

Frozen data, no torch. Start reading at `FolderRequest`; `ResolvedFolder` is what a job row holds.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Annotated, Any, Self

from modules.faults import RequestFault
from modules.knobs import Knob
from modules.request.caption import CaptionRequest, ResolvedCaption

CAPTION_FOLDER = "caption_folder"  # the kind of job
TXT, CAPTION_FILE, JSONL, CSV = OUTPUTS = (".txt", ".caption", "metadata.jsonl", "captions.csv")
SIDECARS = (TXT, CAPTION_FILE)
SKIP, OVERWRITE, APPEND, PREPEND = EXISTING = ("skip", "overwrite", "append", "prepend")
NOT_FOR_FOLDERS = ("images", "image_names", "texts", "search", "caption", "attention", "show_input")  # of a CaptionRequest
ARROW = "=>"


@dataclass(frozen=True, kw_only=True)
class FolderRequest(CaptionRequest):
    """The pictures of a folder, each captioned into a file. Fields of a caption mean the same here."""

    folder: Annotated[str, Knob("Folder", max_chars=4000, help="Every picture in it is captioned.")] = ""
    recursive: Annotated[bool, Knob("Folders inside it too", help="Captions stay beside their pictures.")] = False
    output: Annotated[str, Knob("Captions go into", choices=OUTPUTS, help="A file beside each picture, or one for the whole folder.")] = TXT
    existing: Annotated[str, Knob("Where there is a caption", choices=EXISTING, help="Empty ones count as none.")] = SKIP
    prefix: Annotated[str, Knob("Prefix", max_chars=500, help="Put before each caption, as it is.")] = ""
    suffix: Annotated[str, Knob("Suffix", max_chars=500, help="Put behind each caption, as it is.")] = ""
    replace: Annotated[
        list[str], Knob("Find and replace", help="Lines such as grey => gray, one after another; nothing behind the arrow removes.")
    ] = field(default_factory=list[str])
    blacklist: Annotated[str, Knob("Never say", max_chars=4000, help="Words or tags, between commas, that are taken out of captions.")] = ""
    resume: Annotated[
        str, Knob("Go on with", max_chars=200, help="Id of an earlier job on this folder; what it did is not done again.")
    ] = ""


@dataclass(frozen=True, kw_only=True)
class Cleaning:
    """What happens to each caption: replace: (find, with) pairs in order; never: words and tags taken out; prefix, suffix: around it."""

    replace: tuple[tuple[str, str], ...] = ()
    never: tuple[str, ...] = ()
    prefix: str = ""
    suffix: str = ""


@dataclass(frozen=True, kw_only=True)
class ResolvedFolder:
    """Nothing left open. caption: how each picture is captioned, its sources are found when the job runs.

    folder: absolute; within: folder that links may not lead out of, "" for anywhere; runs: the job whose ledger is gone on with, "" for a
    fresh one; n_iter: pictures that were there when it was asked.
    """

    title: str
    caption: ResolvedCaption
    folder: str
    within: str
    recursive: bool
    output: str
    existing: str
    cleaning: Cleaning
    resume: str = ""
    n_iter: int = 1
    warnings: tuple[str, ...] = ()

    def to_data(self) -> dict[str, Any]:
        return dataclasses.asdict(self)

    @classmethod
    def from_data(cls, data: dict[str, Any]) -> Self:
        """From a job row. Raises RequestFault when the row was written by a version with other fields."""
        try:
            said = dict(data["cleaning"])
            said |= {"replace": tuple((find, to) for find, to in said["replace"]), "never": tuple(said["never"])}
            values: dict[str, Any] = {**data, "caption": ResolvedCaption.from_data(data["caption"]), "cleaning": Cleaning(**said)}
            values["warnings"] = tuple(data["warnings"])
            return cls(**values)
        except (KeyError, TypeError, ValueError) as error:
            raise RequestFault("request", f"was written by another version of the program: {error}") from error
