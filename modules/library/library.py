"""`Library`: every model file there is, of every kind, and the lookups that prompts, menus and the API make.

The list comes from the index, which a thread fills; what is asked for before its turn is described at once. Knows nothing about
loading models. Start reading at `Library.rows`, then `find_checkpoint`.
"""

from __future__ import annotations

import contextlib
import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

from modules.families import FAMILIES
from modules.faults import ModelFault, UnknownName
from modules.folders import Folders
from modules.library import filler as fill
from modules.library import removal
from modules.library.describe import describe
from modules.library.index import Index
from modules.library.rows import CHECKPOINTS, LISTS, LOOSE, REFUSED, UNKNOWN, ModelRow
from modules.library.scan import places
from modules.request import Checkpoint

STARTER = "darkroom-starter"
CHECKPOINT_PLACES = ("Stable-diffusion", "unet", LOOSE)
START_S = 1.5  # how long the start may wait for checkpoints that were never described; the rest follows in the background
WALK_S = 30.0
_BRACKET = re.compile(r"\s*\[([0-9a-f]{4,64})\]\s*$", re.IGNORECASE)
_DIGEST = re.compile(r"[0-9a-f]{8,64}")


class Library:
    """The models of the model folders. rows() lists them; refresh() looks at the folders again; digests follow in the background."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._index = Index(folders.library_file)
        self._filler = fill.Filler(folders, self._index)
        for place in CHECKPOINT_PLACES:
            self._filler.walk(place)
        self._filler.describe_open((*CHECKPOINTS, UNKNOWN), START_S)
        self._filler.start()

    @property
    def folders(self) -> Folders:
        """The folders that it looks into."""
        return self._folders

    # ---- lists of every kind ---------------------------------------------------------------------------------------

    def rows(self, kind: str = "", search: str = "", offset: int = 0, limit: int = -1) -> list[ModelRow]:
        """Rows of a list (a key of LISTS, "" for all usable, "refused"), by name. search: words that must all stand in it."""
        return self._index.rows(_kinds(kind), search, offset, limit, refused=kind == REFUSED)

    def sure_rows(self, kind: str) -> list[ModelRow]:
        """Usable rows of a list, with all of its files described, and those of which only their content tells that they belong there."""
        self._filler.walked.wait(WALK_S)
        self._filler.describe_open((*_kinds(kind), UNKNOWN))
        return self.rows(kind)

    def after(
        self, kind: str = "", search: str = "", family: str = "", place: Sequence[str] | None = None, limit: int = 100
    ) -> tuple[list[ModelRow], list[str] | None]:
        """Rows of a list behind a place in it, and the place behind them, None when they are the last. place: None from the beginning.

        family: a name of FAMILIES; LoRAs and others that say only what network they are made for count as well. Raises UnknownName.
        """
        rows = self._index.after(_kinds(kind), search, place, limit + 1, refused=kind == REFUSED, fits=_fits(family))
        shown = rows[:limit]
        return shown, [shown[-1].name.casefold(), shown[-1].id] if len(rows) > limit else None

    def count(self, kind: str = "", search: str = "", family: str = "") -> int:
        """How many rows `rows` or `after` would give without a limit."""
        return self._index.count(_kinds(kind), search, refused=kind == REFUSED, fits=_fits(family))

    def counts(self) -> dict[str, int]:
        """Number of rows of every list."""
        return self._index.counts()

    def unread(self) -> int:
        """How many files the background has not opened yet; their rows have a name and a size only."""
        return self._index.open_count()

    def row(self, key: str) -> ModelRow | None:
        """The row of an id, whatever its kind."""
        return self._index.row(key)

    def metadata(self, row: ModelRow) -> dict[str, str]:
        """The metadata of a file's header."""
        return self._index.metadata(row.id)

    def all_metadata(self, kind: str) -> dict[str, dict[str, str]]:
        """id -> metadata, of every usable row of a list that has any."""
        return self._index.all_metadata(_kinds(kind))

    def prompt_names(self, kind: str, rows: Sequence[ModelRow]) -> dict[str, str]:
        """id -> the name a prompt may use: the file's, and with its folder where several files share that name."""
        shared = self._index.doubles(kind, [row.name.casefold() for row in rows])
        return {row.id: row.name if row.name.casefold() not in shared else row.title.removesuffix(Path(row.title).suffix) for row in rows}

    def remove(self, row: ModelRow) -> Path:
        """Move a model into the bin of its folder. Returns the place there, for `restore`. Raises ModelFault, DiskFault."""
        place = removal.remove(row)
        self._filler.walk(row.place)
        return place

    def restore(self, place: Path) -> None:
        """Put back what lies at a place of a bin. Raises RequestFault, DiskFault."""
        bases = [base for name in places() for base in (self._folders.model_folders(name) if name else (self._folders.models,))]
        removal.restore(place, bases)
        self.refresh()

    def find(self, kind: str, name: str) -> ModelRow:
        """The model of a list by file name (with or without folder and ending), by the alias in its metadata, or by hash.

        Looks at the folders again before giving up. Raises UnknownName with close matches, ModelFault when that very file cannot
        be used.
        """
        kinds = _kinds(kind)
        row = self._named(kinds, name)
        if row is None:
            self._filler.walked.wait(WALK_S)
            self.refresh(kind)
            row = self._named(kinds, name)
        elif row.refusal:  # it may have been looked at while it was still being written
            self.refresh(kind)
            row = self._named(kinds, name)
        if row is None:
            raise UnknownName(kind, name, self._index.names(kinds))
        if row.refusal:
            raise ModelFault(row.refusal)
        return row

    def _named(self, kinds: tuple[str, ...], name: str) -> ModelRow | None:
        rows = self._described(self._index.named(kinds, name), kinds)
        if not rows:
            rows = self._index.aliased(kinds, name)
        if not rows and _DIGEST.fullmatch(name.lower()):
            rows = [r for r in self._index.rows(kinds) if any((d or "").startswith(name.lower()) for d in (r.content_sha256, r.sha256))]
        return rows[0] if rows else None

    def _described(self, rows: list[ModelRow], kinds: tuple[str, ...]) -> list[ModelRow]:
        """The same rows with their facts; one that turns out to be of another kind falls out."""
        done = [self.described(row) for row in rows]
        return [row for row in done if row.kind in kinds]

    def described(self, row: ModelRow) -> ModelRow:
        """The same row with its facts, read now if the background has not come to it yet."""
        found = None if row.described else self._index.found(row.id)
        if found is None:
            return row
        self._index.put([(row.id, found, describe(found))])
        return self._index.row(row.id) or row

    def hashed(self, row: ModelRow) -> ModelRow:
        """The same row with the digest that its `short_hash` needs. Raises ModelFault when the file is gone."""
        try:
            if row.kind == "lora" and row.format == "safetensors":
                return row if row.content_sha256 else dataclasses.replace(row, content_sha256=fill.content_digest(self._index, row))
            return row if row.sha256 else dataclasses.replace(row, sha256=fill.digest(self._index, row))
        except OSError as error:
            raise ModelFault(f"{row.name} cannot be read: {error}. Refresh the list.") from error

    def vae_for(self, checkpoint: Checkpoint) -> ModelRow | None:
        """The VAE that belongs to a checkpoint by its name: NAME.vae.safetensors beside it, or that or NAME among the VAEs."""
        path = Path(checkpoint.path)
        stem = path.name if checkpoint.format == "folder" else path.stem
        self._filler.walked.wait(WALK_S)
        near = [r for name in (f"{stem}.vae", stem) for r in self._described(self._index.named(LISTS["vae"], name), ("vae",)) if r.usable]
        return next((r for r in near if Path(r.path).parent == path.parent), near[0] if near else None)

    def refresh(self, kind: str = "") -> None:
        """Look at the folders again, of one list or all; a file may lie in any of them. Checkpoints are described on return."""
        for place in places():
            self._filler.walk(place)
        if kind in ("", "checkpoint"):
            self._filler.describe_open((*CHECKPOINTS, UNKNOWN))
        self._filler.wake()

    # ---- checkpoints -----------------------------------------------------------------------------------------------

    def checkpoints(self) -> list[Checkpoint]:
        """Every checkpoint that can be loaded, by name."""
        return [_checkpoint(row) for row in self._index.rows(CHECKPOINTS) if row.described]

    def refused(self) -> dict[str, str]:
        """What lies among the checkpoints and cannot be used: path -> reason in words."""
        return {row.path: row.refusal for row in self._index.rows((), refused=True) if row.place == "Stable-diffusion"}

    def with_hash(self, checkpoint: Checkpoint) -> Checkpoint:
        """The same checkpoint with its digest, computed if need be. Raises ModelFault when its files are gone."""
        if checkpoint.sha256 is not None:
            return checkpoint
        row = next((r for r in self._index.rows(CHECKPOINTS) if r.path == checkpoint.path), None)
        if row is None:
            raise ModelFault(f"{checkpoint.model_name} is not there any more. Refresh the list of checkpoints.")
        return _checkpoint(self.hashed(row))

    def find_checkpoint(self, text: str) -> Checkpoint:
        """The checkpoint of a hash ("name [hash]", short hash or sha256), else of a title, name or file name; then by part of a title.

        A hash that nobody has computed yet is computed only when no name fits. Raises UnknownName with close matches, ModelFault
        when there is no checkpoint at all or that very one cannot be used.
        """
        self._filler.describe_open(CHECKPOINTS)
        rows = self.checkpoints()
        if not rows:
            raise ModelFault("There is no model. Put one into models/Stable-diffusion and refresh the list.")
        bracket = _BRACKET.search(text)
        stem = _BRACKET.sub("", text).strip().casefold()
        digest = (bracket.group(1) if bracket else stem).lower()
        by_name = [row for row in rows if stem in _names(row)]
        if _DIGEST.fullmatch(digest) and (found := self._by_digest(rows, by_name, digest)):
            return found
        if by_name:
            return by_name[0]
        partial = sorted((r for r in rows if stem and stem in r.title.casefold()), key=lambda r: len(r.title))
        if partial:
            return partial[0]
        for row in self._index.named(CHECKPOINTS, stem):
            if row.refusal:
                raise ModelFault(row.refusal)
        raise UnknownName("sd_model_checkpoint", text, [r.title for r in rows])

    def _by_digest(self, rows: list[Checkpoint], by_name: list[Checkpoint], digest: str) -> Checkpoint | None:
        """Among the known hashes; then those of the name, or of all where no name fits, computed."""
        if found := next((row for row in rows if row.sha256 and row.sha256.startswith(digest)), None):
            return found
        for row in by_name or rows:
            with contextlib.suppress(ModelFault):  # a file that is gone has no hash
                known = self.with_hash(row)
                if known.sha256 and known.sha256.startswith(digest):
                    return known
        return None

    def default_checkpoint(self, chosen: str) -> Checkpoint:
        """The chosen one; with nothing chosen the first of the user's own, and the starter model when there is no other.

        Raises UnknownName when the chosen one is not there, ModelFault when there is none.
        """
        if chosen:
            return self.find_checkpoint(chosen)
        rows = [r for r in self._index.rows(CHECKPOINTS) if r.described and Path(r.path).name != STARTER]
        whole = [r for r in rows if not r.extra.get("needs")]
        return _checkpoint((whole or rows)[0]) if rows else self.find_checkpoint(STARTER)

    def close(self) -> None:
        self._filler.close()
        self._index.close()


def _kinds(kind: str) -> tuple[str, ...]:
    """The kinds of a list. Raises UnknownName for a list there is not."""
    if kind in ("", REFUSED):
        return ()
    if kind not in LISTS:
        raise UnknownName("kind", kind, [*LISTS, REFUSED])
    return LISTS[kind]


def _fits(family: str) -> tuple[str, str] | None:
    """(family, the architecture of its network). Raises UnknownName."""
    if family and family not in FAMILIES.names():
        raise UnknownName("family", family, FAMILIES.names())
    return (family, FAMILIES.get(family).architecture) if family else None


def _checkpoint(row: ModelRow) -> Checkpoint:
    stem = row.title if row.format == "folder" else row.title.removesuffix(Path(row.title).suffix)
    return Checkpoint(
        title=f"{_BRACKET.sub('', row.title)} [{row.sha256[:10]}]" if row.sha256 else row.title,
        model_name=stem.replace("/", "_"),
        path=row.path,
        family=row.family or "",
        sha256=row.sha256,
        native_px=row.native_px,
        format=row.format,
        variant=row.variant,
        prediction=row.prediction,
    )


def _names(row: Checkpoint) -> set[str]:
    """Everything a checkpoint is called, without hash and with small letters."""
    title = _BRACKET.sub("", row.title)
    path = Path(row.path)
    plain = title if row.format == "folder" else title.removesuffix(path.suffix)
    stem = path.name if row.format == "folder" else path.stem
    return {name.casefold() for name in (title, plain, row.model_name, path.name, stem)}
