"""Work on model files: convert, merge, rescue from pickles, download, LoRA into and out of models.

Knows how each kind of work is asked for, checked and done; knows nothing about the queue that runs it or about pages. What
stands in `work`, `plan` and `known` imports no torch and serves the doors; the rest runs in the worker for files.
Start reading at `modules.upkeep.work`, then `modules.upkeep.plan.plan`.
"""
