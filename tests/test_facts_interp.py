"""What the views of a model's inside state, against plain forward passes; and the remedies that their errors name."""

from __future__ import annotations

import copy
import math
import re

import numpy as np
import pytest
import torch

from playground.config import TrainConfig, preset
from playground.data.documents import Text
from playground.interp import linear_probes
from playground.interp.ablation import Part, effect, parts_of, probe
from playground.interp.activations import passage_means, text_windows
from playground.interp.attention import attention_patterns
from playground.interp.attention_walkthrough import by_hand
from playground.interp.embeddings import Vectors, token_vectors, word_vectors
from playground.interp.experts import route
from playground.interp.linear_probes import Fit, Label, Measured, in_words, probe_text
from playground.interp.logit_lens import logit_lens
from playground.interp.patching import patching
from playground.interp.sinks import EPSILON, SinkPoint, even_mass
from playground.interp.sinks import in_words as sink_words
from playground.models.transformer import Transformer, initialise
from playground.tokenizers import build_tokenizer
from playground.train.dataset import Dataset, prepare
from tests.models.variants import VARIANTS, build
from tests.tokenizers.test_round_trip import words_only

MODEL = build(VARIANTS["modern"])
BYTES = build_tokenizer("byte", "")


def tiny(**changes: object) -> Transformer:
    shape = {"vocab_size": 256, "block_size": 32, "n_layer": 1, "n_embd": 16, "n_head": 2, **changes}
    return initialise(Transformer(preset("modern", **shape)), 5).eval().requires_grad_(False)


# Ablation


def documents(lengths: list[int]) -> Dataset:
    """Documents of so many bytes, each read by itself; the last ones are the validation text."""
    rng = np.random.default_rng(0)
    texts = ["".join(map(chr, rng.integers(97, 123, n))) for n in lengths]
    config = TrainConfig(corpus="own", documents="isolated", validation_fraction=0.5)
    tokenizer = build_tokenizer("byte", "", eos=True)
    return prepare(Text.joined(texts), tokenizer, tiny(vocab_size=257).config, config)


@pytest.mark.parametrize("lengths", [[40, 5, 5, 30, 8], [9] * 12, [200, 3, 70, 40], [50, 20, 20]])
def test_a_mean_over_the_validation_text_is_over_its_tokens_alone(lengths: list[int]) -> None:
    """Documents shorter than the context: what stands behind them in a window is not read with them."""
    model, data = tiny(vocab_size=257, n_layer=2), documents(lengths)
    on = probe(model, data, 10_000)
    where = data.validation_windows
    assert where is not None and min(where.lengths) < 32, "a window is longer than its document"
    seen: list[torch.Tensor] = []
    handle = model.blocks[1].mlp.register_forward_hook(lambda *passed: seen.append(passed[2][0]))
    for start, length in zip(where.offsets, where.lengths, strict=True):
        model(torch.from_numpy(data.validation[start : start + length].astype(np.int64))[None])
    handle.remove()
    torch.testing.assert_close(on.average["blocks.1.mlp_out"], torch.cat(seen).mean(0), atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize("how", ["zero", "mean"])
def test_a_model_without_a_part_is_as_much_worse_as_the_effect_says(how: str) -> None:
    """Each window in a pass of its own, in which the MLP's output is what it is replaced by."""
    data = documents([100, 40, 9, 25, 33])
    model, part = tiny(vocab_size=257, n_layer=2), Part(1, "mlp")
    on = probe(model, data, 10_000)
    changed = copy.deepcopy(model)
    value = on.average["blocks.1.mlp_out"] if how == "mean" else torch.zeros(16)
    changed.blocks[1].mlp.register_forward_hook(lambda _, __, out: value.expand_as(out))
    sums = [0.0, 0.0]
    for ids, targets in zip(on.inputs, on.targets, strict=True):
        for n, one in enumerate((model, changed)):
            nats = -one(ids[None])[0].double().log_softmax(-1)
            sums[n] += sum(float(nats[t, y]) for t, y in enumerate(targets.tolist()) if y >= 0)
    found = effect(model, on, [part], how)  # type: ignore[arg-type]
    assert found.change == pytest.approx((sums[1] - sums[0]) / on.n_tokens, abs=1e-5)
    assert on.loss == pytest.approx(sums[0] / on.n_tokens, abs=1e-5)
    assert math.isfinite(found.error) == (len(on.inputs) > 1)


@pytest.mark.parametrize("n_layer", [1, 3])
def test_the_parts_that_an_error_counts_are_there(n_layer: int) -> None:
    model = tiny(vocab_size=257, n_layer=n_layer)
    on = probe(model, documents([60, 40]), 100)
    with pytest.raises(
        ValueError, match=rf"Layer {n_layer + 1} is not there: this model has {n_layer}\. Choose another"
    ):
        effect(model, on, [Part(n_layer, "mlp")])
    with pytest.raises(ValueError, match=r"Head 3 is not there: a layer has 2\. Choose another"):
        effect(model, on, [Part(0, "head", 2)])
    names = [part.name() for part in parts_of(model.config)]
    assert names == [f"Layer {n} · {each}" for n in range(1, n_layer + 1) for each in ("head 1", "head 2", "MLP")]
    assert all(math.isfinite(effect(model, on, [part]).change) for part in parts_of(model.config))


# Patching


@pytest.mark.parametrize(
    ("clean", "corrupted", "complaint", "remedy"),
    [
        ([1, 2], [3], "The clean prompt has 2 tokens, the corrupted one 1. Make them equally long.", ([1, 2], [3, 2])),
        ([], [], "A prompt has 0 tokens; patching this model takes 1 to 96. Write some words.", ([5], [6])),
        ([1] * 97, [2] * 97, "A prompt has 97 tokens; patching this model takes 1 to 96. Shorten both.",
         ([1] * 96, [2] * 96)),
        ([4, 5], [4, 5], "The two prompts are the same tokens. Change a word in one of them.", ([4, 5], [4, 6])),
    ],
)  # fmt: skip
def test_prompts_that_cannot_be_patched_can_be_when_mended(
    clean: list[int], corrupted: list[int], complaint: str, remedy: tuple[list[int], list[int]]
) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(complaint)}$"):
        patching(MODEL, clean, corrupted, (7, 23))
    assert np.isfinite(patching(MODEL, *remedy, (7, 23)).residual).all()


def test_two_texts_that_a_lossy_tokenizer_reads_alike_are_the_same_tokens() -> None:
    tokenizer = words_only()
    clean, corrupted = (tokenizer.encode(text).tolist() for text in ("the fox", "the owl"))
    model = tiny(vocab_size=tokenizer.vocab_size)
    with pytest.raises(ValueError, match=r"are the same tokens\. Change a word"):
        patching(model, clean, corrupted, (1, 2))


def test_prompts_that_change_nothing_between_two_answers() -> None:
    model = copy.deepcopy(MODEL)
    with torch.no_grad():
        model.embed.weight[23] = model.embed.weight[7]  # tied: both answers have one logit after any prompt
        logits = [model(torch.tensor([ids]))[0, -1] for ids in ([1, 2], [1, 3])]
    assert all(row[7] == row[23] for row in logits)
    with pytest.raises(
        ValueError, match=r"^The two prompts change nothing between these answers\. Change a prompt or an"
    ):
        patching(model, [1, 2], [1, 3], (7, 23))
    with pytest.raises(ValueError, match=r"^Both prompts have the same answer, so patching has nothing to measure\."):
        patching(model, [1, 2], [1, 3], (7, 7))
    assert np.isfinite(patching(model, [1, 2], [1, 3], (7, 24)).heads).all()


# Attention, logit lens, one head


@pytest.mark.parametrize("view", [attention_patterns, logit_lens])
@pytest.mark.parametrize("n", [0, 97])
def test_the_lengths_that_a_view_names_are_those_that_it_reads(view: object, n: int) -> None:
    with pytest.raises(ValueError, match=rf"^The text has {n} tokens; this model reads 1 to 96\. Change the text\.$"):
        view(MODEL, [3] * n)  # type: ignore[operator]
    for length in (1, 96):
        view(MODEL, [3] * length)  # type: ignore[operator]


@pytest.mark.parametrize(("name", "at", "size"), [("Layer", 0, 3), ("Head", 1, 4), ("Token", 2, 5)])
def test_every_layer_head_and_token_of_the_named_range_is_there(name: str, at: int, size: int) -> None:
    for wrong in (-1, size):
        place = [0, 0, 0]
        place[at] = wrong
        with pytest.raises(ValueError, match=rf"^{name} {wrong + 1} is not there: choose 1 to {size}\.$"):
            by_hand(MODEL, [1, 2, 3, 4, 5], *place)
    for right in range(size):
        place = [0, 0, 0]
        place[at] = right
        assert by_hand(MODEL, [1, 2, 3, 4, 5], *place).difference < 1e-5


def test_a_text_without_tokens_has_no_token_to_choose() -> None:
    with pytest.raises(ValueError, match=r"^The text has no tokens\. Write some words\.$"):
        by_hand(MODEL, [], 0, 0, 0)


# Embeddings


def suggestions(vectors: Vectors) -> list[str]:
    with pytest.raises(ValueError, match=f"is not among the {len(vectors.names)} vector") as caught:
        vectors.find("zebra crossing")
    found = re.search(r"such as: (.*)\.$", str(caught.value))
    return found[1].split(" ") if found else []


@pytest.mark.parametrize(
    "names", [("a", "b"), (" ", "\n", "e", " the"), ("  two", "a"), (" ",), tuple(f" w{i}" for i in range(20))]
)
def test_every_name_that_is_suggested_is_one_to_take(names: tuple[str, ...]) -> None:
    vectors = Vectors(names, np.eye(len(names)), np.arange(len(names))[::-1])
    found = suggestions(vectors)
    assert all(vectors.names[vectors.find(name)].strip() == name for name in found)
    assert len(found) == min(8, sum(bool(name.strip()) and not name.startswith("  ") for name in names))


def test_the_names_of_a_real_text_are_names_to_take() -> None:
    ids = BYTES.encode("the  cat\n\nsat; the dog slept. " * 9)
    assert "" not in suggestions(token_vectors(tiny(), BYTES, ids, 40))


@pytest.mark.parametrize(("text", "n"), [("кот сидит на окне и спит. " * 30, 0), ("cat dog fox owl " * 2, 4)])
def test_words_that_are_too_rare_are_counted_as_the_error_says(text: str, n: int) -> None:
    windows = text_windows(BYTES.encode(text), 32, 4_000)
    whole = [re.findall(rb"(?<=[^A-Za-z])[A-Za-z]+(?=[^A-Za-z])", bytes(row.tolist())) for row in windows]
    counts = {word: sum(row.count(word) for row in whole) for row in whole for word in row}
    assert len(counts) == n and sum(count >= 5 for count in counts.values()) < 4
    with pytest.raises(
        ValueError, match=r"^Fewer than four words of the letters a to z occur whole 5 times in the windows"
    ):
        word_vectors(tiny(), BYTES, windows, 1, 50)
    assert len(token_vectors(tiny(), BYTES, BYTES.encode(text), 50).names) > 4, "the tokens can be looked at instead"


@pytest.mark.parametrize("text", ["", "fox owl"])
def test_a_passage_without_tokens(text: str) -> None:
    tokenizer = words_only()
    ids = [token for token in tokenizer.encode(text).tolist() if token]  # as if it dropped what it does not know
    with pytest.raises(ValueError, match=r"^A passage has no tokens: it is empty, or the tokenizer drops all of it\."):
        passage_means(tiny(vocab_size=4), [[1], ids], 1)
    assert passage_means(tiny(vocab_size=4), [tokenizer.encode("the a").tolist()], 1).shape == (1, 16)


# Experts


def test_a_run_with_experts_is_made_by_the_preset_that_is_named() -> None:
    shape = {"vocab_size": 40, "block_size": 16, "n_layer": 1, "n_embd": 16, "n_head": 2}
    with pytest.raises(ValueError, match="This model is dense: one MLP a layer, and no router"):
        route(Transformer(preset("modern", **shape)), np.zeros((1, 4), int))
    mixture = Transformer(preset("mixture", **shape)).eval()
    assert route(mixture, np.zeros((1, 4), int)).load.shape == (1, mixture.config.n_expert)
    dense = dict(Transformer(preset("modern", **shape)).named_parameters())
    assert not any("router" in name for name in dense) and any("mlp.down" in name for name in dense)


# Sinks


@pytest.mark.parametrize("seed", range(12))
def test_what_is_said_of_sinks_is_counted_again(seed: int) -> None:
    rng = np.random.default_rng(seed)
    shape = [(1, 1), (1, 2), (2, 3)][seed % 3]
    points = [
        SinkPoint(10 * n, rng.random(shape) * (0.2, 0.5, 1.0)[seed % 3], rng.random(shape) * (seed % 2))
        for n in range(4)
    ]
    words, last = sink_words(points, 32), points[-1]
    above = [index for index in np.ndindex(shape) if last.mass[index] > EPSILON]
    if above:
        first = min(point.step for point in points for index in above if point.mass[index] > EPSILON)
        heads = (
            "1 head puts" if last.mass.size == 1 else f"{last.mass.size} heads {'puts' if len(above) == 1 else 'put'}"
        )
        assert words.startswith(
            f"**{len(above)} of {heads} more than 30 % of attention on the first token, first seen at step {first}.**"
        )
    else:
        assert words.startswith(
            f"**No head of {last.mass.size} puts more than 30 % of its attention on the first token.**"
        )
    layer, head = max(np.ndindex(shape), key=lambda index: last.mass[index])
    assert f"The strongest is layer {layer + 1} head {head + 1} with {100 * last.mass[layer, head]:.1f} %" in words
    uniform = sum(1 / (query + 1) for query in range(32)) / 32
    assert f"uniform attention to all tokens so far would give {100 * uniform:.1f} %" in words
    assert even_mass(32) == pytest.approx(uniform)
    assert ("sink logits" in words) == bool(seed % 2)
    if seed % 2:
        assert f"take {100 * last.nothing.sum() / last.nothing.size:.1f} % of all attention" in words
        assert (
            f"heads with more than 30 %: {sum(value > EPSILON for value in last.nothing.flat)} of {last.nothing.size}"
            in words
        )
        assert words.endswith(f"with {100 * max(last.nothing.flat):.1f} %.")


def test_a_head_that_looks_at_all_tokens_alike_has_the_uniform_mass() -> None:
    model = copy.deepcopy(build(VARIANTS["no positions"]))
    with torch.no_grad():
        model.blocks[0].attn.query.weight.zero_()
        model.blocks[0].attn.query.bias.zero_()
    pattern = attention_patterns(model, list(range(20)), [0])
    assert pattern[..., 0].mean() == pytest.approx(even_mass(20), rel=1e-5)


# Probes


def measured(real: list[tuple[float, float]], base: tuple[float, float]) -> Measured:
    fits = tuple(Fit(*one) for one in real)
    return Measured(Fit(*base), fits, fits, 500, 500)


LABEL = Label("kind", "Kind of token", "?", ("a", "b"), np.zeros(1, int))
NAN = float("nan")


@pytest.mark.parametrize("errors", [0.0, 1e-6, 0.01, 0.2, NAN])
@pytest.mark.parametrize(
    "real", [(0.5, 0.5, 0.5), (0.5, 0.9, 0.7), (0.9, 0.9, 0.5), (0.6, 0.60004, 0.6), (0.7, 0.72, 0.71)]
)
@pytest.mark.parametrize("base", [0.4, 0.6, 0.90001])
def test_what_is_said_of_a_probe_follows_from_its_numbers(real: tuple[float, ...], base: float, errors: float) -> None:
    words = in_words(
        LABEL, measured([(value, errors) for value in real], (base, errors)), ["embedding", "layer 1", "layer 2"]
    )
    best = max(real)
    names = [name for name, value in zip(["embedding", "layer 1", "layer 2"], real, strict=True) if value == best]
    shown = re.match(
        r"Kind of token: accuracy ([\d.]+) % at best \(([\w ]+)\), ([\d.]+) % for always predicting the most common",
        words,
    )
    assert shown and shown[2] in names
    assert float(shown[1]) == pytest.approx(100 * best, abs=0.051) and float(shown[3]) == pytest.approx(
        100 * base, abs=0.051
    )
    two = 2 * math.hypot(errors, errors)
    assert words.endswith("no clear difference.") == (not best - base > two)
    assert words.endswith("no clear difference.") or float(shown[1]) > float(shown[3]), (
        "a difference that is claimed is seen"
    )
    if "so the layers add information from context" in words:
        assert best - real[0] > two and f"the token embedding alone gives {100 * real[0]:.1f} %" in words
    elif "already gives" in words:
        assert not best - real[0] > two and f"already gives {100 * real[0]:.1f} %" in words


def test_a_text_of_as_many_windows_as_are_needed_is_enough() -> None:
    for n in (0, 1, 5):
        with pytest.raises(
            ValueError, match=rf"at least 6 windows of 32 tokens; the validation text has {n}\. Train on a longer"
        ):
            probe_text(BYTES, BYTES.encode("a b" * 100)[: 32 * n + 31], 32, tales=False)
    assert probe_text(BYTES, BYTES.encode("a b" * 100)[: 32 * 6], 32, tales=False).sequences.shape == (6, 32)
    assert linear_probes.LABELLED > 6 * 8192, "a longer text has more windows, whatever the context"
