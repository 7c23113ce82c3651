"""The pictures that were made: an index in SQLite over every picture file under the output folders, with search and a bin.

Knows files and what they say about themselves; knows nothing about how pictures are made. Start reading at `Pictures`.
"""

from modules.library.pictures.pictures import Page, Pictures
from modules.library.pictures.rows import KINDS, PLACES, SORTS, PictureRow, Wish

__all__ = ["KINDS", "PLACES", "SORTS", "Page", "PictureRow", "Pictures", "Wish"]
