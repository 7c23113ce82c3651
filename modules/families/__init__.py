"""Model families as described facts: how one is recognised, its sizes, how it is loaded. No branch on a family anywhere else.

Start reading at `FAMILIES`, then `identify`. The facts import no torch; `load` does.
"""

from modules.families.family import Description, Family, LoadPlan, Match, Variant
from modules.families.stable_diffusion import STABLE_DIFFUSION
from modules.faults import ModelFault
from modules.registry import Registry

__all__ = ["FAMILIES", "Description", "Family", "LoadPlan", "Match", "Variant", "identify"]


def _families() -> Registry[Family]:
    registry: Registry[Family] = Registry("family")
    registry.add(STABLE_DIFFUSION.id, STABLE_DIFFUSION)
    registry.freeze()
    return registry


FAMILIES = _families()


def identify(description: Description) -> tuple[Family, Match]:
    """The family of a model folder or file. Raises ModelFault with each family's reason when none knows it."""
    reasons: list[str] = []
    for _, family in FAMILIES:
        match = family.detect(description)
        if match.fits:
            return family, match
        reasons.append(f"{family.title}: {match.why}")
    raise ModelFault(f"{description.path.name} is of no family this version can run ({'; '.join(reasons)}).")
