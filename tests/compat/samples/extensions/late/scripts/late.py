"""An extension that registers its tab, its options and its words of the parameters text when its script is made, as some do."""

import gradio as gr

from modules import script_callbacks, scripts, shared


class Late(scripts.Script):
    def __init__(self):
        super().__init__()
        script_callbacks.on_ui_tabs(self.tabs)
        script_callbacks.on_ui_settings(self.settings)

    def title(self):
        return "Late"

    def show(self, is_img2img):
        return scripts.AlwaysVisible

    def ui(self, is_img2img):
        return []

    def tabs(self):
        with gr.Blocks(analytics_enabled=False) as late:
            with gr.Row():
                word = gr.Textbox(label="Late word", elem_id="late_word")
                said = gr.Textbox(label="Late answer", elem_id="late_answer")
            gr.Button("Answer", elem_id="late_button").click(fn=lambda text: text.upper(), inputs=[word], outputs=[said])
        return [(late, "Late", "late_tab")]

    def settings(self):
        section = ("late", "Late")
        shared.opts.add_option(
            "late_shade", shared.OptionInfo(0, "Shade", gr.Slider, {"minimum": 0, "maximum": 9}, section=section, infotext="Late shade")
        )
        shared.opts.add_option("late_silent", shared.OptionInfo(False, "Silent", section=section))

    def process(self, p):
        if shared.opts.late_shade and not shared.opts.late_silent:
            p.all_prompts = [f"{prompt}, shade {shared.opts.late_shade}" for prompt in p.all_prompts]
