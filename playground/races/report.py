"""Results of a race as text for a terminal and as rows of a CSV file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

from playground.races.verdict import Verdict
from playground.races.words import what_differs
from playground.runs.curves import Curves
from playground.runs.races import Race
from playground.train.events import Evaluated, columns
from playground.train.flops import training_flops


def as_text(race: Race, found: Verdict) -> str:
    """The verdict for a terminal."""
    each = [word for one in found.comparisons for word in one.words] if len(found.comparisons) > 1 else []
    said = [found.headline, *found.sentences]
    each = [word for word in each if not any(word in sentence for sentence in said)]
    notes = [found.table_note] if found.table_note else []
    if any(row["loss_spread"] is not None for row in found.table):
        notes.insert(0, SPREAD)
    lines = [race.name, *what_differs(race), "", *said, *each, "", found.rule, *notes, ""]
    cells = [_cells(row) for row in found.table]
    # A race trained before errors were logged has none.
    names = [name for name in cells[0] if name not in ERRORS or any(row[name] != "–" for row in cells)]
    rows = [names, *([row[name] for name in names] for row in cells)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines += ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join(lines)


SPREAD = "The table has means over seeds at the last common measurement; ± is the standard deviation over seeds."
ERRORS = ("s.e. (nats/token)", "s.e. (bits/byte)")


def _cells(row: dict[str, Any]) -> dict[str, str]:
    """The cells of an arm by the names of their columns."""

    def shown(key: str, form: str) -> str:
        return "–" if row[key] is None else format(row[key], form)

    spread = "" if row["loss_spread"] is None else f" ± {row['loss_spread']:.4f}"
    return {
        "arm": row["arm"],
        "loss (nats/token)": shown("loss", ".4f") + spread,
        ERRORS[0]: shown("loss_se", ".4f"),
        "bits/byte": shown("bits_per_byte", ".4f"),
        ERRORS[1]: shown("bits_per_byte_se", ".4f"),
        "parameters": f"{row['parameters']:,}",
        "MFLOPs/token": f"{row['flops_per_token'] / 1e6:.2f}",
        "tokens/s": shown("tokens_per_second", ",.0f"),
        "memory (MB)": f"{row['memory_bytes'] / 1e6:.0f}",
    }


MEASURED = [name for name in columns(Evaluated) if name not in ("step", "tokens")]
_AT = MEASURED.index("loss_se") + 1
MEASURED[_AT:_AT] = ["bits_per_byte", "bits_per_byte_se"]
CSV_COLUMNS = ("arm", "seed", "step", "tokens", "flops", *MEASURED)


def csv_rows(race: Race, curves: Curves) -> list[list[Any]]:
    """Every measurement on the validation text, one a row, in the order of CSV_COLUMNS."""
    rows = []
    for arm, members in zip(race.spec.arms, race.members, strict=True):
        for member in members:
            flops = training_flops(member.model)
            for event in curves.evaluations(member).to_dict("records"):
                tail = [None if event[name] != event[name] else event[name] for name in MEASURED]
                name = (
                    f"'{arm.name}" if arm.name[:1] in "=+-@" else arm.name
                )  # so that spreadsheets do not run it as a formula
                rows.append([name, member.train.seed, event["step"], event["tokens"], event["tokens"] * flops, *tail])
    return rows


def write_csv(race: Race, curves: Curves, path: Path) -> None:
    """Write `csv_rows` with a header. Raises ValueError when the file cannot be written."""
    try:
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(CSV_COLUMNS)
            writer.writerows(csv_rows(race, curves))
    except OSError as error:
        raise ValueError(f"Cannot write {path}: {error.strerror}.") from None
