"""Runs beside each other, in tables: how they differ, and how they did."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import pandas as pd

from playground.config import ModelConfig, Settings, TrainConfig, label, spelled
from playground.data.corpora import find_corpus
from playground.runs.comparable import text_of, tokens_of
from playground.runs.curves import Curves
from playground.runs.store.run_store import Run
from playground.tokenizers import in_words
from playground.train.estimate import count_parameters


def differences(runs: Sequence[Run]) -> pd.DataFrame:
    """The settings that make the runs learn differently: one row a setting, one column a run. Tokens and texts of one kind
    that differ all the same have a row of their own."""
    rows: list[list[Any]] = []
    if not runs:
        return pd.DataFrame(columns=["setting"])
    for kind, part in ((ModelConfig, "model"), (TrainConfig, "train")):
        configs: list[Settings] = [getattr(run, part) for run in runs]
        for name, values in _values(configs).items():
            if name not in _HARMLESS and any(value != values[0] for value in values):
                rows.append([label(kind, name), *map(spelled, values)])
    rows += _unequal(
        "Tokens", [in_words(run.train.tokenizer, run.model.vocab_size) for run in runs], map(tokens_of, runs)
    )
    rows += _unequal("Validation text", [find_corpus(run.train.corpus).label for run in runs], map(text_of, runs))
    return pd.DataFrame(rows, columns=["setting", *(run.name for run in runs)])


def told_apart(runs: Sequence[Run]) -> list[str]:
    """`differences` in short, as "Norm: LayerNorm → RMSNorm"; a value that several share is told once."""
    return [f"{row[0]}: {' → '.join(dict.fromkeys(row[1:]))}" for row in differences(runs).to_numpy().tolist()]


def results(runs: Sequence[Run], curves: Curves) -> pd.DataFrame:
    """What each run has reached at its last evaluation: one row a run. Loss in nats per token, time in seconds; ± is one
    standard error over windows of the validation text."""
    return pd.DataFrame([_result(run, curves) for run in runs], columns=list(_COLUMNS))


# What is only looked at or kept changes nothing in how a model learns.
_HARMLESS = {"eval_interval", "sample_interval", "prompt", "checkpoint_interval", "snapshots"}
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
            "validation loss": with_error(last["loss"], last["loss_se"]),
            "perplexity": round(math.exp(min(float(last["loss"]), 700)), 3),
            "bits per byte": _bits(last),
            "accuracy": round(float(last["accuracy"]), 4),
            "step": int(last["step"]),
            "tokens": int(last["tokens"]),
            "seconds": round(seconds, 1),
            "tokens/s": round(int(last["tokens"]) / seconds) if seconds else None,
        }
    return row


def with_error(value: float, error: float | None) -> str:
    """A loss as tables show it, "1.2340 ± 0.0120"; without the error where there is none."""
    return f"{value:.4f}" + ("" if error is None or pd.isna(error) else f" ± {error:.4f}")


def _bits(row: pd.Series) -> str | None:
    """Bits per byte with their error, or None where the tokenizer does not give its text back."""
    if pd.isna(row["bits_per_byte"]):
        return None
    error = row["loss_se"]
    return with_error(row["bits_per_byte"], None if pd.isna(error) else error * row["bits_per_byte"] / row["loss"])


def _unequal(what: str, names: Sequence[str], digests: Iterable[str]) -> list[list[str]]:
    """A row for runs that differ in what names do not tell, with the beginning of a digest that tells it; else none."""
    found = list(digests)
    if len(set(found)) == 1 or len(set(zip(names, found, strict=True))) == len(set(names)):
        return []
    return [[what, *(f"{name} ({digest[:6]})" for name, digest in zip(names, found, strict=True))]]


def _values(configs: Sequence[Settings]) -> dict[str, list[Any]]:
    dictionaries = [config.to_dict() for config in configs]
    if len({values.get("mlp_width") for values in dictionaries}) > 1:  # 0 is a rule: say what follows from it
        for config, values in zip(configs, dictionaries, strict=True):
            values["mlp_width"] = config.mlp_hidden if isinstance(config, ModelConfig) else None
    return {name: [values[name] for values in dictionaries] for name in dictionaries[0]}
