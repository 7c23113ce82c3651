"""How a control picture comes to the size of a run, and at which resolution a preprocessor works. Knows sizes and pixels only.

Start reading at `fit`. Names and rules follow the behaviour of the well-known ControlNet extension.
"""

from __future__ import annotations

from statistics import median

from PIL import Image

from modules.faults import RequestFault
from modules.pixels.resizing import LANCZOS, ResizeMode, Size, fitted_size, resize
from modules.request.control import CROP, FILL, JUST_RESIZE

STEP = 64  # sides of what networks look at are multiples of it
LONGEST_PX = 8192  # longer side of a map: a strip of a few pixels' width must not become a map without end
BINARY = 127
MODES = {JUST_RESIZE: ResizeMode.JUST_RESIZE, CROP: ResizeMode.CROP, FILL: ResizeMode.FILL}


def map_size(size: Size, resolution: int) -> Size:
    """(width, height) of a map whose shorter side is `resolution`, in the picture's shape; that of a strip is smaller, see `LONGEST_PX`."""
    factor = min(resolution / min(size), LONGEST_PX / max(size))
    return max(1, round(size[0] * factor)), max(1, round(size[1] * factor))


def padding(size: Size, step: int = STEP) -> Size:
    """Pixels to add on the right and below until both sides are multiples of step."""
    return -size[0] % step, -size[1] % step


def pixel_perfect(size: Size, target: Size, mode: str) -> int:
    """The resolution at which one pixel of the map is one pixel of the run.

    size: of the control picture; target: of the run. Where the picture is to cover the run, its shorter side grows by the larger of both
    factors; where it is to fit in, by the smaller one.
    """
    factors = (target[0] / size[0], target[1] / size[1])
    return max(1, round((min(factors) if mode == FILL else max(factors)) * min(size)))


def fit(image: Image.Image, size: Size, mode: str = CROP) -> Image.Image:
    """A control map or picture ("RGB" or "L") at exactly that size.

    mode: "Just Resize" stretches; "Crop and Resize" covers the size and loses what sticks out; "Resize and Fill" keeps all of it, and the
    rest gets the usual colour of its edge. A map of black and white stays one, and its white lines do not vanish where it shrinks.
    Raises RequestFault.
    """
    if mode not in MODES:
        raise RequestFault("resize_mode", "there is no such way to resize", got=mode, allowed=list(MODES))
    if image.size == size:
        return image.copy()
    if mode != FILL:
        result = resize(image, size, MODES[mode], resample=LANCZOS)
        factor = max(size[0] / image.width, size[1] / image.height)
    else:
        inner = fitted_size(image.size, size, cover=False)
        result = Image.new(image.mode, size, edge_colour(image))
        result.paste(image.resize(inner, LANCZOS), ((size[0] - inner[0]) // 2, (size[1] - inner[1]) // 2))
        factor = inner[0] / image.width
    if not is_binary(image):
        return result
    cut = int(BINARY * min(1.0, factor))
    return result.point(([0] * (cut + 1) + [255] * (255 - cut)) * len(image.getbands()))


def is_binary(image: Image.Image) -> bool:
    """Black and white pixels alone, such as the lines of canny."""
    colours = image.getcolors(2)
    ends = {(0, 0, 0), (255, 255, 255), 0, 255}
    return colours is not None and len(colours) == 2 and all(colour in ends for _, colour in colours)


def edge_colour(image: Image.Image) -> tuple[int, ...] | int:
    """The median of the outermost pixels, channel by channel."""
    width, height = image.size
    boxes = ((0, 0, width, 1), (0, height - 1, width, height), (0, 0, 1, height), (width - 1, 0, width, height))
    strips = [image.crop(box) for box in boxes]
    bands = [[value for strip in strips for value in strip.getchannel(n).tobytes()] for n in range(len(image.getbands()))]
    colour = [int(median(band)) for band in bands]
    return tuple(colour) if len(colour) > 1 else colour[0]
