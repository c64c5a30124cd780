"""What a race is, how arms are matched, what a budget pays for, and in which order steps are taken."""

import json
from collections import Counter

import pytest
import torch

from playground.config import preset
from playground.models.transformer import Transformer, initialise
from playground.train.estimate import count_parameters
from playground.train.events import Diverged, Finished, StepDone
from playground.train.flops import training_flops
from playground.train.race import Lane, interleave, match_model, plan
from playground.train.race_spec import Arm, RaceSpec, parse_arm, written

SHARED = {"n_layer": 2, "n_embd": 32, "n_head": 4, "block_size": 32, "batch_size": 4, "corpus_bytes": 100_000}
TWO = (Arm("Classic", "classic"), Arm("Modern", "modern"))


def planned(pace=1.0, **changes):
    spec = RaceSpec(**{"name": "a race", "arms": TWO, "shared": SHARED, **changes})
    return plan(spec, lambda config: 256, lambda model, config: pace)


def test_a_race_survives_json():
    spec = RaceSpec("r", (TWO[0], Arm("x", "modern", {"window": 8})), SHARED, "tokens", 1e6, (3, 5), "flops", "width")
    assert RaceSpec.from_dict(json.loads(json.dumps(spec.to_dict()))) == spec


@pytest.mark.parametrize(
    "text",
    ["modern", "classic + position=rope + bias=false", "Wide: modern + n_embd=96", "modern + learning_rate=0.01"],
)
def test_arms_in_short_read_back(text):
    assert written(parse_arm(text)) == text
    assert parse_arm(written(parse_arm(text))) == parse_arm(text)


def test_an_arm_in_short_means_its_settings():
    assert parse_arm("Muon: modern + optimizer=muon + n_kv_head=1 + bias=true") == Arm(
        "Muon", "modern", {"optimizer": "muon", "n_kv_head": 1, "bias": True}
    )
    assert parse_arm("modern + norm=layernorm").name == "Modern, Norm LayerNorm"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "'arms' must be a list"),
        ({"arms": ["modern"]}, "2 to 8 arms; this one has 1"),
        ({"arms": ["modern"] * 9}, "2 to 8 arms; this one has 9"),
        ({"arms": ["modern", "modern"]}, "Two arms are called 'Modern'"),
        ({"arms": ["modern", "gpt5"]}, "must start from one of classic, modern, mixture"),
        ({"arms": ["modern", "classic + wings=2"]}, "'wings=2' is no change"),
        ({"arms": ["modern", 3]}, "An arm is text or an object"),
        ({"arms": ["modern", {"name": "a", "preset": "modern", "changes": 3}]}, "must be an object of settings"),
        ({"arms": ["modern", {"name": "", "preset": "modern"}]}, "1 to 40 printable characters"),
        ({"arms": ["modern", "classic"], "seeds": 6}, "Seeds must be 1 to 5; 6"),
        ({"arms": ["modern", "classic"], "seeds": [1, 1]}, "different whole numbers"),
        ({"arms": ["modern", "classic"], "seeds": "three"}, "a number or a list of numbers"),
        ({"arms": ["modern", "classic"], "budget": "euros"}, "Budget must be one of steps, tokens, flops, seconds"),
        ({"arms": ["modern", "classic"], "amount": -1}, "must be a number above 0"),
        ({"arms": ["modern", "classic"], "amount": "many"}, "must be a number above 0"),
        ({"arms": ["modern", "classic"], "match": "weight"}, "Match must be one of"),
        ({"arms": ["modern", "classic"], "shared": {"steps": 9}}, "steps follow from its budget"),
        ({"arms": ["modern", "classic"], "shared": {"seed": 9}}, "sets the seeds itself"),
        ({"arms": ["modern", "classic"], "shared": {"nonsense": 9}}, "Unknown setting 'nonsense'"),
        ({"arms": ["modern", "classic"], "prize": 1}, "Unknown entry 'prize'"),
        ([], "A race is a JSON object"),
    ],
)
def test_wrong_races_are_refused_in_one_sentence(values, words):
    with pytest.raises(ValueError, match=r"[.]") as refusal:
        RaceSpec.from_dict(values)
    assert words in str(refusal.value)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("match", ["parameters", "flops"])
def test_mlp_size_is_solved_to_the_closest(match):
    """No other size comes closer, tried one by one."""
    worth = {"parameters": count_parameters, "flops": training_flops}[match]
    classic, modern = (preset(name, n_layer=2, n_embd=32, n_head=4, block_size=32) for name in ("classic", "modern"))
    found, words = match_model(modern, match, "mlp", worth(classic))
    around = {size: abs(worth(modern.replace(mlp_width=size)) - worth(classic)) for size in range(8, 200)}
    assert found.mlp_width == min(around, key=around.get)
    assert words == f"MLP hidden size {modern.mlp_hidden} → {found.mlp_width}"
    assert worth(found) == pytest.approx(worth(classic), rel=0.01)


def test_width_is_solved_in_steps_of_heads():
    classic = preset("classic", n_layer=4, n_embd=120, block_size=256)
    narrow = preset("modern", n_layer=4, n_embd=64, block_size=256)
    found, _ = match_model(narrow, "parameters", "width", count_parameters(classic))
    assert found.n_embd == 128
    assert found.mlp_width == 0


def test_what_cannot_be_matched_is_refused_with_the_closest():
    with pytest.raises(
        ValueError, match=r"Arm Deep: It cannot be matched: MLP hidden size 8 comes closest, with [\d,]+ param"
    ):
        planned(arms=(TWO[0], Arm("Deep", "modern", {"n_layer": 12})))


def test_unmatched_arms_stay_as_they_are():
    arms = planned(match="none")
    assert [arm.solved for arm in arms] == ["", ""]
    assert arms[1].model == preset("modern", n_layer=2, n_embd=32, n_head=4, block_size=32)


@pytest.mark.parametrize(
    ("budget", "amount", "steps"),
    [("steps", 50, 50), ("tokens", 128 * 40 + 127, 40), ("seconds", 25.0, 50), ("flops", None, 30)],
)
def test_a_budget_pays_for_whole_steps(budget, amount, steps):
    flops = planned()[0].flops_per_token
    amount = amount or flops * 128 * 30 * 1.001
    arms = planned(budget=budget, amount=amount, pace=0.5, match="flops")
    assert arms[0].train.steps == steps
    for arm in arms:
        assert arm.train.warmup_steps == min(50, arm.train.steps // 10)
        if budget == "flops":
            assert arm.train.steps == int(amount / (arm.flops_per_token * 128))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"budget": "tokens", "amount": 100}, "0 steps, too small to evaluate once"),
        ({"amount": 10, "shared": {**SHARED, "eval_interval": 50}}, "too small to evaluate once (after 50 steps)"),
        ({"amount": 1e7}, "at most 100,000"),
        (
            {"arms": (TWO[0], Arm("Short", "modern", {"block_size": 16}))},
            "Context length differs between the arms (32, 16)",
        ),
        ({"shared": {**SHARED, "n_head": 3}}, "Arm Classic: Embedding size 32 is not divisible by 3 heads"),
    ],
)
def test_races_that_cannot_be_run_are_refused(changes, words):
    with pytest.raises(ValueError, match=r"[.]") as refusal:
        planned(**changes)
    assert words in str(refusal.value)


def test_arms_start_from_the_same_numbers_where_shapes_agree():
    classic, modern = (initialise(Transformer(arm.model), 3).state_dict() for arm in planned())
    shared = [name for name in classic.keys() & modern.keys() if classic[name].shape == modern[name].shape]
    assert {"embed.weight", "blocks.0.attn.query.weight", "blocks.1.attn.out.weight"} <= set(shared)
    for name in shared:
        assert torch.equal(classic[name], modern[name]), name


def fake(steps, diverges_at=None):
    for step in range(1, steps + 1):
        if step == diverges_at:
            yield Diverged(step, 0.1, ())
            return
        yield StepDone(step, step, 0.0, 1.0, 1.0, 0.1)
    yield Finished(0, 0, 0.0)


def test_steps_are_taken_in_turns():
    order = [(index, getattr(event, "step", 0)) for index, event in interleave([Lane(fake(3), 3), Lane(fake(3), 3)])]
    assert order == [(0, 1), (1, 1), (0, 2), (1, 2), (0, 3), (1, 3), (0, 0), (1, 0)]


def test_lanes_of_different_length_arrive_together():
    lanes = [Lane(fake(10), 10), Lane(fake(30), 30)]
    for index, event in interleave(lanes):
        if isinstance(event, StepDone):
            assert abs(lanes[0].step / 10 - lanes[1].step / 30) <= 0.1 + 1e-9, (index, event)


def test_one_that_diverges_leaves_the_others_going():
    seen = Counter(index for index, event in interleave([Lane(fake(5, diverges_at=2), 5), Lane(fake(5), 5)]))
    assert seen == {0: 2, 1: 6}


def test_names_of_arms_with_many_changes_fit_and_are_understood_again() -> None:
    few = parse_arm("classic + position=rope + bias=false")
    assert few.name == "Classic, position RoPE, bias no"
    many = parse_arm("classic + position=rope + bias=false + norm=rmsnorm + mlp=swiglu + qk_norm=true")
    assert len(many.name) == 40 and many.name.endswith("…")
    for arm in (few, many):
        assert parse_arm(written(arm)) == arm and ":" not in written(arm)
