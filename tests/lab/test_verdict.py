"""What a race's verdict says, against numbers worked out by hand; and real races between identical arms."""

import json

import pytest

from playground.lab.footprint import training_memory
from playground.lab.race_command import CSV_COLUMNS, csv_rows, read_spec
from playground.lab.race_view import race_news
from playground.lab.recipes import RECIPES, race_of
from playground.lab.verdict import conditions, is_ladder, race_level, results, verdict, what_differs
from playground.runs import status
from playground.runs.curves import Curves
from playground.runs.log import LogWriter
from playground.runs.races import create_race, prepare_race
from playground.runs.racing import execute_race
from playground.runs.status import Status
from playground.runs.store import RunStore
from playground.train.estimate import count_parameters
from playground.train.events import Evaluated
from playground.train.flops import training_flops
from playground.train.race import RaceSpec
from tests.lab.conftest import NATS, SHARED


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
    assert cost.startswith("To reach Classic's final loss, Modern needed 0.75 × the tokens, ")
    assert "0.75 × the time" in cost
    assert "A token costs Modern 1.00 × the time." in cost
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


def test_one_seed_has_no_interval_and_says_so(written_race):
    found = judged(written_race([[curve(2.5, 2.0)], [curve(2.4, 1.9)]]))
    assert "no interval exists" in found.headline
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


def test_a_ladder_adds_up(written_race):
    arms = ["classic", "A: classic + norm=rmsnorm", "B: classic + norm=rmsnorm + position=rope"]
    losses = [
        [curve(2.5, 2.0), curve(2.5, 2.1)],
        [curve(2.5, 2.01), curve(2.5, 2.11)],
        [curve(2.5, 1.5), curve(2.5, 1.6)],
    ]
    store, race = written_race(losses, arms)
    assert is_ladder(race)
    bars = verdict(race, Curves(store)).waterfall
    assert [bar["name"] for bar in bars] == ["Classic", "+ RMSNorm", "+ RoPE"]
    assert [bar["value"] for bar in bars] == pytest.approx([2.05, 2.06, 1.55])
    assert [bar["outcome"] for bar in bars[1:]] == ["worse", "better"]
    assert bars[2]["change"] == pytest.approx(-0.51)


def test_more_comparisons_are_stricter():
    assert race_level(1) == race_level(2) == 0.02
    assert race_level(5) == pytest.approx(0.01)


def test_the_headline_of_differences_is_the_config_diff(written_race):
    _, race = written_race([[curve(2.5, 2.0)]] * 2, ("Full: modern", "Window: modern + window=8"))
    assert what_differs(race) == ["Window: 0 → 8"]
    assert conditions(race).startswith("2 arms × 1 seed · 40 steps each · not matched")


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
