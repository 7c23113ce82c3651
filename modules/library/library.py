"""`Library`: the list of checkpoints, found by scanning the model folders, looked up under every name A1111 accepts."""

from __future__ import annotations

import dataclasses
import re
import threading
from pathlib import Path

from modules.families import identify
from modules.faults import Fault, ModelFault, UnknownName
from modules.folders import Folders
from modules.library.hash_store import HashStore
from modules.request import Checkpoint
from modules.weights import model_folder

STARTER = "darkroom-starter"
_BRACKET = re.compile(r"\s*\[([0-9a-f]{4,64})\]\s*$", re.IGNORECASE)


class Library:
    """checkpoints() is the latest scan; refresh() makes a new one; hashes follow in the background."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._hashes = HashStore(folders.library_file)
        self._lock = threading.Lock()
        self._checkpoints: list[Checkpoint] = []
        self._refused: dict[str, str] = {}
        self._hasher: threading.Thread | None = None
        self.refresh()

    def checkpoints(self) -> list[Checkpoint]:
        """Every checkpoint that can be loaded, by name."""
        return list(self._checkpoints)

    def refused(self) -> dict[str, str]:
        """Model folders that cannot be used: path -> reason in words."""
        return dict(self._refused)

    def refresh(self) -> None:
        """Scan the checkpoint folders again. Returns when the list is new; digests still missing are computed after that."""
        found: list[Checkpoint] = []
        refused: dict[str, str] = {}
        for base in self._folders.model_folders("Stable-diffusion"):
            for index in sorted(base.rglob(model_folder.INDEX)) if base.is_dir() else []:
                try:
                    found.append(self._describe(base, index.parent))
                except Fault as fault:
                    refused[str(index.parent)] = fault.message
        unique = {c.path: c for c in found}
        with self._lock:
            self._checkpoints = sorted(unique.values(), key=lambda c: c.model_name.casefold())
            self._refused = refused
        self._hash_missing()

    def _describe(self, base: Path, folder: Path) -> Checkpoint:
        description = model_folder.read(folder)
        family, match = identify(description)
        name = folder.relative_to(base).as_posix()
        sha256 = self._hashes.known(folder)
        return Checkpoint(
            title=_title(name, sha256),
            model_name=name.replace("/", "_"),
            path=str(folder),
            family=family.id,
            sha256=sha256,
            native_px=match.native_px,
        )

    def _hash_missing(self) -> None:
        missing = [c for c in self._checkpoints if c.sha256 is None]
        if missing and (self._hasher is None or not self._hasher.is_alive()):
            self._hasher = threading.Thread(target=self._hash_all, args=(missing,), daemon=True, name="hashes")
            self._hasher.start()

    def _hash_all(self, missing: list[Checkpoint]) -> None:
        for checkpoint in missing:
            try:
                self.with_hash(checkpoint)
            except ModelFault:  # taken away meanwhile; the next scan will not list it
                continue

    def with_hash(self, checkpoint: Checkpoint) -> Checkpoint:
        """The same checkpoint with its digest, computed if need be. Raises ModelFault when its files are gone."""
        if checkpoint.sha256 is not None:
            return checkpoint
        try:
            sha256 = self._hashes.digest(Path(checkpoint.path))
        except OSError as error:
            raise ModelFault(f"{checkpoint.model_name} cannot be read: {error}. Refresh the list of checkpoints.") from error
        known = dataclasses.replace(checkpoint, sha256=sha256, title=_title(checkpoint.title, sha256))
        with self._lock:
            self._checkpoints = [known if c.path == checkpoint.path else c for c in self._checkpoints]
        return known

    def find_checkpoint(self, text: str) -> Checkpoint:
        """The checkpoint of a hash ("name [hash]", short hash or sha256), else of a title, name or file name; then by part of a title.

        Raises UnknownName with close matches, ModelFault when there is no checkpoint at all.
        """
        rows = self.checkpoints()
        if not rows:
            raise ModelFault("There is no model. Put one into models/Stable-diffusion and refresh the list.")
        bracket = _BRACKET.search(text)
        stem = _BRACKET.sub("", text).strip().casefold()
        digest = (bracket.group(1) if bracket else stem).lower()
        if re.fullmatch(r"[0-9a-f]{8,64}", digest):
            for row in (self.with_hash(r) for r in rows):
                if row.sha256 is not None and row.sha256.startswith(digest):
                    return row
        for row in rows:
            if stem in {_BRACKET.sub("", row.title).casefold(), row.model_name.casefold(), Path(row.path).name.casefold()}:
                return row
        partial = sorted((r for r in rows if stem and stem in r.title.casefold()), key=lambda r: len(r.title))
        if partial:
            return partial[0]
        raise UnknownName("sd_model_checkpoint", text, [r.title for r in rows])

    def default_checkpoint(self, chosen: str) -> Checkpoint:
        """The chosen one; with nothing chosen the first of the user's own, and the starter model when there is no other.

        Raises UnknownName when the chosen one is not there, ModelFault when there is none.
        """
        if chosen:
            return self.find_checkpoint(chosen)
        rows = self.checkpoints()
        own = [r for r in rows if Path(r.path).name != STARTER]
        return own[0] if own else self.find_checkpoint(STARTER)

    def close(self) -> None:
        if self._hasher is not None:
            self._hasher.join(5)
        self._hashes.close()


def _title(name: str, sha256: str | None) -> str:
    return f"{_BRACKET.sub('', name)} [{sha256[:10]}]" if sha256 else name
