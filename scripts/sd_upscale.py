"""SD upscale: the picture is enlarged by an upscaler, cut into overlapping tiles, each painted by img2img, and put together again."""

import copy
import math

import gradio as gr

import modules.scripts as scripts
from modules import images, processing, shared
from modules.processing import Processed
from modules.shared import opts, state

NONE = "None"


class Script(scripts.Script):
    """Only on img2img. Width and height are the size of a tile."""

    def title(self):
        return "SD upscale"

    def show(self, is_img2img):
        return is_img2img

    def ui(self, is_img2img):
        info = gr.HTML(
            '<p style="margin-bottom:0.75em">Will upscale the image by the selected scale factor; use width and height sliders to set tile '
            "size</p>"
        )
        overlap = gr.Slider(minimum=0, maximum=256, step=16, label="Tile overlap", value=64, elem_id=self.elem_id("overlap"))
        scale = gr.Slider(minimum=1.0, maximum=4.0, step=0.05, label="Scale Factor", value=2.0, elem_id=self.elem_id("scale_factor"))
        names = [one.name for one in shared.sd_upscalers]
        upscaler = gr.Radio(label="Upscaler", choices=names, value=names[0], type="index", elem_id=self.elem_id("upscaler_index"))
        return [info, overlap, upscaler, scale]

    def run(self, p, _, overlap, upscaler_index, scale_factor):
        if isinstance(upscaler_index, str):
            names = [one.name.lower() for one in shared.sd_upscalers]
            if upscaler_index.lower() not in names:
                raise ValueError(f"there is no upscaler {upscaler_index!r}")
            upscaler_index = names.index(upscaler_index.lower())
        processing.fix_seed(p)
        upscaler = shared.sd_upscalers[upscaler_index]
        p.extra_generation_params["SD upscale overlap"] = overlap
        p.extra_generation_params["SD upscale upscaler"] = upscaler.name
        seed = int(p.seed)
        image = images.flatten(p.init_images[0], opts.img2img_background_color)
        if upscaler.name != NONE:
            image = upscaler.scaler.upscale(image, scale_factor, upscaler.data_path)
        count, p.n_iter = int(p.n_iter), 1
        save = not p.do_not_save_samples
        p.do_not_save_grid = p.do_not_save_samples = True
        p.inpaint_full_res = False
        grid = images.split_grid(image, tile_w=int(p.width), tile_h=int(p.height), overlap=int(overlap))
        tiles = [cell for _, _, cells in grid.tiles for cell in cells]
        batches = math.ceil(len(tiles) / p.batch_size)
        size = p.batch_size
        state.job_count = batches * count
        results, infotexts = [], []

        def runs(first, before):
            following = first
            for at in range(batches):
                own = copy.copy(p)
                own.init_images = [cell[2] for cell in tiles[at * size : (at + 1) * size]]
                own.batch_size, own.seed = len(own.init_images), following
                state.job = f"Batch {at + 1 + before} out of {state.job_count}"
                yield own
                following = int(own.all_seeds[0]) + 1

        for n in range(count):
            made = processing.process_many(runs(seed + n, n * batches))
            text = next((found.infotexts[0] for found in made if found.infotexts), "")
            done = [image for found in made for image in found.images]
            if len(done) < len(tiles):
                break
            for cell, tile in zip(tiles, done, strict=True):
                cell[2] = tile
            combined = images.combine_grid(grid)
            results.append(combined)
            infotexts.append(text)
            p.do_not_save_samples = not save
            if opts.samples_save:
                images.save_image(combined, p.outpath_samples, "", seed, p.prompt, opts.samples_format, info=text, p=p)
            p.do_not_save_samples = True
        p.do_not_save_samples = not save
        return Processed(p, results, seed, infotexts[0] if infotexts else "", infotexts=infotexts)
