"""Step caches: what changes little from one network call to the next is taken over instead of being computed.

A file and a row each; the rows can be listed without torch. Knows networks of diffusers and nothing of requests' other fields.
Start reading at `row.Cache`, then `putting.cached`.
"""

from __future__ import annotations

from modules.registry import Registry
from modules.steering.caches import deep, faster, first_block, magnitude, pyramid, taylor
from modules.steering.caches.row import Cache

NONE = "None"

CACHES: Registry[Cache] = Registry("cache")
CACHES.add("DeepCache", deep.ROW)
CACHES.add("First block", first_block.ROW)
CACHES.add("Pyramid attention", pyramid.ROW)
CACHES.add("FasterCache", faster.ROW)
CACHES.add("TaylorSeer", taylor.ROW)
CACHES.add("MagCache", magnitude.ROW)
CACHES.freeze()

__all__ = ["CACHES", "NONE", "Cache"]
