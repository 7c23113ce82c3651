"""LoRA and its relatives: every dialect such files are written in, and the change of weights each means.

A file is a set of *entries* (one per layer it changes); `names` says which layer of a diffusers component an entry means,
`maths` what it does to the layer's weight. Knows files and tensors; knows nothing about pipelines or prompts.
Start reading at `modules.weights.lora.file.open_file`, then `place`.
"""
