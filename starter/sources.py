"""Where the drawings and their names come from: four npm packages, pinned, unpacked into the work folder.

Start reading at `fetch`.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tarfile
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Source:
    """package, version: on npm; licence: SPDX; holds: what it is used for."""

    key: str
    package: str
    version: str
    licence: str
    holds: str

    @property
    def archive(self) -> str:
        return f"{self.package.removeprefix('@').replace('/', '-')}-{self.version}.tgz"


SOURCES = (
    Source("3d", "@lobehub/fluent-emoji-3d", "1.1.0", "MIT", "Microsoft Fluent Emoji, 3D drawings, 256 px webp"),
    Source("flat", "@iconify-json/fluent-emoji-flat", "1.2.6", "MIT", "Microsoft Fluent Emoji, flat drawings, SVG"),
    Source("cartoon", "@iconify-json/noto", "1.2.9", "Apache-2.0", "Google Noto Emoji, SVG"),
    Source("names", "emojibase-data", "17.0.0", "MIT", "English names, tags and groups"),
)


def fetch(work: Path) -> dict[str, Path]:
    """Folder of each unpacked source by key. Downloads what is missing with `npm pack`; prints each archive's digest."""
    archives = work / "archives"
    archives.mkdir(parents=True, exist_ok=True)
    folders: dict[str, Path] = {}
    for source in SOURCES:
        folder = work / "sources" / source.key
        archive = archives / source.archive
        if not archive.exists():
            npm = shutil.which("npm")
            if npm is None:
                raise SystemExit("npm is needed to fetch the drawings; install Node.js")
            subprocess.run(
                [npm, "pack", "--silent", f"{source.package}@{source.version}"], cwd=archives, check=True, stdout=subprocess.DEVNULL
            )
        if not folder.exists():
            with tarfile.open(archive) as tar:
                tar.extractall(folder, filter="data")
        digest = hashlib.sha256(archive.read_bytes()).hexdigest()
        print(f"{source.package}@{source.version} ({source.licence}) sha256 {digest[:16]}…")
        folders[source.key] = folder / "package"
    return folders
