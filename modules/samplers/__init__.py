"""Samplers and noise schedules: A1111's names, the algorithms and formulas behind them, and the noise that pictures are made from.

The lists and options are plain data and import no torch, so the web process can show them. Knows nothing about models or pipelines.
Start reading at `SAMPLERS`, then `modules.samplers.build.build_scheduler`.
"""

from modules.samplers.options import SOURCES, SamplerOptions
from modules.samplers.table import SAMPLERS, SCHEDULES, Flow, Sampler, Schedule, flow_names, resolve_names

__all__ = ["SAMPLERS", "SCHEDULES", "SOURCES", "Flow", "Sampler", "SamplerOptions", "Schedule", "flow_names", "resolve_names"]
