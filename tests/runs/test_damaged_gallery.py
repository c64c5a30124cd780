"""A damaged file of a reference run or race: the others are listed as before, and its own views end in a sentence."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from playground.races.verdict import verdict
from playground.runs.curves import Curves
from playground.runs.races import Race, list_races
from playground.runs.store.paths import gallery_root
from playground.runs.store.run_store import RunStore

RUN, RACE = "45eaed5dfdeb9640ef653145a97e59ae", "daa001e953ec8d9f3d4c1d67ed6d0000"
DAMAGES: dict[str, Callable[[Path, bytes], object]] = {
    "gone": lambda path, data: path.unlink(),
    "empty": lambda path, data: path.write_bytes(b""),
    "cut": lambda path, data: path.write_bytes(data[: len(data) // 2]),
    "another": lambda path, data: path.write_bytes(b'{"a": [1, 2]}'),
    "noise": lambda path, data: path.write_bytes(bytes(byte ^ (0x55 * (i % 97 == 0)) for i, byte in enumerate(data))),
}


def said(race: Race, curves: Curves) -> str:
    """The verdict's headline, or why there is none."""
    try:
        return verdict(race, curves).headline
    except ValueError as error:
        return str(error)


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root: Path = tmp_path_factory.mktemp("gallery")
    for name in (RUN, RACE):
        shutil.copytree(gallery_root() / name, root / name)
    return root


@pytest.mark.parametrize("damage", DAMAGES)
def test_one_damaged_file_hides_nothing_else(gallery: Path, tmp_path: Path, damage: str) -> None:
    whole = {run.id for run in RunStore(tmp_path, gallery).list(None)}
    (arm, *_) = sorted((gallery / RACE / "arms").iterdir())
    paths = [*(gallery / RUN).glob("*.json*"), *(gallery / RACE).glob("*.json"), *arm.glob("*.json*")]
    assert len(paths) >= 6
    for path in paths:
        data = path.read_bytes()
        DAMAGES[damage](path, data)
        try:
            store = RunStore(tmp_path, gallery)
            mine = {RUN} if path.is_relative_to(gallery / RUN) else {arm.name} if path.is_relative_to(arm) else whole
            assert {run.id for run in store.list(None)} >= whole - mine, path
            for run in store.list(None):
                run.status()
                run.steps_available()
            for race in list_races(store, None):
                assert said(race, Curves(store)).endswith("."), path
        finally:
            path.write_bytes(data)
    assert {run.id for run in RunStore(tmp_path, gallery).list(None)} == whole
