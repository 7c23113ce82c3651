"""Colours, type and spacing as a Gradio theme. System fonts only, one accent: the orange of a darkroom's safelight.

Knows nothing about the page's layout (assets/style.css). Start reading at `theme`.
"""

from __future__ import annotations

import gradio as gr

SAFELIGHT = gr.themes.Color(
    name="safelight",
    c50="#fff4ed", c100="#ffe6d5", c200="#fecbaa", c300="#fda874", c400="#f9763c",
    c500="#ea580c", c600="#cf460a", c700="#a9370c", c800="#872e11", c900="#6d2911", c950="#3b1206",
)  # fmt: skip
PAPER = gr.themes.Color(
    name="paper",
    c50="#fafaf9", c100="#f4f4f2", c200="#e7e6e3", c300="#d4d3cf", c400="#9d9b96",
    c500="#6f6d69", c600="#52504d", c700="#3a3937", c800="#262524", c900="#1b1a19", c950="#121111",
)  # fmt: skip
SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "Liberation Sans", "sans-serif")
MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "Liberation Mono", "monospace")


def theme() -> gr.themes.Base:
    """The theme, light and dark."""
    base = gr.themes.Base(
        primary_hue=SAFELIGHT, secondary_hue=SAFELIGHT, neutral_hue=PAPER,
        text_size="sm", spacing_size="sm", radius_size="md", font=SANS, font_mono=MONO,
    )  # fmt: skip
    return base.set(
        body_background_fill="*neutral_100",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_900",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        background_fill_primary="white",
        background_fill_primary_dark="*neutral_900",
        background_fill_secondary="*neutral_50",
        background_fill_secondary_dark="*neutral_800",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_800",
        block_label_background_fill="transparent",
        block_label_background_fill_dark="transparent",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_400",
        block_title_text_color="*neutral_600",
        block_title_text_color_dark="*neutral_400",
        block_title_text_weight="500",
        block_shadow="none",
        block_shadow_dark="none",
        border_color_primary="*neutral_200",
        border_color_primary_dark="*neutral_800",
        border_color_accent="*primary_500",
        border_color_accent_dark="*primary_500",
        color_accent="*primary_500",
        input_background_fill="*neutral_50",
        input_background_fill_dark="*neutral_950",
        input_border_color="*neutral_300",
        input_border_color_dark="*neutral_700",
        input_border_color_focus="*primary_500",
        input_border_color_focus_dark="*primary_500",
        input_border_width="1px",
        input_placeholder_color="*neutral_500",
        input_placeholder_color_dark="*neutral_400",
        input_shadow_focus="0 0 0 2px color-mix(in srgb, *primary_500 25%, transparent)",
        input_shadow_focus_dark="0 0 0 2px color-mix(in srgb, *primary_500 35%, transparent)",
        slider_color="*primary_500",
        slider_color_dark="*primary_500",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_dark="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_hover_dark="*primary_700",
        button_primary_text_color="white",
        button_primary_text_color_dark="white",
        button_secondary_background_fill="*neutral_50",
        button_secondary_background_fill_dark="*neutral_800",
        button_secondary_background_fill_hover="*neutral_200",
        button_secondary_background_fill_hover_dark="*neutral_700",
        button_secondary_border_color="*neutral_300",
        button_secondary_border_color_dark="*neutral_700",
        button_border_width="1px",
        button_primary_border_color="*primary_600",
        button_primary_border_color_dark="*primary_600",
        button_transition="background-color 0.12s ease, border-color 0.12s ease",
        link_text_color="*primary_700",
        link_text_color_dark="*primary_300",
    )
