"""The lists that axes are chosen from, as names of today's samplers, models, styles and upscalers.

Start reading at `lists_of`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from modules.backends.attention import ATTENTIONS
from modules.backends.table import BACKENDS
from modules.folders import Folders
from modules.grids.axis import Lists
from modules.hardware.policies import POLICIES
from modules.library import Library
from modules.prompts.styles import Styles
from modules.request.second import SAME_CHECKPOINT, SAME_SAMPLER, SAME_SCHEDULER
from modules.samplers import SAMPLERS, SCHEDULES
from modules.steering.caches import CACHES
from modules.upscale.table import LATENT_MODES, upscaler_files, upscalers
from modules.weights.quantisers import QUANTISERS

AUTOMATIC, NONE = "Automatic", "None"


def lists_of(folders: Folders, library: Library, styles: Styles) -> Lists:
    """Name of a list -> what it holds now. Lists that are not here are not checked before a cell is resolved."""

    def checkpoints() -> list[str]:
        return [checkpoint.title for checkpoint in library.checkpoints()]

    def schedules() -> list[str]:
        return [row.label for _, row in SCHEDULES]

    found: dict[str, Callable[[], Sequence[str]]] = {
        "samplers": SAMPLERS.names,
        "schedulers": schedules,
        "styles": lambda: [style.name for style in styles.list()],
        "checkpoints": checkpoints,
        "refiners": lambda: [NONE, *checkpoints()],
        "hr_checkpoints": lambda: [SAME_CHECKPOINT, *checkpoints()],
        "hr_samplers": lambda: [SAME_SAMPLER, *SAMPLERS.names()],
        "hr_schedulers": lambda: [SAME_SCHEDULER, *schedules()],
        "hr_upscalers": lambda: [*LATENT_MODES, *upscalers(upscaler_files(folders)[0]).names()],
        "ip_adapters": lambda: [NONE, *(row.name for row in library.rows("ip_adapter"))],
        "memory_policies": lambda: [AUTOMATIC, *POLICIES.names()],
        "quantisers": lambda: [NONE, *QUANTISERS.names()],
        "backends": BACKENDS.names,
        "attentions": ATTENTIONS.names,
        "caches": lambda: [NONE, *CACHES.names()],
        "vaes": lambda: [AUTOMATIC, NONE, *(Path(row.path).name for row in library.rows("vae") if row.kind == "vae")],
    }
    return found
