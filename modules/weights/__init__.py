"""Weight files and model folders as they lie on disk: what they are, their hashes.

Reads headers and small JSON files only, never tensors, and never code. Knows nothing about pipelines. Start reading at
`modules.weights.model_folder.read`.
"""
