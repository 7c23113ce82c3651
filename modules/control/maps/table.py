"""The table of preprocessors: names, sliders and control types of the well-known extension, and which weights each reads.

Pure data: importing it loads neither torch nor numpy. Start reading at `MAPS`; `modules.control.maps.making` runs them.
Facts of the files: their publishers. Every .pth and .pt file becomes a .safetensors file of the same name on the Models tab.
"""

from __future__ import annotations

from modules.control.maps.row import RESOLUTION, MapRow, Needed, Slider
from modules.registry import Registry

ANNOTATOR_FILES = "lllyasviel/Annotators"
ALL = "All"
NONE = "none"


def _file(stem: str, megabytes: int, published: str = ANNOTATOR_FILES, suffix: str = "pth") -> Needed:
    return Needed(name=f"{stem}.safetensors", megabytes=megabytes, published=f"{published}, {stem}.{suffix}")


def _folder(published: str, megabytes: int, *instead: str) -> Needed:
    return Needed(name=published.rpartition("/")[2], megabytes=megabytes, published=published, instead=instead)


HED = _file("ControlNetHED", 29)
PIDI = _file("table5_pidinet", 3)
TEED = _file("5_model", 1, "fal-ai/teed")
MTEED = _file("MTEED", 1, "TheMistoAI/MistoLine")
LINES, COARSE, ANIME = _file("sk_model", 17), _file("sk_model2", 17), _file("netG", 218)
MLSD = _file("mlsd_large_512_fp32", 6)
BODY, HAND, FACE = _file("body_pose_model", 209), _file("hand_pose_model", 147), _file("facenet", 154)
LERES = _file("res101", 531)
BAE = _file("scannet", 291, suffix="pt")
SAM = _file("mobile_sam", 41, "dhkim2810/MobileSAM", "pt")
MIDAS = _folder("Intel/dpt-hybrid-midas", 490, "dpt-large", "dpt-swinv2-large-384", "dpt-beit-large-512")
ZOE = _folder("Intel/zoedepth-nyu-kitti", 1380, "zoedepth-nyu", "zoedepth-kitti")
ANYTHING = _folder("LiheYoung/depth-anything-large-hf", 1340, "depth-anything-base-hf", "depth-anything-small-hf")
ANYTHING_2 = _folder(
    "depth-anything/Depth-Anything-V2-Small-hf", 99, "Depth-Anything-V2-Base-hf", "Depth-Anything-V2-Large-hf"
)  # fmt: skip
ONEFORMER = _folder("shi-labs/oneformer_ade20k_swin_large", 880, "oneformer_ade20k_swin_tiny", "oneformer_ade20k_dinat_large")
UPERNET = _folder("openmmlab/upernet-convnext-small", 330, "upernet-convnext-tiny", "upernet-swin-small", "upernet-swin-tiny")

NEAR = Slider(name="Remove Near %", value=0, low=0, high=100, step=0.1)
BACKGROUND = Slider(name="Remove Background %", value=0, low=0, high=100, step=0.1)
GAMMA = Slider(name="Gamma Correction", value=1, low=0.1, high=2, step=0.001)
VARIATION = Slider(name="Variation", value=8, low=3, high=32, step=1)
FIDELITY = Slider(name="Style Fidelity (only for Balanced mode)", value=0.5, low=0, high=1)
LINE_TYPES = ("Canny", "Lineart", "Scribble", "Sketch", "MLSD")
SCRIBBLE, TILE = ("Scribble", "Sketch"), ("Tile", "Blur")
FACE_NETWORK = "it needs InsightFace, whose networks may not be used commercially and are published as programs, not as weights"
ADAIN = "statistics of layers are not taken over by units; take reference_only, or a style picture with style colours"
DETECTRON = "it needs detectron2, which is no longer published for today's Python"


def _pose(name: str, body: bool, hand: bool, face: bool, first: bool = False) -> MapRow:
    needs = (BODY, *([HAND] if hand else ()), *([FACE] if face else ()))
    options = {"body": body, "hand": hand, "face": face}
    return MapRow(name=name, types=("OpenPose",), first=first, needs=needs, maker="poses:poses", options=options)


def _reference(name: str, first: bool = False, why_not: str = "") -> MapRow:
    return MapRow(
        name=name, types=("Reference",), first=first, resolution=None, a=FIDELITY, model_free=True, gives="reference", why_not=why_not
    )


def _look(name: str, *aliases: str, label: str = "", first: bool = False, why_not: str = "") -> MapRow:
    return MapRow(
        name=name, types=("IP-Adapter",), label=label, aliases=aliases, first=first, resolution=None, gives="ip-adapter", why_not=why_not
    )


def _absent(name: str, types: tuple[str, ...], why_not: str, *aliases: str, masked: bool = False) -> MapRow:
    return MapRow(name=name, types=types, aliases=aliases, why_not=why_not, masked=masked)


_ROWS: tuple[MapRow, ...] = (
    MapRow(name=NONE, resolution=None, gives="picture"),
    # Edges and lines
    MapRow(
        name="canny", types=("Canny",), first=True, maker="plain:canny",
        a=Slider(name="Low Threshold", value=100, low=0, high=256, step=1),
        b=Slider(name="High Threshold", value=200, low=0, high=256, step=1),
    ),
    MapRow(name="invert", types=LINE_TYPES, label="invert (from white bg & black line)", resolution=None, maker="plain:invert"),
    MapRow(
        name="lineart_standard", types=("Lineart",), label="lineart_standard (from white bg & black line)", first=True,
        maker="plain:lineart_standard",
    ),
    MapRow(name="lineart_realistic", types=("Lineart",), aliases=("lineart",), needs=(LINES,), maker="edges:lineart"),
    MapRow(name="lineart_coarse", types=("Lineart",), needs=(COARSE,), maker="edges:lineart"),
    MapRow(name="lineart_anime", types=("Lineart",), needs=(ANIME,), maker="edges:lineart_anime"),
    _absent("lineart_anime_denoise", ("Lineart",), "its network is not part of controlnet-aux; take lineart_anime"),
    MapRow(
        name="mlsd", types=("MLSD",), first=True, needs=(MLSD,), maker="edges:mlsd",
        a=Slider(name="MLSD Value Threshold", value=0.1, low=0.01, high=2),
        b=Slider(name="MLSD Distance Threshold", value=0.1, low=0.01, high=20),
    ),
    MapRow(name="softedge_pidinet", types=("SoftEdge",), aliases=("pidinet",), first=True, needs=(PIDI,), maker="edges:pidinet"),
    MapRow(
        name="softedge_pidisafe", types=("SoftEdge",), aliases=("pidinet_safe",), needs=(PIDI,), maker="edges:pidinet",
        options={"safe": True},
    ),
    MapRow(name="softedge_hed", types=("SoftEdge",), aliases=("hed",), needs=(HED,), maker="edges:hed"),
    MapRow(name="softedge_hedsafe", types=("SoftEdge",), aliases=("hed_safe",), needs=(HED,), maker="edges:hed", options={"safe": True}),
    MapRow(
        name="softedge_teed", types=("SoftEdge",), aliases=("te_hed",), needs=(TEED,), maker="edges:teed",
        a=Slider(name="Safe Steps", value=2, low=0, high=10, step=1),
    ),
    MapRow(
        name="softedge_anyline", types=("SoftEdge",), needs=(MTEED,), maker="edges:anyline",
        resolution=Slider(name="Resolution", value=1280, low=64, high=2048, step=8),
    ),
    MapRow(
        name="scribble_pidinet", types=SCRIBBLE, aliases=("pidinet_scribble",), first=True, needs=(PIDI,), maker="edges:pidinet",
        options={"scribble": True},
    ),
    MapRow(
        name="scribble_xdog", types=SCRIBBLE, maker="plain:xdog", a=Slider(name="XDoG Threshold", value=32, low=1, high=64, step=1)
    ),
    MapRow(
        name="scribble_hed", types=SCRIBBLE, aliases=("fake_scribble",), needs=(HED,), maker="edges:hed", options={"scribble": True}
    ),
    MapRow(
        name="threshold", types=(), maker="plain:threshold", a=Slider(name="Binarization Threshold", value=127, low=0, high=255, step=1)
    ),
    # Depth and surfaces
    MapRow(name="depth_midas", types=("Depth",), aliases=("depth",), first=True, needs=(MIDAS,), maker="depth:depth"),
    MapRow(name="depth_zoe", types=("Depth",), needs=(ZOE,), maker="depth:depth", options={"cut": (2, 85)}),
    MapRow(name="depth_anything", types=("Depth",), needs=(ANYTHING,), maker="depth:depth"),
    MapRow(name="depth_anything_v2", types=("Depth",), needs=(ANYTHING_2,), maker="depth:depth"),
    MapRow(name="depth_leres", types=("Depth",), needs=(LERES,), maker="depth:leres", a=NEAR, b=BACKGROUND),
    _absent("depth_leres++", ("Depth",), "its second network can only be read from a pickle; take depth_leres or depth_anything_v2"),
    _absent("depth_hand_refiner", ("Depth",), "its hand model may not be passed on; take depth_anything_v2"),
    MapRow(name="normal_bae", types=("NormalMap",), first=True, needs=(BAE,), maker="depth:normal_bae"),
    MapRow(
        name="normal_midas", types=("NormalMap",), aliases=("normal_map",), needs=(MIDAS,), maker="depth:normal_midas",
        a=Slider(name="Normal Background Threshold", value=0.4, low=0, high=1),
    ),
    _absent("normal_dsine", ("NormalMap",), "its network is published as a program only; take normal_bae"),
    # People
    _pose("openpose", body=True, hand=False, face=False),
    _pose("openpose_face", body=True, hand=False, face=True),
    _pose("openpose_faceonly", body=False, hand=False, face=True),
    _pose("openpose_full", body=True, hand=True, face=True, first=True),
    _pose("openpose_hand", body=True, hand=True, face=False),
    _absent("dw_openpose_full", ("OpenPose",), "it needs mmpose, which today's Python does not have; take openpose_full"),
    _absent("animal_openpose", ("OpenPose",), "its network is not part of controlnet-aux"),
    _absent("densepose", ("OpenPose",), DETECTRON, "densepose (pruple bg & purple torso)"),
    _absent("densepose_parula", ("OpenPose",), DETECTRON, "densepose_parula (black bg & blue torso)"),
    MapRow(
        name="mediapipe_face", maker="poses:mediapipe_face", a=Slider(name="Max Faces", value=1, low=1, high=10, step=1),
        b=Slider(name="Min Face Confidence", value=0.5, low=0.01, high=1),
        needs=(Needed(name="mediapipe", megabytes=35, published="pip install mediapipe"),),
    ),
    # What is where
    MapRow(
        name="seg_ofade20k", types=("Segmentation",), aliases=("oneformer_ade20k",), first=True, needs=(ONEFORMER,),
        maker="segments:oneformer",
    ),
    MapRow(name="seg_ufade20k", types=("Segmentation",), aliases=("segmentation",), needs=(UPERNET,), maker="segments:upernet"),
    _absent("seg_ofcoco", ("Segmentation",), "its 133 colours are not known here; take seg_ofade20k", "oneformer_coco"),
    _absent("seg_anime_face", ("Segmentation",), "its network is not part of controlnet-aux", "anime_face_segment"),
    MapRow(name="mobile_sam", types=("Segmentation",), needs=(SAM,), maker="segments:mobile_sam"),
    # The picture itself, changed
    MapRow(
        name="tile_resample", types=TILE, first=True, resolution=None, maker="plain:tile_resample",
        a=Slider(name="Down Sampling Rate", value=1, low=1, high=8),
    ),
    MapRow(name="tile_colorfix", types=TILE, resolution=None, a=VARIATION, gives="picture", finish="finish:colours"),
    MapRow(
        name="tile_colorfix+sharp", types=TILE, resolution=None, a=VARIATION, b=Slider(name="Sharpness", value=1, low=0, high=2),
        gives="picture", finish="finish:sharp_colours",
    ),
    MapRow(name="blur_gaussian", types=TILE, maker="plain:blur", a=Slider(name="Sigma", value=9, low=0.01, high=64)),
    MapRow(name="shuffle", types=("Shuffle",), first=True, maker="plain:shuffle"),
    MapRow(
        name="recolor_luminance", types=("Recolor",), first=True, resolution=None, a=GAMMA, maker="plain:luminance",
        finish="finish:luminance",
    ),
    MapRow(
        name="recolor_intensity", types=("Recolor",), resolution=None, a=GAMMA, maker="plain:intensity", finish="finish:intensity"
    ),
    MapRow(name="inpaint_only", types=("Inpaint",), first=True, resolution=None, gives="inpaint", masked=True, finish="finish:outside"),
    MapRow(name="inpaint_global_harmonious", types=("Inpaint",), aliases=("inpaint",), resolution=None, gives="inpaint", masked=True),
    _absent("inpaint_only+lama", ("Inpaint",), "LaMa is published as a pickled program only; take inpaint_only", masked=True),
    # Without a map
    _reference("reference_only", first=True),
    _reference("reference_adain", why_not=ADAIN),
    _reference("reference_adain+attn", why_not=ADAIN),
    _look("ip-adapter-auto", first=True),
    _look("ip-adapter_clip_h", "ip-adapter_clip_sd15"),
    _look("ip-adapter_clip_g", "ip-adapter_clip_sdxl"),
    _look("ip-adapter_clip_sdxl_plus_vith"),
    _look("ip-adapter_face_id", why_not=FACE_NETWORK),
    _look("ip-adapter_face_id_plus", why_not=FACE_NETWORK),
    _look("ip-adapter_pulid", why_not=FACE_NETWORK),
    _absent("instant_id_face_embedding", ("Instant-ID",), FACE_NETWORK),
    _absent("instant_id_face_keypoints", ("Instant-ID",), FACE_NETWORK),
    # For T2I-Adapters
    MapRow(name="t2ia_color_grid", types=("T2I-Adapter",), aliases=("color",), first=True, maker="plain:colour_grid"),
    MapRow(
        name="t2ia_sketch_pidi", types=("T2I-Adapter",), aliases=("pidinet_sketch",), needs=(PIDI,), maker="edges:pidinet",
        options={"apply_filter": True},
    ),
    _absent("t2ia_style_clipvision", ("T2I-Adapter",), "style adapters are not supported; take an IP-Adapter", "clip_vision"),
    _absent("revision_clipvision", ("Revision",), "it is not supported; take an IP-Adapter"),
    _absent("revision_ignore_prompt", ("Revision",), "it is not supported; take an IP-Adapter"),
)  # fmt: skip


def _registry() -> Registry[MapRow]:
    found: Registry[MapRow] = Registry("module")
    for row in _ROWS:
        found.add(row.name, row, aliases=(*row.aliases, *([row.label] if row.label else ())))
    found.freeze()
    return found


MAPS = _registry()

# Control type -> words that the names of its models hold, beside the type's own in lower case.
MODEL_WORDS: dict[str, tuple[str, ...]] = {
    "Segmentation": ("seg",), "NormalMap": ("normal",), "T2I-Adapter": ("t2i_adapter", "t2iadapter", "t2ia"),
    "IP-Adapter": ("ip_adapter", "ipadapter"), "OpenPose": ("densepose",), "Instant-ID": ("instant_id", "instantid"),
    "SoftEdge": ("soft_edge", "hed", "pidi"), "Lineart": ("line",), "Scribble": ("sketch",), "Sketch": ("scribble",),
}  # fmt: skip
READS_ALL = ("union", "promax")  # models of several types name none


def control_types() -> list[str]:
    """ "All", then every control type by name."""
    return [ALL, *sorted({kind for _, row in MAPS for kind in row.types})]


def of_type(kind: str) -> list[MapRow]:
    """The rows of a control type: "none", what it begins with, the others by name. "All" has all of them."""
    rows = [row for _, row in MAPS if row.name != NONE and (kind == ALL or kind in row.types)]
    return [MAPS.get(NONE), *sorted(rows, key=lambda row: (not row.first, row.name))]


def models_of_type(kind: str, titles: list[str]) -> list[str]:
    """Those of the titles that look like models of a control type, by their names."""
    words = (kind.lower(), *MODEL_WORDS.get(kind, ()), *READS_ALL)
    return titles if kind == ALL else [title for title in titles if any(word in title.lower() for word in words)]


__all__ = ["ALL", "MAPS", "NONE", "RESOLUTION", "control_types", "models_of_type", "of_type"]
