"""What a race's verdict says, against numbers worked out by hand; and real races between identical arms."""

import json
import re
from dataclasses import replace

import numpy as np
import pytest

from playground.analysis.memory_usage import training_memory
from playground.cli.race import read_spec
from playground.config import ModelConfig
from playground.races.lr_sweep import families
from playground.races.payload import race_news
from playground.races.recipes import RECIPES, race_of
from playground.races.report import CSV_COLUMNS, as_text, csv_rows
from playground.races.results import ArmResult, RunCurve, results
from playground.races.verdict import is_ladder, judge, race_level, verdict
from playground.races.words import conditions, matched_words, what_differs
from playground.runs.curves import Curves
from playground.runs.races import create_race, prepare_race
from playground.runs.store import status
from playground.runs.store.log import LogWriter
from playground.runs.store.run_store import RunStore
from playground.runs.store.status import Status
from playground.runs.worker.racing import execute_race
from playground.train.estimate import count_parameters
from playground.train.events import Evaluated
from playground.train.flops import training_flops
from playground.train.race import matched_size, plan
from playground.train.race_spec import RaceSpec
from tests.races.conftest import NATS, SHARED


def curve(*last):
    """A loss curve of five measurements that ends as told."""
    return [5.0, 4.0, 3.0, *last]


def judged(made):
    store, race = made
    return verdict(race, Curves(store))


def test_a_clear_difference_is_claimed_with_its_interval_and_cost(written_race):
    slow = [curve(2.5, 2.0), curve(2.5, 2.02), curve(2.5, 2.01)]
    fast = [curve(2.0, 1.8), curve(2.02, 1.82), curve(2.01, 1.81)]
    found = judged(written_race([slow, fast]))
    assert found.headline == "Modern is better by 0.200 ±\u00a00.000 nats per token (98\u00a0%, paired over 3 seeds)."
    # The final loss of each slow seed is reached at 30 of 40 steps.
    cost = found.sentences[0]
    assert cost.startswith("To reach Classic's lowest loss, Modern needed 0.75 × the tokens (0.75 to 0.75), ")
    assert "0.75 × the time (0.75 to 0.75)" in cost
    assert "time per token" not in cost, "their tokens took the same time"
    row = found.table[1]
    assert row["loss"] == pytest.approx(1.81)
    assert row["loss_spread"] == pytest.approx(0.01)
    assert row["bits_per_byte"] == pytest.approx(1.81 * NATS, rel=1e-4)
    assert row["tokens_per_second"] == pytest.approx(64)


def test_noise_is_not_distinguishable(written_race):
    a = [curve(2.5, 2.0), curve(2.5, 2.1), curve(2.5, 1.9)]
    b = [curve(2.5, 2.05), curve(2.5, 1.95), curve(2.5, 1.97)]
    found = judged(written_race([a, b]))
    assert found.headline.startswith("Modern and Classic are not distinguishable: −0.010 ±")
    assert found.sentences == [], "what each needed would be as much chance"


def test_arms_that_are_all_the_same_are_called_identical(written_race):
    same, names = [curve(2.5, 2.0), curve(2.5, 2.1)], ("classic", "modern", "mixture")
    assert judged(written_race([same] * 3, names)).headline == (
        "2 other arms are identical to Classic: every difference is exactly 0."
    )
    other = judged(written_race([same, same, [curve(2.5, 2.2), curve(2.5, 2.3)]], names))
    assert other.headline == "No arm is distinguishably better than Classic; 1 of 2 is worse."


def test_one_seed_has_no_interval_and_says_so(written_race):
    found = judged(written_race([[curve(2.5, 2.0)], [curve(2.4, 1.9)]]))
    assert "there is no interval" in found.headline
    assert found.sentences == [] and found.comparisons[0].costs == {} and found.comparisons[0].token_time is None
    assert "With one seed there is no interval" in found.rule


def test_a_race_is_judged_where_all_have_arrived(written_race):
    """One run is behind: the others are read off at the same step."""
    store, race = written_race([[curve(2.5, 2.0)] * 2, [curve(2.0, 1.0), [5.0, 4.0, 3.5]]], ended=False)
    arms = results(race, Curves(store))
    # Three measurements over 40 steps are at 0, 20 and 40; five at 0, 10, 20, 30 and 40.
    assert [run.steps[-1] for arm in arms for run in arm.runs] == [40, 40, 40, 40]
    (race.members[1][1].path / "events.jsonl").unlink()
    assert verdict(race, Curves(store)).headline.startswith("No verdict yet")


def test_a_diverged_arm_is_told_and_left_out(written_race):
    store, race = written_race(
        [[curve(2.5, 2.0)] * 2, [curve(2.4, 1.9)] * 2, [curve(2.3, 1.8)] * 2], ("classic", "modern", "mixture")
    )
    for run in race.members[2]:
        status.declare(run.path, Status("diverged", "Diverged at step 3."))
    found = verdict(race, Curves(store))
    assert found.sentences[0].startswith("Mixture diverged in 2 of 2 seeds; those are left out.")
    assert "Mixture" not in found.headline
    assert found.table[2]["diverged"] == 2


def test_when_nothing_is_left_to_compare_it_is_said(written_race):
    store, race = written_race([[curve(2.5, 2.0)] * 2, [curve(2.4, 1.9)] * 2])
    for run in race.members[1]:
        status.declare(run.path, Status("diverged", "Diverged at step 3."))
    found = verdict(race, Curves(store))
    assert found.headline.startswith("Nothing is left to compare: Modern diverged in 2 of 2 seeds; those are left out.")
    assert found.comparisons == found.sentences == []


def test_a_ladder_adds_up(written_race):
    changes = ("norm=rmsnorm", "position=rope", "n_kv_head=1")
    arms = ["classic", *(f"{name}: classic + {' + '.join(changes[: i + 1])}" for i, name in enumerate("ABC"))]
    losses = [[curve(2.5, last + extra) for extra in (0.0, 0.1, 0.05)] for last in (2.0, 2.01, 1.5, 1.5)]
    losses[3] = [curve(2.5, last) for last in (1.52, 1.57, 1.54)]
    store, race = written_race(losses, arms)
    assert is_ladder(race.spec)
    found = verdict(race, Curves(store))
    assert [bar["name"] for bar in found.waterfall] == ["Classic", "+ RMSNorm", "+ RoPE", "+ KV heads 1"]
    assert [bar["value"] for bar in found.waterfall] == pytest.approx([2.05, 2.06, 1.55, 1.54333], abs=1e-5)
    assert [bar["outcome"] for bar in found.waterfall[1:]] == ["worse", "better", "unclear"]
    assert found.waterfall[2]["change"] == pytest.approx(-0.51)
    assert found.headline.startswith("C is better than Classic by 0.507 ±")
    assert found.headline.endswith("It has the lowest final loss of all 4.")
    assert found.sentences[-1] == (
        "Step by step: + RMSNorm makes it worse by 0.010 ±\u00a00.000; + RoPE makes it better by 0.510 ±\u00a00.000; the "
        "change from + KV heads 1 is not distinguishable from zero."
    )
    assert "3 comparisons with the first arm and 2 more with the previous arm are made" in found.rule
    assert "at 99 %" in found.rule, "five comparisons share five per cent"
    two_steps = [RaceSpec.from_dict({"arms": arms[:n], "shared": SHARED}) for n in (3, 4)]
    assert [is_ladder(spec) for spec in two_steps] == [False, True]


def test_more_comparisons_are_stricter():
    assert race_level(1) == race_level(2) == 0.02
    assert race_level(5) == pytest.approx(0.01)


def measured(spec, finals):
    """The arms of a race as if they had been measured: ``finals[arm][seed]``."""
    arms = []
    for arm, row in zip(plan(spec, lambda config: 256, lambda model, config: 1.0), finals, strict=True):
        arms.append(ArmResult(arm.name, arm.preset, arm.model, arm.train, 1, 1.0, runs(row)))
    return arms


def runs(finals):
    return tuple(
        RunCurve(seed, [0, 5], [0.0, 1.0], [5.0, loss], [7.0, 1.4 * loss], [0.0, 0.5], "finished")
        for seed, loss in enumerate(finals)
    )


def claims_something(found):
    bars = [bar["outcome"] for bar in found.waterfall[1:]]
    return bool({"better", "worse"} & {*bars, *(one.difference.outcome for one in found.comparisons)})


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["ladder", "best_rate", "classic_modern"])
def test_identical_arms_are_rarely_called_different_whatever_is_compared(recipe):
    """All that a race says together keeps the promise: steps of a ladder and the choice of a rate count too."""
    spec = race_of(RECIPES[recipe], SHARED, amount=5)
    rng, n = np.random.default_rng(0), 5000
    drawn = rng.normal(2.0, 0.05, (n, 1, 3)) + rng.normal(0, 0.05, (n, len(spec.arms), 3))
    arms = measured(spec, drawn[0].tolist())
    wrong = 0
    for finals in drawn.tolist():
        rows = [replace(arm, runs=runs(row)) for arm, row in zip(arms, finals, strict=True)]
        wrong += claims_something(judge(rows, spec))
    assert 0 < wrong / n <= 0.05 + 2 * (0.05 * 0.95 / n) ** 0.5, "the promise, and two standard errors of this count"


RATES = tuple(
    f"{name} {rate}: {name} + learning_rate={rate}" for name in ("classic", "modern") for rate in (0.001, 0.003, 0.01)
)


def test_each_model_is_compared_at_its_best_rate(written_race):
    finals = [(2.6, 2.7), (2.3, 2.4), (2.5, 2.1), (2.2, 2.3), (2.0, 2.1), (1.8, 1.91)]
    found = judged(written_race([[curve(3.0, last) for last in seeds] for seeds in finals], RATES))
    assert found.best == [2, 5], "by the mean over seeds: 2.35, 2.30 and 2.30; the lower one"
    assert found.headline.startswith(
        "Each at its best learning rate: Modern and Classic are not distinguishable: −0.445 ±"
    )
    assert found.sentences[:3] == [
        "Learning rates tried: 0.001, 0.003 and 0.01. Best: 0.01 for Classic (2.300 nats per token), 0.01 for Modern "
        "(1.855 nats per "
        "token).",
        "Classic's best is the highest tried, so a higher one may be better.",
        "Modern's best is the highest tried, so a higher one may be better.",
    ]
    assert [one.arm for one in found.comparisons] == ["Modern"]
    assert "equally many learning rates" in found.rule


def test_a_rate_that_diverged_is_nobodys_best(written_race):
    finals = [(2.6, 2.7), (2.3, 2.4), (1.0, 1.0), (2.2, 2.3), (2.0, 2.1), (2.1, 2.2)]
    store, race = written_race([[curve(3.0, last) for last in seeds] for seeds in finals], RATES)
    status.declare(race.members[2][0].path, Status("diverged", "Diverged at step 3."))
    found = verdict(race, Curves(store))
    assert found.best == [1, 4]
    assert "classic 0.01 diverged in 1 of 2 seeds" in " ".join(found.sentences)
    assert found.headline.startswith("Each at its best learning rate: Modern is better by 0.300")
    assert not any("still higher" in sentence for sentence in found.sentences)


@pytest.mark.parametrize(
    ("arms", "names"),
    [
        (RATES, ["Classic", "Modern"]),
        (RATES[:5], []),  # one of them would have more to choose from
        (RATES[:3], []),  # one model alone: its rates are the arms
        (("classic", "modern"), []),
        (("A: modern + learning_rate=0.1", "B: modern + optimizer=muon + learning_rate=0.2"), []),
    ],
)
def test_what_is_a_race_of_rates(arms, names):
    assert [family.name for family in families(RaceSpec.from_dict({"arms": list(arms)}))] == names


def test_the_headline_of_differences_is_the_config_diff(written_race):
    _, race = written_race([[curve(2.5, 2.0)]] * 2, ("Full: modern", "Window: modern + window=8"))
    assert what_differs(race) == ["Window: 0 → 8"]
    assert conditions(race) == (
        "Tales · 2 arms × 1 seed · 40 steps each · sizes as given · same batches in the same order · 32 tokens a step · "
        "learning rate 0.003"
    )
    _, other = written_race([[curve(2.5, 2.0)]] * 2, ("modern", "BPE: modern + tokenizer=bpe + learning_rate=0.1"))
    assert conditions(other).endswith("sizes as given · same text · 32 tokens a step")


@pytest.mark.parametrize(
    ("match", "widths", "words"),
    [
        ("none", (16, 32), "sizes as given"),
        ("parameters", (16, 16), "parameters equal"),
        ("flops", (16, 16), "FLOPs per token equal"),
    ],
)
def test_sizes_are_called_equal_as_nearly_as_they_are(match, widths, words):
    models = [ModelConfig(n_embd=width, n_head=2, n_kv_head=2) for width in widths]
    assert matched_words(match, models) == words


@pytest.mark.parametrize("match", ["parameters", "flops"])
def test_sizes_that_differ_a_little_are_said_to(match):
    models = [ModelConfig(n_embd=16, n_head=2, n_kv_head=2, mlp_width=hidden) for hidden in (40, 41)]
    first, second = (matched_size(model, match) for model in models)
    said = float(re.search(r"equal within ([\d.]+) %", matched_words(match, models))[1])
    assert said - 0.1 < 100 * (second / first - 1) <= said


def test_the_table_says_what_its_deviation_is(written_race):
    for losses, has in (([[curve(2.5, 2.0)]] * 2, False), ([[curve(2.5, 2.0), curve(2.5, 2.1)]] * 2, True)):
        store, race = written_race(losses, ("classic", "modern"))
        said = as_text(race, verdict(race, Curves(store)))
        assert ("± is the standard deviation over seeds" in said) is has
        assert ("2.0500 ± 0.0707" in said) is has


def test_the_note_on_the_table_says_when_its_errors_are_part_of_a_difference(written_race):
    for arms, words in (
        (
            ("classic", "modern"),
            "All arms are evaluated on the same windows, so it is not the error of their difference.",
        ),
        (("modern", "BPE: modern + tokenizer=bpe"), "only between arms that are evaluated on different windows."),
    ):
        store, race = written_race([[curve(2.5, 2.0)]] * 2, arms, error=0.01)
        found = verdict(race, Curves(store))
        assert found.table_note.endswith(words)
        assert race_news(race, Curves(store))["summary"]["table_note"] == found.table_note
        assert found.table_note in as_text(race, found)


def test_a_table_without_errors_has_no_column_for_them(written_race):
    for error, has in ((None, False), (0.01, True)):
        store, race = written_race([[curve(2.5, 2.0)]] * 2, ("classic", "modern"), error=error)
        found = verdict(race, Curves(store))
        said = as_text(race, found)
        assert bool(found.table_note) is ("s.e." in said) is ("s.e. (bits/byte)" in said) is has
        assert "\n\n\n" not in said


def test_real_races_between_identical_arms_claim_nothing(tmp_path):
    """Identical arms under one seed are identical to the last bit; the verdict says so."""
    store = RunStore(tmp_path)
    arms = ["A: modern", "B: modern"]
    spec = RaceSpec.from_dict({"arms": arms, "shared": SHARED, "amount": 20, "seeds": 3})
    race = create_race(store, prepare_race(spec))
    execute_race(race)
    assert verdict(race, Curves(store)).headline == "B and A are identical: every difference is exactly 0."


def test_news_are_complete_at_first_and_nothing_when_nothing_happens(written_race):
    store, race = written_race([[curve(2.5, 2.0)] * 2, [curve(2.4, 1.9)] * 2])
    curves = Curves(store)
    first = race_news(race, curves)
    assert [row["i"] for row in first["rows"]] == [0, 1, 2, 3]
    assert first["rows"][2]["validation"]["loss"] == [5.0, 4.0, 3.0, 2.4, 1.9]
    assert first["rows"][0]["train"]["step"] == list(range(1, 41))
    arm = first["head"]["arms"][1]
    model = race.members[1][0].model
    assert (arm["parameters"], arm["flops_per_token"]) == (count_parameters(model), training_flops(model))
    second = race_news(race, curves, first["cursor"])
    assert not {"head", "summary", "rows"} & second.keys()
    assert len(json.dumps(second, allow_nan=False)) < 400


def test_news_are_only_what_is_new(written_race):
    store, race = written_race([[curve(2.5)], [curve(2.4)]], ended=False)
    curves = Curves(store)
    first = race_news(race, curves)
    with LogWriter(race.members[1][0].log) as log:
        log.append(Evaluated(41, 1312, 20.5, 1.9, 0.3))
    second = race_news(race, curves, first["cursor"])
    assert [row["i"] for row in second["rows"]] == [1]
    assert second["rows"][0]["validation"]["loss"] == [1.9]
    assert second["rows"][0]["reset"] is False


@pytest.mark.parametrize("forged", ["x", 3, None, "0000.0000", "ffff.ffff,ffff.9.9", ["a"], "0" * 5000, {"a": 1}])
def test_forged_cursors_cost_a_full_answer_and_nothing_else(written_race, forged):
    store, race = written_race([[curve(2.5, 2.0)], [curve(2.4, 1.9)]])
    curves = Curves(store)
    assert race_news(race, curves, forged).keys() == race_news(race, curves).keys()


def test_csv_has_every_measurement_and_no_formulas(written_race):
    store, race = written_race([[curve(2.5, 2.0)], [curve(2.4, 1.9)]], ("=1+1: classic", "modern"))
    rows = csv_rows(race, Curves(store))
    assert len(rows) == 10
    record = dict(zip(CSV_COLUMNS, rows[4], strict=True))
    assert record["arm"] == "'=1+1"
    assert (record["seed"], record["step"], record["loss"]) == (0, 40, 2.0)
    assert record["flops"] == pytest.approx(40 * 32 * training_flops(race.members[0][0].model))


def test_memory_counts_weights_gradients_moments_and_activations(written_race):
    _, race = written_race([[curve(2.5, 2.0)], [curve(2.4, 1.9)]])
    run = race.members[0][0]
    fixed = 16 * count_parameters(run.model)
    one = training_memory(run.model, run.train)
    two = training_memory(run.model, run.train.replace(batch_size=4))
    assert fixed < one < fixed + 2_000_000
    assert (two - fixed) == pytest.approx(2 * (one - fixed), rel=0.15)
    sgd = training_memory(run.model, run.train.replace(optimizer="sgd"))
    assert one - sgd == pytest.approx(4 * count_parameters(run.model), rel=0.05)


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_can_be_raced(name):
    small = {"corpus_bytes": 50_000, "n_layer": 1, "n_embd": 32, "block_size": 64, "batch_size": 2}
    prepared = prepare_race(race_of(RECIPES[name], small, amount=2, seeds=1))
    assert len(prepared.arms) >= 2
    if prepared.spec.match == "flops":
        costs = [arm.flops_per_token for arm in prepared.arms]
        assert max(costs) / min(costs) < 1.02
    if prepared.spec.match == "parameters":
        sizes = [arm.parameters for arm in prepared.arms]
        assert max(sizes) / min(sizes) < 1.02


def test_a_race_file_that_cannot_be_read_is_refused(tmp_path):
    with pytest.raises(ValueError, match="Cannot read"):
        read_spec(tmp_path / "none.json")
    (tmp_path / "bad.json").write_text("{")
    with pytest.raises(ValueError, match=r"bad\.json is not JSON"):
        read_spec(tmp_path / "bad.json")
