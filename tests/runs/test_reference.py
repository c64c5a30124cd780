"""The gallery that ships is what its recipe says, fair, small, and its weights score what its logs claim."""

import numpy as np
import pytest
import torch

from playground.config import config_diff
from playground.data.corpora import load_text
from playground.data.tasks import examples
from playground.interp.ablation import Part, edits
from playground.interp.attention import attention_patterns
from playground.models.trace import Trace
from playground.reference import make_sinks
from playground.reference.make_runs import INDUCTION_STEPS, SEEDS, SIZES, SNAPSHOTS, recipe
from playground.runs.curves import Curves
from playground.runs.loading import ModelCache
from playground.runs.store.paths import gallery_root
from playground.runs.store.run_store import RunStore
from playground.train.dataset import prepare
from playground.train.estimate import count_parameters
from playground.train.evaluation import evaluate
from playground.train.trainer import snapshot_steps

pytestmark = pytest.mark.slow  # `make check` leaves out what only new reference runs can change


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
    return RunStore(tmp_path_factory.mktemp("none"), gallery_root())


@pytest.fixture(scope="module")
def runs(gallery):
    """The reference runs, by name and seed, without those of a race and those that show sinks."""
    others = {make_sinks.run_id(sink_logit) for sink_logit in make_sinks.ARMS.values()}
    alone = [run for run in gallery.list() if run.race_path is None and run.id not in others]
    return {(run.preset or "induction", run.train.seed): run for run in alone}


def test_every_arm_has_every_seed_of_its_recipe(runs):
    assert runs.keys() == {*((name, seed) for name in SIZES for seed in SEEDS), ("induction", 0)}
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
    assert sum(path.stat().st_size for path in files) < 25e6
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
    loss, accuracy, error = evaluate(ModelCache().get(run), data.validation, None, run.train.eval_tokens)
    logged = Curves(gallery).evaluations(run).iloc[-1]
    assert loss == pytest.approx(logged["loss"], abs=0.005)
    assert accuracy == pytest.approx(logged["accuracy"], abs=0.005)
    assert error == pytest.approx(logged["loss_se"], rel=0.01)


def test_the_last_loss_of_every_run_has_its_standard_error(gallery):
    """About equal for runs that differ only in the seed, since they are evaluated on the same windows."""
    errors = {}
    for run in gallery.list():
        if run.race_path is None:
            errors.setdefault((run.preset, run.train.replace(seed=0, snapshots=0), run.model), []).append(
                Curves(gallery).evaluations(run).iloc[-1]["loss_se"]
            )
    assert sum(map(len, errors.values())) == 10
    for of_seeds in errors.values():
        assert 0 < max(of_seeds) < 1.15 * min(of_seeds)


def test_the_repeating_runs_log_says_what_it_can_do(gallery, repeating):
    """Its loss by a sum over whole lines, without windows: what an answer costs after its whole prompt."""
    table = Curves(gallery).evaluations(repeating).iloc[-1]
    model, tokenizer = ModelCache().get(repeating), repeating.tokenizer
    total = count = hits = 0
    for prompt, answer in examples("repeat", 60, seed=9):
        ids = torch.from_numpy(tokenizer.encode(f"\n{prompt}{answer}\n").astype(np.int64))
        with torch.inference_mode():
            log_p = model(ids[None, :-1])[0].double().log_softmax(-1)
        asked = range(len(prompt), len(ids) - 1)
        total -= sum(float(log_p[i, ids[i + 1]]) for i in asked)
        hits += sum(int(log_p[i].argmax() == ids[i + 1]) for i in asked)
        count += len(asked)
    assert table["loss"] == pytest.approx(total / count, abs=0.03)
    assert table["accuracy"] == pytest.approx(hits / count, abs=0.02)
    assert table["loss"] < 0.1
    assert table["exact_match"] > 0.9


@pytest.fixture(scope="module")
def repeating(gallery):
    """The run that ships to show an induction head, as its recipe makes it."""
    (run,) = [run for run in gallery.list() if run.train.corpus == "repeat"]
    assert run.reference
    assert run.model == recipe("induction", 0).model
    assert run.train == recipe("induction", 0).train
    return run


def test_an_induction_head_forms_between_two_snapshots(repeating):
    """Prefix matching (Olsson et al. 2022) on repeated random letters, by the definition written out."""
    assert repeating.steps_available() == list(INDUCTION_STEPS)
    letters = [token for token in range(repeating.model.vocab_size) if repeating.tokenizer.token_bytes(token).isalpha()]
    assert len(letters) == 26
    half = np.random.default_rng(3).permutation(letters)[:20]
    ids = np.concatenate((half, half)).tolist()
    best = []
    for step in repeating.steps_available():
        patterns = attention_patterns(ModelCache().get(repeating, step), ids)  # (L, H, T, T)
        best.append([max(np.mean([p[t, t - 19] for t in range(20, 40)]) for p in layer) for layer in patterns])
    first, second = np.array(best).T
    assert first.max() < 0.2, "one layer alone cannot: it takes a head that looks at the previous token below it"
    assert second[0] < 0.1
    assert second[-1] > 0.85
    at = repeating.steps_available().index
    assert second[: at(78) + 1].max() < 0.1
    assert second[at(161) :].min() > 0.8, "it comes within 83 of 1,000 steps"


def test_without_its_induction_heads_or_what_they_read_the_model_can_no_longer_repeat(repeating):
    """Share of right letters in the second copy, from the second on: with all heads, and with some switched off.

    Induction heads are all of the second layer; they read what the previous-token head of the first writes.
    """
    model = ModelCache().get(repeating)
    rng = np.random.default_rng(4)
    letters = [token for token in range(repeating.model.vocab_size) if repeating.tokenizer.token_bytes(token).isalpha()]
    halves = np.stack([rng.permutation(letters)[:20] for _ in range(16)])
    bar = np.full((16, 1), int(repeating.tokenizer.encode("|")[0]))
    ids = np.concatenate((halves, bar, halves), 1)  # as the task has it: only behind the bar is anything predicted
    pattern = np.stack([attention_patterns(model, row.tolist()) for row in ids]).mean(0)
    induction = [Part(1, "head", h) for h in range(3) if np.diagonal(pattern[1, h], -20)[1:].mean() > 0.5]
    previous = [Part(0, "head", h) for h in range(3) if np.diagonal(pattern[0, h], -1).mean() > 0.5]
    assert induction
    assert len(previous) == 1

    def right(parts):
        with torch.inference_mode(), Trace(model, edit=edits(parts)):
            hidden = model.hidden(torch.from_numpy(ids))
            guess = model.unembed(hidden).argmax(-1).numpy()
        return (guess[:, 21:-1] == ids[:, 22:]).mean()

    assert right([]) > 0.9
    assert right(induction) < 0.2
    assert right(previous) < 0.2
    others = [Part(n, "head", h) for n in (0, 1) for h in range(3) if Part(n, "head", h) not in induction + previous]
    assert len(others) >= 2
    assert right(others) > 0.8, "the heads beside them are not needed for it"
