"""Many runs as one ZIP archive: settings, curves and samples that a spreadsheet or a text editor opens.

    runs.csv                  a row per run: whose it is, settings in short, state, last evaluation
    001-NAME-ID/settings.json     all settings
    001-NAME-ID/training.csv      every logged training step
    001-NAME-ID/validation.csv    every evaluation
    001-NAME-ID/samples.txt       the samples, by step
    001-NAME-ID/tokenizer.json, text.txt, model.safetensors    with `everything`

The archive is made piece by piece, so that neither memory nor disk must hold all of it.
"""

from __future__ import annotations

import csv
import io
import json
import re
import time
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, cast

from playground.runs.curves import Curves
from playground.runs.store import checkpoints
from playground.runs.store.files import read_json
from playground.runs.store.run_store import Run

Entry = tuple[str, bytes | Path]  # a name in the archive, and the content or a file that has it
COLUMNS = (
    "folder", "id", "name", "student", "class", "race", "created", "state", "step", "steps", "preset", "dataset",
    "tokenizer", "loss", "loss_se", "bits_per_byte", "bits_per_byte_se", "message",
)  # fmt: skip
FORMULA = re.compile(r"[=+\-@\t\r]")  # a spreadsheet evaluates a cell that begins with one of these
BLOCK = 1 << 20  # bytes


def entries(
    runs: Sequence[Run], curves: Curves, people: Mapping[str, tuple[str, str]] | None = None, everything: bool = False
) -> Iterator[Entry]:
    """The files of an archive of `runs`. `people` gives the name and class of an owner.

    With `everything` also tokenizers, own texts and the newest weights, so that nothing of a run is missing but the state of
    its optimizer.
    """
    table: list[Sequence[Any]] = [COLUMNS]
    texts: set[Path] = set()
    for number, run in enumerate(runs, 1):
        folder = f"{number:03d}-{slug(run.name)}-{run.id[:8]}"
        now = curves.since(run)
        table.append(_row(folder, run, now, curves, (people or {}).get(run.owner or "", ("", ""))))
        settings: dict[str, Any] = {
            "id": run.id,
            "name": run.name,
            "preset": run.preset,
            "created": _moment(run.created),
        }
        settings |= {"origin": run.origin} if run.origin else {}
        settings |= {"model": run.model.to_dict(), "train": run.train.to_dict()}
        yield f"{folder}/settings.json", _json(settings)
        yield f"{folder}/training.csv", curves.dataframe(run).to_csv(index=False).encode()
        yield f"{folder}/validation.csv", curves.evaluations(run).to_csv(index=False).encode()
        samples = [f"# step {one['step']}\n{one['prompt']}{one['text']}\n" for one in now["samples"]]
        yield f"{folder}/samples.txt", "\n".join(samples).encode("utf-8", "replace")
        if everything:
            yield f"{folder}/tokenizer.json", _json(read_json(run.path / "tokenizer.json") or {})
            if run.text_path is not None and run.text_path not in texts:  # the runs of a race share one
                texts.add(run.text_path)
                yield f"{folder}/text.txt", run.text_path
            if (weights := checkpoints.newest_weights(run.path)) is not None:
                yield f"{folder}/model.safetensors", weights
    yield "runs.csv", table_csv(table)


def _row(folder: str, run: Run, now: Mapping[str, Any], curves: Curves, person: tuple[str, str]) -> Sequence[Any]:
    race = read_json(run.race_path / "race.json") if run.race_path is not None else None
    measured = curves.evaluations(run)
    last = measured.iloc[-1].to_dict() if len(measured) else {}
    losses = [last.get(name) for name in ("loss", "loss_se", "bits_per_byte", "bits_per_byte_se")]
    return (
        folder, run.id, run.name, *person, (race or {}).get("name", ""), _moment(run.created), now["state"], now["step"],
        run.train.steps, run.preset, now["corpus"], now["tokenizer"],
        *(None if value != value else value for value in losses), now["message"],
    )  # fmt: skip


def table_csv(rows: Iterable[Sequence[Any]]) -> bytes:
    """Rows as CSV. Text that a spreadsheet would evaluate as a formula begins with an apostrophe."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8", "replace")


def _cell(value: Any) -> Any:
    return f"'{value}" if isinstance(value, str) and FORMULA.match(value) else value


def stream(files: Iterable[Entry]) -> Iterator[bytes]:
    """The bytes of a ZIP archive of these files, as they are made. Files that are gone meanwhile are left out."""
    made = _Made()
    with zipfile.ZipFile(cast(IO[bytes], made), "w") as archive:
        for name, content in files:
            info = zipfile.ZipInfo(name, time.localtime()[:6])
            info.compress_type = zipfile.ZIP_STORED if name.endswith(".safetensors") else zipfile.ZIP_DEFLATED
            try:
                source = io.BytesIO(content) if isinstance(content, bytes) else open(content, "rb")  # noqa: SIM115
            except FileNotFoundError:
                continue
            with source, archive.open(info, "w", force_zip64=True) as target:
                while block := source.read(BLOCK):
                    target.write(block)
                    yield made.take()
    yield made.take()


class _Made:
    """A file to write to that gives back what was written. It cannot seek, so `zipfile` never goes back."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def write(self, data: bytes) -> int:
        self._parts.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is kept back."""

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return b"".join(parts)


def slug(name: str) -> str:
    """A name for use in a file name: letters, digits and hyphens of ASCII."""
    return re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-").lower()[:40].strip("-") or "run"


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1).encode("ascii")


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))
