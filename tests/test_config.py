"""Bad settings get one sentence that names the field, the value and the remedy."""

import json
import re
from dataclasses import fields
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from playground.config import (
    PRESETS,
    GenerationConfig,
    ImportedModelConfig,
    ModelConfig,
    TrainConfig,
    apart,
    config_diff,
    counted,
    duration,
    listed,
    moved,
    preset,
)
from playground.runs.limits import Limits
from playground.train.race_spec import RaceSpec
from playground.ui.links import Setup

BAD = [
    (ModelConfig, dict(n_layer=float("nan")), "Layers must be a number. You sent NaN."),
    (ModelConfig, dict(n_layer=None), "Layers must be a number. You sent None."),
    (ModelConfig, dict(n_layer=""), "Layers must be a number. You sent ''."),
    (ModelConfig, dict(n_layer=True), "Layers must be a number. You sent True."),
    (ModelConfig, dict(n_layer=[4]), "Layers must be a number. You sent [4]."),
    (ModelConfig, dict(n_layer=3.7), "Layers must be a whole number; 3.7 is not."),
    (ModelConfig, dict(n_layer=float("inf")), "Layers must be a finite number. You sent inf."),
    (ModelConfig, dict(n_layer=0), "Layers must be 1 to 24; 0 is not."),
    (ModelConfig, dict(block_size=10**9), "Context length must be 8 to 2048; 1000000000 is not."),
    (ModelConfig, dict(norm="batchnorm"), "Norm must be one of layernorm, rmsnorm. You sent 'batchnorm'."),
    (ModelConfig, dict(norm=["rmsnorm"]), "Norm must be one of layernorm, rmsnorm. You sent ['rmsnorm']."),
    (ModelConfig, dict(bias="yes"), "Biases must be true or false. You sent 'yes'."),
    (ModelConfig, dict(n_embd=100, n_head=3, n_kv_head=3), "Embedding size 100 is not divisible by 3 heads. Try 99 or 102."),
    (ModelConfig, dict(n_head=8, n_kv_head=3), "KV heads (3) must divide Heads (8): use one of 1, 2, 4, 8."),
    (ModelConfig, dict(n_embd=36, position="rope"), "RoPE needs an even head size; embedding size 36 / 4 heads = 9."),
    (ModelConfig, dict(n_sink=4), "Sinks (4) require a sliding window: set Window above 0, or Sinks to 0."),
    (ModelConfig, dict(head_size=9, position="rope"), "RoPE needs an even head size; 9 is odd."),
    (ModelConfig, dict(n_embd=120, position="rope", rope_fraction=0.5, n_head=4), "RoPE fraction 0.5 of a head of 30 is 15"),
    (ModelConfig, dict(position="rope", rope_fraction=0), "RoPE fraction 0 of a head of 32 is 0 dimensions; it must"),
    (ModelConfig, dict(rope_fraction=1.5), "RoPE fraction must be 0 to 1; 1.5 is not."),
    (ModelConfig, dict(norm_eps=0), "Norm epsilon must be 1e-12 to 0.1; 0 is not."),
    (ModelConfig, dict(norm_placement="sandwich"), "Norm placement must be one of pre, post. You sent 'sandwich'."),
    (ModelConfig, dict(qk_norm=1), "QK-norm must be true or false. You sent 1."),
    (
        ModelConfig, dict(mlp="relu"),
        "MLP must be one of gelu, gelu_exact, relu2, swiglu, geglu, clamped_swiglu. You sent 'relu'.",
    ),
    (ModelConfig, dict(global_every=2), "Full-attention interval (2) requires a sliding window for the other layers: set "
        "Window"),
    (ModelConfig, dict(window=8, global_every=1), "Full-attention interval 1 gives every layer full attention, so the "
        "window has no effect"),
    (ModelConfig, dict(window=8, global_every=6), "Full-attention interval 6 selects no layer of 4: use 2 to 4, or 0."),
    (ModelConfig, dict(n_expert=0), "Experts must be 1 to 64; 0 is not."),
    (ModelConfig, dict(n_expert_active=2), "Active experts (2) must not exceed Experts (1). Lower Active experts or raise"),
    (ModelConfig, dict(n_expert=4, n_expert_active=8), "Active experts (8) must not exceed Experts (4)."),
    (ModelConfig, dict(shared_expert=True), "Shared expert requires a mixture of experts: set Experts to 2 or more"),
    (ModelConfig, dict(sink_logit="yes"), "Sink logit must be one of none, zero, learned. You sent 'yes'."),
    (ModelConfig, dict(logit_softcap=-1), "Logit soft-cap must be 0 to 1000; -1 is not."),
    (ModelConfig, dict(init="xavier"), "Initialization must be one of gpt2, depth_scaled, zero. You sent 'xavier'."),
    (TrainConfig, dict(balance_loss=float("nan")), "Load-balancing loss must be a number. You sent NaN."),
    (TrainConfig, dict(router_z_loss=2), "Router z-loss must be 0 to 1; 2 is not."),
    (ModelConfig, dict(foo=1), "Unknown setting 'foo'."),
    (TrainConfig, dict(learning_rate=0), "Learning rate must be 1e-06 to 1; 0 is not."),
    (TrainConfig, dict(steps=20, warmup_steps=500), "Warm-up steps (500) must not exceed Steps (20). Lower Warm-up steps."),
    (TrainConfig, dict(bpe_vocab=255), "BPE vocabulary size must be 256 to 32000; 255 is not."),
    (TrainConfig, dict(tokenizer="wordpiece"), "Tokenizer must be one of byte, char, bpe, imported. You sent 'wordpiece'."),
    (TrainConfig, dict(seed=2**70), "Seed must be 0 to 4294967295"),
    (TrainConfig, dict(prompt="x" * 3000), "Prompt has 3,000 characters; the limit is 2,000. Shorten it."),
    (GenerationConfig, dict(top_p=float("nan")), "Top-p must be a number. You sent NaN."),
    (GenerationConfig, dict(temperature=-1), "Temperature must be 0 to 5; -1 is not."),
    (GenerationConfig, dict(max_new_tokens=10**6), "Max new tokens must be 1 to 8192; 1000000 is not."),
]  # fmt: skip


@pytest.mark.parametrize(("kind", "values", "message"), BAD)
def test_bad_values_name_field_value_and_remedy(kind, values, message):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 (the text is checked below)
        kind.from_dict(values)
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 700


ADVICE = re.compile(r"(?:Try (?P<other>embedding size|Head size)? ?|use (?:one of )?)(?P<values>[\d.][\d., or]*)")


def advised(error: ValueError) -> list[dict[str, Any]]:
    """The changes that an error of the architecture's shape advises."""
    words, said = ADVICE.search(str(error)), str(error)
    assert words is not None, said
    by_subject = {
        "Embedding size": "n_embd", "Sinusoidal": "n_embd", "RoPE fraction": "rope_fraction", "KV heads": "n_kv_head",
        "Full-attention": "global_every",
    }  # fmt: skip
    other = {"embedding size": "n_embd", "Head size": "head_size"}.get(words["other"])
    name = other or next(field for subject, field in by_subject.items() if said.startswith(subject))
    kind = float if name == "rope_fraction" else int
    return [{name: kind(value)} for value in re.findall(r"\d+(?:\.\d+)?", words["values"])]


SHAPES = [
    {"n_embd": n_embd, "n_head": n_head, "n_kv_head": n_head, "head_size": head_size, **positions}
    for n_embd in (8, 9, 15, 33, 100, 1021, 1023)
    for n_head in (1, 2, 3, 7, 8, 31)
    for head_size in (0, 1, 5, 6)
    for positions in (
        {"position": "learned"}, {"position": "sinusoidal"}, {"position": "rope"},
        {"position": "rope", "rope_fraction": 0.0}, {"position": "rope", "rope_fraction": 0.3},
        {"position": "rope", "rope_fraction": 0.75},
    )
] + [
    {"n_head": 6, "n_embd": 96, "n_kv_head": 4},
    *({"n_layer": layers, "window": 8, "global_every": every} for layers in (1, 2, 3) for every in (1, 4)),
]  # fmt: skip


def follow(values: dict[str, Any], met: tuple[str, ...] = ()) -> int:
    """Take every advice until the settings are accepted, never meeting one error twice; how many were taken."""
    error = refusal(values)
    if error is None:
        return 0
    kind = " ".join(str(error).split()[:2])
    assert kind not in met, (values, error)
    return sum(1 + follow({**values, **change}, (*met, kind)) for change in advised(error))


def refusal(values: dict[str, Any]) -> ValueError | None:
    """Why an architecture is refused, if it is."""
    try:
        ModelConfig.from_dict(values)
    except ValueError as error:
        return error
    return None


def test_every_value_that_an_error_advises_is_accepted() -> None:
    assert sum(follow(values) for values in SHAPES) > 200


def test_an_imported_model_gets_advice_within_its_own_bounds() -> None:
    with pytest.raises(ValueError, match=r"not divisible by 7 heads\. Try 1995 or 2002\.$"):
        ImportedModelConfig(n_embd=2000, n_head=7, n_kv_head=7)


def test_long_hostile_values_are_cut():
    with pytest.raises(ValueError, match="…") as caught:
        ModelConfig(norm="<img src=x onerror=alert(1)>" * 100)
    assert len(str(caught.value)) < 120


@pytest.mark.parametrize("kind", [ModelConfig, TrainConfig, GenerationConfig])
def test_configs_survive_json(kind):
    config = kind()
    assert kind.from_dict(json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("kind", [ModelConfig, TrainConfig, GenerationConfig])
def test_every_setting_explains_itself(kind):
    for item in fields(kind):
        assert item.metadata["label"], item.name
        assert item.metadata["help"].endswith("."), item.name


def test_files_that_are_older_than_a_setting_mean_what_held_then():
    """Tasks had other rules before there were versions of them; nothing else had."""
    for corpus, version in (("repeat", 1), ("addition", 1), ("tales", 2), ("own", 2)):
        values = TrainConfig(corpus=corpus).to_dict()
        assert TrainConfig.from_stored(values) == TrainConfig(corpus=corpus)
        del values["task_version"]
        assert TrainConfig.from_stored(values) == TrainConfig(corpus=corpus, task_version=version)
        assert TrainConfig.from_dict(values) == TrainConfig(corpus=corpus), "what is asked for today"


def test_whole_numbers_may_come_as_floats_from_a_slider():
    assert ModelConfig(n_layer=4.0).n_layer == 4
    assert isinstance(ModelConfig(n_layer=4.0).n_layer, int)


def test_presets_differ_where_the_story_says():
    classic, modern = preset("classic"), preset("modern")
    assert set(config_diff(classic, modern)) == {"position", "norm", "norm_eps", "mlp", "bias", "n_kv_head"}
    assert set(PRESETS) == {"classic", "modern", "mixture", "gpt-oss", "speedrun"}


def test_a_remedy_for_rotary_dimensions_is_one():
    for n_embd, n_head in ((120, 4), (36, 3), (40, 4), (24, 4)):
        for share in (0.05, 0.1, 0.3, 0.5, 0.7, 0.9):
            try:
                ModelConfig(n_embd=n_embd, n_head=n_head, n_kv_head=n_head, position="rope", rope_fraction=share)
            except ValueError as error:
                advice = str(error).split("Try ")[1].rstrip(".").split(" or ")
                for remedy in advice:
                    ModelConfig(
                        n_embd=n_embd, n_head=n_head, n_kv_head=n_head, position="rope", rope_fraction=float(remedy)
                    )


def test_windows_follow_the_pattern_of_layers():
    assert ModelConfig(n_layer=3).windows == (0, 0, 0)
    assert ModelConfig(n_layer=3, window=8).windows == (8, 8, 8)
    assert ModelConfig(n_layer=6, window=8, global_every=3).windows == (8, 8, 0, 8, 8, 0)
    assert preset("gpt-oss").windows == (32, 0, 32, 0), "local first, then global, as gpt-oss alternates"


def test_a_presets_kv_heads_follow_its_heads():
    assert preset("modern", n_head=8).n_kv_head == 4
    assert preset("classic", n_head=8).n_kv_head == 8
    assert preset("modern", n_head=1).n_kv_head == 1
    assert preset("modern", n_head=8, n_kv_head=2).n_kv_head == 2
    with pytest.raises(ValueError, match="Preset must be one of classic, modern"):
        preset("baroque")


@given(st.integers(0, 10**9))
def test_things_are_counted(n: int) -> None:
    said = counted(n, "token")
    assert said == f"{n:,} token" + ("s" if n != 1 else "")
    assert counted(n, "entry", "entries").endswith(" entry" if n == 1 else " entries")


@given(st.floats(-1e6, 1e6), st.floats(-1e6, 1e6), st.integers(0, 3))
def test_numbers_that_differ_read_differently(a: float, b: float, digits: int) -> None:
    left, right = apart(a, b, digits)
    assert (left == right) == (f"{a:.{digits + 8}f}" == f"{b:.{digits + 8}f}")
    said = moved(a, b, digits)
    assert said.startswith("stayed at ") == (f"{a:.{digits}f}" == f"{b:.{digits}f}")


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0.2, "1 s"), (42.5, "43 s"), (89, "89 s"), (120, "2 min"), (150, "3 min"), (5369, "89 min"), (5400, "1 h 30 min"),
        (7199, "2 h"), (86_400, "24 h"),
    ],
)  # fmt: skip
def test_seconds_in_words(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_words_are_listed() -> None:
    assert [listed(list("abcd"[:n])) for n in (1, 2, 3)] == ["a", "a and b", "a, b and c"]


@pytest.mark.parametrize(("old", "new"), TrainConfig.renamed.items())
def test_a_setting_is_known_by_its_earlier_name(old: str, new: str) -> None:
    """Run folders, race files, links and commands of earlier versions have it."""
    changed = TrainConfig().replace(**{new: True})
    assert old not in changed.to_dict()
    assert TrainConfig.from_dict({old: True}) == TrainConfig.from_stored({old: True}) == changed
    assert TrainConfig().replace(**{old: True}) == changed
    with pytest.raises(ValueError, match=f"Unknown setting '{old}s'"):
        TrainConfig.from_dict({f"{old}s": True})
    spec = RaceSpec.from_dict(
        {
            "arms": ["modern", f"x: modern + {old}=true", {"name": "y", "preset": "modern", "changes": {old: True}}],
            "shared": {old: False},
        }
    )
    assert [arm.changes for arm in spec.arms] == [{}, {new: True}, {new: True}]
    assert spec.shared == {new: False}
    assert Limits(frozen=(old,)).frozen == (new,)
    assert Setup.from_json(json.dumps({"train": {old: True}})).settings()[1] == changed
