"""Model families as described facts: how one is recognised, its sizes, how it is loaded. No branch on a family anywhere else.

Start reading at `FAMILIES`, then `identify`. The facts import no torch; `load` does.
"""

from modules.families.family import Description, Family, LoadPlan, Match, Variant
from modules.families.flux import FLUX
from modules.families.kinds import Kind, kind_of
from modules.families.sd2 import SD2
from modules.families.sd3 import SD3
from modules.families.sd15 import SD15
from modules.families.sdxl import SDXL
from modules.families.strangers import name_of
from modules.faults import ModelFault
from modules.registry import Registry
from modules.weights.header import Header

__all__ = ["FAMILIES", "Description", "Family", "Kind", "LoadPlan", "Match", "Variant", "candidates", "identify", "kind_of"]


def _families() -> Registry[Family]:
    registry: Registry[Family] = Registry("family")
    for family in (SD15, SD2, SDXL, SD3, FLUX):
        registry.add(family.id, family)
    registry.freeze()
    return registry


FAMILIES = _families()


def candidates(description: Description) -> list[tuple[Family, Match]]:
    """Every family with whether the description is of it, and why or why not."""
    stranger = name_of(description)
    if stranger is not None:
        return [(family, Match(fits=False, why=f"it is {stranger}")) for _, family in FAMILIES]
    return [(family, family.detect(description)) for _, family in FAMILIES]


def identify(description: Description) -> tuple[Family, Match]:
    """The family of a model folder or file.

    Raises ModelFault: what the file is when that is known (a LoRA, a VAE, a model of another kind), else each family's reason.
    The reasons stand in the fault's data in every case, as "reasons": family -> sentence.
    """
    tried = candidates(description)
    for family, match in tried:
        if match.fits:
            return family, match
    reasons = {family.title: match.why for family, match in tried}
    raise ModelFault(f"{description.path.name} {_what_instead(description, reasons)}", reasons=reasons)


def _what_instead(description: Description, reasons: dict[str, str]) -> str:
    stranger = name_of(description)
    if stranger is not None:
        return f"is {stranger}; this version cannot run those. It runs {', '.join(family.title for _, family in FAMILIES)}."
    if isinstance(description, Header):
        kind = kind_of(description)
        if kind.place is not None:
            return f"is no checkpoint: {kind.why}. It belongs in models/{kind.place}."
    return f"is of no family this version can run ({'; '.join(f'{title}: {why}' for title, why in reasons.items())})."
