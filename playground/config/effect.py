"""Which settings have an effect in a run: those that no other setting switches off."""

from __future__ import annotations

from playground.config.model import GATED, ModelConfig
from playground.config.train import TASKS, TrainConfig


def without_effect(model: ModelConfig, train: TrainConfig) -> frozenset[str]:
    """Names of the settings that change nothing in such a run, whatever their values.

    Only settings that may have any value there: where one must be 0 or off (sinks without a window), that is a fact.
    """
    rules = {
        ("rope_theta", "rope_fraction"): model.position == "rope",
        ("match_parameters",): model.mlp in GATED and not model.mlp_width,
        ("router_norm", "balance_loss", "router_z_loss"): model.n_expert > 1,
        ("bpe_vocab",): train.tokenizer == "bpe",
        ("task_version",): train.corpus in TASKS,
        ("min_lr_ratio",): train.schedule != "constant",
        ("beta2",): train.optimizer != "sgd",
    }
    return frozenset(name for names, acts in rules.items() if not acts for name in names)
