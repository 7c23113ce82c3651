"""A1111's modules about pictures: masks, upscalers, faces, post-processing, interrogation. Start reading at `TABLE`."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from PIL import Image

from modules.compat.postprocessing import PostprocessedImage, PostprocessRunner, ScriptPostprocessing, create_auto_ui_component
from modules.pixels.crop import padded, widened
from modules.upscale.finishing import names_of

Views = Any  # modules.compat.views.Views; it imports this file

CAPTIONS = "a picture job has no captioner beside it; the Caption tab and /sdapi/v1/interrogate describe pictures"


def _picture(image: Any) -> Image.Image:
    """A PIL picture from one or from an array (H, W) or (H, W, C) of bytes."""
    return image if isinstance(image, Image.Image) else Image.fromarray(image)


def crop_region_v2(mask: Any, pad: int = 0) -> tuple[int, int, int, int] | None:
    """The box around what is not black, with padding; None for a black mask."""
    picture = _picture(mask)
    bounds = picture.getbbox()
    return padded(bounds, pad, picture.size) if bounds else None


def crop_region(mask: Any, pad: int = 0) -> tuple[int, int, int, int]:
    """The same; of a black mask a box that is inside out, as A1111 has it."""
    width, height = _picture(mask).size
    return crop_region_v2(mask, pad) or (max(width - pad, 0), max(height - pad, 0), min(pad, width), min(pad, height))


def expand_crop_region(
    crop_region: Any, processing_width: int, processing_height: int, image_width: int, image_height: int
) -> tuple[int, int, int, int]:
    """The box in the shape of what is drawn, inside the picture."""
    return widened(tuple(crop_region), (processing_width, processing_height), (image_width, image_height))


def masking(views: Views) -> dict[str, Any]:
    """Boxes around masks."""
    return {"get_crop_region": crop_region, "get_crop_region_v2": crop_region_v2, "expand_crop_region": expand_crop_region,
            "fill": filled}  # fmt: skip


def filled(image: Image.Image, mask: Image.Image) -> Image.Image:
    """The picture (RGBA) with what the mask covers filled from its surroundings."""
    from modules.pixels.masked_content import fill

    return fill(image.convert("RGB"), mask.convert("L")).convert("RGBA")


class UpscalerData:
    """A row of the list of upscalers."""

    def __init__(self, name: str, path: str | None = None, upscaler: Any = None, scale: int = 4, model: Any = None,
                 sha256: str | None = None) -> None:  # fmt: skip
        self.name, self.data_path, self.local_data_path, self.scaler, self.scale = name, path, path, upscaler, scale
        self.model, self.sha256 = model, sha256


class Upscaler:
    """What scripts inherit from: `do_upscale(img, selected_model)` enlarges as far as it can, `upscale` to the size that is wanted."""

    name: str | None = None
    model_path: str | None = None
    model_name: str | None = None
    model_url: str | None = None
    user_path: str | None = None
    enable = True
    filter: Any = None
    model: Any = None
    scalers: list[Any]
    tile = True

    def __init__(self, create_dirs: bool = False) -> None:
        self.scalers = []
        self.scale = 1

    def do_upscale(self, img: Any, selected_model: str) -> Any:
        return img

    def upscale(self, img: Any, scale: float, selected_model: str | None = None) -> Any:
        """The picture at that factor, sides in multiples of 8."""
        self.scale = scale
        size = (int(img.width * scale) // 8 * 8, int(img.height * scale) // 8 * 8)
        for _ in range(3):
            if img.width >= size[0] and img.height >= size[1]:
                break
            before = img.size
            img = self.do_upscale(img, selected_model or "")
            if img.size == before:
                break
        return img if img.size == size else img.resize(size, Image.Resampling.LANCZOS)

    def load_model(self, path: str) -> None: ...

    def find_models(self, ext_filter: Any = None) -> list[str]:
        return []

    def update_status(self, prompt: str) -> None: ...


class _Filter(Upscaler):
    """One of Pillow's filters."""

    resample = Image.Resampling.LANCZOS

    def __init__(self, dirname: Any = None) -> None:
        super().__init__()
        self.scalers = [UpscalerData(str(self.name), None, self)]

    def do_upscale(self, img: Any, selected_model: str) -> Any:
        return img.resize((int(img.width * self.scale), int(img.height * self.scale)), self.resample)


class UpscalerLanczos(_Filter):
    """Enlarges by Lanczos."""

    name = "Lanczos"


class UpscalerNearest(_Filter):
    """Enlarges by the nearest pixel."""

    name = "Nearest"
    resample = Image.Resampling.NEAREST


class UpscalerNone(Upscaler):
    """Leaves a picture as it is."""

    name = "None"

    def upscale(self, img: Any, scale: float, selected_model: str | None = None) -> Any:
        return img


def upscaler(views: Views) -> dict[str, Any]:
    """Kinds of upscalers and their rows."""
    return {"Upscaler": Upscaler, "UpscalerData": UpscalerData, "UpscalerNone": UpscalerNone, "UpscalerLanczos": UpscalerLanczos,
            "UpscalerNearest": UpscalerNearest, "LANCZOS": Image.Resampling.LANCZOS, "NEAREST": Image.Resampling.NEAREST}  # fmt: skip


class FaceRestoration:
    """What scripts inherit from: `restore(pixels)` gives an array of the same shape, RGB bytes."""

    def name(self) -> str:
        return "None"

    def restore(self, np_image: Any) -> Any:
        return np_image


def restorers(views: Views) -> list[Any]:
    """GFPGAN and CodeFormer as the program has them. Their files must be there when they are asked."""

    def made(title: str) -> FaceRestoration:
        class Own(FaceRestoration):
            def name(self) -> str:
                return title

            def restore(self, np_image: Any, w: float | None = None) -> Any:
                import numpy as np

                weight = getattr(views.opts, "code_former_weight", 0.5) if w is None else w
                return np.asarray(views.ways.restore(Image.fromarray(np_image), title, float(weight)))

        return Own()

    return [made(title) for title in names_of("face restoration")]


def face_restoration(views: Views) -> dict[str, Any]:
    """What restores faces."""

    def restore_faces(np_image: Any) -> Any:
        """With the one that the settings choose."""
        wanted = getattr(views.opts, "face_restoration_model", None)
        rows = views.offered("modules.shared").face_restorers
        chosen = next((one for one in rows if one.name() == wanted or wanted is None), None)
        return np_image if chosen is None else chosen.restore(np_image)

    return {"FaceRestoration": FaceRestoration, "restore_faces": restore_faces}


def scripts_postprocessing(views: Views) -> dict[str, Any]:
    """What scripts of the Extras tab inherit from."""
    return {"ScriptPostprocessing": ScriptPostprocessing, "PostprocessedImage": PostprocessedImage,
            "PostprocessedImageSharedInfo": SimpleNamespace, "ScriptPostprocessingRunner": PostprocessRunner}  # fmt: skip


def scripts_auto_postprocessing(views: Views) -> dict[str, Any]:
    """The list that makes such scripts of others; empty."""
    why = "post-processing scripts take part in Extras; txt2img has postprocess_image for that"
    return {"create_auto_preprocessing_script_data": lambda: [], "ScriptPostprocessingForMainUI": views.refusal(
        "scripts_auto_postprocessing.ScriptPostprocessingForMainUI", why),
        "create_auto_ui_component": create_auto_ui_component}  # fmt: skip


def interrogator(views: Views) -> SimpleNamespace:
    """What captions pictures, as far as scripts can ask."""
    nothing = lambda *_: None  # noqa: E731 - it takes no memory that could be given back
    return SimpleNamespace(interrogate=views.refusal("interrogate", CAPTIONS), load=nothing, unload=nothing, send_blip_to_ram=nothing,
                           send_clip_to_ram=nothing, categories=lambda: [])  # fmt: skip


def interrogate(views: Views) -> dict[str, Any]:
    """The module around it."""
    return {"InterrogateModels": SimpleNamespace, "category_types": lambda: []}


def deepbooru(views: Views) -> dict[str, Any]:
    """The tagger of that name."""
    model = SimpleNamespace(start=lambda: None, stop=lambda: None, load=lambda: None, model=None,
                            tag=views.refusal("deepbooru", CAPTIONS), tag_multi=views.refusal("deepbooru", CAPTIONS))  # fmt: skip
    return {"model": model}


TABLE: dict[str, Callable[[Any], dict[str, Any]]] = {
    "modules.masking": masking,
    "modules.upscaler": upscaler,
    "modules.face_restoration": face_restoration,
    "modules.scripts_postprocessing": scripts_postprocessing,
    "modules.scripts_auto_postprocessing": scripts_auto_postprocessing,
    "modules.interrogate": interrogate,
    "modules.deepbooru": deepbooru,
}
"""Name of a module -> what makes its names."""
