"""The theme: Gradio's theme variables, the style sheet, and the page's head.

Pass all three to ``launch(theme=THEME, css_paths=[CSS_PATH], head=head_html())``. Uses only
system fonts.
"""

from __future__ import annotations

import os
from html import escape
from pathlib import Path

import gradio as gr
from gradio.themes.utils import colors, sizes

CSS_PATH = Path(__file__).with_name("style.css")

_SANS = ("system-ui", "-apple-system", "Segoe UI", "Roboto", "DejaVu Sans", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "DejaVu Sans Mono", "monospace")


def head_html() -> str:
    """The page's head: on a Space, where the page is in a frame, the address of the outer page, which links lead to."""
    space = os.environ.get("SPACE_ID")
    if not space:
        return ""
    return f'<meta name="playground-home" content="{escape(f"https://huggingface.co/spaces/{space}", quote=True)}">'


def _theme() -> gr.themes.Base:
    """Gradio's plainest theme with the variables of style.css; light and dark both live there."""
    theme = gr.themes.Base(
        primary_hue=colors.blue,
        neutral_hue=colors.gray,
        spacing_size=sizes.spacing_md,
        radius_size=sizes.radius_md,
        text_size=sizes.text_md,
        font=_SANS,
        font_mono=_MONO,
    )
    return theme.set(
        **_both("body_background_fill", "ground"),
        **_both("body_text_color", "ink"),
        **_both("body_text_color_subdued", "soft"),
        **_both("background_fill_primary", "card"),
        **_both("background_fill_secondary", "fill"),
        **_both("border_color_primary", "line"),
        **_both("border_color_accent", "blue"),
        **_both("border_color_accent_subdued", "line"),
        color_accent="var(--pg-blue)",
        **_both("color_accent_soft", "tint"),
        **_both("link_text_color", "blue"),
        **_both("link_text_color_hover", "blue"),
        **_both("link_text_color_active", "blue"),
        **_both("link_text_color_visited", "blue"),
        **_both("code_background_fill", "fill"),
        **_both("block_background_fill", "card"),
        **_both("block_border_color", "line"),
        **_both("block_info_text_color", "soft"),
        **_both("block_label_background_fill", "card"),
        **_both("block_label_border_color", "line"),
        **_both("block_label_text_color", "soft"),
        **_both("block_title_text_color", "ink"),
        **_both("panel_background_fill", "card"),
        **_both("panel_border_color", "line"),
        **_both("accordion_text_color", "ink"),
        **_both("table_text_color", "ink"),
        **_both("table_border_color", "line"),
        **_both("table_even_background_fill", "card"),
        **_both("table_odd_background_fill", "card"),
        **_both("table_row_focus", "tint"),
        **_both("input_background_fill", "input"),
        **_both("input_background_fill_focus", "input"),
        **_both("input_border_color", "line"),
        **_both("input_border_color_hover", "line"),
        **_both("input_border_color_focus", "blue"),
        **_both("input_placeholder_color", "soft"),
        **_both("slider_color", "blue"),
        **_both("loader_color", "blue"),
        **_both("stat_background_fill", "blue"),
        **_both("checkbox_background_color", "card"),
        **_both("checkbox_background_color_focus", "card"),
        **_both("checkbox_background_color_hover", "card"),
        **_both("checkbox_background_color_selected", "blue"),
        **_both("checkbox_border_color", "edge"),
        **_both("checkbox_border_color_focus", "blue"),
        **_both("checkbox_border_color_hover", "blue"),
        **_both("checkbox_border_color_selected", "blue"),
        **_both("checkbox_label_background_fill", "card"),
        **_both("checkbox_label_background_fill_hover", "fill"),
        **_both("checkbox_label_background_fill_selected", "card"),
        **_both("checkbox_label_border_color", "line"),
        **_both("checkbox_label_border_color_hover", "edge"),
        **_both("checkbox_label_text_color", "ink"),
        **_both("checkbox_label_text_color_selected", "ink"),
        **_both("button_primary_background_fill", "blue"),
        **_both("button_primary_background_fill_hover", "blue-strong"),
        **_both("button_primary_border_color", "blue"),
        **_both("button_primary_border_color_hover", "blue-strong"),
        **_both("button_primary_text_color", "on-blue"),
        **_both("button_primary_text_color_hover", "on-blue"),
        **_both("button_secondary_background_fill", "fill"),
        **_both("button_secondary_background_fill_hover", "line"),
        **_both("button_secondary_border_color", "fill"),
        **_both("button_secondary_border_color_hover", "line"),
        **_both("button_secondary_text_color", "ink"),
        **_both("button_secondary_text_color_hover", "ink"),
        **_both("button_cancel_background_fill", "fill"),
        **_both("button_cancel_background_fill_hover", "line"),
        **_both("button_cancel_border_color", "fill"),
        **_both("button_cancel_text_color", "vermilion"),
        **_both("button_cancel_text_color_hover", "vermilion"),
        block_border_width="1px",
        block_border_width_dark="1px",
        block_radius="12px",
        block_shadow="none",
        block_label_shadow="none",
        block_label_text_size="12px",
        block_title_text_size="13px",
        block_title_text_weight="500",
        block_info_text_size="12px",
        block_padding="12px 16px",
        container_radius="12px",
        form_gap_width="0px",
        layout_gap="16px",
        input_radius="9px",
        input_border_width="1px",
        input_shadow="none",
        input_shadow_focus="none",
        input_text_size="13px",
        checkbox_label_text_size="13px",
        checkbox_label_shadow="none",
        checkbox_shadow="none",
        checkbox_border_radius="5px",
        button_large_radius="9px",
        button_medium_radius="9px",
        button_small_radius="9px",
        button_large_text_size="14px",
        button_medium_text_size="13px",
        button_small_text_size="12px",
        button_large_text_weight="650",
        button_medium_text_weight="600",
        button_small_text_weight="500",
        button_large_padding="11px 16px",
        button_medium_padding="8px 14px",
        button_small_padding="5px 10px",
        table_radius="9px",
        section_header_text_size="13px",
    )


def _both(variable: str, token: str) -> dict[str, str]:
    """One theme variable, light and dark, from a token of style.css (which switches by itself)."""
    return {variable: f"var(--pg-{token})", f"{variable}_dark": f"var(--pg-{token})"}


THEME = _theme()
