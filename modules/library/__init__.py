"""The library: which models there are. Scans in the background and remembers hashes in SQLite.

Knows files and their descriptions; knows nothing about loading them. Start reading at `Library.refresh`.
"""

from modules.library.library import Library

__all__ = ["Library"]
