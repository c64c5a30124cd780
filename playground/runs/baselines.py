"""N-gram baselines on a run's text: ``baselines.json`` in its folder.

N-grams that were counted on the same training part and evaluated on the same validation part help to interpret a loss:
better than a trigram, not yet as good as a 5-gram. They are counted over bytes, whatever the tokenizer, because bits per
byte can be compared across tokenizers; the chart converts them to its units.
"""

from __future__ import annotations

import hashlib
import math
import threading
from pathlib import Path
from typing import Any

import numpy as np

from playground.data.corpora import find_corpus, training_text
from playground.data.ngram import NgramEntropy, ngram_entropies
from playground.data.tasks import answer_mask
from playground.data.token_file import survey
from playground.runs.store.files import read_json, write_json
from playground.runs.store.run_store import Run
from playground.train.dataset import split_text

FILE = "baselines.json"
FORMAT = 1
MAX_ORDER = 5
COUNTED_BYTES = 4_000_000  # of the training part; two seconds on one core
HELD_OUT_BYTES = 1_000_000  # of the validation part
_PIECES = 16  # evenly spaced, if only a part is counted


def read(folder: Path) -> dict[str, float] | None:
    """Held-out bits per byte by name (unigram to 5-gram) of the run in a folder, or None if they are not known yet."""
    values = read_json(folder / FILE) or {}
    bits = values.get("bits_per_byte")
    if values.get("format") != FORMAT or not isinstance(bits, dict):
        return None
    return {str(name): value for name, value in bits.items() if isinstance(value, float) and math.isfinite(value)}


def compute(run: Run, cache_dir: Path | None) -> dict[str, float]:
    """Compute the baselines and write them into the run's folder. Raises ValueError or OSError if that fails.

    Results for the same text are cached.
    """
    train, held_out, mask = parts(run, cache_dir)
    known = _known(train, held_out, mask, cache_dir)
    values = (read_json(known) if known is not None else None) or facts(
        ngram_entropies(train, held_out, MAX_ORDER, mask), len(train), len(held_out)
    )
    write_json(run.path / FILE, values)
    if known is not None and run.owner is None:
        known.parent.mkdir(parents=True, exist_ok=True)
        write_json(known, values)
    return dict(values["bits_per_byte"])


def facts(entropies: list[NgramEntropy], counted: int, held_out: int) -> dict[str, Any]:
    """The contents of the file."""
    bits = {entropy.name: round(entropy.held_out, 6) for entropy in entropies}
    return {"format": FORMAT, "bits_per_byte": bits, "counted_bytes": counted, "held_out_bytes": held_out}


def start(run: Run, cache_dir: Path | None) -> threading.Thread | None:
    """Compute them in a thread during training, unless done before. The thread may end with the process at any time."""
    if (run.path / FILE).exists():
        return None

    def work() -> None:
        try:
            compute(run, cache_dir)
        except (ValueError, OSError) as error:
            print(f"baselines: {error!r}", flush=True)  # the run does without

    thread = threading.Thread(target=work, name="baselines", daemon=True)
    thread.start()
    return thread


def parts(run: Run, cache_dir: Path | None) -> tuple[bytes, bytes, np.ndarray | None]:
    """Samples of a run's training and validation part, and the answer masks of tasks."""
    config = run.train
    path = run.text_path if config.corpus == "own" else None
    if path is not None:
        where = survey(path, config.corpus_bytes, config.validation_fraction, ends=split_ends(run))
        return (
            sample_file(path, 0, where.cut, COUNTED_BYTES),
            sample_file(path, where.cut, where.end, HELD_OUT_BYTES),
            None,
        )
    head, tail = split_text(training_text(config, cache_dir=cache_dir), config)
    held_out = tail.encode("utf-8")[:HELD_OUT_BYTES]
    task = find_corpus(config.corpus).kind == "task"
    mask = answer_mask(config.corpus, held_out.decode("ascii")) if task else None
    return sample(head.encode("utf-8"), COUNTED_BYTES), held_out, mask


def split_ends(run: Run) -> np.ndarray | None:
    """Ends of documents between which a run's own text is split, or None where it is not split so."""
    return None if run.train.documents == "joined" else run.document_ends()


def sample(data: bytes, n_bytes: int) -> bytes:
    """The data, or evenly spread pieces of it that together have `n_bytes`."""
    return b"".join(data[start:stop] for start, stop in places(0, len(data), n_bytes))


def sample_file(path: Path, start: int, end: int, n_bytes: int) -> bytes:
    """`sample` of the bytes from `start` to `end` of a file, of which no more is read."""
    with open(path, "rb") as file:
        pieces = []
        for at, stop in places(start, end, n_bytes):
            file.seek(at)
            pieces.append(file.read(stop - at))
        return b"".join(pieces)


def places(start: int, end: int, n_bytes: int) -> list[tuple[int, int]]:
    """Where the pieces of a sample from `start` to `end` begin and end: one piece if all of it fits into `n_bytes`."""
    if end - start <= n_bytes:
        return [(start, end)]
    size = n_bytes // _PIECES
    starts = [start + (end - start - size) * number // (_PIECES - 1) for number in range(_PIECES)]
    return [(at, at + size) for at in starts]


def _known(train: bytes, held_out: bytes, mask: np.ndarray | None, cache_dir: Path | None) -> Path | None:
    if cache_dir is None:
        return None
    digest = hashlib.sha256(f"{FORMAT} {MAX_ORDER} {len(train)} {mask is not None} ".encode())
    digest.update(train)
    digest.update(held_out)
    return cache_dir / "ngrams" / f"{digest.hexdigest()[:32]}.json"
