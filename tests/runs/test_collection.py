"""Many runs as one archive, as a spreadsheet and a text editor read it."""

import csv
import io
import json
import zipfile
from pathlib import Path

import pytest

from playground.runs.collection import entries, slug, stream, table_csv
from playground.runs.curves import Curves
from playground.runs.store.checkpoints import save_checkpoint, save_snapshot
from playground.runs.store.log import LogWriter
from playground.runs.store.run_store import Run, RunStore
from playground.train.events import Evaluated, Sampled, Started, StepDone
from tests.runs.conftest import MODEL, TEXT, MakeRun


def trained(run: Run) -> Run:
    with LogWriter(run.log) as log:
        for event in (
            Started(0, 2700, 300, 1, 1, 1.44), StepDone(1, 64, 0.5, 5.5, 1.0, 1e-3),
            Evaluated(1, 64, 0.5, 5.25, 0.1, loss_se=0.125), Sampled(1, "Once", " ünd =1+1"),
        ):  # fmt: skip
            log.append(event)
    return run


def archive(files: object) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(b"".join(stream(files))))  # type: ignore[arg-type]


def test_settings_curves_and_samples_of_every_run(store: RunStore, make_run: MakeRun) -> None:
    runs = [trained(make_run(name="Ada's =first", owner="a" * 32)), make_run(name="日本", owner="b" * 32)]
    files = archive(entries(runs, Curves(store), {runs[0].owner or "": ("@ada", "7b")}))
    assert files.testzip() is None
    first, second = (
        f"{n:03d}-{name}-{run.id[:8]}" for n, name, run in ((1, "ada-s-first", runs[0]), (2, "run", runs[1]))
    )
    each = ("samples.txt", "settings.json", "training.csv", "validation.csv")
    assert sorted(files.namelist()) == sorted(
        ["runs.csv", *(f"{folder}/{name}" for folder in (first, second) for name in each)]
    )
    settings = json.loads(files.read(f"{first}/settings.json"))
    assert settings["model"] == MODEL.to_dict()
    assert settings["train"]["steps"] == 30
    assert "owner" not in settings
    training = list(csv.DictReader(io.StringIO(files.read(f"{first}/training.csv").decode())))
    assert [(row["step"], row["loss"]) for row in training] == [("1", "5.5")]
    validation = list(csv.DictReader(io.StringIO(files.read(f"{first}/validation.csv").decode())))
    assert [(row["step"], row["loss"], row["loss_se"]) for row in validation] == [("1", "5.25", "0.125")]
    assert files.read(f"{first}/samples.txt").decode() == "# step 1\nOnce ünd =1+1\n"
    assert files.read(f"{second}/samples.txt") == b""
    rows = list(csv.DictReader(io.StringIO(files.read("runs.csv").decode())))
    assert [row["folder"] for row in rows] == [first, second]
    assert (rows[0]["student"], rows[0]["class"], rows[0]["loss"], rows[0]["step"]) == ("'@ada", "7b", "5.25", "1")
    assert rows[1]["loss"] == ""


def test_everything_has_the_text_once_the_tokenizer_and_the_newest_weights(store: RunStore, make_run: MakeRun) -> None:
    import torch

    run = make_run()
    weights = {"w": torch.ones(2)}
    save_checkpoint(run.path, {"model": weights, "optimizer": weights}, {"step": 10})
    save_snapshot(run.path, {"w": torch.zeros(2)}, {"step": 20})
    files = archive(entries([run], Curves(store), everything=True))
    folder = f"001-a-run-{run.id[:8]}"
    assert files.read(f"{folder}/text.txt").decode() == TEXT
    assert (
        files.read(f"{folder}/model.safetensors")
        == (run.path / "snapshots/step_00000020/model.safetensors").read_bytes()
    )
    assert json.loads(files.read(f"{folder}/tokenizer.json")) == json.loads((run.path / "tokenizer.json").read_bytes())


def test_an_archive_is_made_piece_by_piece(tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(5_000_000))
    pieces = list(stream([("a.safetensors", large), ("gone", tmp_path / "gone"), ("b", b"b")]))
    assert max(map(len, pieces)) < 2_000_000
    found = zipfile.ZipFile(io.BytesIO(b"".join(pieces)))
    assert found.namelist() == ["a.safetensors", "b"]
    assert found.read("a.safetensors") == large.read_bytes()


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@sum", "\t=1"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert next(csv.reader(io.StringIO(table_csv([(text, -1.5)]).decode()))) == [f"'{text}", "-1.5"]


@pytest.mark.parametrize(
    ("name", "safe"), [("../../etc", "etc"), ("a\\b/c", "a-b-c"), ("…", "run"), ("x" * 60, "x" * 40)]
)
def test_names_of_folders(name: str, safe: str) -> None:
    assert slug(name) == safe
