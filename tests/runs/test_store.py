import json
import os
import shutil
import threading
import urllib.parse
from pathlib import Path

import pytest

from playground.runs.store import status
from playground.runs.store.checkpoints import save_checkpoint
from playground.runs.store.files import read_json
from playground.runs.store.names import checked_name
from playground.runs.store.run_store import ANONYMOUS, Run, RunNotFound, RunStore, hashed
from playground.runs.store.status import Status
from playground.tokenizers import build_tokenizer
from tests.runs.conftest import MODEL, TEXT, TRAIN, MakeRun

SECRET, OTHER = "visitor-one", "visitor-two"


def names(runs: list[Run]) -> list[str]:
    return [run.name for run in runs]


def to_gallery(store: RunStore, run: Run) -> str:
    assert store.gallery is not None
    store.gallery.mkdir(exist_ok=True)
    shutil.move(run.path, store.gallery / run.id)
    return run.id


def test_a_run_comes_back_as_it_was_created(store: RunStore, make_run: MakeRun) -> None:
    run = make_run(name="tiny", steps=77)
    again = RunStore(store.root).get(run.id)
    assert again == run
    assert (again.name, again.model, again.train.steps, again.preset) == ("tiny", MODEL, 77, "modern")
    assert again.own_text() == TEXT
    assert again.tokenizer.to_dict() == {"name": "byte"}
    assert len(run.id) == 32
    assert run.state() == "stopped"
    assert run.steps_available() == []


def test_a_text_is_kept_exactly(store: RunStore) -> None:
    text = "a\r\nb\x00c\ufeff‮ \U0001f469‍\U0001f52c\n"
    run = store.create(MODEL, TRAIN, build_tokenizer("char", text), name="x", preset="", own_text=text)
    assert run.own_text() == text
    assert store.get(run.id).tokenizer.to_dict() == build_tokenizer("char", text).to_dict()


def test_a_text_that_cannot_be_written_leaves_nothing(store: RunStore) -> None:
    with pytest.raises(ValueError, match="surrogates"):
        store.create(MODEL, TRAIN, build_tokenizer("byte", ""), name="x", preset="", own_text="\ud800")
    assert [path.name for path in store.root.iterdir() if path.name != ".lock"] == []


def test_newest_first_and_the_gallery_last(store: RunStore, make_run: MakeRun) -> None:
    shipped = to_gallery(store, make_run(name="shipped"))
    for name in ("first", "second"):
        make_run(name=name)
    assert names(store.list()) == ["second", "first", "shipped"]
    assert [run.reference for run in store.list()] == [False, False, True]
    assert store.get(shipped).state() == "finished"


def test_folders_that_are_no_runs_are_ignored(store: RunStore, make_run: MakeRun) -> None:
    run = make_run()
    (store.root / ("0" * 32)).mkdir()  # half-written: no run.json
    for number, content in enumerate((b"", b"{", b"[]", b"null", b'{"format": 2}', b'{"format": 1}', b"\xff\xfe")):
        folder = store.root / f"{number:032x}"
        folder.mkdir(exist_ok=True)
        (folder / "run.json").write_bytes(content)
        with pytest.raises(RunNotFound):
            store.get(folder.name)
    values = read_json(run.path / "run.json")
    assert values is not None
    for number, broken in enumerate(
        ({"model": {"n_layer": 0}}, {"model": 3}, {"created": "x"}, {"train": {"bogus": 1}})
    ):
        folder = store.root / f"{100 + number:032x}"
        folder.mkdir()
        (folder / "run.json").write_text(json.dumps(values | broken))
    (store.root / "a file").write_text("x")
    assert [found.id for found in store.list()] == [run.id]


TRAVERSALS = [
    "", ".", "..", "/", "//", "../" * 8 + "etc/passwd", "..\\..", "%2e%2e", "%2e%2e%2f", "%252e%252e%252f", "file:///etc/passwd",
    "/etc/passwd", "C:\\windows", "~", "~root", "\x00", "a" * 31, "a" * 33, "A" * 32, "g" * 32, "٠" * 32, "a" * 31 + "\n",
    "a" * 32 + "\n", "a" * 32 + "/", "./" + "a" * 32, "a" * 31 + "é", "con", "-rf", "$(id)", ".lock", "....//", "..;/",
]  # fmt: skip


@pytest.mark.parametrize("text", TRAVERSALS)
def test_what_is_no_id_is_not_found(store: RunStore, make_run: MakeRun, text: str) -> None:
    run = make_run()
    for malformed in {text, urllib.parse.quote(text), f"{run.id}/{text}", f"{text}/{run.id}", f"../runs/{run.id}"}:
        for action in (
            store.get,
            store.own,
            store.delete,
            lambda bad: store.rename(bad, "x"),
            lambda bad: store.share(bad, True),
        ):
            with pytest.raises(RunNotFound, match=r"^Run not found\.$"):
                action(malformed)
    assert run.path.exists()


@pytest.mark.parametrize("value", [None, 3, 1.5, True, [], ["a" * 32], {"id": "a" * 32}, b"a" * 32, Path("a" * 32)])
def test_an_id_of_another_type_is_not_found(store: RunStore, value: object) -> None:
    with pytest.raises(RunNotFound):
        store.get(value)  # type: ignore[arg-type]


def test_a_stranger_can_do_nothing_with_a_run(store: RunStore, make_run: MakeRun) -> None:
    run = make_run(owner=SECRET)
    for visitor in (OTHER, "", run.owner, str(None)):
        assert store.list(visitor) == []
        for action in (
            lambda v: store.get(run.id, v),
            lambda v: store.own(run.id, v),
            lambda v: store.delete(run.id, v),
            lambda v: store.rename(run.id, "mine", v),
            lambda v: store.share(run.id, True, v),
            lambda v: store.extend(run.id, 10, v),
        ):
            with pytest.raises(RunNotFound, match=r"^Run not found\.$"):
                action(visitor)
    assert store.get(run.id, SECRET) == run
    assert store.list(SECRET) == [run]
    assert SECRET not in (run.path / "run.json").read_text()


def test_an_anonymous_visitor_owns_nothing_not_even_what_says_so(store: RunStore, make_run: MakeRun) -> None:
    with pytest.raises(ValueError, match=r"^Only a visitor with a token can do this\. Reload the page;"):
        make_run(owner=ANONYMOUS)
    run = make_run(owner=SECRET)
    described = run.path / "run.json"
    described.write_text(json.dumps({**json.loads(described.read_text()), "owner": hashed(ANONYMOUS)}))
    assert not [one for one in store.list(ANONYMOUS) if not one.reference]
    for change in (store.delete, store.own):
        with pytest.raises(RunNotFound):
            change(run.id, ANONYMOUS)


def test_a_run_without_owner_belongs_to_no_visitor(store: RunStore, make_run: MakeRun) -> None:
    run = make_run()
    with pytest.raises(RunNotFound):
        store.get(run.id, SECRET)
    assert store.list(SECRET) == []
    assert store.list() == [run]


def test_a_shared_run_is_seen_by_link_and_changed_by_its_owner_only(store: RunStore, make_run: MakeRun) -> None:
    run = make_run(owner=SECRET)
    store.share(run.id, True, SECRET)
    assert store.get(run.id, OTHER).shared
    assert store.list(OTHER) == []
    for action in (
        store.own,
        store.delete,
        lambda i, v: store.rename(i, "x", v),
        lambda i, v: store.share(i, False, v),
    ):
        with pytest.raises(ValueError, match="only its owner"):
            action(run.id, OTHER)
    store.share(run.id, False, SECRET)
    with pytest.raises(RunNotFound):
        store.get(run.id, OTHER)


def test_the_gallery_is_seen_by_all_and_changed_by_none(store: RunStore, make_run: MakeRun) -> None:
    shipped = to_gallery(store, make_run(owner=SECRET))
    for visitor in (None, SECRET, OTHER):
        assert store.get(shipped, visitor).reference
        for action in (store.delete, lambda i, v: store.rename(i, "x", v), lambda i, v: store.extend(i, 1, v)):
            with pytest.raises(ValueError, match="ships with the playground"):
                action(shipped, visitor)


def test_deleted_runs_are_gone(store: RunStore, make_run: MakeRun) -> None:
    run = make_run()
    store.delete(run.id)
    with pytest.raises(RunNotFound):
        store.get(run.id)
    with pytest.raises(RunNotFound):
        store.delete(run.id)
    assert [path for path in store.root.iterdir() if path.is_dir()] == []


def test_what_crashes_left_is_swept(store: RunStore, make_run: MakeRun) -> None:
    run = make_run()
    for name in (f".{'a' * 32}.tmp", ".x.0000.trash"):
        (store.root / name).mkdir()
        (store.root / name / "run.json").write_text("{}")
    store.sweep()
    assert [path for path in store.root.iterdir() if path.is_dir()] == [run.path]


@pytest.mark.parametrize(
    "name", ["x", "é" * 60, "../../etc", "<img onerror=alert(1)>", "CON", "-rf", "%2e%2e", "日本語 🎉", "a/b\\c"]
)
def test_any_printable_name_is_a_name_and_never_a_path(store: RunStore, make_run: MakeRun, name: str) -> None:
    run = make_run(name=name)
    assert run.name == name
    assert run.path.parent == store.root
    assert run.path.name == run.id


@pytest.mark.parametrize("name", ["", " ", "a" * 61, "a\nb", "a\x00b", "a‮b", "\ud800", "a\tb", None, 3, ["a"]])
def test_other_names_are_refused(store: RunStore, make_run: MakeRun, name: object) -> None:
    with pytest.raises(ValueError, match="1 to 60 printable characters"):
        make_run(name=name)
    run = make_run()
    with pytest.raises(ValueError, match="1 to 60 printable characters"):
        store.rename(run.id, name)  # type: ignore[arg-type]
    assert names(store.list()) == ["a run"]


def test_names_of_one_owner_differ(store: RunStore, make_run: MakeRun) -> None:
    assert [make_run(name="x").name for _ in range(3)] == ["x", "x (2)", "x (3)"]
    assert make_run(name="caf\u00e9").name == "café"
    assert make_run(name="cafe\u0301").name == "café (2)"  # the same letters, composed differently
    assert make_run(name="x", owner=SECRET).name == "x"  # nobody learns what others call theirs
    assert make_run(name="y" * 60).name == "y" * 60
    assert make_run(name="y" * 60).name == "y" * 56 + " (2)"
    assert checked_name("  x  ") == "x"


def test_renaming(store: RunStore, make_run: MakeRun) -> None:
    first, second = make_run(name="one"), make_run(name="two")
    assert store.rename(first.id, "one").name == "one"  # its own name is not taken
    assert store.rename(second.id, "one").name == "one (2)"
    assert store.get(second.id).name == "one (2)"
    assert RunStore(store.root).get(second.id).train == second.train


def test_extending_checks_its_number(store: RunStore, make_run: MakeRun) -> None:
    run = make_run(steps=30)
    assert store.extend(run.id, 12).train.steps == 42
    assert store.get(run.id).train.steps == 42
    for steps in (0, -1, 1.5, "3", None, True, float("nan")):
        with pytest.raises(ValueError, match="whole number"):
            store.extend(run.id, steps)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Steps must be"):
        store.extend(run.id, 10**9)
    assert store.get(run.id).train.steps == 42


def test_many_creators_at_once(store: RunStore, make_run: MakeRun) -> None:
    threads = [threading.Thread(target=make_run) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(names(store.list())) == sorted(["a run", *(f"a run ({n})" for n in range(2, 9))])


def test_the_steps_available_are_those_that_look_whole(make_run: MakeRun) -> None:
    import torch

    run = make_run()
    for step in (10, 20):
        save_checkpoint(run.path, {"model": {"w": torch.ones(3)}, "optimizer": {}}, {"step": step})
    assert run.steps_available() == [10, 20]
    weights = run.path / "checkpoints" / "step_00000020" / "model.safetensors"
    os.truncate(weights, weights.stat().st_size - 1)
    assert run.steps_available() == [10]


def test_a_run_that_trains_is_stopped_before_it_is_deleted(store: RunStore, make_run: MakeRun) -> None:
    run = make_run()
    status.declare(run.path, Status("queued", queued=1.0))
    store.delete(run.id)
    assert not run.path.exists()
