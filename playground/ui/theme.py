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


# Gradio's variables by the token of style.css that they take; style.css switches between light and dark by itself.
COLORS = {
    "ground": """
        body_background_fill
    """,
    "ink": """
        body_text_color block_title_text_color accordion_text_color table_text_color checkbox_label_text_color
        checkbox_label_text_color_selected button_secondary_text_color button_secondary_text_color_hover
    """,
    "soft": """
        body_text_color_subdued block_info_text_color block_label_text_color input_placeholder_color
    """,
    "card": """
        background_fill_primary block_background_fill block_label_background_fill panel_background_fill
        table_even_background_fill table_odd_background_fill checkbox_background_color checkbox_background_color_focus
        checkbox_background_color_hover checkbox_label_background_fill checkbox_label_background_fill_selected
    """,
    "fill": """
        background_fill_secondary code_background_fill checkbox_label_background_fill_hover
        button_secondary_background_fill button_secondary_border_color button_cancel_background_fill
        button_cancel_border_color
    """,
    "line": """
        border_color_primary border_color_accent_subdued block_border_color block_label_border_color
        panel_border_color table_border_color input_border_color input_border_color_hover checkbox_label_border_color
        button_secondary_background_fill_hover button_secondary_border_color_hover button_cancel_background_fill_hover
    """,
    "blue": """
        border_color_accent link_text_color link_text_color_hover link_text_color_active link_text_color_visited
        input_border_color_focus slider_color loader_color stat_background_fill checkbox_background_color_selected
        checkbox_border_color_focus checkbox_border_color_hover checkbox_border_color_selected
        button_primary_background_fill button_primary_border_color
    """,
    "tint": """
        color_accent_soft table_row_focus
    """,
    "input": """
        input_background_fill input_background_fill_focus
    """,
    "edge": """
        checkbox_border_color checkbox_label_border_color_hover
    """,
    "blue-strong": """
        button_primary_background_fill_hover button_primary_border_color_hover
    """,
    "on-blue": """
        button_primary_text_color button_primary_text_color_hover
    """,
    "vermilion": """
        button_cancel_text_color button_cancel_text_color_hover
    """,
}
OTHERS = {
    "color_accent": "var(--pg-blue)",
    "block_border_width": "1px",
    "block_border_width_dark": "1px",
    "block_radius": "12px",
    "block_shadow": "none",
    "block_label_shadow": "none",
    "block_label_text_size": "12px",
    "block_title_text_size": "13px",
    "block_title_text_weight": "500",
    "block_info_text_size": "12px",
    "block_padding": "12px 16px",
    "container_radius": "12px",
    "form_gap_width": "0px",
    "layout_gap": "16px",
    "input_radius": "9px",
    "input_border_width": "1px",
    "input_shadow": "none",
    "input_shadow_focus": "none",
    "input_text_size": "13px",
    "checkbox_label_text_size": "13px",
    "checkbox_label_shadow": "none",
    "checkbox_shadow": "none",
    "checkbox_border_radius": "5px",
    "button_large_radius": "9px",
    "button_medium_radius": "9px",
    "button_small_radius": "9px",
    "button_large_text_size": "14px",
    "button_medium_text_size": "13px",
    "button_small_text_size": "12px",
    "button_large_text_weight": "650",
    "button_medium_text_weight": "600",
    "button_small_text_weight": "500",
    "button_large_padding": "11px 16px",
    "button_medium_padding": "8px 14px",
    "button_small_padding": "5px 10px",
    "table_radius": "9px",
    "section_header_text_size": "13px",
}


def head_html() -> str:
    """The page's head: on a Space, where the page is in a frame, the address of the outer page, which links lead to."""
    space = os.environ.get("SPACE_ID")
    if not space:
        return ""
    return f'<meta name="playground-home" content="{escape(f"https://huggingface.co/spaces/{space}", quote=True)}">'


def _theme() -> gr.themes.Base:
    """Gradio's plainest theme with the variables of style.css."""
    theme = gr.themes.Base(
        primary_hue=colors.blue,
        neutral_hue=colors.gray,
        spacing_size=sizes.spacing_md,
        radius_size=sizes.radius_md,
        text_size=sizes.text_md,
        font=_SANS,
        font_mono=_MONO,
    )
    tokens = {name: f"var(--pg-{token})" for token, names in COLORS.items() for name in names.split()}
    return theme.set(**tokens, **{f"{name}_dark": value for name, value in tokens.items()}, **OTHERS)


THEME = _theme()
