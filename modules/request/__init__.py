"""What a generation is: the request as asked, the request with nothing left open, and the records a run sends back.

Frozen data, no torch. Field names are A1111's API names; every group of fields is a file. Start reading at `GenerationRequest`.
"""

from modules.request.asked import GenerationRequest
from modules.request.basics import PROMPT_LIMIT, SEED_LIMIT
from modules.request.control import Control, ControlUnit, ResolvedUnit
from modules.request.files import Checkpoint, Network, SideFile
from modules.request.guests import Guests, Use, Visit
from modules.request.inversion import Inversion
from modules.request.outcome import Picture, Result
from modules.request.outpaint import Outpaint
from modules.request.repaint import REFERENCE, Repaint
from modules.request.resolved import HiresPass, RefinerPass, ResolvedRequest
from modules.request.sampling import Sampling
from modules.request.second import Hires, Refiner
from modules.request.seeds import Seeds
from modules.request.steering import Steering
from modules.request.styling import Styling

__all__ = [
    "PROMPT_LIMIT",
    "REFERENCE",
    "SEED_LIMIT",
    "Checkpoint",
    "Control",
    "ControlUnit",
    "GenerationRequest",
    "Guests",
    "Hires",
    "HiresPass",
    "Inversion",
    "Network",
    "Outpaint",
    "Picture",
    "Refiner",
    "RefinerPass",
    "Repaint",
    "ResolvedRequest",
    "ResolvedUnit",
    "Result",
    "Sampling",
    "Seeds",
    "SideFile",
    "Steering",
    "Styling",
    "Use",
    "Visit",
]
