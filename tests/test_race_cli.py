"""``python -m playground race``: the same results as the page, and one sentence for what is wrong."""

from __future__ import annotations

import json

import pytest

from playground.__main__ import main
from playground.races.verdict import verdict
from playground.runs.curves import Curves
from playground.runs.races import create_race, get_race, prepare_race
from playground.runs.store.history import History
from playground.runs.store.run_store import RunStore
from playground.runs.worker.racing import execute_race
from playground.train.race_spec import RaceSpec

SHARED = {"n_layer": 1, "n_embd": 16, "n_head": 2, "block_size": 16, "batch_size": 2, "corpus_bytes": 50_000}
RACE = {"arms": ["classic", "modern"], "shared": SHARED, "amount": 12, "seeds": 2}


def write(tmp_path, values):
    path = tmp_path / "race.json"
    path.write_text(json.dumps(values))
    return str(path)


@pytest.mark.slow
def test_a_race_from_a_file_is_the_one_that_the_page_runs(tmp_path, capsys):
    data = tmp_path / "data"
    code = main(["race", write(tmp_path, RACE), "--data", str(data), "--csv", str(tmp_path / "out.csv")])
    out = capsys.readouterr().out
    assert code == 0
    store = RunStore(data)
    race = get_race(store, out.split()[-1])
    found = verdict(race, Curves(store))
    assert found.headline in out
    assert found.rule in out
    assert len((tmp_path / "out.csv").read_text().splitlines()) > 4 * 5

    twin = create_race(store, prepare_race(RaceSpec.from_dict(RACE)))  # what the page does
    execute_race(twin)
    for ours, theirs in zip(race.members, twin.members, strict=True):
        for a, b in zip(ours, theirs, strict=True):
            assert losses(a) == losses(b)


def losses(run):
    history = History(run.log)
    history.refresh()
    return list(history.train["loss"]) + [event.loss for event in history.validation]


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"arms": ["modern"]}, "A race has 2 to 8 arms"),
        ({**RACE, "amount": 0.5}, "too small to evaluate once"),
        ({**RACE, "shared": {**SHARED, "corpus_bytes": 1_000_000_000_000}}, "must be"),
        ({**RACE, "shared": {**SHARED, "corpus": "own"}}, "Give it with --text FILE"),
        ({**RACE, "budget": "hours"}, "Budget must be one of"),
        ({**RACE, "arms": ["classic", "modern + n_layer=12"]}, "cannot be matched"),
    ],
)
def test_wrong_files_are_one_sentence_and_nothing_is_written(tmp_path, capsys, values, words):
    assert main(["race", write(tmp_path, values), "--data", str(tmp_path / "data")]) == 2
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
    assert not [path for path in (tmp_path / "data").iterdir() if not path.name.startswith(".")]


def test_neither_file_nor_recipe(tmp_path, capsys):
    assert main(["race", "--data", str(tmp_path)]) == 2
    assert "Give either a race's JSON file or --recipe" in capsys.readouterr().err
