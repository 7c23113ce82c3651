"""Ways of keeping weights in fewer bits: a file and a row each, put on the components of a model while it is loaded, or saved to disk.

Knows components and layers; knows nothing about settings or jobs. The rows import no torch and serve the web process; what they do
does. Start reading at `QUANTISERS`, then `modules.weights.quantisers.component.quantise` and `modules.weights.quantisers.saved`.
"""

from modules.registry import Registry
from modules.weights.quantisers.bnb_4bit import FP4, NF4
from modules.weights.quantisers.bnb_8bit import BNB_INT8
from modules.weights.quantisers.fp8 import FP8, FP8_E5M2
from modules.weights.quantisers.quanto import QUANTO_FLOAT8, QUANTO_INT8
from modules.weights.quantisers.row import Quantiser
from modules.weights.quantisers.torchao import AO_FLOAT8, AO_INT4, AO_INT8

__all__ = ["NONE", "QUANTISERS", "Quantiser"]

NONE = "None"

QUANTISERS: Registry[Quantiser] = Registry("quantisation")
QUANTISERS.add("fp8", FP8)
QUANTISERS.add("fp8-e5m2", FP8_E5M2)
QUANTISERS.add("bnb-int8", BNB_INT8)
QUANTISERS.add("nf4", NF4, aliases=("bnb-nf4",))
QUANTISERS.add("fp4", FP4, aliases=("bnb-fp4",))
QUANTISERS.add("torchao-int8", AO_INT8)
QUANTISERS.add("torchao-float8", AO_FLOAT8)
QUANTISERS.add("torchao-int4", AO_INT4)
QUANTISERS.add("quanto-int8", QUANTO_INT8)
QUANTISERS.add("quanto-float8", QUANTO_FLOAT8)
QUANTISERS.freeze()
