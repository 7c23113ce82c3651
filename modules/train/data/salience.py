"""Where a picture differs from its own edges, and where its details are, by arithmetic alone. Knows nothing about faces or crops.

Start reading at `object_box` and `detail_box`. Sources: the boundary as background, arXiv:1207.5175 and its followers; local entropy.
"""

from __future__ import annotations

import numpy as np
from PIL import Image

Share = tuple[float, float, float, float]  # left, top, right, bottom, as shares of width and height

LOOK_PX = 128  # longer side at which is looked
FRAME = 0.05  # share of the sides that counts as edge
COLOURS = 4  # the edge may show so many things: sky, sand, sea, wall
LEAST_SPREAD = 4.0  # of a colour of the edge, in Lab
CLEAR = 6.0  # an object is so many spreads away from everything at the edge, at the least
AREAS = (0.01, 0.75)  # share of the picture that an object fills
IN_ONE = 0.6  # share of what stands out that must hang together
MUTED = 0.1  # at the bottom, where watermarks and subtitles stand
BINS = 16
INNER = 0.15  # of the details, so much lies outside the box at each side


def object_box(image: Image.Image) -> tuple[Share, float] | None:
    """(box, how clearly it stands out, 0 to 1) of the one thing that is not what the edges show; None when there is none.

    image: RGB.
    """
    import cv2

    lab = _lab(image)
    distance = np.asarray(cv2.GaussianBlur(_from_edge(lab), (0, 0), 1.0))
    threshold = max(CLEAR, _otsu(distance))
    mask = (distance > threshold).astype(np.uint8)
    count, _, stats, _ = cv2.connectedComponentsWithStats(np.asarray(cv2.dilate(mask, np.ones((3, 3), np.uint8))))
    if count < 2:
        return None
    largest = 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    area = float(stats[largest, cv2.CC_STAT_AREA])
    height, width = mask.shape
    if not AREAS[0] <= area / mask.size <= AREAS[1] or area / float(stats[1:, cv2.CC_STAT_AREA].sum()) < IN_ONE:
        return None
    left, top, wide, high = (int(v) for v in stats[largest, :4])
    if wide >= width * 0.98 and high >= height * 0.98:  # it goes from edge to edge both ways: a ground, no object
        return None
    return (left / width, top / height, (left + wide) / width, (top + high) / height), min(1.0, threshold / (4 * CLEAR))


def detail_box(image: Image.Image) -> Share | None:
    """The part that holds most of the detail: entropy of brightness and edges, the lowest tenth muted; None for a flat picture.

    image: RGB.
    """
    import cv2

    grey = _lab(image)[..., 0]
    across, down = cv2.Sobel(grey, cv2.CV_32F, 1, 0), cv2.Sobel(grey, cv2.CV_32F, 0, 1)
    weight = _entropy(grey) * np.sqrt(np.asarray(across) ** 2 + np.asarray(down) ** 2)
    weight[int(weight.shape[0] * (1 - MUTED)) :] *= 0.25
    if float(weight.max()) < 1e-3:
        return None
    weight = np.minimum(weight, np.percentile(weight, 99) + 1e-6) ** 2
    if float(weight.sum()) <= 0:
        return None
    left, right = _middle(weight.sum(axis=0))
    top, bottom = _middle(weight.sum(axis=1))
    return left, top, right, bottom


def _lab(image: Image.Image) -> np.ndarray:
    """(h, w, 3) float32 Lab, longer side LOOK_PX."""
    import cv2

    scale = LOOK_PX / max(image.size)
    size = max(8, round(image.width * scale)), max(8, round(image.height * scale))
    small = np.asarray(image.resize(size, Image.Resampling.BOX, reducing_gap=2.0), np.float32) / 255
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2LAB))


def _from_edge(lab: np.ndarray) -> np.ndarray:
    """(h, w): how many spreads each pixel is from the nearest colour of the edge."""
    height, width, _ = lab.shape
    y, x = max(1, round(height * FRAME)), max(1, round(width * FRAME))
    edge = np.concatenate([part.reshape(-1, 3) for part in (lab[:y], lab[-y:], lab[y:-y, :x], lab[y:-y, -x:])])
    nearest = np.full((height, width), np.inf, np.float32)
    for group in _groups(edge):
        if len(group) < 0.03 * len(edge):
            continue  # something small that touches the edge
        spread = np.maximum(group.std(axis=0), LEAST_SPREAD)
        nearest = np.minimum(nearest, np.sqrt((((lab - group.mean(axis=0)) / spread) ** 2).sum(axis=2)))
    return nearest.astype(np.float32)


def _groups(points: np.ndarray) -> list[np.ndarray]:
    """The colours in up to COLOURS groups: the widest one is halved at its mean until there are so many."""
    groups = [points]
    while len(groups) < COLOURS:
        widest = max(range(len(groups)), key=lambda i: float(groups[i].std(axis=0).max()))
        group = groups[widest]
        spread = group.std(axis=0)
        axis = int(np.argmax(spread))
        if float(spread[axis]) < LEAST_SPREAD:
            break
        high = group[:, axis] > group[:, axis].mean()
        groups[widest : widest + 1] = [group[high], group[~high]]
    return groups


def _otsu(values: np.ndarray) -> float:
    """The threshold that separates values into two kinds best. Source: Otsu 1979."""
    counts, edges = np.histogram(values, 64)
    middles = (edges[1:] + edges[:-1]) / 2
    below = np.cumsum(counts)
    above = below[-1] - below
    sums = np.cumsum(counts * middles)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1 + int(np.argmax(np.nan_to_num(between)))])


def _entropy(grey: np.ndarray) -> np.ndarray:
    """(h, w): entropy of the brightness around each pixel, in bits. grey: 0 to 100."""
    import cv2

    level = np.clip(grey * (BINS / 100), 0, BINS - 1).astype(np.int32)
    found = np.zeros_like(grey)
    for each in range(BINS):
        share = np.asarray(cv2.blur((level == each).astype(np.float32), (9, 9)))
        found -= np.where(share > 1e-6, share * np.log2(np.maximum(share, 1e-6)), 0)
    return np.maximum(found, 0)


def _middle(weights: np.ndarray) -> tuple[float, float]:
    """Between which shares of the length the middle of the weight lies."""
    total = np.cumsum(weights) / weights.sum()
    low, high = int(np.searchsorted(total, INNER)), int(np.searchsorted(total, 1 - INNER))
    return low / len(weights), (high + 1) / len(weights)
