"""Sessions that share descriptions of the page's parts are the sessions that Gradio would have made."""

from __future__ import annotations

from copy import copy

import gradio as gr
import pytest
from gradio.blocks import BlocksConfig
from gradio.state_holder import SessionState

from playground.ui.forms import unvalidated
from playground.ui.server.sessions import describe_once


def page() -> gr.Blocks:
    with gr.Blocks(analytics_enabled=False) as demo:
        box = gr.Textbox("first", label="Box", elem_id="box")
        gr.Dropdown(["a", "b"], value="a", label="Choice")
        gr.HTML({"x": [1, 2]}, html_template="<p></p>", js_on_load="1")
        state = gr.State(0)
        box.change(lambda value, count: (value, count + 1), [box, state], [box, state])
    return demo


def test_a_session_begins_as_gradio_would_begin_it() -> None:
    demo = page()
    plain = SessionState(demo).config_values
    shared = SessionState(describe_once(demo))
    assert shared.config_values == plain
    assert list(shared.blocks_config.blocks) == list(demo.blocks)
    assert shared.blocks_config.fns == demo.fns
    assert len(list(shared.components)) == len(plain)


def test_what_changes_in_one_session_stays_in_it() -> None:
    demo = describe_once(page())
    one, two = SessionState(demo), SessionState(demo)
    box = next(key for key, block in demo.blocks.items() if block.elem_id == "box")
    one._update_value_in_config(box, "mine")
    one[box] = gr.Textbox("replaced", label="New", render=False)
    one._update_config(box)
    assert one.config_values[box]["props"]["label"] == "New"
    one._update_value_in_config(box, "x" * 1_000)
    assert "x" not in one.config_values[box]["props"]["value"], "what was sent is not kept"
    assert two.config_values[box]["props"]["value"] == "first"
    assert SessionState(demo).config_values[box]["props"]["label"] == "Box"
    assert copy(one.blocks_config).blocks[box] is not demo.blocks[box]


def test_a_component_that_was_updated_still_passes_its_value_on() -> None:
    """Gradio makes a component anew for an update, with its own validation: "Value 0 is less than minimum value 1"."""
    with gr.Blocks(analytics_enabled=False) as demo:
        slider = unvalidated(gr.Slider(1, 8, 4, label="Layers"))
        choice = gr.Dropdown(["a", "b"], label="Choice")
        gr.Button().click(lambda: None, None, [slider, choice])
    session = SessionState(describe_once(demo))
    session[slider._id] = slider.__class__(1, 8, 2, label="Layers", render=False)  # as Blocks.postprocess_data does
    session[choice._id] = choice.__class__(["c"], label="Choice", render=False)
    assert session[slider._id].value == 2
    assert session[slider._id].preprocess(0) == 0
    assert copy(session.blocks_config).blocks[slider._id].preprocess(99) == 99
    with pytest.raises(gr.Error, match="not in the list of choices"):
        session[choice._id].preprocess("a")


@pytest.mark.slow
def test_the_page_itself_is_described_as_before() -> None:
    demo = page()
    before = demo.get_config_file()
    described = describe_once(demo).get_config_file()
    assert isinstance(demo.default_config, BlocksConfig)
    assert described == before
    assert {part["id"] for part in described["components"]} >= set(SessionState(demo).config_values) - {demo._id}


def test_a_session_describes_nothing_anew(monkeypatch) -> None:
    demo = describe_once(page())
    SessionState(demo)
    monkeypatch.setattr(BlocksConfig, "config_for_block", lambda *_: 1 / 0)
    assert len(SessionState(demo).config_values) >= 4
