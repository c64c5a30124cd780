"""The cold copy: whatever breaks off, the archive holds the copy before or the copy after, and gives it back whole."""

import filecmp
import os
import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from playground.runs import archive as archive_module
from playground.runs.archive import Archive
from playground.runs.races import create_race, get_race, prepare_race
from playground.runs.store import status
from playground.runs.store.run_store import Run, RunStore
from playground.runs.store.status import Status
from playground.runs.worker.execution import execute
from playground.train.race_spec import RaceSpec
from tests.runs.conftest import TEXT, MakeRun
from tests.runs.test_worker import losses, wait_until, weights


@pytest.fixture
def cold(tmp_path: Path) -> Path:
    return tmp_path / "bucket"


def ended(make_run: MakeRun, **options: Any) -> Run:
    run = make_run(**{"snapshots": 2, **options})
    assert execute(run).state == "finished"
    return run


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("lock", "heartbeat", "control")
    }


def emptied(store: RunStore) -> RunStore:
    """The store after a restart that kept nothing."""
    shutil.rmtree(store.root)
    return RunStore(store.root, store.gallery)


def test_what_ended_comes_back_as_it_was(store: RunStore, make_run: MakeRun, cold: Path) -> None:
    run, going = ended(make_run, owner="ann"), make_run(name="queued")
    status.declare(going.path, Status("queued", queued=1.0))
    before, course = files(run.path), (losses(run), weights(run))
    assert Archive(store, cold).sync().copied == [run.id]
    assert Archive(store, cold).sync().copied == []  # nothing has changed
    store = emptied(store)
    report = Archive(store, cold).sync()
    assert (report.restored, report.problems) == ([run.id], [])
    back = store.get(run.id, "ann")
    assert files(back.path) == before
    assert (losses(back), back.status().state) == (course[0], "finished")
    assert all((weights(back)[name] == value).all() for name, value in course[1].items())
    store.extend(back.id, 10, "ann")
    assert execute(store.get(back.id, "ann")).state == "finished"  # and trains on


def test_a_race_comes_back_with_its_runs(store: RunStore, cold: Path) -> None:
    from playground.runs.worker.racing import execute_race

    values = {"arms": ["classic", "modern"], "shared": {"block_size": 16, "n_layer": 1, "n_embd": 16, "n_head": 2}}
    race = create_race(store, prepare_race(RaceSpec.from_dict({**values, "amount": 3, "seeds": 2}), TEXT))
    execute_race(race)
    before = files(race.path)
    Archive(store, cold).sync()
    store = emptied(store)
    assert Archive(store, cold).sync().restored == [race.id]
    assert files(get_race(store, race.id).path) == before
    assert all(run.steps_available() for arm in get_race(store, race.id).members for run in arm)


def test_changes_reach_the_copy_and_deletion_does_too(store: RunStore, make_run: MakeRun, cold: Path) -> None:
    first, second = ended(make_run), ended(make_run)
    archive = Archive(store, cold)
    archive.sync()
    store.rename(first.id, "another name")
    store.share(first.id, True)
    store.delete(second.id)
    report = archive.sync()
    assert (report.copied, report.removed) == ([first.id], [second.id])
    assert sorted(os.listdir(cold)) == [first.id]
    store = emptied(store)
    Archive(store, cold).sync()
    assert [(run.name, run.shared) for run in store.list()] == [("another name", True)]


def test_what_was_deleted_while_the_app_was_off_stays_deleted(store: RunStore, make_run: MakeRun, cold: Path) -> None:
    run = ended(make_run)
    Archive(store, cold).sync()
    store.delete(run.id)  # by the command line, say
    report = Archive(store, cold).sync()
    assert (report.restored, report.removed, os.listdir(cold)) == ([], [run.id], [])


def test_killed_at_any_call_a_copy_is_the_one_before_or_none(
    store: RunStore, make_run: MakeRun, cold: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every write, rename and removal of a copy breaks off once; then the store is lost."""
    run = ended(make_run)
    Archive(store, cold).sync()
    old = files(run.path)
    store.rename(run.id, "renamed")
    store.extend(run.id, 10)
    execute(store.get(run.id))
    new = files(run.path)
    kept, saved_cold = store.root.parent / "kept", cold.parent / "cold"
    shutil.copytree(store.root, kept)
    shutil.copytree(cold, saved_cold)
    outcomes = set()
    for call in range(200):
        left = {"calls": call}

        def breaking(function: Any, left: dict[str, int] = left) -> Any:
            def broken(*arguments: Any, **options: Any) -> Any:
                if left["calls"] == 0:
                    raise KeyboardInterrupt  # as good as a kill: nothing of the pass goes on after it
                left["calls"] -= 1
                return function(*arguments, **options)

            return broken

        with monkeypatch.context() as patch:
            for name in ("_copy_file", "_replace", "write_json"):
                patch.setattr(archive_module, name, breaking(getattr(archive_module, name)))
            patch.setattr(archive_module.os, "replace", breaking(os.replace))
            try:
                Archive(store, cold).sync()
                finished = True
            except KeyboardInterrupt:
                finished = False
        lost = RunStore(store.root.parent / f"lost {call}")
        report = Archive(lost, cold).sync()
        assert report.restored == [run.id]
        found = files(lost.root / run.id)
        assert found in (old, new)
        outcomes.add(found == new)
        shutil.rmtree(store.root)
        shutil.copytree(kept, store.root)
        shutil.rmtree(cold)
        shutil.copytree(saved_cold, cold)
        if finished:
            break
    assert outcomes == {False, True}
    assert call > 5


def test_a_half_copied_run_is_left_alone_and_said(store: RunStore, make_run: MakeRun, cold: Path) -> None:
    good, unfinished, cut, flipped, strange = (ended(make_run) for _ in range(5))
    Archive(store, cold).sync()
    (cold / unfinished.id / "manifest.json").unlink()
    largest = max((cold / cut.id / "objects").iterdir(), key=lambda path: path.stat().st_size)
    os.truncate(largest, largest.stat().st_size // 2)
    data = bytearray((victim := next(iter((cold / flipped.id / "objects").iterdir()))).read_bytes())
    data[random.Random(0).randrange(len(data))] ^= 1
    victim.write_bytes(data)
    manifest = (cold / strange.id / "manifest.json").read_bytes()
    (cold / strange.id / "manifest.json").write_bytes(manifest.replace(b'"run.json"', b'"../x.json"'))
    store = emptied(store)
    report = Archive(store, cold).sync()
    assert report.restored == [good.id]
    said = {problem.split()[3]: problem for problem in report.problems}
    assert said.keys() == {unfinished.id, cut.id, flipped.id, strange.id}
    assert "it was never finished" in said[unfinished.id]
    assert "does not have the contents" in said[cut.id]
    assert "does not have the contents" in said[flipped.id]
    assert [run.id for run in store.list()] == [good.id]
    assert sorted(os.listdir(cold)) == sorted(
        [good.id, unfinished.id, cut.id, flipped.id, strange.id]
    )  # for a person to look at
    assert not [name for name in os.listdir(store.root) if name.endswith(".tmp")]


def test_a_copy_that_went_bad_is_made_again_while_the_run_is_here(
    store: RunStore, make_run: MakeRun, cold: Path
) -> None:
    run = ended(make_run)
    archive = Archive(store, cold)
    archive.sync()
    shutil.rmtree(cold)
    assert archive.sync().copied == [run.id]
    store = emptied(store)
    assert Archive(store, cold).sync().restored == [run.id]


def test_a_folder_that_cannot_be_used_hinders_nothing(
    store: RunStore, make_run: MakeRun, cold: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = ended(make_run)
    cold.write_text("a file is in the way")
    archive = Archive(store, cold)
    for _ in range(3):
        archive._tell(report := archive.sync())
        assert (report.copied, len(report.problems)) == ([], 1)
    assert capsys.readouterr().out.count("cannot be used") == 1  # said once, not every half minute
    assert run.state() == "finished"
    cold.unlink()
    assert archive.sync().copied == [run.id]


def test_a_full_archive_keeps_what_it_has(
    store: RunStore, make_run: MakeRun, cold: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, archive = ended(make_run), Archive(store, cold)
    archive.sync()
    second = ended(make_run)
    with monkeypatch.context() as patch:
        patch.setattr(
            archive_module.os, "fsync", lambda handle: (_ for _ in ()).throw(OSError(28, "No space left on device"))
        )
        assert archive.sync().problems == [f"{second.id}: No space left on device"]
    assert not list(cold.rglob("tmp-*"))
    store = emptied(store)
    assert Archive(store, cold).sync().restored == [first.id]


def test_it_works_beside_the_app_and_copies_what_ends_at_the_close(
    store: RunStore, make_run: MakeRun, cold: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_module, "EVERY_SECONDS", 60.0)
    archive = Archive(store, cold)
    archive.start()
    wait_until(cold.is_dir, timeout=10)
    run = ended(make_run)
    archive.close()
    assert (cold / run.id / "manifest.json").exists()
    objects = [
        path for path in (cold / run.id / "objects").iterdir() if filecmp.cmp(path, run.path / "run.json", False)
    ]
    assert len(objects) == 1
