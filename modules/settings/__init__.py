"""The program's settings as Knob fields: load, save, overlay for one run.

Keys are A1111's, so a config.json from there can be read; unknown keys are kept as they are. Knows nothing about who
reads a setting. Every group of pages is a file. Start reading at `Settings`, then `SettingsStore`.
"""

from modules.settings.declared import Settings, check
from modules.settings.saving import FORMATS
from modules.settings.store import GENERATIONS, SettingsStore

__all__ = ["FORMATS", "GENERATIONS", "Settings", "SettingsStore", "check"]
