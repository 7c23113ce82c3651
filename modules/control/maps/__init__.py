"""Preprocessors: what makes a control map from a picture. Importing this loads neither torch nor numpy.

`MAPS` has a row for each, `making.make_map` runs one. Knows pictures and the weights of detectors; knows nothing about ControlNets.
Start reading at `table.MAPS`, then `making.make`.
"""

from modules.control.maps.files import lacking
from modules.control.maps.row import ANNOTATORS, LACKING, RESOLUTION, MapRow, Needed, Slider
from modules.control.maps.table import ALL, MAPS, NONE, control_types, models_of_type, of_type

__all__ = [
    "ALL",
    "ANNOTATORS",
    "LACKING",
    "MAPS",
    "NONE",
    "RESOLUTION",
    "MapRow",
    "Needed",
    "Slider",
    "control_types",
    "lacking",
    "models_of_type",
    "of_type",
]
