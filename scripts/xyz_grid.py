"""X/Y/Z plot: one picture for each choice of up to three values, as a grid.

The program makes such grids itself, a job for each cell (`modules.grids`); this file is the place where extensions look for its axes and
add their own: `axis_options`, `AxisOption`, `apply_field`, `apply_override`. Start reading at `axis_options`.
"""

import json
from itertools import permutations

import gradio as gr

import modules.scripts as scripts
from modules.grids.asked import TITLE
from modules.grids.axes import A1111, FURTHER
from modules.grids.axis import plain
from modules.grids.plan import from_infotext
from modules.grids.values import split_list

TYPES = {"none": str, "int": int, "float": float, "str": str, "bool": str, "order": tuple, "json": str}
BOTH = 2


def apply_field(field):
    """Sets an attribute of p."""

    def fun(p, x, xs):
        setattr(p, field, x)

    return fun


def apply_override(field, boolean=False):
    """Sets a setting for the run. boolean: the value is the word True or False."""

    def fun(p, x, xs):
        p.override_settings[field] = str(x).lower() == "true" if boolean else x

    return fun


def format_value_add_label(p, opt, x):
    """ "Label: value"."""
    return f"{opt.label}: {plain(x)}"


def format_value(p, opt, x):
    """The value alone."""
    return plain(x)


def format_value_join_list(p, opt, x):
    """Parts with commas between them."""
    return ", ".join(x)


def format_nothing(p, opt, x):
    """No words."""
    return ""


def format_remove_path(p, opt, x):
    """A file's name without its folder."""
    return str(x).replace("\\", "/").rpartition("/")[2]


def do_nothing(p, x, xs):
    """Changes nothing."""


def str_permutations(x):
    """Marks an axis whose values are all orders of its entries."""
    return x


def csv_string_to_list_strip(data_str):
    """The entries of a comma list."""
    return split_list(data_str)


def list_to_csv_string(data_list):
    """The comma list of these entries."""
    return ", ".join(f'"{one}"' if "," in str(one) else str(one) for one in data_list)


def boolean_choice(reverse=False):
    """The words of a switch."""
    return lambda: ["False", "True"] if reverse else ["True", "False"]


class AxisOption:
    """An axis on both tabs. apply(p, x, xs) runs in the cell's job; confirm(p, xs) raises for values that cannot be used."""

    def __init__(self, label, type, apply, format_value=format_value_add_label, confirm=None, cost=0.0, choices=None, prepare=None):
        self.label = label
        self.type = type
        self.apply = apply
        self.format_value = format_value
        self.confirm = confirm
        self.cost = cost
        self.choices = choices
        self.prepare = prepare


class AxisOptionImg2Img(AxisOption):
    """An axis of img2img alone."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.is_img2img = True


class AxisOptionTxt2Img(AxisOption):
    """An axis of txt2img alone."""

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.is_img2img = False


def option_of(axis):
    """One of the program's own axes in this form."""

    def apply(p, x, xs):
        for name, value in axis.change(p, x, xs).items():
            setattr(p, name, value)

    kind = AxisOption if len(axis.tabs) == BOTH else AxisOptionImg2Img if axis.tabs == ("img2img",) else AxisOptionTxt2Img
    option = kind(axis.label, TYPES[axis.kind], apply, format_value=lambda p, opt, x: axis.words(x), cost=axis.cost)
    option.of_program = True
    return option


axis_options = [option_of(axis) for axis in A1111]
further_options = [option_of(axis) for axis in FURTHER]
all_orders = permutations


def asked_text(values):
    """The grid that a parsed parameters text tells of, as the panel holds it; None when it tells of none."""
    asked = from_infotext(values)
    return None if asked is None else json.dumps(asked.to_data())


class Script(scripts.Script):
    """The controls as A1111 has them, for clients that read them; the page has a panel of its own in their place."""

    def title(self):
        return TITLE

    def page_ui(self, is_img2img):
        """What the page shows in the place of these controls: one text that its script reads and writes."""
        tab = "img2img" if is_img2img else "txt2img"
        gr.HTML(f'<div class="dr-xyz" data-tab="{tab}"></div>')
        value = gr.Textbox(label="X/Y/Z grid", value="", elem_id=self.elem_id("grid"), elem_classes=["dr-xyz-value"])
        self.infotext_fields = [(value, asked_text)]
        return [value]

    def ui(self, is_img2img):
        own = "img2img" if is_img2img else "txt2img"
        labels = [axis.label for axis in A1111 if own in axis.tabs]
        controls = []
        for name, start in (("X", "Seed"), ("Y", "Nothing"), ("Z", "Nothing")):
            low = name.lower()
            controls += [
                gr.Dropdown(label=f"{name} type", choices=labels, value=start, type="index", elem_id=self.elem_id(f"{low}_type")),
                gr.Textbox(label=f"{name} values", lines=1, elem_id=self.elem_id(f"{low}_values")),
                gr.Dropdown(label=f"{name} values", choices=[], value=[], multiselect=True, visible=False),
            ]
        switches = [
            ("Draw legend", True, "draw_legend"),
            ("Include Sub Images", False, "include_lone_images"),
            ("Include Sub Grids", False, "include_sub_grids"),
            ("Keep -1 for seeds", False, "no_fixed_seeds"),
            ("Vary seeds for X", False, "vary_seeds_x"),
            ("Vary seeds for Y", False, "vary_seeds_y"),
            ("Vary seeds for Z", False, "vary_seeds_z"),
        ]
        controls += [gr.Checkbox(label=label, value=value, elem_id=self.elem_id(name)) for label, value, name in switches]
        controls.append(gr.Slider(label="Grid margins (px)", minimum=0, maximum=500, value=0, step=2, elem_id=self.elem_id("margin_size")))
        controls.append(gr.Checkbox(label="Use text inputs instead of dropdowns", value=False, elem_id=self.elem_id("csv_mode")))
        return controls
