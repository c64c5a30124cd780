"""The Streaming tab's handlers on a shipped run, and what they answer to nonsense."""

import numpy as np
import pytest

from playground.analysis import streaming as lab
from playground.config import TrainConfig
from playground.data.documents import Text
from playground.reference.make_sinks import ARMS, run_id
from playground.runs.curves import Curves
from playground.runs.loading import ModelCache
from playground.runs.store.paths import gallery_root
from playground.runs.store.run_store import RunStore
from playground.tokenizers import build_tokenizer
from playground.train.dataset import prepare
from playground.ui.sample import streaming_tab
from playground.ui.services import Services
from tests.runs.conftest import MODEL


@pytest.fixture(scope="module")
def services(tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("runs"), gallery_root())
    return Services(store, None, Curves(store), ModelCache(), store.root, public=True)


@pytest.fixture
def short(monkeypatch):
    monkeypatch.setattr(streaming_tab, "LONGEST", 300)
    monkeypatch.setattr(streaming_tab, "ENDLESS_TOKENS", 30)
    monkeypatch.setattr(streaming_tab, "UPDATE_SECONDS", 0)
    monkeypatch.setattr(lab, "TIMED", 2)


def a_run(services, preset):
    return next(
        run for run in services.store.list() if run.preset == preset and run.name.startswith(preset.title() + " on")
    )


@pytest.mark.slow
def test_the_proof_ends_with_the_same_text(services, short):
    run = a_run(services, "classic")
    *_, (words, pace, memory, _, texts) = streaming_tab.prove(services, run.id, None, 64, "Once there was a " * 20, "")
    assert "identical text" in words
    assert [line["name"] for line in pace["lines"]] == ["with cache", "without"]
    formula = {
        line["name"]: dict(zip(line["x"], line["y"], strict=True)) for line in memory["lines"] if "dots" not in line
    }
    for line in memory["lines"]:
        if line.get("dots"):
            assert all(formula[line["name"]][x] == y for x, y in zip(line["x"], line["y"], strict=True))
    assert texts["branches"][0]["tokens"] == texts["branches"][1]["tokens"]


@pytest.mark.slow
def test_a_long_text_in_five_ways(services, short):
    run = a_run(services, "modern")
    *_, (words, chart, memory, table, _) = streaming_tab.read(services, run.id, None, 32, 2, "")
    assert words.startswith("**Beyond its context this run")
    assert [line["name"] for line in chart["lines"]] == list(lab.policies(2))
    assert chart["marks"] == [{"x": run.model.block_size, "text": "training context"}]
    assert table.count("\n") == 1 + 5
    assert memory["lines"][0]["y"][-1] > memory["lines"][-1]["y"][-1]
    with pytest.raises(ValueError, match="cannot stream"):
        list(streaming_tab.read(services, a_run(services, "classic").id, None, 32, 2, ""))


def test_endless_writing_keeps_its_memory(services, short):
    run = a_run(services, "modern")
    shown = list(streaming_tab.endless(services, run.id, None, 16, 2, "Once", ""))
    config = run.model
    kib = 2 * config.n_layer * config.n_kv_head * config.head_dim * 18 * 4 / 1024
    assert len(shown) == 31
    assert all(f"{kib:,.0f} KiB" in words for words, *_ in shown)
    assert "30 tokens, done" in shown[-1][0]
    assert len(shown[-2][4]["branches"][0]["tokens"]) == 30
    without = list(streaming_tab.endless(services, run.id, None, 16, 0, "Once", ""))[-1]
    assert f"{kib * 16 / 18:,.0f} KiB" in without[0]


def test_endless_writing_makes_room_for_others(services, short, monkeypatch):
    monkeypatch.setattr(streaming_tab, "must_end", lambda: True)
    shown = list(streaming_tab.endless(services, a_run(services, "modern").id, None, 16, 2, "Once", ""))
    assert len(shown) == 2
    assert shown[-1][0].endswith(" It ended after 30 s because others are waiting.")
    assert "1 token, done" in shown[-1][0]


@pytest.mark.slow
def test_sinks_through_training(services, short):
    run = max(services.store.list(), key=lambda run: len(run.steps_available()))
    *_, (words, masses, rates, _, _) = streaming_tab.find_sinks(services, run.id, None, "")
    assert "first token" in words
    assert masses["lines"][0]["x"] == rates["lines"][0]["x"] == run.steps_available()


def test_the_three_softmaxes_are_there_at_once(services):
    words, heads, kept, table, _ = streaming_tab.show_three(services)
    assert words.startswith(
        "**No head of 3 small runs became a sink; keeping the first tokens hurts Softmax-off-by-one.**"
    )
    rows = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("|")]
    assert [cell.strip().replace("\u00a0", " ") for cell in rows[0]] == [
        "perplexity",
        "within 128 tokens",
        "0 + 64",
        "1 + 63",
        "2 + 62",
        "4 + 60",
    ]
    for name, row in zip(ARMS, rows[2:], strict=True):
        assert row[0].strip() == name
        assert all(1 < float(cell) < 3 for cell in row[1:])
    assert [line["name"] for line in kept["lines"]] == list(ARMS)
    assert all(line["x"] == [0, 1, 2, 4] for line in kept["lines"])
    assert len(heads["lines"]) == 5  # two of the three can attend to nothing
    *_, (told, masses, idle, *_) = streaming_tab.find_sinks(services, run_id("learned"), None, "")
    assert "The sink logits take" in told
    assert [line["label"] for line in masses["lines"][:-1]] == [line["label"] for line in idle["lines"]]
    assert idle["lines"][5]["label"] == "layer 2 head 2"
    assert idle["title"] == "Attention on the sink logit"
    assert len(masses["lines"][0]["x"]) > 10


def test_results_of_another_checkpoint_do_not_stay(services):
    assert streaming_tab.cleared(services, "**Beyond its context this run is worse**") == (
        streaming_tab.START, None, None, "", None,
    )  # fmt: skip
    assert streaming_tab.cleared(services, streaming_tab.show_three(services)[0]) == (streaming_tab.gr.skip(),) * 5


def test_without_a_gallery_there_is_a_question_instead(local):
    assert streaming_tab.show_three(local)[1:] == (None, None, "", None)


def test_long_texts_are_tokens_of_the_validation_part_as_the_run_reads_it(tmp_path):
    """With documents kept apart no empty line stands between them, which such a run has never read."""
    text = Text.joined([f"the cat number {n} sat on a mat" for n in range(2_000)])
    config = TrainConfig(corpus="own", documents="separated")
    tokenizer = build_tokenizer("byte", text, eos=True)
    store = RunStore(tmp_path / "runs", tmp_path / "gallery")
    model = MODEL.replace(vocab_size=tokenizer.vocab_size)
    run = store.create(model, config, tokenizer, name="rows", preset="modern", own_text=text)
    local = Services(store, None, Curves(store), ModelCache(), tmp_path / "cache", public=False)
    texts = streaming_tab.held_out(run, local).ravel()
    assert np.array_equal(texts, prepare(text, tokenizer, run.model, config).validation[: len(texts)])
    assert tokenizer.eos in texts and b"\n"[0] not in texts


def test_slots_are_drawn_for_any_sliders():
    shown = streaming_tab.show_slots(200, 9)
    assert (shown["capacity"], shown["n_sink"], len(shown["steps"])) == (18, 6, streaming_tab.STORY)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1, 0, 3.5, "8", None, True, 10**6])
def test_windows_that_make_no_sense_are_refused(services, value):
    run = a_run(services, "modern")
    for ask in (
        lambda: streaming_tab.show_slots(value, 2),
        lambda: list(streaming_tab.read(services, run.id, None, value, 2, "")),
        lambda: list(streaming_tab.endless(services, run.id, None, value, 2, "x", "")),
        lambda: list(streaming_tab.prove(services, run.id, None, value, "x", "")),
    ):
        with pytest.raises(ValueError, match="Window must be a whole number from 1 to 1,024"):
            ask()


def test_runs_and_prompts_that_are_not_there(services):
    with pytest.raises(ValueError, match="Run not found"):
        next(streaming_tab.read(services, "../x", None, 8, 2, ""))
    with pytest.raises(ValueError, match="No run is chosen"):
        next(streaming_tab.find_sinks(services, None, None, ""))
    with pytest.raises(ValueError, match="Prompt must be text"):
        next(streaming_tab.prove(services, a_run(services, "modern").id, None, 8, 5, ""))
