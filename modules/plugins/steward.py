"""What people do with extensions, whole: install, set up, look for updates, update, remove, put back, switch on and off.

The page and the command line both come here. Nothing is loaded or run but install.py, and that only in `set_up`. Start reading at
`Steward.install`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from modules.folders import Folders
from modules.plugins import git, removal, setting_up, switching
from modules.plugins.bringing import bring
from modules.plugins.origin import origin_of
from modules.plugins.places import Extension, extensions
from modules.settings import SettingsStore

Say = Callable[[str], None]


@dataclass(frozen=True)
class Steward:
    """flags: of the command line, which may switch extensions off."""

    folders: Folders
    settings: SettingsStore
    flags: Mapping[str, Any]

    def all(self) -> list[Extension]:
        """Every extension on the disk, built-in ones first."""
        return extensions(self.folders, self.settings.current, self.flags)

    def named(self, name: str) -> Extension:
        """Raises UnknownName."""
        return switching.named(self.all(), name)

    def install(self, source: str, say: Say, *, branch: str = "", set_up: bool = False) -> tuple[str, list[str]]:
        """(name of the new extension's folder, notes). One that wants more than its own files stays off until it is set up.

        Raises RequestFault, GitFault, DownloadFault, DiskFault; with set_up also ExtensionFault and SetupFault.
        """
        folder = bring(source, self.folders, branch=branch, say=say)
        wants = setting_up.wants(folder)
        if not wants["file"] and not wants["missing"]:
            switching.switch(self.settings, folder.name, on=True)
            return folder.name, []
        switching.switch(self.settings, folder.name, on=False)
        if set_up:
            return folder.name, self.set_up(folder.name, say)
        return folder.name, [f"{folder.name} wants more than its own files, so it is off until you set it up."]

    def set_up(self, name: str, say: Say) -> list[str]:
        """Install what it wants, run its install.py, switch it on. Returns notes. Raises UnknownName, ExtensionFault, SetupFault."""
        found = self.named(name)
        notes = setting_up.set_up(found.folder, self.folders, say)
        switching.switch(self.settings, found.folder.name, on=True)
        return notes

    def switch(self, name: str, *, on: bool) -> None:
        """Raises UnknownName."""
        switching.switch(self.settings, self.named(name).folder.name, on=on)

    def look_for_updates(self, say: Say, names: tuple[str, ...] = ()) -> dict[str, dict[str, Any]]:
        """Folder name -> {"behind": commits, "said": words} of those that came by git. Asks the machines they came from."""
        found: dict[str, dict[str, Any]] = {}
        for one in [self.named(name) for name in names] or self.all():
            if not (one.folder / ".git").exists():
                continue
            say(f"asking about {one.folder.name}")
            try:
                news = git.news(one.folder)
            except git.GitFault as fault:
                found[one.folder.name] = {"behind": None, "said": "offline" if fault.offline else fault.message}
                continue
            words = f"behind by {news.behind}: {news.said}" if news.behind else "latest"
            found[one.folder.name] = {"behind": news.behind, "said": words}
        return found

    def update(self, name: str, say: Say) -> list[str]:
        """Take over what is newer. Returns notes. Raises UnknownName, GitFault."""
        found = self.named(name)
        before = origin_of(found.folder)
        say(f"asking about {found.folder.name}")
        if not git.news(found.folder).behind:
            return [f"{found.folder.name} is the latest already."]
        commit = git.update(found.folder)
        wants = setting_up.wants(found.folder)
        notes = [f"{found.folder.name}: {before.commit[:8] if before else '?'} is now {commit[:8]}."]
        if wants["missing"]:
            notes.append(f"It wants {', '.join(wants['missing'])} by now: set it up.")
        return notes

    def remove(self, name: str) -> str:
        """Into the bin; its place there. Raises UnknownName, RequestFault, DiskFault."""
        return removal.remove(self.named(name)).name

    def restore(self, place: str) -> str:
        """Out of the bin; the folder's name. Raises RequestFault, DiskFault."""
        return removal.restore(place, self.folders).name
