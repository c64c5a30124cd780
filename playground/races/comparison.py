"""Tables that compare runs: their settings and their results."""

from __future__ import annotations

import math
from collections.abc import Container, Iterable, Sequence
from typing import Any

import pandas as pd

from playground.analysis.exact_match import count_scored, right_of
from playground.config import ModelConfig, label, setting_kinds, spelled, without_effect
from playground.data.corpora import UNKNOWN_TEXT, find_corpus
from playground.runs.comparable import text_bytes, text_of, tokens_of
from playground.runs.curves import Curves
from playground.runs.store.run_store import Run
from playground.train.estimate import count_parameters
from playground.train.events import Evaluated, columns


def differences(runs: Sequence[Run]) -> pd.DataFrame:
    """The settings in which runs differ: one row per setting, one column per run, "–" where it has no effect.
    Tokens or texts that differ although their names agree have a separate row."""
    if not runs:
        return pd.DataFrame(columns=["setting"])
    rows: list[list[Any]] = [
        [name, *("–" if value is None else value for value in values)]
        for name, values in unequal_settings(runs, HARMLESS)
    ]
    rows += _unequal("Tokens", [run.tokenizer_words for run in runs], map(tokens_of, runs))
    rows += _unequal("Validation text", [find_corpus(run.train.corpus).label for run in runs], map(text_of, runs))
    return pd.DataFrame(rows, columns=["setting", *(run.name for run in runs)])


def told_apart(runs: Sequence[Run]) -> list[str]:
    """`differences` in short, as "Norm: LayerNorm → RMSNorm"; a value that several share is listed once."""
    return [in_short(row[0], row[1:]) for row in differences(runs).to_numpy().tolist()]


def in_short(name: str, values: Sequence[str | None]) -> str:
    """A row of differences as "Norm: LayerNorm → RMSNorm", without runs in which the setting has no effect."""
    return f"{name}: {' → '.join(dict.fromkeys(value for value in values if value not in (None, '–')))}"


def unequal_settings(runs: Sequence[Run], ignored: Container[str]) -> list[tuple[str, list[str | None]]]:
    """The settings that differ between runs in which they have an effect: a label, and a value in words for each run, None
    where the setting has no effect or is not known. Settings that are `ignored`, by name, are left out."""
    found = []
    values = [_acting(run) for run in runs]
    for name, kind in (("vocab_size", ModelConfig), *setting_kinds().items()):
        if (
            name in ignored
            or len({getattr(run.model if kind is ModelConfig else run.train, name) for run in runs}) == 1
        ):
            continue
        each = [acting.get(name) for acting in values]
        if len({value for value in each if value is not None}) > 1:
            found.append((label(kind, name), [None if value is None else spelled(value) for value in each]))
    return found


def _acting(run: Run) -> dict[str, Any]:
    """The settings that have an effect in a run. Of sizes for which 0 is a rule, what follows from it; of a text, its name
    and how much of it there is."""
    model, train = run.model, run.train
    values: dict[str, Any] = {**model.to_dict(), "mlp_width": model.mlp_hidden, "head_size": model.head_dim}
    trained = {**train.to_dict(), "corpus": find_corpus(train.corpus).label, "corpus_bytes": text_bytes(run)}
    if train.corpus == UNKNOWN_TEXT:  # imported: nothing else is known about its training
        trained = {name: trained[name] for name in ("corpus", "tokenizer")}
    off = without_effect(model, train)
    return {name: value for name, value in {**values, **trained}.items() if name not in off}


def results(runs: Sequence[Run], curves: Curves) -> pd.DataFrame:
    """The last evaluation of each run: one row per run. Loss in nats per token, time in seconds; ± is one
    standard error over windows of the validation text."""
    table = pd.DataFrame([_result(run, curves) for run in runs], columns=list(_COLUMNS))
    table = table.drop(columns=[name for name in _FURTHER.values() if table[name].isna().all()])
    return table.astype(dict.fromkeys(_COUNTS, "Int64"))  # counts stay whole where a run has none


# Settings of evaluation and logging do not affect training.
HARMLESS = {"eval_interval", "sample_interval", "prompt", "checkpoint_interval", "snapshots"}
# The optional metrics of an evaluation by their headings: a column only where a run has the metric.
_FURTHER = {
    name: name.replace("_", " ") for name, about in columns(Evaluated).items() if about.optional and name != "loss_se"
}
_COLUMNS = (
    "run", "validation loss", "perplexity", "bits per byte", "accuracy", *_FURTHER.values(), "step", "tokens", "parameters",
    "tokenizer", "seconds", "tokens/s",
)  # fmt: skip

_COUNTS = ("step", "tokens", "tokens/s")


def _result(run: Run, curves: Curves) -> dict[str, Any]:
    evaluations = curves.evaluations(run)
    row: dict[str, Any] = {
        "run": run.name,
        "parameters": count_parameters(run.model),
        "tokenizer": run.tokenizer_words,
    }
    if len(evaluations):
        last = evaluations.iloc[-1]
        seconds = float(last["seconds"])
        row |= {
            "validation loss": with_error(last["loss"], last["loss_se"]),
            "perplexity": round(math.exp(min(float(last["loss"]), 700)), 3),
            "bits per byte": _bits(last),
            "accuracy": round(float(last["accuracy"]), 4),
            **{heading: last[name] for name, heading in _FURTHER.items()},
            _FURTHER["exact_match"]: _exact_match(run, last["exact_match"]),
            "step": int(last["step"]),
            "tokens": int(last["tokens"]),
            "seconds": round(seconds, 1),
            "tokens/s": round(int(last["tokens"]) / seconds) if seconds else None,
        }
    return row


def with_error(value: float, error: float | None) -> str:
    """A loss as tables show it, "1.2340 ± 0.0120"; without the error where there is none."""
    return f"{value:.4f}" + ("" if error is None or pd.isna(error) else f" ± {error:.4f}")


def _exact_match(run: Run, share: float | None) -> str | float | None:
    """Right answers and scored problems, as "1 of 32", because so few say little; the share where no problem is known."""
    n = count_scored(run.train.corpus, run.model.block_size)
    return f"{right_of(share, n)} of {n}" if share is not None and not pd.isna(share) and n else share


def _bits(row: pd.Series) -> str | None:
    """Bits per byte with their error, or None where the tokenizer does not give its text back."""
    if pd.isna(row["bits_per_byte"]):
        return None
    return with_error(row["bits_per_byte"], row["bits_per_byte_se"])


def _unequal(what: str, names: Sequence[str], digests: Iterable[str]) -> list[list[str]]:
    """A row for runs that differ in what names do not tell, with the beginning of a digest that tells it; else none."""
    found = list(digests)
    if len(set(found)) == 1 or len(set(zip(names, found, strict=True))) == len(set(names)):
        return []
    return [[what, *(f"{name} ({digest[:6]})" for name, digest in zip(names, found, strict=True))]]
