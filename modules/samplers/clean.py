"""`KeepsClean`: what every scheduler made here has beside diffusers' own interface. Start reading at the class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from modules.samplers.beginning import Beginning, EditClean
    from modules.samplers.noise import PictureNoise


class KeepsClean:
    """Mixed into a scheduler class: remembers the clean latent x0 that the last step predicted, for previews and interrupts.

    clean: shaped like the sample, or None before the first step, or when the scheduler does not tell. generators: one a
    picture, for a scheduler that draws noise in a pipeline that does not hand them on. noise: the batch's own, which is drawn
    from instead of any generator. beginning: of a run that begins with a picture; its noise is used instead of what the pipeline
    drew. edit_clean: None or a function that may change every predicted clean sample before it is used (soft inpainting).
    """

    clean: torch.Tensor | None = None
    generators: list[torch.Generator] | None = None
    noise: PictureNoise | None = None
    beginning: Beginning | None = None
    edit_clean: EditClean | None = None

    def own_noise(self: Any, sample: torch.Tensor, drawn: torch.Tensor, timesteps: torch.Tensor, sigma: float) -> torch.Tensor:
        """The noise to add to a sample at a timestep of level sigma, in place of what was drawn."""
        if self.beginning is None:
            return drawn
        return self.beginning.like(sample, sigma, first=float(timesteps.reshape(-1)[0]) == float(self.timesteps[0]))
