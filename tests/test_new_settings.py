"""A setting that is added to a config is refused by code that computes, writes or names a model without knowing it.

Each table names every setting. Whoever adds one decides, table by table, whether it is supported: until then tests fail.
"""

import shutil
from dataclasses import dataclass, fields, make_dataclass
from pathlib import Path

import pytest
import torch

from playground.analysis import memory_usage
from playground.config import ANY, ModelConfig, TrainConfig, preset, setting, unsupported
from playground.inference.native import decode_step
from playground.interchange import program
from playground.interchange.architectures import WRITTEN, choose
from playground.interchange.folders import write_transformers
from playground.models.kv_cache import KVCache
from playground.models.transformer import Transformer
from playground.tokenizers import build_tokenizer
from playground.train import compiled
from tests.interchange.models import package
from tests.train.test_flops import CHANGES

MODEL, TRAIN = ({item.name for item in fields(kind)} for kind in (ModelConfig, TrainConfig))
TABLES = {
    "decode step": (decode_step.SUPPORTED, MODEL),
    "program, model": (program.MODEL, MODEL),
    "program, training": (program.TRAINING, TRAIN),
    "FLOPs": (CHANGES, MODEL),
    **{item.name: (item.supported, MODEL) for item in WRITTEN.values()},
}
SMALL = dict(block_size=16, n_layer=1, n_embd=16, n_head=2, n_kv_head=2)


@dataclass(frozen=True)
class Later(ModelConfig):
    """The model's config of a later version."""

    ahead: bool = setting(False, "Ahead", "Something that nobody here knows.")


@pytest.mark.parametrize("name", TABLES)
def test_every_setting_is_named(name: str) -> None:
    table, known = TABLES[name]
    assert table.keys() == known


def test_what_is_named_nowhere_is_not_supported_whatever_its_value() -> None:
    assert unsupported({"a": 1, "b": 2, "c": None}, {"a": ANY, "b": (1,)}) == ["b", "c"]


@pytest.mark.skipif(not any(map(shutil.which, decode_step.COMPILERS)), reason="there is no C compiler")
def test_the_compiled_decode_step_does_not_compute_a_model_with_an_unknown_setting() -> None:
    assert decode_step.warm(wait=True)
    for config, covered in ((ModelConfig(**SMALL), True), (Later(**SMALL), False)):
        assert decode_step.covers(Transformer(config).eval(), KVCache(config)) is covered


def test_no_export_leaves_an_unknown_setting_out(tmp_path: Path) -> None:
    for name in ("classic", "modern", "mixture", "gpt-oss"):
        config = preset(name, **SMALL | {"n_layer": 2})
        choose(config)
        with pytest.raises(ValueError, match=r"^Ahead no cannot be expressed in any of GPT2.* export as safetensors"):
            choose(Later(**config.to_dict()))
    given = package(ModelConfig(**SMALL))
    object.__setattr__(given, "config", Later(**SMALL))
    with pytest.raises(ValueError, match=r"^Ahead no cannot be expressed"):
        write_transformers(tmp_path, given)
    assert not list(tmp_path.iterdir())
    with pytest.raises(ValueError, match=r"^Ahead \(no\) cannot be written as code: export as safetensors\.$"):
        program.write_program("x", Later(**SMALL), TrainConfig(), build_tokenizer("byte", ""), "", {})


def test_an_unknown_setting_of_training_is_part_of_what_is_compiled_and_of_what_is_measured() -> None:
    assert set(compiled.ELSEWHERE) <= TRAIN and set(memory_usage.IRRELEVANT) <= TRAIN
    later = make_dataclass(
        "later", [("ahead", bool, setting(False, "Ahead", ""))], bases=(TrainConfig,), frozen=True, namespace={}
    )
    model = ModelConfig(**SMALL)
    one, other = (compiled.name_of(model, later(ahead=ahead), 1) for ahead in (False, True))
    assert one != other != compiled.name_of(model, TrainConfig(), 1)


@pytest.mark.parametrize("name", sorted(TRAIN - set(compiled.ELSEWHERE) - {"precision"}))
def test_what_the_gradients_depend_on_names_the_library(name: str) -> None:
    model, value = ModelConfig(**SMALL), getattr(TrainConfig(), name)
    changed = TrainConfig().replace(**{name: (not value) if isinstance(value, bool) else 0.5})
    assert compiled.name_of(model, TrainConfig(), 1) != compiled.name_of(model, changed, 1)


def test_what_the_library_is_not_named_for_changes_no_gradient() -> None:
    from playground.train.gradients import compute_losses

    changes = {"batch_size": 3, "seed": 9, "ema": 0.5, "learning_rate": 0.5, "weight_decay": 3.0, "balance_loss": 0.7,
               "router_z_loss": 0.5, "grad_clip": 0.1, "optimizer": "sgd", "beta1": 0.1, "beta2": 0.2}  # fmt: skip
    assert changes.keys() <= set(compiled.ELSEWHERE)
    torch.manual_seed(0)
    model = Transformer(ModelConfig(**SMALL))
    x = torch.randint(0, 256, (2, 8))
    found = [compute_losses(model, x, x, config) for config in (TrainConfig(), TrainConfig().replace(**changes))]
    assert torch.equal(found[0][0], found[1][0]) and found[0][1] == found[1][1] == (0, 0)
