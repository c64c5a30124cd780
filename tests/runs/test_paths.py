"""Where runs and texts are kept: next to a checkout, or in the user's folder after an installation."""

from pathlib import Path

import pytest

from playground.runs.store import paths
from tests.texts import PROJECT


@pytest.fixture(autouse=True)
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PLAYGROUND_DATA", "PLAYGROUND_CACHE", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)


def test_a_checkout_keeps_runs_next_to_the_reference_runs() -> None:
    assert paths.data_root() == PROJECT / "checkpoints/runs"
    assert paths.cache_root() == PROJECT / "checkpoints/corpora"
    assert paths.gallery_root() == PROJECT / "checkpoints/gallery"


def test_an_installation_keeps_them_in_the_folder_of_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(paths, "INSTALLED", True)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert paths.data_root() == tmp_path / ".local/share/llm-playground/runs"
    assert paths.cache_root() == tmp_path / ".local/share/llm-playground/corpora"
    monkeypatch.setenv("PLAYGROUND_DATA", "~/mine")
    assert paths.data_root() == tmp_path / "mine"


@pytest.mark.parametrize(
    ("platform", "variables", "folder"),
    [
        ("linux", {}, "~/.local/share"),
        ("linux", {"XDG_DATA_HOME": "/disk/share"}, "/disk/share"),
        ("linux", {"XDG_DATA_HOME": "relative"}, "~/.local/share"),
        ("darwin", {"XDG_DATA_HOME": "/disk/share"}, "~/Library/Application Support"),
        ("win32", {"LOCALAPPDATA": "/Users/ann/AppData/Local"}, "/Users/ann/AppData/Local"),
        ("win32", {}, "~/AppData/Local"),
    ],
)
def test_the_folder_follows_the_platform(platform: str, variables: dict[str, str], folder: str) -> None:
    assert paths.user_folder(platform, variables) == Path(folder).expanduser() / "llm-playground"
