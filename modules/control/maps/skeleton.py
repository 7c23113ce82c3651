"""People as OpenPose writes them: {"people": [...], "canvas_width", "canvas_height"}, and the picture of it.

A person has pose_keypoints_2d (18 points), hand_left_keypoints_2d and hand_right_keypoints_2d (21 each) and face_keypoints_2d, flat lists
of x, y and how sure (0: not seen); x and y are pixels, or shares of the canvas where none is above 1. Start reading at `draw`.
Source: the format and colours of OpenPose's COCO body.
"""

from __future__ import annotations

import colorsys
import math
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

Point = tuple[float, float]  # pixels
Colour = tuple[int, int, int]
BODY_POINTS, HAND_POINTS = 18, 21
# Neck to shoulders, arms, neck to hips, legs, neck to nose, eyes, ears; numbers of points, in the order of the colours.
LIMBS = (
    (1, 2), (1, 5), (2, 3), (3, 4), (5, 6), (6, 7), (1, 8), (8, 9), (9, 10), (1, 11), (11, 12), (12, 13), (1, 0), (0, 14), (14, 16),
    (0, 15), (15, 17),
)  # fmt: skip
FINGERS = tuple((0 if n % 4 == 1 else n - 1, n) for n in range(1, HAND_POINTS))
LIMB_WIDTH_PX, JOINT_PX, FACE_PX, FINGER_PX = 4, 4, 3, 2
LIMB_SHARE = 0.6  # limbs are darker than joints
PARTS = ("pose_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "face_keypoints_2d")


def draw(pose: dict[str, Any], *, body: bool = True) -> np.ndarray[Any, Any]:
    """The picture of a pose, (H, W, 3) RGB uint8 on black. body: False for hands and faces alone."""
    width, height = int(pose["canvas_width"]), int(pose["canvas_height"])
    canvas = np.zeros((height, width, 3), np.uint8)
    for person in pose["people"]:
        trunk, left, right, face = (points(person.get(part), width, height) for part in PARTS)
        if body:
            _body(canvas, trunk)
        for hand in (left, right):
            _hand(canvas, hand)
        for point in face:
            if point is not None:
                cv2.circle(canvas, _whole(point), FACE_PX, (255, 255, 255), -1)
    return canvas


def points(flat: Sequence[float] | None, width: int, height: int) -> list[Point | None]:
    """The points of a flat list in pixels; None for those that were not seen."""
    rows = [tuple(flat[n : n + 3]) for n in range(0, len(flat) - 2, 3)] if flat else []
    shares = all(abs(x) <= 1 and abs(y) <= 1 for x, y, _ in rows)
    scale = (width, height) if shares else (1, 1)
    return [(x * scale[0], y * scale[1]) if sure > 0 else None for x, y, sure in rows]


def flat(found: Sequence[Any] | None, width: int, height: int) -> list[float] | None:
    """Points as shares of the canvas (x, y; None or negative: not seen) as a flat list in pixels; None for no list."""
    if not found:
        return None
    seen = [point is not None and point.x >= 0 and point.y >= 0 for point in found]
    rows = ((p.x * width, p.y * height, 1.0) if ok else (0.0, 0.0, 0.0) for p, ok in zip(found, seen, strict=True))
    return [float(value) for row in rows for value in row]


def _body(canvas: np.ndarray[Any, Any], found: list[Point | None]) -> None:
    found = found[:BODY_POINTS]
    for n, (first, second) in enumerate(LIMBS):
        if max(first, second) >= len(found):
            continue
        start, end = found[first], found[second]
        if start is not None and end is not None:
            colour = _hue(n, BODY_POINTS)
            dark = (int(colour[0] * LIMB_SHARE), int(colour[1] * LIMB_SHARE), int(colour[2] * LIMB_SHARE))
            cv2.fillConvexPoly(canvas, _limb(start, end), dark)
    for n, point in enumerate(found):
        if point is not None:
            cv2.circle(canvas, _whole(point), JOINT_PX, _hue(n, BODY_POINTS), -1)


def _limb(start: Point, end: Point) -> Any:
    middle = _whole(((start[0] + end[0]) / 2, (start[1] + end[1]) / 2))
    angle = math.degrees(math.atan2(start[1] - end[1], start[0] - end[0]))
    return cv2.ellipse2Poly(middle, (int(math.dist(start, end) / 2), LIMB_WIDTH_PX), int(angle), 0, 360, 1)


def _hand(canvas: np.ndarray[Any, Any], found: list[Point | None]) -> None:
    for n, (first, second) in enumerate(FINGERS):
        if max(first, second) < len(found) and (start := found[first]) is not None and (end := found[second]) is not None:
            cv2.line(canvas, _whole(start), _whole(end), _hue(n, len(FINGERS)), FINGER_PX)
    for point in found:
        if point is not None:
            cv2.circle(canvas, _whole(point), JOINT_PX, (0, 0, 255), -1)


def _hue(number: int, of: int) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(number / of, 1, 1)
    return int(red * 255), int(green * 255), int(blue * 255)


def _whole(point: Point) -> tuple[int, int]:
    return int(point[0]), int(point[1])
