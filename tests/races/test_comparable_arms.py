"""Arms are compared only in what means the same for both: tokens, validation texts and speeds."""

import json
import math
from dataclasses import fields, replace
from statistics import NormalDist

import numpy as np
import pytest

from playground.config import TrainConfig
from playground.data.batches import DocumentWindows, Spread
from playground.races.comparison import differences
from playground.races.report import as_text
from playground.races.results import ArmResult, RunCurve, results
from playground.races.statistics import paired_difference
from playground.races.verdict import judge, verdict
from playground.races.words import conditions
from playground.runs.comparable import BITS, NATS, Measure, common_unit, windows_of
from playground.runs.create import create_run, prepare_run
from playground.runs.curves import Curves
from playground.runs.races import create_race, prepare_race
from playground.runs.store.run_store import RunStore
from playground.runs.worker import racing
from playground.runs.worker.execution import execute
from playground.runs.worker.racing import execute_race
from playground.train.race import plan
from playground.train.race_spec import RaceSpec
from tests.races.conftest import SHARED

VOCABULARIES = ("Small: modern + tokenizer=bpe + bpe_vocab=270", "Large: modern + tokenizer=bpe + bpe_vocab=330")
X, Y = (Measure(tokens, "text", True) for tokens in "xy")


def losses(last):
    return [[5.0, 4.0, 3.0, 2.5, last + 0.001 * seed] for seed in range(3)]


def test_two_vocabularies_of_one_kind_are_compared_in_bits_per_byte(written_race):
    """The larger vocabulary loses more per token and less per byte."""
    store, race = written_race([losses(2.0), losses(3.3)], VOCABULARIES, nats=(2.0, 0.5), error=0.01)
    found = verdict(race, Curves(store))
    assert found.unit == BITS
    assert found.headline.startswith("Large is better by 2.351 ±")
    assert "bits per byte" in found.headline and "nats" not in found.headline + found.rule
    assert "final validation losses in bits per byte are subtracted" in found.rule
    assert "the same batches" not in found.rule, "it is untrue of different tokens"
    assert found.sentences[-1].startswith("Their tokens differ, so bits per byte are compared")
    assert "same batches" not in conditions(race)


def test_the_same_vocabulary_is_compared_per_token(written_race):
    arms = (VOCABULARIES[0], "Wide: modern + tokenizer=bpe + bpe_vocab=270 + learning_rate=0.1")
    store, race = written_race([losses(2.0), losses(2.3)], arms)
    found = verdict(race, Curves(store))
    assert found.unit == NATS and "is worse by 0.300" in found.headline
    assert "(the same seed reads the same batches in the same order)" in found.rule


def test_a_real_race_of_two_vocabularies(tmp_path):
    store = RunStore(tmp_path)
    spec = RaceSpec.from_dict({"arms": list(VOCABULARIES), "shared": SHARED, "amount": 12, "seeds": 2, "match": "none"})
    race = create_race(store, prepare_race(spec))
    execute_race(race)
    found = verdict(race, Curves(store))
    bits = [row["bits_per_byte"] for row in found.table]
    assert found.unit == BITS and found.comparisons[0].difference.mean == pytest.approx(bits[1] - bits[0], abs=1e-4)
    assert all(0 < row["loss_se"] < 1 for row in found.table), "every loss has its standard error"
    scales = [row["bits_per_byte"] / row["loss"] for row in found.table]
    assert [row["bits_per_byte_se"] for row in found.table] == pytest.approx(
        [row["loss_se"] * scale for row, scale in zip(found.table, scales, strict=True)], rel=1e-3
    )
    assert f"{found.table[1]['bits_per_byte_se']:.4f}" in as_text(race, found)


def test_documents_kept_apart_are_other_tokens_of_the_same_text(written_race):
    """The token between documents is a target, so losses per token differ in what they count; bits per byte do not."""
    arms = [
        VOCABULARIES[0] + " + documents=joined",
        "Apart: modern + tokenizer=bpe + bpe_vocab=270 + documents=separated",
    ]
    store, race = written_race([losses(2.0), losses(2.3)], arms, error=0.01)
    found = verdict(race, Curves(store))
    assert found.unit == BITS and found.comparisons[0].difference.outcome == "worse"
    assert found.sentences[-1].startswith("Their tokens or document settings differ")


def test_batches_differ_with_their_size_and_the_rule_says_so(written_race):
    store, race = written_race([losses(2.0), losses(1.5)], ("modern", "Big: modern + batch_size=4"))
    found = verdict(race, Curves(store))
    assert found.headline.startswith("Big is better by 0.500")
    assert "the arms read different batches" in found.rule and "the same batches" not in found.rule


@pytest.mark.parametrize(
    ("first", "others", "unit", "compared"),
    [
        (X, [X, X], NATS, [True, True]),
        (X, [X, Y], BITS, [True, True]),
        (X, [Y, replace(Y, bits=False)], BITS, [True, False]),
        (replace(X, bits=False), [replace(X, bits=False), Y], NATS, [True, False]),
        (replace(X, bits=False), [replace(X, bits=False)], NATS, [True]),
        (X, [replace(X, text="other"), X], NATS, [False, True]),
        (X, [replace(Y, text="other"), Y], BITS, [False, True]),
        (replace(X, bits=None), [replace(Y, bits=None)], BITS, [True]),
    ],
)  # fmt: skip
def test_the_unit_and_who_can_be_compared_in_it(first, others, unit, compared):
    found, reasons = common_unit(first, others)
    assert found == unit
    assert [not reason for reason in reasons] == compared


def measured(spec, rows):
    """Arms with two measurements a seed; `rows` holds loss, bits per byte (or None) and speed by arm and seed."""
    arms = []
    for arm, (measure, seeds) in zip(plan(spec, lambda config: 256, lambda model, config: 1.0), rows, strict=True):
        runs = tuple(
            RunCurve(seed, [0, 5], [0.0, 1.0], [5.0, loss], bits and [7.0, bits], [0.0, 0.5], "finished", speed)
            for seed, (loss, bits, speed) in enumerate(seeds)
        )
        arms.append(ArmResult(arm.name, arm.preset, arm.model, arm.train, 1, 1.0, runs, "", measure))
    return arms


def spec_of(n_seeds):
    return RaceSpec.from_dict({"arms": ["A: modern", "B: modern"], "shared": SHARED, "amount": 5, "seeds": n_seeds})


def test_without_bits_per_byte_there_is_no_verdict_and_a_sentence_says_why():
    rows = [(X, [(2.0, 1.8, 1.0)] * 3), (replace(Y, bits=False), [(0.1, None, 1.0)] * 3)]
    found = judge(measured(spec_of(3), rows), spec_of(3))
    assert found.comparisons == []
    assert "B and A have different tokens, and B's tokenizer does not give back the text" in found.headline
    assert found.table[1]["bits_per_byte"] is None and found.table[1]["loss"] == pytest.approx(0.1)


def test_on_another_validation_text_there_is_no_verdict():
    rows = [(X, [(2.0, 1.8, 1.0)] * 3), (replace(X, text="other"), [(1.0, 0.9, 1.0)] * 3)]
    found = judge(measured(spec_of(3), rows), spec_of(3))
    assert found.comparisons == []
    assert found.headline == (
        "Nothing is left to compare: B was measured on another validation text than A, so there is no verdict between them."
    )


@pytest.mark.slow
@pytest.mark.parametrize("n_seeds", [1, 2, 3])
def test_identical_arms_on_a_noisy_machine_get_no_ratio_of_speeds(n_seeds):
    """200 races of identical arms whose steps take as long as chance has it, in two arms of one pair alike."""
    rng, claims = np.random.default_rng(n_seeds), 0
    for _ in range(200):
        together = rng.normal(0, 0.3, n_seeds)
        speeds = np.exp(together + rng.normal(0, 0.1, (2, n_seeds))) * 1000
        rows = [(X, [(loss, 1.0, speed) for loss, speed in zip(rng.normal(2, 0.01, n_seeds), arm, strict=True)])
                for arm in speeds.tolist()]  # fmt: skip
        found = judge(measured(spec_of(n_seeds), rows), spec_of(n_seeds))
        claims += any("token costs" in sentence for sentence in found.sentences)
    assert claims <= 10, "at most 5 of 100"
    assert n_seeds > 1 or claims == 0, "with one seed there is no interval, so nothing is claimed"


def test_a_clear_ratio_of_speeds_is_claimed_with_its_interval():
    speeds = ([1000.0, 800.0, 1200.0], [500.0, 405.0, 595.0])
    rows = [(X, [(2.0 + 0.1 * s, 1.0, speed) for s, speed in enumerate(arm)]) for arm in speeds]
    found = judge(measured(spec_of(3), rows), spec_of(3))
    ratios = np.log(np.divide(*speeds))
    half = 6.96456 * ratios.std(ddof=1) / 3**0.5  # t(0.99, 2)
    low, high = np.exp(ratios.mean() - half), np.exp(ratios.mean() + half)
    assert found.sentences == [
        f"B's time per token is {np.exp(ratios.mean()):.2f} × that of A ({low:.2f} to {high:.2f})."
    ]


# Which part of the validation text is measured


@pytest.mark.parametrize("order", [("separated", "isolated"), ("isolated", "separated")])
def test_arms_that_keep_documents_apart_differently_read_different_batches(tmp_path, order):
    """Both have the same tokenizer, so what was prepared for one is not what the other trains on."""
    store = RunStore(tmp_path)
    arms = [f"{name}: modern + documents={name}" for name in order]
    spec = RaceSpec.from_dict({"arms": arms, "shared": SHARED, "amount": 12, "seeds": 2, "match": "none"})
    race = create_race(store, prepare_race(spec))
    execute_race(race)
    curves = Curves(store)
    one, two = (curves.evaluations(race.members[arm][0])["loss"].tolist() for arm in (0, 1))
    assert one != two
    assert verdict(race, curves).comparisons[0].difference.outcome != "identical"
    alone = RunStore(tmp_path / "alone")
    run = race.members[0][0]
    again = alone.create(run.model, run.train, run.tokenizer, name="alone", preset="modern")
    execute(again)
    assert Curves(alone).evaluations(again)["loss"].tolist() == one, "an arm is trained as it would be alone"


def test_every_setting_counts_for_a_dataset_unless_it_is_one_of_training_alone():
    assert {"documents", "tokenizer", "corpus", "task_version", "prompt"}.isdisjoint(racing._OF_TRAINING_ALONE)
    assert {item.name for item in fields(TrainConfig)} > racing._OF_TRAINING_ALONE


def test_arms_must_be_measured_on_as_much_text():
    arms = ["A: modern", "B: modern + eval_tokens=4096"]
    spec = RaceSpec.from_dict({"arms": arms, "shared": SHARED, "amount": 12, "seeds": 2, "match": "none"})
    with pytest.raises(ValueError, match=r"Evaluation tokens differs between the arms \(64, 4096\)"):
        prepare_race(spec)


def with_other_windows(arms):
    return [arm if number == 0 else replace(arm, windows=("other",)) for number, arm in enumerate(arms)]


def test_an_interval_between_other_windows_holds_what_all_seeds_share(written_race):
    """As in a race that was run before arms had to be measured alike."""
    store, race = written_race([losses(2.0), losses(2.03)], error=0.02)
    arms = results(race, Curves(store))
    same, other = judge(arms, race.spec), judge(with_other_windows(arms), race.spec)
    assert same.comparisons[0].difference.outcome == "worse" and "windows" not in same.rule.split("An arm is called")[1]
    expected = NormalDist().inv_cdf(0.99) * math.hypot(0.02, 0.02)
    assert other.comparisons[0].difference.half == pytest.approx(math.hypot(expected, 0), rel=1e-3)
    assert other.comparisons[0].difference.outcome == "unclear" and other.comparisons[0].costs == {}
    assert "includes the standard errors of both losses over windows" in other.rule


def test_without_a_standard_error_other_windows_have_no_verdict(written_race):
    store, race = written_race([losses(2.0), losses(1.0)])
    found = judge(with_other_windows(results(race, Curves(store))), race.spec)
    assert found.comparisons == [] and "evaluated on other windows of the validation text" in found.headline


@pytest.mark.parametrize(("validation_tokens", "same"), [(1_000, True), (4_097, True), (4_113, False), (9_000, False)])
def test_windows_differ_only_where_other_ones_were_evaluated(written_race, validation_tokens, same):
    """A race from before arms had to be measured alike: of a shorter text, both arms evaluated all there is."""
    store, race = written_race([losses(2.0), losses(1.0)], validation_tokens=validation_tokens)
    for arm, eval_tokens in zip(race.members, (4_096, 1_000_000), strict=True):
        for run in arm:
            values = json.loads((run.path / "run.json").read_text())
            values["train"]["eval_tokens"] = eval_tokens
            (run.path / "run.json").write_text(json.dumps(values))
    old = replace(race)
    assert [arm[0].train.eval_tokens for arm in old.members] == [4_096, 1_000_000]
    found = verdict(old, Curves(store))
    assert ("evaluated on other windows" in found.headline) is not same
    assert (len(found.comparisons) == 1 and "is better by 1.000" in found.headline) is same


@pytest.mark.parametrize("documents", ["joined", "isolated"])
def test_equal_windows_are_those_that_an_evaluation_reads(tmp_path, documents):
    rng, same, other = np.random.default_rng(0), 0, 0
    run = create_run(RunStore(tmp_path), prepare_run("modern", {"block_size": 16}, {"corpus_bytes": 50_000}))
    for _ in range(300):
        stream = rng.integers(0, 40, int(rng.integers(20, 400)))
        among = DocumentWindows.of(stream, 0, 16) if documents == "isolated" else None
        read, keys = [], []
        for eval_tokens in rng.integers(64, 500, 2).tolist():
            train = run.train.replace(eval_tokens=eval_tokens, documents=documents)
            keys.append(windows_of(replace(run, train=train), len(stream)))
            read.append(Spread.of(len(stream), 16, eval_tokens, among).offsets.tolist())
        if keys[0] == keys[1]:
            assert read[0] == read[1]
            same += 1
        elif documents == "joined":  # of isolated documents, the log does not have the number of windows
            assert read[0] != read[1]
            other += 1
    assert same > 20 and (other > 20 or documents == "isolated")


def test_identical_models_on_other_windows_are_rarely_called_different():
    """The text moves all seeds by the same amount, which their spread does not show."""
    rng = np.random.default_rng(0)
    wrong = dict.fromkeys((0.0, math.hypot(0.02, 0.02)), 0)
    for _ in range(2_000):
        shift = rng.normal(0, 0.02, 2)
        a, b = (rng.normal(1.5 + each, 0.002, 3).tolist() for each in shift)
        for error in wrong:
            wrong[error] += paired_difference(a, b, shared_error=error).outcome in ("better", "worse")
    without, within = wrong.values()
    assert within <= 0.02 * 2_000 + 3 * math.sqrt(40), "at most the level"
    assert without > 1_000, "and otherwise most would be"


def test_what_is_evaluated_is_among_the_differences(tmp_path):
    store = RunStore(tmp_path)
    prepared = [
        prepare_run("modern", {"block_size": 16}, {"corpus_bytes": 50_000, "eval_tokens": n}) for n in (64, 4096)
    ]
    runs = [create_run(store, one) for one in prepared]
    assert ["Evaluation tokens", "64", "4096"] in differences(runs).to_numpy().tolist()
