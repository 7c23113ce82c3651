"""Plugins: which scripts and extensions lie on the disk, which are switched on, in which order, and how often they failed.

Knows files and names; runs none of them. Start reading at `modules.plugins.places.find`.
"""

from modules.plugins.ledger import FaultLedger
from modules.plugins.places import Extension, Source, extensions, find, switched_on

__all__ = ["Extension", "FaultLedger", "Source", "extensions", "find", "switched_on"]
