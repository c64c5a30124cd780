"""Make three small reference runs that differ only in their softmax: ``python -m playground.reference.make_sinks``.

One has the ordinary softmax; one softmax-off-by-one (Miller 2023), whose denominator has one more score, of zero; one a
learned score per head instead of that zero (gpt-oss 2025). In the last two a head can attend to nothing, and does
not need the first token as a sink. Same batches, same initial weights.

The table has the layout of StreamingLLM's table 3 (Xiao et al. 2023): a cache of `TOTAL` tokens, of which the first 0, 1, 2
or 4 of the text stay and the others are the latest; perplexity far beyond the context. The results are stored with
each run, as `FILE`: it contains the attention of all snapshots, of which only the last one ships.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from playground.analysis.streaming import kept_first, within_context
from playground.config import TrainConfig, preset
from playground.interp.sinks import LENGTH, SinkPoint, through_training
from playground.models.transformer import Transformer
from playground.runs.create import Prepared
from playground.runs.gallery import publish
from playground.runs.loading import ModelCache
from playground.runs.store.files import read_json, write_json
from playground.runs.store.paths import cache_root, gallery_root
from playground.runs.store.run_store import Run, RunStore
from playground.runs.texts import dataset
from playground.runs.worker.execution import execute
from playground.tokenizers import build_tokenizer
from playground.train.events import Evaluated, Event

ARMS = {"Vanilla softmax": "none", "Softmax-off-by-one": "zero", "Learned sink": "learned"}  # names, `sink_logit`
KEPT, TOTAL = (0, 1, 2, 4), 64
TEXTS, TOKENS, SINK_TEXTS = 16, 2_048, 32
MODEL: dict[str, Any] = {"n_layer": 4, "n_head": 4, "n_kv_head": 4, "n_embd": 56, "block_size": 128}
BUDGET: dict[str, Any] = {
    "corpus": "tales", "corpus_bytes": 4_000_000, "steps": 1500, "batch_size": 16, "learning_rate": 4e-3,
    "eval_interval": 50, "eval_tokens": 32_768, "sample_interval": 300, "checkpoint_interval": 1500, "snapshots": 14,
}  # fmt: skip
FILE = "streaming.json"


@dataclass(frozen=True)
class Measured:
    """Results of one run. Losses in nats per token of each text: (B,)."""

    within: np.ndarray  # inside the context, with full attention
    beyond: Mapping[int, np.ndarray]  # beyond it, by how many first tokens stay
    points: Sequence[SinkPoint]

    def perplexity(self, n_kept: int) -> float:
        return float(np.exp(self.beyond[n_kept].mean()))

    def gain(self, n_kept: int) -> tuple[float, float]:
        """Nats per token that keeping first tokens saves, and the standard error over the texts (read both ways)."""
        saved = self.beyond[0] - self.beyond[n_kept]
        return float(saved.mean()), float(saved.std(ddof=1) / np.sqrt(len(saved)))

    def to_dict(self) -> dict[str, Any]:
        points = [
            {"step": point.step, "first": point.mass.round(4).tolist(), "nothing": point.nothing.round(4).tolist()}
            for point in self.points
        ]
        beyond = {str(n): nll.round(5).tolist() for n, nll in self.beyond.items()}
        return {"within": self.within.round(5).tolist(), "beyond": beyond, "points": points}


def recipe(sink_logit: str) -> Prepared:
    """One of the runs, ready to be created."""
    tokenizer = build_tokenizer("byte", "")
    model = preset("modern", vocab_size=tokenizer.vocab_size, **MODEL, sink_logit=sink_logit)
    return Prepared("modern", model, TrainConfig(**BUDGET), tokenizer)


def title(name: str) -> str:
    """The name of one of the runs."""
    return f"Sinks: {name[0].lower()}{name[1:]} on Tales"


def run_id(sink_logit: str) -> str:
    """Always the same, so that links to it last."""
    return hashlib.sha256(f"sinks {sink_logit}".encode()).hexdigest()[:32]


def measured(run: Run) -> Measured | None:
    """The stored results of a reference run; None for all others."""
    values = read_json(run.path / FILE) if run.reference else None
    if values is None:
        return None
    points = [
        SinkPoint(int(each["step"]), np.asarray(each["first"]), np.asarray(each["nothing"]))
        for each in values["points"]
    ]
    beyond = {int(n): np.asarray(nll) for n, nll in values["beyond"].items()}
    return Measured(np.asarray(values["within"]), beyond, points)


def measure(run: Run, models: ModelCache) -> Measured:
    """Evaluate held-out text with every kind of cache, and measure the heads of every snapshot."""
    ids = np.asarray(dataset(run, cache_root()).validation, dtype=np.int64)
    texts, short = ids[: TEXTS * TOKENS].reshape(TEXTS, TOKENS), ids[: SINK_TEXTS * LENGTH].reshape(-1, LENGTH)
    model: Transformer = models.get(run)
    tokens, context = torch.from_numpy(texts), run.model.block_size
    beyond = {n: kept_first(model, tokens, TOTAL, n)[:, context:].mean(axis=1) for n in KEPT}
    points = list(through_training(lambda step: models.get(run, step), run.steps_available(), short))
    return Measured(within_context(model, tokens), beyond, points)


def make(name: str, root: Path, work: Path) -> Path:
    """Train one of the runs in the store `work`, measure it, and publish it in the gallery `root`."""
    prepared = recipe(ARMS[name])
    run = RunStore(work).create(prepared.model, prepared.train, prepared.tokenizer, name=name, preset=prepared.preset)
    ending = execute(run, cache_dir=cache_root(), watch=_report(name))
    if ending.state != "finished":
        raise SystemExit(f"{name}: {ending.state}. {ending.message}")
    found = measure(run, ModelCache())
    folder = publish(run, root, name=title(name), every=10, run_id=run_id(ARMS[name]))
    write_json(folder / FILE, found.to_dict())
    return folder


def _report(name: str) -> Any:
    def report(event: Event) -> None:
        if isinstance(event, Evaluated) and event.step % 250 == 0:
            print(f"{name}: step {event.step}, validation loss {event.loss:.4f}", file=sys.stderr, flush=True)

    return report


def main(arguments: list[str] | None = None) -> None:
    """Make the three runs, or one of them."""
    parser = argparse.ArgumentParser(prog="python -m playground.reference.make_sinks", description=__doc__)
    parser.add_argument("--root", type=Path, default=gallery_root(), help="where the gallery goes")
    parser.add_argument("--only", choices=list(ARMS), help="one of them")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as work:
        for name in [options.only] if options.only else ARMS:
            print(make(name, options.root, Path(work) / "runs"), flush=True)


if __name__ == "__main__":
    main()
