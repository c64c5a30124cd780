"""The tree of texts: what grows where, that continuing is writing longer, and that nothing from the page is trusted."""

import copy
from types import SimpleNamespace

import pytest

from playground.config import GenerationConfig
from playground.inference.generation import encode_prompt, generate
from playground.runs.curves import Curves
from playground.runs.loading import ModelCache
from playground.runs.store.paths import gallery_root
from playground.runs.store.run_store import RunStore
from playground.ui.sample import branches, sample_tab, writing
from playground.ui.services import Services

PROMPT = "Once there was a"
SHAPE = [0.8, 0, 0.95, 0.02, 1.0]


def settings(tokens=24, samples=1, seed=3, stop=""):
    return [*SHAPE, tokens, samples, seed, True, stop]


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("runs"), gallery_root())
    return Services(store, None, Curves(store), ModelCache(), store.root, public=True)


@pytest.fixture(scope="module")
def run(services):
    return next(run for run in services.store.list() if run.preset == "modern")


def written(events):
    return list(events)[-1]


def text(tree, number=0):
    return "".join(token["text"] for token in branches.path(tree, number))


def test_two_halves_are_the_whole_for_each_of_several_samples(services, run):
    whole, _ = written(sample_tab.write(services, run.id, None, PROMPT, *settings(24, 3), ""))
    half, _ = written(sample_tab.write(services, run.id, None, PROMPT, *settings(10, 3), ""))
    for number in range(3):
        half["chosen"] = number
        half, ahead = written(sample_tab.continue_text(services, half, PROMPT, *settings(14, 3), ""))
        assert text(half, number) == text(whole, number)
    assert len({text(whole, number) for number in range(3)}) == 3
    assert ahead["labels"]


def test_the_random_number_that_is_shown_is_the_one_that_draws(services, run):
    """The page's arithmetic on what it was sent gives the token that *Generate* then writes."""
    import base64

    import numpy as np

    from playground.inference.sampling import filter_distribution, sample_token

    shown = sample_tab.look_ahead(services, run.id, None, PROMPT, *settings(), "")
    steps = np.frombuffer(base64.b64decode(shown["logits"]), "<u2")
    rank = np.frombuffer(base64.b64decode(shown["by_id"]), "<u2")
    logits = (shown["low"] + (shown["high"] - shown["low"]) * steps / 65_535)[rank]
    after = filter_distribution(logits, GenerationConfig(**dict(zip(sample_tab.SHAPE, SHAPE, strict=True)))).after
    token = sample_token(after, SimpleNamespace(random=lambda: shown["uniform"]))
    tree, _ = written(sample_tab.write(services, run.id, None, PROMPT, *settings(1), ""))
    assert tree["branches"][0]["tokens"][0]["id"] == token
    assert {int(np.flatnonzero(rank == place)[0]) for place in shown["seen"]} == set(
        encode_prompt(run.tokenizer, PROMPT)
    )


def test_a_branch_takes_another_token_and_goes_on_from_there(services, run):
    tree, _ = written(sample_tab.write(services, run.id, None, PROMPT, *settings(12), ""))
    before = copy.deepcopy(branches.path(tree, 0))
    other = next(each for each in before[5]["alternatives"] if each[0] != before[5]["id"])
    event = SimpleNamespace(_data={"branch": 0, "at": 5, "id": other[0]})
    tree, _ = written(sample_tab.branch_off(services, event, tree, *settings(8), ""))
    assert branches.path(tree, 0) == before
    got = branches.path(tree, 1)
    assert got[:5] == before[:5]
    assert got[5]["id"] == other[0]
    assert len(got) == 6 + 8
    config = GenerationConfig(temperature=0.0, max_new_tokens=8)
    event._data = {"branch": 1, "at": 6, "id": got[6]["alternatives"][0][0]}
    tree, _ = written(sample_tab.branch_off(services, event, tree, 0.0, *settings(7)[1:], ""))
    ids = encode_prompt(run.tokenizer, PROMPT) + [token["id"] for token in got[:6]]
    greedy = [token.id for token in generate(services.models.get(run), ids, config)]
    assert [token["id"] for token in branches.path(tree, 2)][6:] == greedy, "a branch of a branch"
    tree, _ = sample_tab.look_after(services, SimpleNamespace(_data={"branch": 1}), tree, *settings(), "")
    assert tree["chosen"] == 1


def test_ways_to_choose_under_each_other(services, run):
    events = sample_tab.generate_all(services, "Decoding", 4, None, None, run.id, None, PROMPT, *settings(12), "")
    *_, tree = events
    greedy, drawn, beam = tree["branches"]
    ids = encode_prompt(run.tokenizer, PROMPT)
    model = services.models.get(run)
    expected = [token.id for token in generate(model, ids, GenerationConfig(temperature=0.0, max_new_tokens=12))]
    assert [token["id"] for token in greedy["tokens"]] == expected
    alone, _ = written(sample_tab.write(services, run.id, None, PROMPT, *settings(12), ""))
    assert drawn["tokens"] == alone["branches"][0]["tokens"]
    assert branches.log_probability(beam["tokens"]) >= branches.log_probability(greedy["tokens"]) - 1e-3
    assert "nats per token" in beam["note"]


def test_the_same_prompt_through_training(services):
    run = max(services.store.list(), key=lambda run: len(run.steps_available()))
    todo = writing.jobs("During training", GenerationConfig(), 1, run, None, None, None)
    steps = run.steps_available()
    assert todo[0].step == steps[0]
    assert todo[-1].step == steps[-1]
    assert 2 <= len(todo) <= writing.CHECKPOINTS
    *_, tree = writing.generate_all(services.models.get, todo[:2], PROMPT)
    assert [each["name"] for each in tree["branches"]] == [f"step {step:,}" for step in (todo[0].step, todo[1].step)]
    assert text(tree, 0) != text(tree, 1)


@pytest.mark.parametrize(
    "value",
    [
        None, 5, "x", [], {}, {"branches": []}, {"branches": "xy", "prompt": ""}, {"branches": [1], "prompt": ""},
        {"branches": [{"parent": 0, "at": 0, "name": "", "note": "", "tokens": []}], "prompt": ""},
        {"branches": [{"parent": None, "at": "x", "name": "", "note": "", "tokens": []}], "prompt": ""},
        {"branches": [{"parent": None, "at": 0, "name": "", "note": "", "tokens": [{"id": 1}]}], "prompt": ""},
    ],
    ids=repr,
)  # fmt: skip
def test_trees_of_any_shape_get_a_sentence(value):
    with pytest.raises(ValueError, match="cannot be continued"):
        branches.read_tree(value)


@pytest.mark.parametrize("asked", [None, {}, {"branch": 0, "at": 99, "id": 1}, {"branch": 9, "at": 0, "id": 1}])
def test_branches_that_cannot_be_are_refused(services, run, asked):
    tree, _ = written(sample_tab.write(services, run.id, None, PROMPT, *settings(3), ""))
    with pytest.raises(ValueError, match="cannot be continued"):
        list(sample_tab.branch_off(services, SimpleNamespace(_data=asked), tree, *settings(3), ""))
    with pytest.raises(ValueError, match="not among the most likely"):
        branches.sprout(branches.read_tree(tree), 0, 1, "no token")
    tree["branches"][0]["tokens"][0]["id"] = 10**6
    with pytest.raises(ValueError, match="cannot be continued"):
        list(sample_tab.continue_text(services, tree, PROMPT, *settings(3), ""))


def test_wrong_settings_are_one_sentence(services, run):
    def ask(way="Decoding", n_beam=4, other=None, prompt=PROMPT, values=None):
        return list(
            sample_tab.generate_all(
                services, way, n_beam, other, None, run.id, None, prompt, *(values or settings(2)), ""
            )
        )

    for changes, message in (
        ({"way": "x"}, "Compare must be one of"),
        ({"n_beam": float("nan")}, "Beams must be a whole number"),
        ({"n_beam": 17}, "Beams must be a whole number"),
        ({"way": "Two checkpoints"}, "No run is chosen"),
        ({"way": "Two checkpoints", "other": "../x"}, "Run not found"),
        ({"prompt": 5}, "Prompt must be text"),
        ({"values": [float("inf"), *settings()[1:]]}, "Temperature must be a finite number"),
    ):
        with pytest.raises(ValueError, match=message):
            ask(**changes)
