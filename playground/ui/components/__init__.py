"""The few components that Gradio does not have: a factory function here, a script of the same name beside it.

Each factory returns a plain `gr.HTML` whose `value` is one dictionary (the factory's docstring is the contract).
"""

from playground.ui.components._html import shared_script
from playground.ui.components.attention_grid import attention_grid
from playground.ui.components.cache_slots import cache_slots
from playground.ui.components.compare_chart import compare_chart
from playground.ui.components.line_chart import line_chart
from playground.ui.components.live_run import live_run
from playground.ui.components.next_token import next_token
from playground.ui.components.side_by_side import side_by_side
from playground.ui.components.status_pill import status_pill
from playground.ui.components.token_text import token_text

__all__ = [
    "attention_grid",
    "cache_slots",
    "compare_chart",
    "line_chart",
    "live_run",
    "next_token",
    "shared_script",
    "side_by_side",
    "status_pill",
    "token_text",
]
