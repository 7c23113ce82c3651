"""How people stand: OpenPose's body, hands and face, by the networks of controlnet-aux; faces by MediaPipe. Makers as `making` describes.

Start reading at `poses`; `skeleton` draws what was found.
"""

from __future__ import annotations

from typing import Any

import torch

from modules.control.maps.files import found
from modules.control.maps.making import Ask, Pixels
from modules.control.maps.row import Needed
from modules.control.maps.skeleton import draw, flat
from modules.control.maps.table import BODY, FACE, HAND
from modules.control.maps.weights import aux, filled

FACE_SIDE_PX, FACE_SIGMA, FACE_LEAST = 736, 2.5, 0.1  # as controlnet-aux sets its face detector


def poses(pixels: Pixels, ask: Ask) -> tuple[Pixels, dict[str, Any]]:
    """(the people drawn on black, who was found). options: body, hand, face: what is looked for and drawn."""
    options = ask.row.options
    detector = _detector(ask)
    with torch.inference_mode():
        people = detector.detect_poses(pixels, include_hand=options["hand"], include_face=options["face"])
    height, width = pixels.shape[:2]
    told = [
        {
            "pose_keypoints_2d": flat(one.body.keypoints, width, height) or [],
            "hand_left_keypoints_2d": flat(one.left_hand, width, height),
            "hand_right_keypoints_2d": flat(one.right_hand, width, height),
            "face_keypoints_2d": flat(one.face, width, height),
        }
        for one in people
    ]
    pose = {"people": told, "canvas_width": width, "canvas_height": height}
    return draw(pose, body=options["body"]), pose


def mediapipe_face(pixels: Pixels, ask: Ask) -> Pixels:
    """Contours of faces in colours; a: at most so many, b: how sure at least."""
    side = min(pixels.shape[:2])
    detector = aux("mediapipe_face", "MediapipeFaceDetector")()
    return detector(
        pixels, max_faces=int(ask.a), min_confidence=ask.b, detect_resolution=side, image_resolution=side, output_type="np"
    )  # fmt: skip


def _detector(ask: Ask) -> Any:
    """OpenPose with the networks that the row needs; their classes read pickles when they are built, so they are filled by hand."""
    files = {needed: found(needed, ask.row, ask.ground.folders) for needed in ask.row.needs}

    def network(kind: Needed, module: str, name: str, prefix: bool = False) -> Any:
        empty = aux(module, name)()
        return filled(empty, files[kind], ask.ground.device, prefix="*" if prefix else "")

    def load() -> Any:
        body = _around("open_pose.body", "Body", model=network(BODY, "open_pose.model", "bodypose_model", True))
        hand = face = None
        if HAND in files:
            hand = _around("open_pose.hand", "Hand", model=network(HAND, "open_pose.model", "handpose_model", True))
        if FACE in files:
            about = {"inference_size": FACE_SIDE_PX, "sigma": FACE_SIGMA, "threshold": FACE_LEAST}
            face = _around("open_pose.face", "Face", model=network(FACE, "open_pose.face", "FaceNet"), **about)
        return aux("open_pose", "OpenposeDetector")(body, hand, face)

    return ask.ground.take("openpose", tuple(files.values()), load)


def _around(module: str, name: str, **held: Any) -> Any:
    """A detector of controlnet-aux around a network that is there already."""
    kind = aux(module, name)
    made = kind.__new__(kind)
    for key, value in held.items():
        setattr(made, key, value)
    return made
