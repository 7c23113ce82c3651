"""Stage 1d: the prompts of every picture: styles put in, comments taken out, wildcards and choices drawn. No torch.

Start reading at `written`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from modules.folders import Folders
from modules.prompts.comments import without_comments
from modules.prompts.dynamic import expand
from modules.prompts.styles import Styles
from modules.prompts.wildcards import places
from modules.settings import Settings


@dataclass(frozen=True, kw_only=True)
class Texts:
    """prompts, negative_prompts: one a picture. templates: both before anything was drawn, "" where nothing was."""

    prompts: tuple[str, ...]
    negative_prompts: tuple[str, ...]
    templates: tuple[str, str] = ("", "")

    @property
    def both(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        return self.prompts, self.negative_prompts


def written(
    asked: tuple[str, str], names: Sequence[str], seeds: Sequence[int], settings: Settings, styles: Styles, folders: Folders
) -> tuple[Texts, list[str], list[str]]:
    """(the texts of these seeds, names of styles that do not exist, warnings). asked: prompt and negative prompt; names: of styles.

    Raises RequestFault when choices grow without end.
    """
    prompt, negative, unknown = styles.apply(*asked, list(names))
    if settings.enable_prompt_comments:
        prompt, negative = without_comments(prompt), without_comments(negative)
    if not settings.wildcards_enabled:
        return Texts(prompts=(prompt,) * len(seeds), negative_prompts=(negative,) * len(seeds)), unknown, []
    drawn = expand(prompt, negative, seeds, places(folders))
    texts = Texts(
        prompts=tuple(drawn.prompts),
        negative_prompts=tuple(drawn.negative_prompts),
        templates=(drawn.template or "", drawn.negative_template or ""),
    )
    return texts, unknown, list(drawn.warnings)
