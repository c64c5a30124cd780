"""A race as files: an HTML page that works offline, every evaluation as CSV, and the config to run it again.

The page carries what it needs: plotly.js from the installed package, the style sheet, and in an import map the very
modules that show a race in the app, fed with the race's data. Its content security policy lets it fetch nothing. Data goes
in as JSON with ``<`` escaped.
"""

from __future__ import annotations

import csv
import io
import json
import re
from functools import cache
from html import escape
from pathlib import Path
from typing import Any

from playground.races.payload import race_news
from playground.races.report import CSV_COLUMNS, csv_rows
from playground.runs.curves import Curves
from playground.runs.races import Race
from playground.ui import scripts
from playground.ui.components import COMPONENTS

HERE = Path(__file__).parent
PAGE = HERE.parent  # where the style sheet of the whole page is
KINDS = ("report", "csv", "json")
_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' data:; style-src 'unsafe-inline'; img-src data: blob:; "
    "connect-src data: blob:"
)


def race_file(race: Race, curves: Curves, kind: str) -> dict[str, Any]:
    """The file of a kind: its name, media type and text."""
    name = re.sub(r"[^\w .-]+", " ", race.name).strip() or "race"
    if kind == "report":
        return {"name": f"{name}.html", "type": "text/html", "text": race_report(race, curves)}
    if kind == "csv":
        return {"name": f"{name}.csv", "type": "text/csv", "text": race_csv(race, curves)}
    return {"name": f"{name}.json", "type": "application/json", "text": race_config(race)}


def race_config(race: Race) -> str:
    """What ``python -m playground race`` reads."""
    return json.dumps({**race.spec.to_dict(), "name": race.name}, indent=2) + "\n"


def race_csv(race: Race, curves: Curves) -> str:
    """Every measurement, one a row."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(CSV_COLUMNS)
    writer.writerows(csv_rows(race, curves))
    return text.getvalue()


def race_report(race: Race, curves: Curves) -> str:
    """One HTML page with everything that the app shows of a race."""
    data = race_news(race, curves)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{_POLICY}">
<title>{escape(race.name)}</title>
<style>{(PAGE / "style.css").read_text("utf-8")}
{(HERE / "report.css").read_text("utf-8")}</style>
</head>
<body>
<main>
<h1>{escape(race.name)}</h1>
<div class="pg-component" id="race">{COMPONENTS["race_view"].template}</div>
<details><summary>Config: race it again with <code>python -m playground race FILE.json</code></summary>
<pre>{escape(race_config(race))}</pre></details>
</main>
<script type="application/json" id="data">{_inert(json.dumps(data, allow_nan=False))}</script>
<script>{_plotly()}</script>
{scripts.import_map("components/race_view.js")}
<script type="module">{_script((HERE / "report.js").read_text("utf-8"))}</script>
</body>
</html>
"""


def _inert(text: str) -> str:
    """JSON that is safe inside an HTML script element."""
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _script(text: str) -> str:
    """A script of ours, which must not contain closing tags."""
    assert "</script" not in text.lower()
    return text


@cache
def _plotly() -> str:
    return re.sub(r"</(script)", r"<\\/\1", scripts.PLOTLY_PATH.read_text("utf-8"), flags=re.IGNORECASE)
