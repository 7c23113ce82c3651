"""What can be done to a network's predictions and weights during one pipeline call, through diffusers' own hooks.

Each way of steering is off by default, and then not even a hook is set. What works with which models is plain data without torch,
so that it is known before a model is loaded. Knows nothing about prompts, jobs or files.
Start reading at `OPTIONS`, then `modules.steering.steer.steered`.
"""

from modules.steering.table import OPTIONS, Option, check, is_tiling, merging_ratio, useless

__all__ = ["OPTIONS", "Option", "check", "is_tiling", "merging_ratio", "useless"]
