"""No setting without a control, and nothing that a browser sends is trusted."""

from dataclasses import fields

import gradio as gr
import pytest

from playground.config import PRESETS, GenerationConfig, ModelConfig, TrainConfig, preset, usual_rate
from playground.runs.create import prepare_run
from playground.runs.curves import Curves
from playground.runs.loading import ModelCache
from playground.runs.store.run_store import ANONYMOUS, RunStore
from playground.train.estimate import estimate
from playground.ui import endpoints, forms
from playground.ui.app import build_app
from playground.ui.compare import compare_tab
from playground.ui.inside import attention_endpoints
from playground.ui.sample import sample_tab
from playground.ui.services import Services, show_errors
from playground.ui.train import presets, rate, train_tab


class NoLauncher:
    def position(self, run_id):
        return None


@pytest.fixture
def services(tmp_path):
    store = RunStore(tmp_path / "runs")
    return Services(store, NoLauncher(), Curves(store), ModelCache(), tmp_path / "corpora", public=True)


@pytest.mark.parametrize("kind", [ModelConfig, TrainConfig, GenerationConfig])
def test_every_field_has_a_control_or_is_listed_as_hidden(kind):
    with gr.Blocks():
        form = forms.build_form(kind, forms.remaining(kind), kind())
    assert form.keys() | forms.HIDDEN.keys() >= {item.name for item in fields(kind)}
    assert not form.keys() & forms.HIDDEN.keys()
    for name, control in form.items():
        assert control.value == getattr(kind(), name), name
        assert control.info, f"{name} explains itself"


def test_sliders_stay_within_what_the_config_allows():
    for kind in (ModelConfig, TrainConfig, GenerationConfig):
        for item in fields(kind):
            if item.name in forms.RANGES:
                low, high, step = forms.RANGES[item.name]
                assert item.metadata["low"] <= low < high <= item.metadata["high"], item.name
                assert ((item.default - low) / step) == pytest.approx(round((item.default - low) / step)), (
                    f"{item.name}'s default lies on its slider"
                )


def test_train_tab_shows_every_setting_once(services):
    with gr.Blocks():
        tab = train_tab.build(services)
    assert set(tab.model) == {f.name for f in fields(ModelConfig)} - forms.HIDDEN.keys()
    assert set(tab.train) == {f.name for f in fields(TrainConfig)} - forms.HIDDEN.keys()
    with gr.Blocks():
        other = sample_tab.build(services)
    assert set(other.shape) | set(other.length) == {f.name for f in fields(GenerationConfig)}


def test_choosing_a_preset_sets_what_the_preset_sets_and_no_sizes():
    names = presets.preset_fields()
    for name in PRESETS:
        values = dict(zip(names, presets.show_preset(name, 8), strict=True))
        config = preset(name, n_head=8)
        assert values == {key: getattr(config, key) for key in names}
        assert not {"n_layer", "n_embd", "n_head", "block_size"} & values.keys()


def test_a_recipe_sets_text_sizes_and_training_and_the_others_touch_nothing():
    of_model, of_train = presets.recipe_fields()
    text, *values = presets.show_recipe("speedrun")
    assert text == "tiny_shakespeare"
    shown = dict(zip([*of_model, *of_train], values, strict=True))
    whole = prepare_run("speedrun", None, {"corpus": "tales"})  # another text, so that nothing is downloaded
    assert {key: getattr(whole.model, key) for key in of_model} == {key: shown[key] for key in of_model}
    assert {key: getattr(whole.train, key) for key in of_train} == {key: shown[key] for key in of_train}
    assert estimate(whole.model, whole.train).parameters <= 1_000_000
    begun = presets.show_recipe("modern", text, *values)
    assert begun[0] == TrainConfig().corpus
    assert begun[1 + len(of_model) :] == [getattr(TrainConfig(), key) for key in of_train], "the recipe is taken back"
    kept = presets.show_recipe("modern", text, *values[:-1], "something of one's own")
    assert kept == [gr.skip()] * (len(values) + 1)


def test_choosing_another_preset_takes_back_what_the_first_had_set():
    names = presets.preset_fields()
    values = dict(zip(names, presets.show_preset("classic", 4), strict=True))
    assert values["n_expert"] == 1
    assert values["window"] == 0
    assert values["sink_logit"] == "none"


def test_long_forms_stand_under_headings():
    names = forms.remaining(ModelConfig, train_tab.MODEL_FIRST)
    headings = forms.groups(ModelConfig, names)
    assert list(headings) == [
        "Positional encoding",
        "Normalization",
        "Attention",
        "MLP and experts",
        "Output head and init",
    ]
    assert [name for members in headings.values() for name in members] == names, "groups are contiguous"


QUESTIONS = [
    None, 5, "x", [], {}, {"cursors": "x"}, {"cursors": {"../x": 1, "": None}}, {"run": 7, "step": [], "text": {}},
    {"cursors": {str(n): None for n in range(1000)}}, {"run": "a" * 32, "text": "hi", "visitor": ["x"]},
]  # fmt: skip


@pytest.mark.parametrize("question", QUESTIONS, ids=repr)
def test_questions_of_any_shape_get_an_answer(services, question):
    assert endpoints.curves(services, question)["runs"] == []
    if isinstance(question, dict) and "visitor" in question:
        refused = {"error": str(bad_token(services, question["visitor"]))}
        assert endpoints.live(services, question) == attention_endpoints.attention(services, question) == refused
    else:
        assert endpoints.live(services, question)["state"] == "idle"
        assert attention_endpoints.attention(services, question) == {"error": "Run not found."}


def bad_token(services, token):
    with pytest.raises(ValueError, match=r"^Token must be 32 hexadecimal digits, .* is not\. Leave it empty") as caught:
        services.visitor(token)
    return caught.value


@pytest.mark.parametrize(
    "token", ["alice", "nobody", " ", "A" * 32, "a" * 33, "a" * 31 + "\n", 5, ["x"], {}, True, b"a" * 32]
)
def test_a_malformed_token_is_refused(services, token):
    bad_token(services, token)


def test_tokens_are_ours_and_without_one_a_visitor_is_anonymous(services):
    assert services.visitor("") == services.visitor(None) == ANONYMOUS
    token = services.token("forged")
    assert len(token) == 32
    assert services.token(token) == token
    assert services.visitor(token) == token


def test_mistakes_are_shown_escaped_and_signatures_survive():
    def handler(services, text: str, request: gr.Request):
        raise ValueError(f"You sent {text}")

    wrapped = show_errors(lambda text, request: handler(None, text, request), lambda text, request: None)
    with pytest.raises(gr.Error) as caught:
        wrapped("<img src=x onerror=alert(1)>", None)
    assert "&lt;img" in caught.value.message
    assert "<img" not in caught.value.message


def test_the_forms_rate_follows_width_and_optimizer_but_never_replaces_ones_own():
    assert rate.follow_rate(0.003, "adamw", 256) == 0.0015
    assert rate.follow_rate(0.003, "muon", 128) == usual_rate("muon", 128)
    for given, optimizer, width in (
        (0.004, "adamw", 256),
        (0.003, "adamw", 128),
        (None, "adamw", 256),
        (0.003, "x", []),
    ):
        assert is_skip(rate.follow_rate(given, optimizer, width)), (given, optimizer, width)


def is_skip(answer):
    return isinstance(answer, dict) and answer == gr.skip()


FIXED_LISTS = {"Task", "Budget in", "Start from", "Match", "By adjusting"}  # the same choices on every page


def test_lists_that_the_server_changes_pass_their_value_on(services):
    """After a restart the server does not know the choices of an open page: Gradio would refuse its runs and list all
    others. The handlers look each value up."""
    demo = build_app(services)
    changed = {block for function in demo.fns.values() for block in function.outputs}
    lists = [block for block in changed if isinstance(block, gr.Dropdown) and block.label not in FIXED_LISTS]
    assert {block.elem_id for block in lists} >= {"train-run", "race", "compare-runs", "sample-run", "away-step"}
    for block in lists:
        assert block.allow_custom_value or block.preprocess("0" * 32) == "0" * 32, block.label


@pytest.mark.parametrize("sent", [["0" * 32], [["x"], {"y": 1}, None, 3], "0" * 32, 7, None])
def test_runs_that_are_not_there_are_left_out(services, sent):
    value, *_ = compare_tab.choose(services, sent, "")
    assert value["runs"] == []
    assert compare_tab.refresh(services, sent, "")["value"] == []


@pytest.mark.parametrize("kind", [gr.Slider, gr.Number, gr.Dropdown, gr.Textbox, gr.Checkbox])
def test_an_update_of_its_options_keeps_a_component_unvalidated(kind: type[gr.components.Component]) -> None:
    """Gradio makes a new instance for it (Blocks.postprocess_data), which is otherwise the same component."""
    ours, theirs = forms.unvalidated(kind(label="x")), kind(label="x")
    again = ours.__class__(**{**ours.constructor_args, "interactive": False})
    assert [one.preprocess(["?"]) for one in (ours, again)] == [["?"]] * 2
    assert (ours.get_block_name(), ours.component_class_id) == (theirs.get_block_name(), theirs.component_class_id)
    assert ours.get_config() == theirs.get_config()
