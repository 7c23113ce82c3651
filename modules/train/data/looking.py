"""Looks for what a picture is about: faces, else the thing that stands out, else where the details are. numpy, OpenCV and scikit-image.

The face detector is the cascade of local binary patterns that scikit-image ships (Viola and Jones 2001; Liao et al. 2007), so that the
same picture is cut in the same way on every machine; a better one may be given. Start reading at `find_subject`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from modules.pixels.crop import Box
from modules.pixels.resizing import Size
from modules.train.data.salience import detail_box, object_box
from modules.train.data.subject import DETAIL, FACES, MIDDLE, OBJECT, Faces, Subject

FACES_PX = 320  # longer side at which faces are looked for
LEAST_FACE_PX = 24
LEAST_FACE = 0.11  # of the shorter side; smaller ones are not what the picture is about


def find_subject(image: Image.Image, faces: Faces | None = None) -> Subject:
    """The subject of an RGB picture of any size. Deterministic; never fails: what has none is about its middle.

    faces: another detector, such as `modules.upscale.faces` over YuNet.
    """
    found = list((faces or shipped_faces)(image))
    if found:
        several = f"{len(found)} faces" if len(found) > 1 else "a face"
        return Subject(_around(found, image.size), FACES, 1.0, several)
    standing_out = object_box(image)
    if standing_out is not None:
        share, sure = standing_out
        return Subject(_pixels(share, image.size), OBJECT, sure, "something that stands out from the edges")
    detail = detail_box(image)
    if detail is not None:
        return Subject(_pixels(detail, image.size), DETAIL, 0.3, "most of the detail")
    return Subject((0, 0, *image.size), MIDDLE, 0.0, "nothing that stands out")


def shipped_faces(image: Image.Image) -> list[Box]:
    """Faces seen from the front, the largest first. A picture takes about half a second on one core, twice that with a face in it.

    A face must be seen in the mirrored picture as well: patterns that look like one by chance hardly ever are.
    """
    scale = min(1.0, FACES_PX / max(image.size))
    size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
    if min(size) < LEAST_FACE_PX:
        return []
    small = np.asarray(image if size == image.size else image.resize(size, Image.Resampling.BOX, reducing_gap=2.0))
    found = _seen(small)
    if not found:
        return []
    mirrored = [(size[0] - right, top, size[0] - left, bottom) for left, top, right, bottom in _seen(small[:, ::-1])]
    kept: list[Box] = []
    for box in found:
        if any(_same_face(box, other) for other in mirrored) and not any(_same_face(box, other) for other in kept):
            kept.append(box)
    wide, high = image.width / size[0], image.height / size[1]
    return [(round(left * wide), round(top * high), round(right * wide), round(bottom * high)) for left, top, right, bottom in kept]


def _seen(pixels: np.ndarray) -> list[Box]:
    """What looks like a face, the largest first. pixels: (h, w, 3) uint8."""
    height, width, _ = pixels.shape
    least = max(LEAST_FACE_PX, round(min(width, height) * LEAST_FACE))
    rows: list[dict[str, Any]] = _cascade().detect_multi_scale(
        img=np.ascontiguousarray(pixels),
        scale_factor=1.1,
        step_ratio=1,
        min_size=(least, least),
        max_size=(width, height),
        min_neighbor_number=6,
    )
    boxes = [(int(row["c"]), int(row["r"]), int(row["c"] + row["width"]), int(row["r"] + row["height"])) for row in rows]
    return sorted(boxes, key=lambda box: (box[0] - box[2], box))


def _same_face(one: Box, other: Box) -> bool:
    """Whether the middle of each lies in the other."""
    return _holds(one, other) and _holds(other, one)


def _holds(box: Box, other: Box) -> bool:
    x, y = (other[0] + other[2]) / 2, (other[1] + other[3]) / 2
    return box[0] < x < box[2] and box[1] < y < box[3]


def _around(boxes: Sequence[Box], size: Size) -> Box:
    """All faces, with the head around the face and some of the body below."""
    left, top = min(box[0] for box in boxes), min(box[1] for box in boxes)
    right, bottom = max(box[2] for box in boxes), max(box[3] for box in boxes)
    face = max(box[3] - box[1] for box in boxes)
    more = round(face * 0.4)
    return max(0, left - more), max(0, top - more), min(size[0], right + more), min(size[1], bottom + 2 * more)


def _pixels(share: tuple[float, float, float, float], size: Size) -> Box:
    left, top, right, bottom = share
    box = int(left * size[0]), int(top * size[1]), round(right * size[0]), round(bottom * size[1])
    return box[0], box[1], max(box[0] + 1, min(box[2], size[0])), max(box[1] + 1, min(box[3], size[1]))


@functools.cache
def _cascade() -> Any:
    """The detector of the file that is in scikit-image's package."""
    from skimage.data import lbp_frontal_face_cascade_filename
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())
