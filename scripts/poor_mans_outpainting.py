"""Poor man's outpainting: the picture on a larger ground, of which every tile that shows something new is painted by itself.

Width and height are the size of a tile, so that a large picture needs no more memory than a small one.
"""

import gradio as gr

import modules.scripts as scripts
from modules import images
from modules.processing import Processed, fix_seed, process_images
from modules.shared import opts, state

SIDES = ["left", "right", "up", "down"]
FILLS = ["fill", "original", "latent noise", "latent nothing"]
STEP_PX = 16  # every family can paint on sides that are multiples of it


class Script(scripts.Script):
    """Only on img2img."""

    def title(self):
        return "Poor man's outpainting"

    def show(self, is_img2img):
        return is_img2img

    def ui(self, is_img2img):
        pixels = gr.Slider(label="Pixels to expand", minimum=8, maximum=256, step=8, value=128, elem_id=self.elem_id("pixels"))
        mask_blur = gr.Slider(label="Mask blur", minimum=0, maximum=64, step=1, value=4, elem_id=self.elem_id("mask_blur"))
        inpainting_fill = gr.Radio(
            label="Masked content", choices=FILLS, value="fill", type="index", elem_id=self.elem_id("inpainting_fill")
        )
        direction = gr.CheckboxGroup(label="Outpainting direction", choices=SIDES, value=list(SIDES), elem_id=self.elem_id("direction"))
        return [pixels, mask_blur, inpainting_fill, direction]

    def run(self, p, pixels, mask_blur, inpainting_fill, direction):
        from modules.pixels.ground import Ground  # numbers and pictures only where pictures are made
        from modules.pixels.outpaint import continued, new_area

        fill = FILLS.index(inpainting_fill) if inpainting_fill in FILLS else int(inpainting_fill)
        if not 0 <= fill < len(FILLS):
            raise ValueError(f"masked content is 0 to {len(FILLS) - 1} or one of {', '.join(FILLS)}; it was {inpainting_fill!r}")
        pixels, mask_blur = int(pixels), int(mask_blur)
        given = chosen(direction)
        fix_seed(p)
        picture = images.flatten(p.init_images[0], opts.img2img_background_color)
        sides = tuple(pixels if side in given else 0 for side in SIDES)
        ground = Ground.around(picture.size, sides, STEP_PX)
        canvas, mask = continued(picture, ground), new_area(ground, sides, 2 * mask_blur)
        tile_w, tile_h = min(int(p.width), canvas.width), min(int(p.height), canvas.height)
        p.width, p.height, p.inpainting_fill, p.mask_blur = tile_w, tile_h, fill, mask_blur
        p.inpaint_full_res, p.inpainting_mask_invert, p.do_not_save_grid = False, 0, True
        save, count, seed = not p.do_not_save_samples, int(p.n_iter) * int(p.batch_size), int(p.seed)
        p.batch_size, p.n_iter, p.do_not_save_samples = 1, 1, True
        p.extra_generation_params |= {"Outpaint pixels": pixels, "Outpaint sides": " ".join(given)}
        results, infotexts = [], []
        for n in range(count):
            p.seed = seed + n
            found, text = paint(
                p, images.split_grid(canvas, tile_w, tile_h, pixels), images.split_grid(mask, tile_w, tile_h, pixels), count
            )
            if found is None:
                break
            result = found.crop(ground.result)
            results.append(result)
            infotexts.append(text)
            p.do_not_save_samples = not save
            if opts.samples_save:
                images.save_image(result, p.outpath_samples, "", p.seed, p.prompt, opts.samples_format, info=text, p=p)
            p.do_not_save_samples = True
        p.do_not_save_samples = not save
        return Processed(p, results, seed, infotexts[0] if infotexts else "", infotexts=infotexts)


def paint(p, grid, masks, count):
    """(the whole ground with its new tiles painted, parameters text); (None, "") when it was interrupted on the way."""
    pairs = [(cell, own[2]) for row, above in zip(grid.tiles, masks.tiles, strict=True) for cell, own in zip(row[2], above[2], strict=True)]
    new = [(cell, own) for cell, own in pairs if own.getbbox()]
    state.job_count, text = len(new) * count, ""
    for n, (cell, own) in enumerate(new, 1):
        if state.interrupted:
            return None, ""
        state.job = f"Tile {n} of {len(new)}"
        p.init_images, p.image_mask = [cell[2]], own
        found = process_images(p)
        if not found.images:
            return None, ""
        cell[2], text = found.images[0], text or found.infotexts[0]
    return images.combine_grid(grid), text


def chosen(direction):
    """The sides, as words. Raises ValueError for none and for words that are no side."""
    sides = [str(one).lower() for one in ([direction] if isinstance(direction, str) else direction or [])]
    if unknown := [one for one in sides if one not in SIDES]:
        raise ValueError(f"{unknown[0]!r} is no side; choose among {', '.join(SIDES)}")
    if not sides:
        raise ValueError("no side was chosen; choose left, right, up or down")
    return sides
