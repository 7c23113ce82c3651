"""Samplers and noise schedules: A1111's names, and how each is built from a diffusers scheduler.

The tables are plain data and import no torch, so the web process can list them. Knows nothing about models or pipelines.
Start reading at `SAMPLERS`, then `modules.samplers.build.build_scheduler`.
"""

from modules.samplers.table import SAMPLERS, SCHEDULES, Sampler, Schedule, resolve_names

__all__ = ["SAMPLERS", "SCHEDULES", "Sampler", "Schedule", "resolve_names"]
