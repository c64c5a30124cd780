"""Runs beside each other, in tables: how they differ, and how they did."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from playground.config import ModelConfig, Settings, TrainConfig, label, spelled
from playground.runs.curves import Curves
from playground.runs.store import Run
from playground.tokenizers import in_words
from playground.train.estimate import count_parameters


def differences(runs: Sequence[Run]) -> pd.DataFrame:
    """The settings that make the runs learn differently: one row a setting, one column a run."""
    rows: list[list[Any]] = []
    if not runs:
        return pd.DataFrame(columns=["setting"])
    for kind, part in ((ModelConfig, "model"), (TrainConfig, "train")):
        configs: list[Settings] = [getattr(run, part) for run in runs]
        for name, values in _values(configs).items():
            if name not in _HARMLESS and any(value != values[0] for value in values):
                rows.append([label(kind, name), *map(spelled, values)])
    return pd.DataFrame(rows, columns=["setting", *(run.name for run in runs)])


def told_apart(runs: Sequence[Run]) -> list[str]:
    """`differences` in short, as "Norm: LayerNorm → RMSNorm"; a value that several share is told once."""
    return [f"{row[0]}: {' → '.join(dict.fromkeys(row[1:]))}" for row in differences(runs).to_numpy().tolist()]


def results(runs: Sequence[Run], curves: Curves) -> pd.DataFrame:
    """What each run has reached at its last evaluation: one row a run. Loss in nats per token, time in seconds."""
    return pd.DataFrame([_result(run, curves) for run in runs], columns=list(_COLUMNS))


# What is only looked at or kept changes nothing in how a model learns.
_HARMLESS = {"eval_interval", "eval_tokens", "sample_interval", "prompt", "checkpoint_interval", "snapshots"}
_COLUMNS = (
    "run", "validation loss", "perplexity", "bits per byte", "accuracy", "step", "tokens", "parameters", "tokenizer",
    "seconds", "tokens/s",
)  # fmt: skip


def _result(run: Run, curves: Curves) -> dict[str, Any]:
    evaluations = curves.evaluations(run)
    row: dict[str, Any] = {
        "run": run.name,
        "parameters": count_parameters(run.model),
        "tokenizer": in_words(run.train.tokenizer, run.model.vocab_size),
    }
    if len(evaluations):
        last = evaluations.iloc[-1]
        seconds = float(last["seconds"])
        row |= {
            "validation loss": round(float(last["loss"]), 4),
            "perplexity": round(math.exp(min(float(last["loss"]), 700)), 3),
            "bits per byte": None if pd.isna(last["bits_per_byte"]) else round(float(last["bits_per_byte"]), 4),
            "accuracy": round(float(last["accuracy"]), 4),
            "step": int(last["step"]),
            "tokens": int(last["tokens"]),
            "seconds": round(seconds, 1),
            "tokens/s": round(int(last["tokens"]) / seconds) if seconds else None,
        }
    return row


def _values(configs: Sequence[Settings]) -> dict[str, list[Any]]:
    dictionaries = [config.to_dict() for config in configs]
    if len({values.get("mlp_width") for values in dictionaries}) > 1:  # 0 is a rule: say what follows from it
        for config, values in zip(configs, dictionaries, strict=True):
            values["mlp_width"] = config.mlp_hidden if isinstance(config, ModelConfig) else None
    return {name: [values[name] for values in dictionaries] for name in dictionaries[0]}
