"""Places that a captioner found, as they are told: their names, and their corners in the picture's own pixels.

Start reading at `placed`.
"""

from __future__ import annotations

from typing import Any

from modules.caption.loading import Captioner
from modules.caption.seeing import Fitted
from modules.caption.writing import Candidate


def placed(captioner: Captioner, fit: Fitted, size: tuple[int, int], written: Candidate, asked: str) -> dict[str, Any]:
    """{"caption": the names of what was found, "places": [{"label", "points"}, ...], "size"}; points, size: (x, y) pixels of the picture.

    A box has two points, left top and right bottom; an outline more. asked: the task as the model was given it.
    """
    places_of: Any = captioner.kind.places
    found = places_of(captioner.processor, written.tokens, asked, fit.image.size)
    places = [{"label": place.label, "points": [_in_picture(point, fit, size) for point in place.points]} for place in found]
    names = dict.fromkeys(place.label for place in found if place.label)
    text = ", ".join(names) or (f"{len(places)} region{'s' * (len(places) != 1)}" if places else "")
    return {"caption": text, "places": places, "size": list(size)}


def _in_picture(point: tuple[float, float], fit: Fitted, size: tuple[int, int]) -> list[float]:
    """A point of what the model was shown, in pixels of the picture, never beyond it."""
    (left, top, right, bottom), (width, height) = fit.region, fit.image.size
    across, down = left + point[0] / width * (right - left), top + point[1] / height * (bottom - top)
    return [round(min(max(across, 0), 1) * size[0], 2), round(min(max(down, 0), 1) * size[1], 2)]
