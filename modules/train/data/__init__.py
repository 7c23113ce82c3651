"""Pictures and captions that are learnt from: checked, cut, sorted into buckets, read. Start reading at `examine` and `dataset`.

Only `example`, `dataset` and `cache` import torch; the rest serves the page as well. Knows nothing about models and losses.
"""
