"""What docs/extending.md promises. Run by tests/test_extending.py in a copy of the project with all of its changes."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from playground.__main__ import main
from playground.interchange.folders import write_csv
from playground.races.comparison import results
from playground.races.report import CSV_COLUMNS
from playground.runs.curves import Curves
from playground.runs.store.log import Tail
from playground.runs.store.paths import gallery_root
from playground.runs.store.run_store import Run, RunStore
from playground.ui import scripts
from playground.ui.app import build_app
from playground.ui.services import Services

TINY = [f"--set={each}" for each in (
    "n_layer=1", "n_embd=16", "n_head=2", "block_size=16", "batch_size=2", "eval_tokens=64", "corpus_bytes=20000",
    "sample_interval=0", "eval_interval=10", "learning_rate=1e-3",
)]  # fmt: skip


def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *more: str) -> Run:
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "runs"))
    assert main(["train", "--steps", "20", *TINY, *more]) == 0
    return RunStore(tmp_path / "runs").get(capsys.readouterr().out.strip().splitlines()[-1])


def test_the_norm_trains(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    run = trained(tmp_path, monkeypatch, capsys, "--set", "norm=scalenorm")
    assert (run.state(), run.model.norm) == ("finished", "scalenorm")
    assert main(["sample", run.id, "--tokens", "5"]) == 0


def test_the_metric_reaches_log_curves_table_and_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(tmp_path, monkeypatch, capsys)
    curves, rows = Curves(RunStore(tmp_path / "runs")), list(Tail(run.log).rows())
    logged = [row["mean_rank"] for row in rows if row["event"] == "Evaluated"]
    assert len(logged) == 3
    assert all(1 <= rank <= run.model.vocab_size for rank in logged)
    drawn = curves.since(run)["validation"]["mean_rank"]
    assert drawn == pytest.approx(logged, rel=1e-3)
    assert results([run], curves)["mean rank"].tolist() == [drawn[-1]]
    write_csv(tmp_path / "events.csv", rows)
    with open(tmp_path / "events.csv", encoding="utf-8") as file:
        assert [float(row["mean_rank"]) for row in csv.DictReader(file) if row["mean_rank"]] == logged
    assert "mean_rank" in CSV_COLUMNS
    assert any("mean_rank" in path.read_text("utf-8") for path in scripts.HERE.rglob("metrics.*js"))


def test_the_dataset_and_the_tab_are_on_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "runs"))
    from playground.ui.inside import weights_tab  # type: ignore[attr-defined]

    services = Services.create(public=False)
    try:
        config = build_app(services).get_config_file()
        tabs = [part["props"]["id"] for part in config["components"] if part["type"] == "tabitem"]
        assert "weights" in tabs
        assert '"collatz"' in json.dumps([part["props"].get("choices") for part in config["components"]])
        run = next(run for run in RunStore(tmp_path / "runs", gallery_root()).list() if run.steps_available())
        table = weights_tab.show(services, run.id, None, "")
        assert table[0][:2] == ["embed.weight", f"{run.model.vocab_size} × {run.model.n_embd}"]
    finally:
        services.close()


def test_the_dataset_trains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = trained(tmp_path, monkeypatch, capsys, "--corpus", "collatz", "--tokenizer", "char")
    assert (run.state(), run.train.corpus) == ("finished", "collatz")
