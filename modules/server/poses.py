"""People as OpenPose writes them, checked and drawn. Start reading at `drawn`."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from typing import Any

from PIL import Image

from modules.faults import RequestFault

MOST_POSES, MOST_PEOPLE, MOST_POINTS = 20, 50, 300
MOST_SIDE_PX = 4096
PARTS = ("pose_keypoints_2d", "hand_left_keypoints_2d", "hand_right_keypoints_2d", "face_keypoints_2d")


async def drawn(raw: bytes) -> dict[str, Any]:
    """The extension's answer: {images, info}. raw: the body, a JSON list of poses. Raises RequestFault naming the place."""
    try:
        poses = json.loads(raw or b"[]")
    except (ValueError, RecursionError) as error:
        raise RequestFault("pose_data", f"is no JSON: {error}") from error
    if not isinstance(poses, list) or len(poses) > MOST_POSES:
        raise RequestFault("pose_data", f"must be a list of at most {MOST_POSES} poses")
    if not poses:
        return {"info": "No pose data detected."}
    for n, pose in enumerate(poses):
        _check(pose, f"pose_data[{n}]")
    return {"images": await asyncio.to_thread(_pictures, poses), "info": "Success"}


def _check(pose: Any, place: str) -> None:
    if not isinstance(pose, dict) or not isinstance(pose.get("people"), list) or len(pose["people"]) > MOST_PEOPLE:
        raise RequestFault(place, f"must have people, a list of at most {MOST_PEOPLE}, canvas_width and canvas_height")
    for side in ("canvas_width", "canvas_height"):
        value = pose.get(side)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= MOST_SIDE_PX:
            raise RequestFault(f"{place}.{side}", f"must be a whole number from 1 to {MOST_SIDE_PX}", got=value)
    for n, person in enumerate(pose["people"]):
        if not isinstance(person, dict):
            raise RequestFault(f"{place}.people[{n}]", "must be an object", got=person)
        for part in PARTS:
            _check_points(person.get(part), f"{place}.people[{n}].{part}")


def _check_points(found: Any, place: str) -> None:
    if found is None:
        return
    if not isinstance(found, list) or len(found) % 3 or len(found) > MOST_POINTS:
        raise RequestFault(place, f"must be a list of x, y and how sure, at most {MOST_POINTS} numbers")
    if not all(isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e5 for value in found):
        raise RequestFault(place, "must hold numbers of reasonable size only")


def _pictures(poses: list[dict[str, Any]]) -> list[str]:
    from modules.control.maps.skeleton import draw  # numpy and OpenCV, which nobody else here needs

    found: list[str] = []
    for pose in poses:
        buffer = io.BytesIO()
        Image.fromarray(draw(pose)).save(buffer, "PNG", compress_level=1)
        found.append(base64.b64encode(buffer.getvalue()).decode())
    return found
