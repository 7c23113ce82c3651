"""Pictures as files: formats, names, folders."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from modules.knobs import Knob

FORMATS = ("png", "jpg", "jpeg", "webp", "avif")


@dataclass(frozen=True, kw_only=True)
class Saving:
    """Settings of these pages, A1111's keys."""

    samples_save: Annotated[bool, Knob("Always save all generated images", section="Saving images")] = True
    samples_format: Annotated[str, Knob("File format for images", choices=FORMATS, section="Saving images")] = "png"
    samples_filename_pattern: Annotated[str, Knob("Images filename pattern", section="Saving images", max_chars=500)] = ""
    save_images_add_number: Annotated[bool, Knob("Add number to filename when saving", section="Saving images")] = True
    grid_save: Annotated[bool, Knob("Always save all generated image grids", section="Saving images")] = True
    grid_format: Annotated[str, Knob("File format for grids", choices=FORMATS, section="Saving images")] = "png"
    grid_only_if_multiple: Annotated[bool, Knob("Do not save grids consisting of one picture", section="Saving images")] = True
    return_grid: Annotated[bool, Knob("Show grid in gallery", section="Saving images")] = True
    img_max_size_mp: Annotated[
        float,
        Knob("Maximum image size, in megapixels", 1, 10_000, section="Saving images", help="Larger X/Y/Z grids become several files."),
    ] = 200.0
    n_rows: Annotated[int, Knob("Grid row count; -1 for automatic, 0 for the batch size", -1, 64, step=1, section="Saving images")] = -1
    enable_pnginfo: Annotated[bool, Knob("Write infotext to metadata of the image", section="Saving images", infotext=None)] = True
    save_txt: Annotated[bool, Knob("Create a text file with infotext next to every image", section="Saving images")] = False
    jpeg_quality: Annotated[int, Knob("Quality for saved jpeg and webp images", 1, 100, step=1, section="Saving images")] = 80
    webp_lossless: Annotated[bool, Knob("Use lossless compression for webp images", section="Saving images")] = False
    save_mask: Annotated[bool, Knob("For inpainting, save a copy of the greyscale mask", section="Saving images")] = False
    save_mask_composite: Annotated[bool, Knob("For inpainting, save a masked composite", section="Saving images")] = False
    save_init_img: Annotated[bool, Knob("Save init images when using img2img", section="Saving images")] = False
    save_images_before_color_correction: Annotated[
        bool, Knob("Save a copy of image before applying color correction to img2img results", section="Saving images")
    ] = False
    save_incomplete_images: Annotated[bool, Knob("Save interrupted images", section="Saving images")] = False
    save_images_before_highres_fix: Annotated[bool, Knob("Save a copy of image before applying highres fix", section="Saving images")] = (
        False
    )
    use_original_name_batch: Annotated[
        bool, Knob("Use original name for output filename during batch process in extras tab", section="Saving images")
    ] = True
    use_upscaler_name_as_suffix: Annotated[
        bool, Knob("Use upscaler name as filename suffix in the extras tab", section="Saving images")
    ] = False
    save_to_dirs: Annotated[bool, Knob("Save images to a subdirectory", section="Saving to a directory")] = True
    grid_save_to_dirs: Annotated[bool, Knob("Save grids to a subdirectory", section="Saving to a directory")] = True
    directories_filename_pattern: Annotated[str, Knob("Directory name pattern", section="Saving to a directory", max_chars=500)] = "[date]"
    directories_max_prompt_words: Annotated[
        int, Knob("Max prompt words for [prompt_words]", 1, 50, step=1, section="Saving to a directory")
    ] = 8
    outdir_txt2img_samples: Annotated[str, Knob("Output directory for txt2img images", section="Paths for saving")] = (
        "outputs/txt2img-images"
    )
    outdir_txt2img_grids: Annotated[str, Knob("Output directory for txt2img grids", section="Paths for saving")] = "outputs/txt2img-grids"
    outdir_save: Annotated[str, Knob("Directory for saving images using the Keep button", section="Paths for saving")] = "log/images"
    outdir_img2img_samples: Annotated[str, Knob("Output directory for img2img images", section="Paths for saving")] = (
        "outputs/img2img-images"
    )
    outdir_img2img_grids: Annotated[str, Knob("Output directory for img2img grids", section="Paths for saving")] = "outputs/img2img-grids"
    outdir_init_images: Annotated[str, Knob("Directory for saving init images when using img2img", section="Paths for saving")] = (
        "outputs/init-images"
    )
    outdir_extras_samples: Annotated[str, Knob("Output directory for images from extras tab", section="Paths for saving")] = (
        "outputs/extras-images"
    )
