"""X/Y/Z grids: up to three axes over anything that can be asked for, one job a cell, and a picture of them all.

Knows axes, the syntax of their values, in which order cells are made and how the grid is drawn; knows nothing about pages or HTTP.
Start reading at `plan.lay_out`, then `queueing.submit`.
"""
