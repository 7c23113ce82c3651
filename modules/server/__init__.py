"""The HTTP door: A1111's /sdapi/v1, our /internal routes, and the guard that stands before every route, the page's included.

Knows requests, answers and who may ask; knows nothing about how pictures are made, and imports neither torch nor gradio.
Start reading at `create`, then `Guard`.
"""

from modules.server.access import Access
from modules.server.create import create
from modules.server.serve import serve

__all__ = ["Access", "create", "serve"]
