"""The core: from a request to pictures. Resolve, take the model, run the diffusers pipeline, decode, hand over.

Knows pipelines and the order of the stages; knows nothing about pages, HTTP, or how jobs are kept. One file a stage.
Start reading at `modules.processing.resolve.resolve` (no torch), then `modules.processing.runner.PictureRunner.run`.
"""
