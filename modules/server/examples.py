"""An example body for each route that reads one, shown at /docs and in the API's description. Pure data; a test sends each of them."""

from __future__ import annotations

from typing import Any

PICTURE = "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAFUlEQVR42mM8ISfHgA0wMeAAg1MCANDKARQfGKMRAAAAAElFTkSuQmCC"
"""A PNG of 8x8 pixels in base64."""
EXAMPLES: dict[str, dict[str, Any]] = {
    "/sdapi/v1/txt2img": {
        "prompt": "a red apple, 3d", "negative_prompt": "blurry", "steps": 20, "sampler_name": "Euler a", "width": 128, "height": 128,
        "seed": 1,
    },
    "/sdapi/v1/img2img": {
        "init_images": [PICTURE], "prompt": "a green apple", "denoising_strength": 0.6, "steps": 20, "width": 128, "height": 128,
    },
    "/sdapi/v1/extra-single-image": {"image": PICTURE, "upscaler_1": "Lanczos", "upscaling_resize": 2},
    "/sdapi/v1/extra-batch-images": {"imageList": [{"data": PICTURE, "name": "apple.png"}], "upscaler_1": "Lanczos", "upscaling_resize": 2},
    "/sdapi/v1/png-info": {"image": PICTURE},
    "/sdapi/v1/interrogate": {"image": PICTURE, "model": "clip"},
    "/sdapi/v1/options": {"samples_format": "png"},
    "/sdapi/v1/create/embedding": {"name": "my-style", "num_vectors_per_token": 2, "init_text": "red apple"},
    "/controlnet/detect": {"controlnet_module": "canny", "controlnet_input_images": [PICTURE], "controlnet_processor_res": 512},
    "/internal/progress": {"id_task": "task(txt2img-1)", "id_live_preview": -1, "live_preview": True},
    "/internal/token-count": {"text": "a red apple, 3d", "steps": 20},
    "/internal/keep": {"pictures": ["JOB/0"]},
    "/internal/inputs/painted": {"image": "input:SHA256", "layer": "input:SHA256"},
    "/internal/history/remove": {"ids": ["ID"]},
    "/internal/history/restore": {"places": ["PLACE"]},
    "/internal/history/favourite": {"ids": ["ID"], "on": True},
    "/internal/models/restore": {"place": "PLACE"},
    "/internal/models/{key}/notes": {"notes": "good for apples"},
    "/internal/models/{key}/remove": {"title": "TITLE"},
}  # fmt: skip
