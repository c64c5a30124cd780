"""Make the reference runs: ``python -m playground.reference.make_runs``.

A classic and a modern model read the same text in the same order, with parameters within two per cent of each other, for
three seeds each. All six keep their curves; seed 0 keeps weights: the last ones of each, and of the modern model twelve
log-spaced snapshots, so that attention can be watched forming. Weights are stored as bfloat16.

A seventh run, of two small layers, learns to repeat random letters. Between two of its snapshots an induction head forms
(Olsson et al. 2022): before that the model only guesses, afterwards it is nearly always correct.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playground.config import TrainConfig, counted, preset
from playground.data.corpora import training_text
from playground.runs.create import Prepared
from playground.runs.gallery import publish
from playground.runs.store.paths import cache_root, gallery_root
from playground.runs.store.run_store import Run, RunStore
from playground.runs.worker.execution import execute
from playground.tokenizers import build_tokenizer
from playground.train.estimate import count_parameters
from playground.train.events import Event, StepDone

SEEDS = (0, 1, 2)
SNAPSHOTS = 12
EVERY = 10  # training steps, of which one is kept in the log
# Full attention over 256 tokens reaches back over most of a story. Heads and layers are equal; the width of the classic
# model is smaller because its biases, positions and multi-head attention take parameters that grouped queries save.
SIZES: dict[str, dict[str, Any]] = {
    "classic": {"n_layer": 4, "n_head": 4, "n_embd": 120, "block_size": 256},
    "modern": {"n_layer": 4, "n_head": 4, "n_embd": 128, "block_size": 256},
}
BUDGET: dict[str, Any] = {
    "corpus": "tales", "corpus_bytes": 4_000_000, "steps": 1600, "batch_size": 8, "learning_rate": 2e-3, "eval_interval": 50,
    "eval_tokens": 32_768, "sample_interval": 100, "checkpoint_interval": 1600,
}  # fmt: skip


INDUCTION: dict[str, Any] = {"n_layer": 2, "n_head": 3, "n_kv_head": 3, "n_embd": 48, "block_size": 64}
INDUCTION_BUDGET: dict[str, Any] = {
    "corpus": "repeat", "tokenizer": "char", "steps": 1000, "batch_size": 48, "learning_rate": 8e-3, "warmup_steps": 100,
    "eval_interval": 25, "sample_interval": 0, "checkpoint_interval": 1000, "snapshots": 20,
}  # fmt: skip
INDUCTION_STEPS = (0, 37, 78, 112, 161, 233, 335, 1000)  # of the snapshots


def recipe(name: str, seed: int) -> Prepared:
    """One reference run, ready to be created: "classic", "modern", or "induction"."""
    if name == "induction":
        train = TrainConfig(**INDUCTION_BUDGET, seed=seed)
        letters = build_tokenizer("char", training_text(train))
        return Prepared("", preset("modern", vocab_size=letters.vocab_size, **INDUCTION), train, letters)
    tokenizer = build_tokenizer("byte", "")
    model = preset(name, vocab_size=tokenizer.vocab_size, **SIZES[name])
    snapshots = SNAPSHOTS if name == "modern" and seed == 0 else 0
    return Prepared(name, model, TrainConfig(**BUDGET, seed=seed, snapshots=snapshots), tokenizer)


def make(root: Path, name: str, seed: int, work: Path) -> Path:
    """Train one reference run in the store `work` and publish it in the gallery `root`."""
    prepared = recipe(name, seed)
    store = RunStore(work)
    title = "Induction: two layers on Repeat" if name == "induction" else f"{name.capitalize()} on Tales, seed {seed}"
    run = store.create(prepared.model, prepared.train, prepared.tokenizer, name=title, preset=prepared.preset)
    ending = execute(run, cache_dir=cache_root(), watch=_report(title, run))
    if ending.state != "finished":
        raise SystemExit(f"{title}: {ending.state}. {ending.message}")
    steps = run.steps_available() if seed == 0 else []
    if name == "induction":
        steps = list(INDUCTION_STEPS)
    return publish(run, root, name=title, steps=steps, every=EVERY, run_id=reference_id(name, seed))


def reference_id(name: str, seed: int) -> str:
    """The id of a reference run: always the same, so that links to it last."""
    return hashlib.sha256(f"gallery {name} {seed}".encode()).hexdigest()[:32]


def _report(title: str, run: Run) -> Any:
    began = time.monotonic()

    def report(event: Event) -> None:
        if isinstance(event, StepDone) and event.step % 100 == 0:
            print(f"{title}: step {event.step} of {run.train.steps}, loss {event.loss:.3f}, "
                  f"{time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)  # fmt: skip

    return report


def main(arguments: list[str] | None = None) -> None:
    """Make the whole gallery, or one run of it."""
    parser = argparse.ArgumentParser(prog="python -m playground.reference.make_runs", description=__doc__)
    parser.add_argument("--root", type=Path, default=gallery_root(), help="where the gallery goes")
    parser.add_argument("--only", nargs=2, metavar=("NAME", "SEED"), help="for instance: --only modern 0")
    options = parser.parse_args(arguments)
    everything = [*((name, seed) for seed in SEEDS for name in SIZES), ("induction", 0)]
    wanted = [(options.only[0], int(options.only[1]))] if options.only else everything
    counts = {name: count_parameters(recipe(name, 0).model) for name in SIZES}
    print(", ".join(f"{name}: {counted(count, 'parameter')}" for name, count in counts.items()), file=sys.stderr)
    with tempfile.TemporaryDirectory() as work:
        for name, seed in wanted:
            print(make(options.root, name, seed, Path(work) / "runs"))


if __name__ == "__main__":
    main()
