"""Labs against numbers worked out by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from playground.analysis.time_estimate import seconds_of
from playground.config import TrainConfig, preset
from playground.interp.attention import as_sprite, attention_patterns
from playground.races.comparison import differences, results, told_apart
from playground.runs.curves import Curves
from playground.runs.store.log import LogWriter
from playground.runs.store.run_store import RunStore
from playground.tokenizers import build_tokenizer, learn_bpe
from playground.train.estimate import estimate
from playground.train.events import Evaluated, Started
from tests.models.variants import VARIANTS, build, tokens


@pytest.mark.parametrize("name", ["classic", "modern", "window and sinks"])
def test_patterns_equal_softmax_of_queries_and_keys_in_float64(name):
    config = VARIANTS[name].replace(n_layer=1)
    model, ids = build(config), tokens(config, n=40, batch=1)[0].tolist()
    got = attention_patterns(model, ids)
    assert got.shape == (1, config.n_head, 40, 40)
    attn, norm = model.blocks[0].attn, model.blocks[0].attn_norm
    with torch.no_grad():
        positions = torch.arange(40)
        x = norm(model.positions.add(model.embed(torch.tensor([ids])), positions)).double()[0].numpy()
    heads = {}
    for part in ("query", "key"):
        layer = getattr(attn, part)
        y = x @ layer.weight.detach().double().numpy().T
        y += 0 if layer.bias is None else layer.bias.detach().double().numpy()
        y = y.reshape(40, -1, config.head_dim).transpose(1, 0, 2)
        if config.position == "rope":
            half = config.head_dim // 2
            turn = np.exp(1j * np.arange(40)[:, None] * config.rope_theta ** -(np.arange(half) / half))
            z = (y[..., :half] + 1j * y[..., half:]) * turn
            y = np.concatenate((z.real, z.imag), axis=-1)
        heads[part] = y
    group = config.n_head // config.n_kv_head
    for h in range(config.n_head):
        for t in range(40):
            seen = [s for s in range(t + 1) if not config.window or t - s < config.window or s < config.n_sink]
            scores = np.array([heads["query"][h, t] @ heads["key"][h // group, s] for s in seen])
            weights = np.exp((scores - scores.max()) / np.sqrt(config.head_dim))
            row = np.zeros(40)
            row[seen] = weights / weights.sum()
            assert np.abs(got[0, h, t] - row).max() < 1e-5


def test_patterns_of_some_layers_are_those_of_all():
    model, ids = build(VARIANTS["local and global"]), tokens(VARIANTS["modern"], n=20, batch=1)[0].tolist()
    every = attention_patterns(model, ids)
    np.testing.assert_allclose(every.sum(-1), 1, atol=1e-6)
    np.testing.assert_allclose(attention_patterns(model, ids, [2, 0]), every[[2, 0]], atol=1e-6)


def test_a_sprite_gives_the_weights_back():
    patterns = np.random.default_rng(0).random((3, 2, 5, 5)).astype(np.float32)
    sprite = as_sprite(patterns)
    assert sprite.shape == (15, 10)
    for layer in range(3):
        for head in range(2):
            tile = sprite[layer * 5 : layer * 5 + 5, head * 5 : head * 5 + 5]
            assert np.abs((tile / 255.0) ** 2 - patterns[layer, head]).max() < 0.005


def test_patterns_refuse_what_the_model_cannot_read():
    model = build(VARIANTS["modern"])
    with pytest.raises(ValueError, match="0 tokens; this model reads 1 to 96"):
        attention_patterns(model, [])
    with pytest.raises(ValueError, match="97 tokens; this model reads 1 to 96"):
        attention_patterns(model, [1] * 97)


@pytest.fixture
def two_runs(tmp_path):
    store = RunStore(tmp_path)
    tokenizer = build_tokenizer("byte", "")
    runs = []
    for name, loss in (("classic", 1.5), ("modern", 1.25)):
        run = store.create(preset(name), TrainConfig(), tokenizer, name=name, preset=name)
        with LogWriter(run.log) as log:
            log.append(Started(0, 800, 1, 2, 3, 1.4426950))
            log.append(Evaluated(10, 20480, 4.0, loss + 1, 0.2))
            log.append(Evaluated(20, 40960, 8.0, loss, 0.5, loss_se=0.0125 if name == "modern" else None))
        runs.append(run)
    return runs, Curves(store)


def test_differences_name_what_is_not_equal_and_nothing_else(two_runs):
    table = differences(two_runs[0])
    assert table.columns.tolist() == ["setting", "classic", "modern"]
    rows = {setting: (a, b) for setting, a, b in table.itertuples(index=False)}
    assert rows == {
        "Positional encoding": ("learned", "RoPE"),
        "Norm": ("LayerNorm", "RMSNorm"),
        "Norm epsilon": ("1e-05", "1e-06"),
        "MLP": ("GELU", "SwiGLU"),
        "KV heads": ("4", "2"),
        "Biases": ("yes", "no"),
    }
    assert differences(two_runs[0][:1]).empty
    assert differences([]).empty
    assert told_apart(two_runs[0])[:2] == ["Positional encoding: learned → RoPE", "Norm: LayerNorm → RMSNorm"]


def test_a_solved_mlp_is_told_beside_the_size_that_the_rule_gives(two_runs):
    classic, modern = two_runs[0]
    matched = replace(modern, model=modern.model.replace(mlp_width=431))
    assert "MLP hidden size: 512 → 431" in told_apart([classic, matched])


def test_settings_without_effect_are_not_compared(two_runs):
    classic, modern = two_runs[0]

    def rows(*runs):
        table = differences([replace(run, name=str(number)) for number, run in enumerate(runs)])
        return {row[0]: row[1:] for row in table.to_numpy().tolist()}

    def trained(**changes):
        return replace(modern, train=modern.train.replace(**changes))

    sized = [trained(), trained(tokenizer="bpe", bpe_vocab=400), trained(tokenizer="bpe", bpe_vocab=600)]
    assert rows(*sized[:2]) == {"Tokenizer": ["bytes", "BPE"]}, "1,000 is what bytes would have if they were BPE"
    assert rows(*sized)["BPE vocabulary size"] == ["–", "400", "600"]
    assert "BPE vocabulary size: 400 → 600" in told_apart(sized)
    assert rows(trained(), trained(optimizer="sgd", beta2=0.5)) == {"Optimizer": ["AdamW", "SGD"]}
    assert rows(trained(), trained(balance_loss=0.5, router_z_loss=0.1)) == {}
    shakespeare = [trained(corpus="tiny_shakespeare", corpus_bytes=n) for n in (4_000_000, 2_000_000)]
    assert rows(*shakespeare) == {}, "the text has 1.1 MB"
    head = replace(modern, model=modern.model.replace(head_size=modern.model.head_dim))
    assert rows(modern, head) == {}, "the size that heads have anyway"
    turned = replace(classic, model=classic.model.replace(rope_theta=500.0))
    assert rows(classic, turned) == {} and rows(turned, modern).keys() == rows(classic, modern).keys()
    assert rows(trained(corpus="tales"), trained(corpus="addition")) == {"Dataset": ["Tales", "Addition"]}


def test_of_an_imported_model_nothing_is_compared_that_is_not_known(two_runs):
    classic, modern = two_runs[0]
    unknown = replace(modern, origin="a folder", train=TrainConfig(corpus="unknown text", steps=1, warmup_steps=0))
    rows = {row[0]: row[1:] for row in differences([classic, unknown]).to_numpy().tolist()}
    assert rows["Dataset"] == ["Tales", "unknown text"] and rows["Norm"] == ["LayerNorm", "RMSNorm"]
    assert not rows.keys() & {"Steps", "Warm-up steps", "Learning rate"}


def test_results_are_those_of_the_last_evaluation(two_runs):
    table = results(*two_runs)
    classic, modern = table.to_dict("records")
    assert classic["validation loss"] == "1.5000", "a log of an older version has no standard error"
    assert modern["validation loss"] == "1.2500 ± 0.0125"
    assert modern["bits per byte"] == "1.8034 ± 0.0180"
    assert classic["perplexity"] == round(np.exp(1.5), 3)
    assert abs(float(classic["bits per byte"]) - 1.5 / np.log(2)) < 1e-3
    assert classic["tokens/s"] == 5120
    assert classic["parameters"] == 842_496
    assert classic["tokenizer"] == "bytes"
    assert results([], two_runs[1]).empty


def test_a_metric_that_only_some_runs_have_is_a_column_where_one_has_it(two_runs):
    runs, curves = two_runs
    assert "exact match" not in results(runs, curves)
    with LogWriter(runs[1].log) as log:
        log.append(Evaluated(30, 61440, 12.0, 1.2, 0.6, 0.75))
    assert results(runs, curves)["exact match"].fillna(-1.0).tolist() == [-1.0, 0.75]
    assert "exact match" not in results(runs[:1], curves)


def test_differences_name_tokens_of_one_kind_that_differ(tmp_path):
    store, text = RunStore(tmp_path), "the cat sat on the mat and the hat. " * 50
    model = preset("modern", vocab_size=258)
    config = TrainConfig(tokenizer="bpe", bpe_vocab=258)
    tokenizers = [learn_bpe(text, 258), learn_bpe(text[::-1], 258), learn_bpe(text, 258)]
    runs = [store.create(model, config, each, name=f"run {i}", preset="modern") for i, each in enumerate(tokenizers)]
    (row,) = differences(runs).to_numpy().tolist()
    assert row[0] == "Tokens" and row[1].startswith("BPE 258 (") and row[1] == row[3] != row[2]
    assert differences([runs[0], runs[2]]).empty


def test_flops_follow_the_formula_by_hand():
    """6 per weight and token, and the two products of attention with the (T + 1) / 2 visible keys, forward and twice
    backward."""
    model = preset("classic", n_layer=2, n_embd=32, n_head=4, block_size=64, bias=False)
    train = TrainConfig(batch_size=3, grad_accum=2)
    weights = 2 * (4 * 32 * 32 + 8 * 32 * 32) + 256 * 32
    by_hand = (6 * weights + 3 * 2 * 2 * 2 * 32 * 65 / 2) * (3 * 2 * 64)
    assert estimate(model, train).flops_per_step == by_hand
    assert estimate(model, train).tokens_per_step == 384


def test_more_work_takes_longer():
    model, train = preset("modern"), TrainConfig()
    base = seconds_of(estimate(model, train), model, train)
    longer = train.replace(steps=train.steps * 2)
    wider = preset("modern", n_embd=256)
    assert seconds_of(estimate(model, longer), model, longer) == pytest.approx(2 * base, rel=0.05)
    assert seconds_of(estimate(wider, train), wider, train) > 2 * base


def test_exact_match_of_a_task_is_a_number_of_problems(tmp_path):
    store = RunStore(tmp_path)
    for context, share in ((32, 0.25), (64, 1 / 32)):
        config = TrainConfig(corpus="repeat")
        run = store.create(
            preset("modern", block_size=context), config, build_tokenizer("byte", ""), name="a", preset="modern"
        )
        with LogWriter(run.log) as log:
            log.append(Evaluated(1, 2048, 1.0, 1.2, 0.6, share))
    table = results(sorted(store.list(), key=lambda run: run.model.block_size), Curves(store))
    assert table["exact match"].tolist() == ["3 of 12", "1 of 32"]
