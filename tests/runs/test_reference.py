"""The gallery that ships is what its recipe says, fair, small, and its weights score what its logs claim."""

import pytest

from playground.config import config_diff
from playground.data.corpora import load_text
from playground.runs.curves import Curves
from playground.runs.loading import ModelCache
from playground.runs.paths import gallery_root
from playground.runs.reference import SEEDS, SIZES, SNAPSHOTS, recipe
from playground.runs.store import RunStore
from playground.train.dataset import prepare
from playground.train.estimate import count_parameters
from playground.train.evaluation import evaluate
from playground.train.trainer import snapshot_steps


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    return RunStore(tmp_path_factory.mktemp("none"), gallery_root())


@pytest.fixture(scope="module")
def runs(gallery):
    """The reference runs, by preset and seed, without those that belong to a race."""
    return {
        (run.preset, run.train.seed): run for run in gallery.list() if run.race_path is None and run.preset in SIZES
    }


def test_every_arm_has_every_seed_of_its_recipe(runs):
    assert runs.keys() == {(name, seed) for name in SIZES for seed in SEEDS}
    for (name, seed), run in runs.items():
        assert run.reference
        assert run.state() == "finished"
        assert run.model == recipe(name, seed).model
        assert run.train == recipe(name, seed).train


def test_arms_differ_in_nothing_but_the_model(runs):
    for seed in SEEDS:
        classic, modern = runs["classic", seed], runs["modern", seed]
        assert set(config_diff(classic.train, modern.train)) <= {"snapshots"}
        assert abs(count_parameters(classic.model) / count_parameters(modern.model) - 1) < 0.02


def test_it_is_small(gallery):
    files = [path for path in gallery_root().rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < 25_000_000
    assert max(path.stat().st_size for path in files) < 5_000_000


def test_snapshots_of_the_modern_run_are_spaced_by_the_logarithm(runs):
    run = runs["modern", 0]
    assert run.steps_available() == sorted(snapshot_steps(run.train.steps, SNAPSHOTS))
    assert len(run.steps_available()) >= 12


@pytest.mark.parametrize("name", SIZES)
def test_weights_score_what_the_log_says(gallery, runs, name):
    """Within what bfloat16 takes away."""
    run = runs[name, 0]
    text = load_text(run.train.corpus, n_bytes=run.train.corpus_bytes)
    data = prepare(text, run.tokenizer, run.model, run.train)
    loss, accuracy = evaluate(ModelCache().get(run), data.validation, None, run.train.eval_tokens)
    logged = Curves(gallery).evaluations(run).iloc[-1]
    assert loss == pytest.approx(logged["loss"], abs=0.005)
    assert accuracy == pytest.approx(logged["accuracy"], abs=0.005)
