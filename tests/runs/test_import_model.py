"""Runs leave and models come in: whole or not at all, and only for those who may."""

import json
from pathlib import Path

import pytest
import torch

from playground.data.documents import Text
from playground.interchange import check
from playground.interchange.folders import read_folder
from playground.races.comparison import results
from playground.runs.create import create_run, prepare_run
from playground.runs.curves import Curves
from playground.runs.export import FORMATS, export_run, package
from playground.runs.import_model import import_files, import_folder, import_package
from playground.runs.loading import ModelCache
from playground.runs.queue.admission import check_resumable
from playground.runs.queue.launcher import Launcher
from playground.runs.store.checkpoints import save_snapshot
from playground.runs.store.run_store import Run, RunNotFound, RunStore
from playground.runs.worker.execution import execute
from playground.train.trainer import TrainState
from tests.runs.conftest import MakeRun


@pytest.fixture
def run(store: RunStore, make_run: MakeRun) -> Run:
    """A run that has trained."""
    run = make_run()
    assert execute(run).state == "finished"
    return run


def logits(run: Run) -> torch.Tensor:
    return ModelCache().get(run)(torch.arange(16)[None])


@pytest.mark.parametrize("documents", ["joined", "separated"])
def test_characters_are_counted_without_the_end_of_text(documents: str, store: RunStore, tmp_path: Path) -> None:
    """Here and in a run that came in, whose settings do not say whether there is such a token."""
    text = Text.joined(["the fox sat. " * 40, "a mat. " * 40])
    settings = {"tokenizer": "char", "documents": documents, "steps": 1, "warmup_steps": 0, "sample_interval": 0}
    run = create_run(store, prepare_run("modern", {"block_size": 16, "n_layer": 1}, settings, text))
    execute(run)
    for format in ("transformers", "safetensors"):
        export_run(run, tmp_path / format, format)
        import_folder(store, tmp_path / format, name=format)
    runs = RunStore(store.root).list(None)
    assert [one.model.vocab_size for one in runs] == [len(set(text)) + (documents != "joined")] * 3
    words = f"{len(set(text))} characters"
    assert results(runs, Curves(store))["tokenizer"].tolist() == [words] * 3
    assert [Curves(store).since(one, "")["tokenizer"] for one in runs] == [words] * 3


@pytest.mark.parametrize("format", ["transformers", "safetensors"])
def test_out_and_in_again_is_the_same_model(format: str, run: Run, store: RunStore, tmp_path: Path) -> None:
    done = export_run(run, tmp_path / "out", format)
    assert done.step == 30
    found = import_folder(store, tmp_path / "out", name="back")
    assert (found.name, found.state(), found.steps_available()) == (
        "back",
        "finished",
        [30 if format == "safetensors" else 0],
    )
    assert torch.equal(logits(found), logits(run))
    assert found.tokenizer.encode("é").tolist() == run.tokenizer.encode("é").tolist()
    assert "Imported from the folder out." in found.status().message
    if format == "safetensors":
        assert (found.model, found.train, found.preset) == (run.model, run.train, run.preset)
        before, after = (Curves(store).dataframe(which)["loss"].tolist() for which in (run, found))
        assert before == after


def test_an_imported_model_does_not_train(run: Run, store: RunStore, tmp_path: Path) -> None:
    export_run(run, tmp_path / "out", "safetensors")
    found = import_folder(store, tmp_path / "out")
    with Launcher(store, supervise=False, spare=False) as launcher:
        for action in (lambda: launcher.continue_for(found.id, 5), lambda: launcher.resume(found.id)):
            with pytest.raises(ValueError, match="because its dataset and optimizer state are missing"):
                action()
    with pytest.raises(ValueError, match="imported without its training text"):
        export_run(found, tmp_path / "code", "code")
    assert found.train == run.train
    assert found.state() == "finished"


def test_of_a_built_in_dataset_only_the_optimizer_state_is_missing(store: RunStore, tmp_path: Path) -> None:
    changes = {"steps": 1, "warmup_steps": 0, "corpus_bytes": 20_000, "sample_interval": 0}
    tiny = {"n_layer": 1, "n_embd": 16, "n_head": 2, "n_kv_head": 1, "block_size": 16}
    run = create_run(store, prepare_run("modern", tiny, changes))
    execute(run)
    export_run(run, tmp_path / "out", "safetensors")
    found = import_folder(store, tmp_path / "out")
    assert "training cannot continue, because its optimizer state is missing." in found.status().message
    with pytest.raises(ValueError, match="because its optimizer state is missing"):
        check_resumable(found, found.status())


def test_an_earlier_checkpoint(run: Run, tmp_path: Path) -> None:
    state = TrainState.new(run.model, run.train)
    state.step = 12
    save_snapshot(run.path, state.tensors()["model"], state.counters())
    export_run(run, tmp_path / "out", "safetensors", step=12)
    weights = read_folder(tmp_path / "out").weights
    assert all(torch.equal(weights[name], value) for name, value in state.tensors()["model"].items())


@pytest.mark.parametrize("format", ["transformers", "safetensors"])
def test_that_a_snapshot_is_rounded_is_said_with_it_and_on_its_card(format: str, run: Run, tmp_path: Path) -> None:
    state = TrainState.new(run.model, run.train)
    state.step = 12
    save_snapshot(run.path, state.tensors()["model"], state.counters(), precision="bfloat16")
    rounded = "The weights of step 12 are from a snapshot, rounded to bfloat16."
    assert export_run(run, tmp_path / "rounded", format, step=12).said.endswith(rounded)
    assert "weights of step 12, rounded to bfloat16." in (tmp_path / "rounded" / "README.md").read_text()
    assert "rounded" not in export_run(run, tmp_path / "whole", format).said
    assert "rounded" not in (tmp_path / "whole" / "README.md").read_text()


def test_without_transformers_the_same_folder_is_written_and_the_same_refused(
    run: Run, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_run(run, tmp_path / "with", "transformers")
    monkeypatch.setattr(check, "installed", lambda: False)
    done = export_run(run, tmp_path / "without", "transformers")
    assert done.check is None and "was not loaded back" in done.said
    for file in sorted((tmp_path / "with").iterdir()):
        assert (tmp_path / "without" / file.name).read_bytes() == file.read_bytes()
    alibi = make_run(run.model.replace(position="alibi"))
    state = TrainState.new(alibi.model, alibi.train)
    save_snapshot(alibi.path, state.tensors()["model"], state.counters())
    with pytest.raises(ValueError, match="Positional encoding ALiBi cannot be expressed in any"):
        export_run(alibi, tmp_path / "refused", "transformers")
    assert not (tmp_path / "refused").exists()


@pytest.mark.parametrize("format", FORMATS)
def test_a_folder_in_use_is_left_alone(format: str, run: Run, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "thesis.txt").write_text("mine")
    with pytest.raises(ValueError, match="used exists already and is not empty"):
        export_run(run, tmp_path / "used", format)
    assert [path.name for path in tmp_path.iterdir() if path.name not in ("runs", "gallery")] == ["used"]
    assert (tmp_path / "used" / "thesis.txt").read_text() == "mine"
    (tmp_path / "empty").mkdir()
    export_run(run, tmp_path / "empty", format)
    assert (tmp_path / "empty" / "README.md").exists() or format == "code"


def test_an_export_that_fails_leaves_nothing(
    run: Run, make_run: MakeRun, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    untrained = make_run()
    before = set(tmp_path.iterdir())
    with pytest.raises(ValueError, match="no saved weights yet"):
        export_run(untrained, tmp_path / "out", "transformers")
    with pytest.raises(ValueError, match="no weights of step 7"):
        export_run(run, tmp_path / "out", "transformers", step=7)
    with pytest.raises(ValueError, match="Format must be one of"):
        export_run(run, tmp_path / "out", "pickle")
    monkeypatch.setattr("playground.interchange.folders.save_file", full)
    with pytest.raises(ValueError, match="out could not be written: No space left on device"):
        export_run(run, tmp_path / "out", "safetensors")
    assert set(tmp_path.iterdir()) == before


def test_an_import_that_fails_leaves_nothing(
    run: Run, store: RunStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    export_run(run, tmp_path / "out", "safetensors")
    before = {path.name for path in store.root.iterdir()}
    with pytest.raises(ValueError, match="1 to 60 printable characters"):
        import_folder(store, tmp_path / "out", name="a\nb")
    with pytest.raises(ValueError, match="There is no folder"):
        import_folder(store, tmp_path / "nowhere")
    with pytest.raises(ValueError, match="given twice"):
        import_files(store, [tmp_path / "out" / "config.json", tmp_path / "out" / "config.json"])
    monkeypatch.setattr("playground.runs.import_model.free_memory", lambda: 1_000)
    with pytest.raises(ValueError, match=r"0\.\d+ GB of memory, and 0\.0+ GB are free\."):
        import_folder(store, tmp_path / "out")
    monkeypatch.undo()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("playground.runs.import_model.checkpoints.save_snapshot", full)
    with pytest.raises(ValueError, match="could not be stored: No space left on device"):
        import_folder(store, tmp_path / "out")
    assert {path.name for path in store.root.iterdir()} == before


ROWS = [
    ({"event": "Exploded"}, "is no event of a training"),
    ({"event": "Finished", "step": 1, "tokens": 1, "seconds": 1.0, "colour": 1}, "has 'colour', which is unknown"),
    ({"event": "Finished", "step": 2**70, "tokens": 1, "seconds": 1.0}, "no usable step"),
    ({"event": "Finished", "step": "1", "tokens": 1, "seconds": 1.0}, "no usable step"),
    ({"event": "Finished", "step": 1, "tokens": 1}, "no usable seconds"),
    ({"event": "Sampled", "step": 1, "prompt": "x" * 30_000, "text": ""}, "no usable prompt"),
]


@pytest.mark.parametrize(("row", "message"), ROWS)
def test_a_log_is_checked_row_by_row(row: dict, message: str, run: Run, store: RunStore, tmp_path: Path) -> None:
    export_run(run, tmp_path / "out", "safetensors")
    (tmp_path / "out" / "events.jsonl").write_text(json.dumps(row) + "\n")
    with pytest.raises(ValueError, match=message):
        import_folder(store, tmp_path / "out")


def test_a_model_belongs_to_who_brought_it(run: Run, store: RunStore) -> None:
    found = import_package(store, package(run), origin="a friend", owner="secret")
    assert store.get(found.id, "secret").id == found.id
    with pytest.raises(RunNotFound):
        store.get(found.id, "somebody else")


def test_the_log_as_a_table(run: Run, tmp_path: Path) -> None:
    export_run(run, tmp_path / "out", "safetensors")
    lines = (tmp_path / "out" / "events.csv").read_text().splitlines()
    assert lines[0] == "event,step,tokens,seconds,loss,grad_norm,learning_rate,loss_se,accuracy,exact_match"
    assert sum(line.startswith("StepDone,") for line in lines) == 30
    assert sum(line.startswith("Evaluated,") for line in lines) == 4
    card = (tmp_path / "out" / "README.md").read_text()
    assert "# a run" in card
    assert "Validation loss at step 30: " in card
