"""The machine: which devices there are, what they can really do, how much memory is free, and how a pipeline is placed.

torch is imported inside functions only. Knows nothing about models or jobs. Start reading at `modules.hardware.bench.Bench`;
`python -m modules.hardware.detect` prints what is found.
"""
