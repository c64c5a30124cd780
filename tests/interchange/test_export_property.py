"""Any model that the form can make goes out and comes back the same, or is refused in a sentence with nothing written."""

import importlib.util
import tempfile
from dataclasses import fields
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from playground.config import ModelConfig, preset
from playground.interchange import check
from playground.interchange.check import load_back
from playground.interchange.folders import read_folder, write_safetensors, write_transformers
from playground.interchange.package import Package
from playground.interchange.tensors import read_headers
from playground.tokenizers import Tokenizer, build_tokenizer, decode
from tests.interchange.models import CASES, package

TEXT = "Once there was a fox who saw the sea.\n\té 😀"
TOKENIZERS: dict[str, Tokenizer] = {
    name: build_tokenizer(name, TEXT * 9, vocab_size=290) for name in ("byte", "char", "bpe")
}
HINTS = {item.name: get_type_hints(ModelConfig)[item.name] for item in fields(ModelConfig)}
# What a change may be, of every setting: small sizes, because each example is a model.
VALUES: dict[str, Any] = {
    **{name: get_args(hint) for name, hint in HINTS.items() if get_args(hint)},
    **{name: (False, True) for name, hint in HINTS.items() if hint is bool},
    "vocab_size": (None,), "block_size": (8, 40), "n_layer": (1, 2, 4), "n_embd": (8, 24, 26, 40),
    "n_head": (1, 2, 3, 4, 5, 8), "n_kv_head": (1, 2, 3, 4, 8), "head_size": (0, 8, 16, 10), "rope_theta": (10.0, 1e6),
    "rope_fraction": (1.0, 0.5),
    "norm_eps": (1e-12, 0.1, 1e-6), "window": (0, 8, 500), "global_every": (0, 2, 3), "n_sink": (0, 2),
    "mlp_width": (0, 40, 7),
    "n_expert": (1, 2, 5), "n_expert_active": (1, 2, 5), "logit_softcap": (0.0, 9.0), "dropout": (0.0, 0.2),
}  # fmt: skip
CONFIGS = [config for _, config in CASES.values()] + [
    preset(name, block_size=40, n_layer=2, n_embd=24, n_head=3, n_kv_head=1)
    for name in ("classic", "modern", "mixture", "gpt-oss")
]


@st.composite
def models(draw: st.DrawFn) -> tuple[ModelConfig, str]:
    """A model that can be exported, mostly, after up to four changes of its settings; and a tokenizer."""
    config, tokenizer = draw(st.sampled_from(CONFIGS)), draw(st.sampled_from(sorted(TOKENIZERS)))
    names = draw(st.lists(st.sampled_from(sorted(VALUES.keys() - {"vocab_size"})), max_size=4, unique=True))
    changes = {name: draw(st.sampled_from(VALUES[name])) for name in names}
    try:
        return config.replace(vocab_size=TOKENIZERS[tokenizer].vocab_size, **changes), tokenizer
    except ValueError:
        assume(False)
        raise


def filled(config: ModelConfig, tokenizer: str) -> Package:
    base = package(config)
    return Package("a model", config, base.weights, TOKENIZERS[tokenizer])


def test_every_setting_is_changed() -> None:
    assert VALUES.keys() == HINTS.keys()


@settings(max_examples=10, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(models())
def test_any_model_goes_out_and_comes_back_or_is_refused_in_a_sentence(case: tuple[ModelConfig, str]) -> None:
    there_and_back(*case)


def there_and_back(config: ModelConfig, tokenizer: str) -> None:
    before = filled(config, tokenizer)
    tokens = torch.randint(0, config.vocab_size, (2, config.block_size), generator=torch.Generator().manual_seed(1))
    expected = before.build()(tokens)
    close = 2e-5 * max(1.0, expected.abs().max().item())
    with tempfile.TemporaryDirectory() as place:
        ours, theirs = Path(place) / "ours", Path(place) / "theirs"
        ours.mkdir(), theirs.mkdir()
        write_safetensors(ours, before)
        after = read_folder(ours)
        assert torch.equal(after.build()(tokens), expected) and after.config == config
        if refusal := why_not(theirs, before):
            assert refusal.endswith("export as safetensors or code.") and refusal.count(". ") == 0
            assert not list(theirs.iterdir())
            return
        assert load_back(theirs, before).difference <= close
        after = read_folder(theirs)
        assert (after.build()(tokens) - expected).abs().max() <= close
        ids = before.tokenizer.encode(TEXT)
        assert after.tokenizer.encode(TEXT).tolist() == ids.tolist() and decode(after.tokenizer, ids) == TEXT


def why_not(folder: Path, package: Package) -> str:
    """Export for Transformers; the sentence if that is refused."""
    try:
        write_transformers(folder, package)
    except ValueError as refusal:
        return str(refusal)
    return ""


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (preset("gpt-oss", n_expert=1, n_expert_active=1), "the closest is GptOss, which cannot express Experts 1"),
        (preset("modern", n_embd=32, n_head=3, n_kv_head=1, head_size=16, bias=True), "which cannot express"),
    ],
    ids=["dense gpt-oss", "Llama's biases, five heads"],
)
def test_what_ended_in_a_traceback_is_refused(config: ModelConfig, message: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"export as safetensors or code\.$") as caught:
        write_transformers(tmp_path, package(config))
    assert message in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_width_that_is_no_multiple_of_its_heads_goes_out_as_mistral(tmp_path: Path) -> None:
    """Llama's class refuses it, with transformers installed only: without, a folder was written that nobody could load."""
    config = preset("modern", n_embd=32, n_layer=2, n_head=3, n_kv_head=1, head_size=16)
    assert write_transformers(tmp_path, package(config)).name == "Mistral"
    assert load_back(tmp_path, package(config)).difference <= 2e-5


def test_as_many_experts_as_the_form_offers_come_back(tmp_path: Path) -> None:
    """24 layers of 64 experts: 4,800 tensors, whose header is larger than the old limit."""
    config = preset("mixture", n_layer=24, n_expert=64, n_embd=8, n_head=1, n_kv_head=1, block_size=8, mlp_width=8)
    before = package(config)
    write_transformers(tmp_path, before)
    assert len(read_headers([tmp_path / "model.safetensors"])) > 4_600
    after = read_folder(tmp_path)
    assert after.config == config
    assert all(torch.equal(after.weights[name], weight) for name, weight in before.weights.items())


def test_transformers_has_the_last_word(tmp_path: Path) -> None:
    """If what it computes were another model, the folder would be refused."""
    if importlib.util.find_spec("transformers") is None:
        pytest.skip("transformers is not installed")
    config = CASES["Llama"][1]
    write_transformers(tmp_path, package(config))
    other = package(config)
    other.weights["blocks.1.mlp.up.weight"][3] += 1
    with pytest.raises(ValueError, match=r"^Transformers computes different logits from the exported folder"):
        check.load_back(tmp_path, other)
