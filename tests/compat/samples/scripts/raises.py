"""An always-on script that raises in the method it is told to."""

from modules import extra_networks, images, script_callbacks, scripts, scripts_postprocessing

METHODS = (
    "setup", "before_process", "process", "before_process_batch", "after_extra_networks_activate", "process_batch",
    "process_before_every_sampling", "before_hr", "post_sample", "postprocess_batch", "postprocess_batch_list", "postprocess_image",
    "postprocess_image_after_composite", "postprocess",
)  # fmt: skip


class Script(scripts.Script):
    def title(self):
        return "Raises"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        import gradio as gr

        return [gr.Textbox(label="Where", value="")]


def _method(name):
    def method(self, p, *args, **kwargs):
        if name in args:
            raise ZeroDivisionError(f"on purpose in {name}")

    return method


for name in METHODS:
    setattr(Script, name, _method(name))


class Selected(scripts.Script):
    def title(self):
        return "Raises when it runs"

    def ui(self, is_img2img):
        return []

    def run(self, p):
        from modules.processing import process_images

        if p.n_iter > 1:
            p.n_iter = 1
            process_images(p)
        raise ZeroDivisionError("on purpose in run")


where = ""  # of the functions below, set by the script above for its job


class Sets(scripts.Script):
    """Tells the functions of this file where to raise, and makes a grid while the job runs."""

    def title(self):
        return "Raises in a callback"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        import gradio as gr

        return [gr.Textbox(label="Where", value="")]

    def before_process(self, p, asked):
        global where
        where = asked

    def postprocess(self, p, processed, asked):
        if asked == "on_image_grid":
            assert images.image_grid(processed.images).size == processed.images[0].size


class Broken(extra_networks.ExtraNetwork):
    def activate(self, p, params_list):
        _raise("activate" if params_list else "")

    def deactivate(self, p):
        _raise("deactivate")


def _raise(name):
    if name and name == where:
        raise ZeroDivisionError(f"on purpose in {name}")


class Finisher(scripts_postprocessing.ScriptPostprocessing):
    name = "Raises in Extras"

    def ui(self):
        import gradio as gr

        return {"at": gr.Textbox(value="")}

    def process_firstpass(self, pp, at):
        if at == "process_firstpass":
            raise ZeroDivisionError("on purpose in process_firstpass")

    def process(self, pp, at):
        if at == "process":
            raise ZeroDivisionError("on purpose in process")


extra_networks.register_extra_network(Broken("broken"))
for name in ("cfg_denoiser", "cfg_denoised", "before_image_saved", "image_saved", "image_grid", "model_loaded"):
    getattr(script_callbacks, f"on_{name}")(lambda *_, name=name: _raise(f"on_{name}"))
