"""Downloads and uploads as handlers: whose run it is, what a public page refuses, and files that do not pile up."""

import os
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from gradio.utils import get_upload_folder

from playground.config import preset
from playground.interchange.package import Package
from playground.runs.curves import Curves
from playground.runs.import_model import import_package
from playground.runs.loading import ModelCache
from playground.runs.queue.launcher import Launcher
from playground.runs.store.run_store import RunNotFound, RunStore
from playground.ui.services import Services
from playground.ui.texts import TextSource, own_text
from playground.ui.train.export_panel import PREFIX, file_name, show_steps, sweep, take
from playground.ui.train.import_panel import bring
from playground.ui.train.run_actions import delete
from tests.interchange.models import package

MINE, THEIRS = "a" * 32, "b" * 32


@pytest.fixture
def services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Services]:
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    store = RunStore(tmp_path / "runs", tmp_path / "gallery")
    with Launcher(store, supervise=False, spare=False) as launcher:
        yield Services(store, launcher, Curves(store), ModelCache(), tmp_path / "cache", public=True)


def small(name: str = "a model", **changes: object) -> Package:
    return package(preset("modern", block_size=32, n_layer=1, n_embd=32, **changes), name)


def test_only_its_owner_takes_a_run_away(services: Services) -> None:
    run = import_package(services.store, small(), origin="here", owner=MINE)
    said, file = take(services, run.id, None, "safetensors", MINE)
    assert "model card" in said
    with zipfile.ZipFile(file["value"]) as archive:
        assert "a-model-safetensors/model.safetensors" in archive.namelist()
        assert MINE not in "".join(archive.read(name).decode("latin-1") for name in archive.namelist())
    for token in (THEIRS, "", None):
        with pytest.raises(RunNotFound):
            take(services, run.id, None, "safetensors", token)
        steps, _, _ = show_steps(services, run.id, token)
        assert steps["choices"] == []
    with pytest.raises(ValueError, match="Token must be 32 hexadecimal digits"):
        take(services, run.id, None, "safetensors", "x")
    services.store.share(run.id, True, MINE)
    assert take(services, run.id, 0, "safetensors", THEIRS)[1]["visible"], "who may look at it may take it away"


def test_a_download_goes_with_its_run(services: Services) -> None:
    run = import_package(services.store, small(), origin="here", owner=MINE)
    archive = Path(take(services, run.id, None, "safetensors", MINE)[1]["value"])
    assert archive.is_relative_to(get_upload_folder()), "Gradio serves it without a copy"
    delete(services, run.id, MINE)
    assert not archive.exists()


def test_an_upload_that_is_gone_is_said_in_a_sentence(services: Services, tmp_path: Path) -> None:
    gone = TextSource("own", files=[str(tmp_path / "gone.txt")])
    with pytest.raises(ValueError, match=r"not there any more: .* Upload it again\."):
        own_text(services, gone, 1_000)


def test_what_cannot_be_expressed_is_said_in_words(services: Services) -> None:
    run = import_package(services.store, small(position="alibi"), origin="here", owner=MINE)
    said, file = take(services, run.id, None, "transformers", MINE)
    assert "Positional encoding ALiBi cannot be expressed" in said
    assert file["value"] is None
    said, _ = take(services, run.id, 99, "safetensors", MINE)
    assert "There are no weights of step 99" in said
    said, _ = take(services, run.id, None, "../../x", MINE)
    assert "Format must be one of" in said
    assert list(Path(tempfile.gettempdir()).glob(f"{PREFIX}*")) == []


def test_each_download_has_a_folder_of_its_own_and_old_ones_go(services: Services) -> None:
    run = import_package(services.store, small(), origin="here", owner=MINE)
    places = [Path(take(services, run.id, None, "safetensors", MINE)[1]["value"]).parent for _ in range(2)]
    assert places[0] != places[1]
    assert [path.suffix for path in places[0].iterdir()] == [".zip"]
    os.utime(places[0], (0, 0))
    sweep()
    assert not places[0].exists()
    assert places[1].exists()


@pytest.mark.parametrize(
    ("name", "safe"),
    [("Modern on Tales, seed 0", "modern-on-tales-seed-0"), ("../../x", "x"), ("<img onerror>", "img-onerror"),
     ("狐", "model"), ("a" * 99, "a" * 40)],
)  # fmt: skip
def test_names_of_files(name: str, safe: str) -> None:
    assert file_name(name) == safe


def test_a_public_page_fetches_nothing(services: Services) -> None:
    with pytest.raises(ValueError, match="Repositories are not downloaded here"):
        bring(services, None, "a/model", "", MINE)
    with pytest.raises(ValueError, match="No files are chosen"):
        bring(services, None, "", "", MINE)
    with pytest.raises(ValueError, match="not both"):
        bring(services, ["x"], "a/model", "", MINE)
    assert services.store.list(MINE) == []


def test_what_is_brought_in_is_its_owners(services: Services, tmp_path: Path) -> None:
    run = import_package(services.store, small(), origin="here", owner=MINE)
    _, file = take(services, run.id, None, "safetensors", MINE)
    with zipfile.ZipFile(file["value"]) as archive:
        archive.extractall(tmp_path / "out")
    (folder,) = (tmp_path / "out").iterdir()
    found = bring(services, [str(path) for path in folder.iterdir()], "", "mine", THEIRS)
    assert services.run(found, THEIRS).name == "mine"
    with pytest.raises(RunNotFound):
        services.run(found, MINE)
