"""The lists of runs and checkpoints: brought up to date without taking back what was chosen meanwhile."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import gradio as gr
import pytest

from playground.runs.curves import Curves
from playground.runs.loading import ModelCache
from playground.runs.queue.launcher import Launcher
from playground.runs.store.paths import gallery_root
from playground.runs.store.run_store import RunStore
from playground.ui import picker
from playground.ui.compare import compare_tab, race_tab
from playground.ui.services import Services


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    folder: Path = tmp_path_factory.mktemp("store")
    store = RunStore(folder / "runs", gallery_root())
    launcher = Launcher(store, cache_dir=folder / "corpora", spare=False, supervise=False)
    yield Services(store, launcher, Curves(store), ModelCache(), folder / "corpora", public=False)
    launcher.close()


def test_a_refresh_sets_no_value_where_the_sent_one_stays(services: Services) -> None:
    """The answer to opening a tab can come after the user's next choice."""
    run = next(run for run in services.store.list(None) if run.name == "Induction: two layers on Repeat")
    last = run.steps_available()[-1]
    runs, steps = picker.refresh(services, run.id, last, "")
    assert "value" not in runs
    assert "value" not in steps
    assert [step for _, step in steps["choices"]] == run.steps_available()
    assert "value" not in picker.refresh_run(services, run.id, "")
    assert "value" not in picker.refresh_second(services, "", None, run.id, "")[0]
    assert picker.refresh_second(services, "", None, run.id, "")[1] == gr.skip()
    assert "value" not in compare_tab.refresh(services, [run.id], "")
    race = services.race_choices("")[0][1]
    races, view = race_tab.refresh(services, race, "")
    assert race in [known for _, known in races["choices"]]
    assert "value" not in races
    assert view == gr.skip()


def test_a_refresh_replaces_what_is_gone(services: Services) -> None:
    gone = "0" * 32
    runs, steps = picker.refresh(services, gone, 1234567, "")
    assert runs["value"] in [known for _, known in runs["choices"]]
    assert steps["value"] == services.run(runs["value"], "").steps_available()[-1]
    second, of_second = picker.refresh_second(services, gone, 100, runs["value"], "")
    assert (second["value"], of_second["value"], of_second["choices"]) == ("", None, [])
    assert compare_tab.refresh(services, [gone], "")["value"] != [gone]
    races, view = race_tab.refresh(services, gone, "")
    assert races["value"] == view["race"] != gone


def test_a_newly_chosen_run_brings_its_own_checkpoint(services: Services) -> None:
    first, other = [run for run in services.store.list(None) if run.steps_available()][:2]
    assert picker.checkpoints(services, other.id, "")["value"] == other.steps_available()[-1]
    assert picker.second_chosen(services, first.id, first.id, "")["value"] == first.steps_available()[0]
    assert picker.second_chosen(services, other.id, first.id, "")["value"] == other.steps_available()[-1]
    assert picker.second_chosen(services, "", first.id, "")["value"] is None
