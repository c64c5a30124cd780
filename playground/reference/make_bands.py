"""Make the reference bands: ``python -m playground.reference.make_bands``.

For each preset and dataset, `SEEDS` runs with the settings that the Train tab proposes; only the validation losses are
kept, one or two kilobytes in ``checkpoints/gallery/bands/PRESET-TEXT.json``. The command trains missing runs, most useful
first, and can be interrupted; with ``--minutes`` it starts no run after that time.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.config import PRESETS, ModelConfig, TrainConfig
from playground.config import preset as preset_config
from playground.data.corpora import CORPORA, training_text
from playground.runs.create import Prepared, prepare_run
from playground.runs.store.files import read_json, write_json
from playground.runs.store.paths import gallery_root
from playground.train.dataset import prepare
from playground.train.events import Evaluated
from playground.train.trainer import TrainState, train

FOLDER = "bands"
SEEDS = (0, 1, 2)
TEXTS = tuple(name for name, corpus in CORPORA.items() if corpus.kind not in ("download", "own"))
PAIRS = tuple(
    (preset, text) for group in (("modern", "classic"), ("mixture", "gpt-oss")) for text in TEXTS for preset in group
)


@dataclass(frozen=True)
class Reference:
    """Validation losses, in nats per token by step, of runs that differ only in their seed."""

    preset: str
    model: ModelConfig
    train: TrainConfig
    step: list[int]
    tokens: list[int]
    seconds: dict[int, list[float]]  # of training, by seed, on the machine that made them
    loss: dict[int, list[float]]  # by seed

    def to_dict(self) -> dict[str, Any]:
        """JSON-able."""
        curves = {"step": self.step, "tokens": self.tokens, "seconds": self.seconds, "loss": self.loss}
        return {"preset": self.preset, "model": self.model.to_dict(), "train": self.train.to_dict(), **curves}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Reference:
        """The inverse of `to_dict`, also through JSON. Raises KeyError, TypeError or ValueError for anything else."""
        by_seed = {name: {int(seed): list(row) for seed, row in values[name].items()} for name in ("seconds", "loss")}
        model, settings = ModelConfig.from_dict(values["model"]), TrainConfig.from_stored(values["train"])
        return cls(str(values["preset"]), model, settings, list(values["step"]), list(values["tokens"]), **by_seed)


def proposed(preset: str, text: str, seed: int = 0) -> Prepared:
    """The run that the Train tab proposes for a preset and a dataset."""
    return prepare_run(preset, {}, {"corpus": text, "seed": seed})


def read_reference(root: Path, preset: str, text: str) -> Reference | None:
    """The reference curves of a preset and a dataset, or None."""
    if (preset, text) not in PAIRS:
        return None
    values = read_json(root / FOLDER / f"{preset}-{text}.json")
    try:
        return None if values is None else Reference.from_dict(values)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None  # of another version


def missing(root: Path, pairs: Sequence[tuple[str, str]] = PAIRS) -> Iterator[tuple[str, str, int]]:
    """Presets, datasets and seeds without a curve for the current defaults, in the order in which they are made."""
    for preset, text in pairs:
        found = read_reference(root, preset, text)
        known = found.loss if found is not None and _is_current(found) else {}
        yield from ((preset, text, seed) for seed in SEEDS if seed not in known)


def _is_current(reference: Reference) -> bool:
    """Whether the Train tab still proposes these settings; a changed default requires a new curve."""
    model = preset_config(reference.preset, vocab_size=reference.model.vocab_size)
    return (reference.model, reference.train) == (model, TrainConfig(corpus=reference.train.corpus, seed=SEEDS[0]))


def make(root: Path, preset: str, text: str, seed: int) -> Path:
    """Train one run and add its curve to the file of its pair. Generates no samples and keeps no weights."""
    prepared = proposed(preset, text, seed)
    silent = prepared.train.replace(sample_interval=0, snapshots=0)  # which changes no number
    data = prepare(training_text(silent), prepared.tokenizer, prepared.model, silent)
    events = train(TrainState.new(prepared.model, silent), data, silent, prepared.tokenizer)
    seen = [event for event in events if isinstance(event, Evaluated)]
    step, tokens = [event.step for event in seen], [event.tokens for event in seen]
    found = read_reference(root, preset, text)
    settings = prepared.model, prepared.train.replace(seed=SEEDS[0])
    old = found if found is not None and (found.model, found.train) == settings else None
    seconds = {**(old.seconds if old else {}), seed: [round(event.seconds, 1) for event in seen]}
    loss = {**(old.loss if old else {}), seed: [round(event.loss, 4) for event in seen]}
    whole = Reference(preset, *settings, step, tokens, seconds, loss)
    path = root / FOLDER / f"{preset}-{text}.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    write_json(path, whole.to_dict())
    return path


def main(arguments: list[str] | None = None) -> None:
    """Make the bands that are missing."""
    parser = argparse.ArgumentParser(prog="python -m playground.reference.make_bands", description=__doc__)
    parser.add_argument("--root", type=Path, default=gallery_root(), help="where the gallery is")
    parser.add_argument("--only", nargs=2, metavar=("PRESET", "TEXT"), help="for instance: --only modern tales")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no other run after this time")
    parser.add_argument("--list", action="store_true", help="only say what is missing")
    options = parser.parse_args(arguments)
    pairs = PAIRS if options.only is None else [tuple(options.only)]
    unknown = [pair for pair in pairs if pair[0] not in PRESETS or pair[1] not in TEXTS]
    if unknown:
        parser.error(
            f"there is no pair {' '.join(unknown[0])}; presets: {', '.join(PRESETS)}; texts: {', '.join(TEXTS)}"
        )
    began = time.monotonic()
    for preset, text, seed in missing(options.root, pairs):
        if options.list:
            print(preset, text, seed)
        elif time.monotonic() - began < 60 * options.minutes:
            start = time.monotonic()
            path = make(options.root, preset, text, seed)
            print(f"{path.name}, seed {seed}: {time.monotonic() - start:.0f} s", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
