"""Darkroom: a Stable Diffusion web UI. Start reading at `modules/app.py`."""

__version__ = "0.1.0"
