"""The few components that Gradio does not have: a factory function here, a script of the same name beside it.

Each factory returns a plain `gr.HTML` whose `value` is one dictionary (the factory's docstring is the contract).
"""

from playground.ui.components._html import shared_script
from playground.ui.components.attention_grid import attention_grid
from playground.ui.components.batch_view import batch_view
from playground.ui.components.cache_slots import cache_slots
from playground.ui.components.causes import causes
from playground.ui.components.compare_chart import compare_chart
from playground.ui.components.data_card import data_card
from playground.ui.components.embeddings import embeddings
from playground.ui.components.experts import experts
from playground.ui.components.head_by_hand import head_by_hand
from playground.ui.components.head_table import head_table
from playground.ui.components.lens_view import lens_view
from playground.ui.components.line_chart import line_chart
from playground.ui.components.link_box import link_box
from playground.ui.components.live_run import live_run
from playground.ui.components.loss_compare import loss_compare
from playground.ui.components.meaning import meaning
from playground.ui.components.merge_replay import merge_replay
from playground.ui.components.next_token import next_token
from playground.ui.components.patching import patching
from playground.ui.components.positions import positions
from playground.ui.components.probes import probes
from playground.ui.components.race_view import race_view
from playground.ui.components.side_by_side import side_by_side
from playground.ui.components.status_pill import status_pill
from playground.ui.components.token_text import token_text
from playground.ui.components.tokenizer_view import tokenizer_view

__all__ = [
    "attention_grid",
    "batch_view",
    "cache_slots",
    "causes",
    "compare_chart",
    "data_card",
    "embeddings",
    "experts",
    "head_by_hand",
    "head_table",
    "lens_view",
    "line_chart",
    "link_box",
    "live_run",
    "loss_compare",
    "meaning",
    "merge_replay",
    "next_token",
    "patching",
    "positions",
    "probes",
    "race_view",
    "shared_script",
    "side_by_side",
    "status_pill",
    "token_text",
    "tokenizer_view",
]
