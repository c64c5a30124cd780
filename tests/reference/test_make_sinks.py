"""The three small runs that differ in their softmax: alike otherwise, and their tables are what their weights give."""

import numpy as np
import pytest
import torch

from playground.analysis.streaming import kept_first, within_context
from playground.config import config_diff
from playground.data.corpora import load_text
from playground.interp.sinks import LENGTH, masses
from playground.models.trace import Trace
from playground.reference import make_sinks
from playground.reference.make_sinks import ARMS, KEPT, TOKENS, TOTAL, measured, recipe, run_id
from playground.runs.loading import ModelCache
from playground.runs.store.paths import gallery_root
from playground.runs.store.run_store import RunStore
from playground.train.dataset import split
from playground.train.trainer import snapshot_steps
from tests.models.variants import VARIANTS, build

pytestmark = pytest.mark.slow  # `make check` leaves out what only new reference runs can change


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("none"), gallery_root())
    return {name: store.get(run_id(sink_logit)) for name, sink_logit in ARMS.items()}


def test_they_are_what_their_recipe_says_and_differ_in_the_softmax_alone(runs):
    for name, run in runs.items():
        made = recipe(ARMS[name])
        assert (run.model, run.train) == (made.model, made.train)
        assert run.reference
        assert run.state() == "finished"
        assert set(config_diff(run.model, runs["Vanilla softmax"].model)) <= {"sink_logit"}
        assert sum(path.stat().st_size for path in run.path.rglob("*") if path.is_file()) < 700_000


@pytest.mark.parametrize("name", ARMS)
def test_what_is_written_beside_them_is_what_the_weights_give(runs, name):
    """Two of the texts read again, with bfloat16 weights; the heads of the last snapshot."""
    run = runs[name]
    known, model = measured(run), ModelCache().get(run)
    text = split(load_text(run.train.corpus, n_bytes=run.train.corpus_bytes), run.train.validation_fraction)[1]
    ids = np.asarray(run.tokenizer.encode(text), dtype=np.int64)
    some = torch.from_numpy(ids[:TOKENS].reshape(1, -1)[:, :600])
    for kept in KEPT:
        assert known.beyond[kept].shape == (make_sinks.TEXTS,)
        again = kept_first(model, some, TOTAL, kept)[0, 128:].mean()
        assert again == pytest.approx(known.beyond[kept][0], abs=0.12)  # 470 of 1,919 tokens
    assert within_context(model, torch.from_numpy(ids[:TOKENS])[None])[0] == pytest.approx(known.within[0], abs=0.01)
    first, nothing = masses(model, ids[: make_sinks.SINK_TEXTS * LENGTH].reshape(-1, LENGTH))
    last = known.points[-1]
    assert [point.step for point in known.points] == sorted(snapshot_steps(run.train.steps, run.train.snapshots))
    assert np.abs(last.mass - first).max() < 0.01
    assert np.abs(last.nothing - nothing).max() < 0.01
    assert bool(nothing.any()) == (run.model.sink_logit != "none")


def test_keeping_none_is_a_window_at_positions_inside_the_cache():
    """One layer, spelled out: the latest tokens alone, as if the text began with them; and with two first ones."""
    config = VARIANTS["modern"].replace(n_layer=1)
    model = build(config)
    text = torch.randint(0, 61, (2, 40), generator=torch.Generator().manual_seed(0))
    for n_first in (0, 2):
        got = kept_first(model, text, 8, n_first)
        for at in (3, 7, 8, 9, 30, 38):
            seen = [p for p in range(at + 1) if p < n_first or p > at - (8 - n_first)]
            with torch.no_grad():
                logits = model(text[:, seen])[:, -1].double().log_softmax(-1)
            expected = -logits.gather(1, text[:, at + 1 : at + 2])[:, 0].numpy()
            assert np.abs(got[:, at] - expected).max() < 2e-5


def test_within_the_context_each_token_has_half_of_it_or_more():
    model = build(VARIANTS["modern"])
    text = torch.randint(0, 61, (2, 200), generator=torch.Generator().manual_seed(0))
    expected = []
    for row in text:
        nats = []
        for start in (0, 96):
            logits = model(row[None, start : start + 96])[0].double().log_softmax(-1)
            nats += [-logits[at, row[start + at + 1]].item() for at in range(47, 95)]
        expected.append(np.mean(nats))
    assert np.abs(within_context(model, text) - expected).max() < 1e-5


@pytest.mark.parametrize("name", ["softmax-off-by-one", "learned sink logits", "modern"])
def test_what_goes_to_nothing_is_what_the_extra_score_takes(name):
    model = build(VARIANTS[name])
    texts = np.random.default_rng(0).integers(0, 61, (2, 20))
    found = np.zeros((3, 4))
    for text in texts:
        with torch.no_grad(), Trace(model, keep=["*.q", "*.k", "*.pattern"]) as trace:
            model.hidden(torch.from_numpy(text)[None])
        for layer in range(3):
            pattern = trace.kept[f"blocks.{layer}.pattern"][0].double()
            for head in range(4):
                found[layer, head] += sum(1 - pattern[head, at, : at + 1].sum().item() for at in range(20)) / 20 / 2
    assert np.abs(masses(model, texts)[1] - found).max() < 1e-5
    assert (masses(model, texts)[1].max() > 0.01) == (name != "modern")
