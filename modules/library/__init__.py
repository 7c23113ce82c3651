"""The library: which models there are, of every kind. An index in SQLite, filled in the background.

Knows files, their descriptions, digests, previews and notes; knows nothing about loading them. Start reading at `Library`.
"""

from modules.library.library import Library
from modules.library.rows import LISTS, REFUSED, ModelRow

__all__ = ["LISTS", "REFUSED", "Library", "ModelRow"]
