"""The one composition root: builds `App`, the object that doors receive. There is no global App.

Start reading at `build`.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modules.faults import UnknownJob
from modules.flags import Flags
from modules.folders import Folders
from modules.jobs import FILES, LANES, Job, Jobs
from modules.library import Library
from modules.processing.resolve import resolve
from modules.prompts.styles import Styles
from modules.registry import Registry
from modules.request import GenerationRequest
from modules.samplers import SAMPLERS, SCHEDULES, Sampler, Schedule
from modules.saver import sweep
from modules.settings import SettingsStore
from modules.upkeep.plan import plan


@dataclass(frozen=True)
class App:
    """Everything a door may use. Frozen: what changes lives inside the parts, each with one owner."""

    folders: Folders
    flags: Flags
    settings: SettingsStore
    library: Library
    styles: Styles
    samplers: Registry[Sampler]
    schedules: Registry[Schedule]
    jobs: Jobs

    def submit(self, request: GenerationRequest, *, owner: str = "local", key: str | None = None) -> Job:
        """Check a request and queue it. The same key gives the same job again.

        Raises RequestFault, UnknownName or ModelFault at once when it cannot be carried out.
        """
        if key is not None:
            with contextlib.suppress(UnknownJob):
                return self.jobs.get(key)
        resolved = resolve(request, self.settings.current, self.library, self.styles)
        return self.jobs.submit("txt2img", request.to_data(), resolved.to_data(), owner=owner, key=key)

    def submit_work(self, kind: str, data: Mapping[str, Any], *, owner: str = "local", key: str | None = None) -> Job:
        """Check work on model files and queue it beside the pictures. kind, data: see `modules.upkeep.work.KINDS`.

        Raises UnknownName, RequestFault or ModelFault at once when it cannot be carried out. The job's `resolved` has a "title" for
        people; its result has "files" (paths that were made), "warnings", "notes" and "seconds".
        """
        if key is not None:
            with contextlib.suppress(UnknownJob):
                return self.jobs.get(key)
        request, resolved = plan(kind, data, self.folders, self.library)
        return self.jobs.submit(kind, request, resolved, owner=owner, key=key, lane=FILES)

    def start(self, *, url: str = "", required: bool = False, lanes: Iterable[str] = LANES) -> bool:
        """Begin to run the queue, or some lanes of it; False when another process does. required=True raises SetupFault then.

        Raises UnknownName when --ckpt names no model.
        """
        if self.flags.ckpt:
            self.settings.set({"sd_model_checkpoint": self.library.find_checkpoint(self.flags.ckpt).title})
        owns = self.jobs.start(url=url, required=required, lanes=lanes)
        if owns:
            sweep(self.folders)
        return owns

    def stop(self) -> None:
        """End the workers and close the files. Queued jobs stay for the next start."""
        self.jobs.stop()
        self.library.close()


def build(flags: Flags) -> App:
    """The App of a command line. Cheap, imports no torch, starts nothing. Raises SetupFault when the data folder cannot be used."""
    folders = Folders.at(
        _path(flags.data_dir),
        _path(flags.models_dir),
        ckpt_dir=_path(flags.ckpt_dir),
        vae_dir=_path(flags.vae_dir),
        lora_dir=_path(flags.lora_dir),
        embeddings_dir=_path(flags.embeddings_dir),
    )
    return App(
        folders=folders,
        flags=flags,
        settings=SettingsStore(folders.config_file),
        library=Library(folders),
        styles=Styles(folders.styles_file),
        samplers=SAMPLERS,
        schedules=SCHEDULES,
        jobs=Jobs(folders, flags.to_data()),
    )


def _path(text: str | None) -> Path | None:
    return Path(text) if text else None
