"""`KeepsClean`: what every scheduler made here has beside diffusers' own interface. Start reading at the class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from modules.samplers.noise import PictureNoise


class KeepsClean:
    """Mixed into a scheduler class: remembers the clean latent x0 that the last step predicted, for previews and interrupts.

    clean: shaped like the sample, or None before the first step, or when the scheduler does not tell. generators: one a
    picture, for a scheduler that draws noise in a pipeline that does not hand them on. noise: the batch's own, which is drawn
    from instead of any generator.
    """

    clean: torch.Tensor | None = None
    generators: list[torch.Generator] | None = None
    noise: PictureNoise | None = None
