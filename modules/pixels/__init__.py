"""Pictures as PIL images: grids, file formats and names, the text that a file carries. No torch, no knowledge of models.

Start reading at `modules.pixels.metadata.encode` and `modules.pixels.metadata.read_parameters`.
"""
