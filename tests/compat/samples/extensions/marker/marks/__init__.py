"""A package of the extension, imported by its own name."""

from modules import paths

from .colours import RED

HERE = paths.data_path
