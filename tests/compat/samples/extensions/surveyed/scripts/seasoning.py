"""Adds a kind of prompt tag, `<season:word>`, as extensions do with networks of their own; and a page of cards."""

from modules import extra_networks, script_callbacks, shared, ui_extra_networks

seen = []


class Season(extra_networks.ExtraNetwork):
    def __init__(self):
        super().__init__("season")

    def activate(self, p, params_list):
        for params in params_list:
            seen.append(params.items)
            p.extra_generation_params["Season"] = params.positional[0]
            p.prompts[:] = [f"{prompt}, {params.positional[0]}" for prompt in p.prompts]

    def deactivate(self, p):
        seen.append("off")


class SeasonPage(ui_extra_networks.ExtraNetworksPage):
    def __init__(self):
        super().__init__("Seasons")

    def list_items(self):
        yield {"name": "dusk", "filename": shared.models_path}


def before_ui():
    extra_networks.register_extra_network(Season())
    ui_extra_networks.register_page(SeasonPage())


script_callbacks.on_before_ui(before_ui)
