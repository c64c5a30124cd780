"""What the race form says about the text, made into a race: built-in, pasted, uploaded, too large."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from playground.runs.races import get_race
from playground.ui import race_form, race_tab, text_card
from playground.ui.app import start_numerics
from playground.ui.race_form import RaceForm, brought_text, build_race_form, own_spec, preview, recipe_spec
from playground.ui.services import Services
from playground.ui.tabs import train
from tests.ui.conftest import TEXT

SMALL = {"n_layer": 1, "n_embd": 16, "n_head": 2, "block_size": 16, "batch_size": 2}


class Started:
    """A launcher that only remembers."""

    def __init__(self) -> None:
        self.ids: list[str] = []

    def admit(self, visitor: str | None) -> None:
        """Everybody may."""

    def begin(self, race: Any, visitor: str | None) -> None:
        self.ids.append(race.id)


@pytest.fixture
def form(local: Services) -> RaceForm:
    with gr.Blocks():
        return build_race_form(local)


def filled(form: RaceForm, changes: dict[Any, Any]) -> dict[Any, Any]:
    small = {{**form.model, **form.train}[name]: value for name, value in SMALL.items()}
    return {control: control.value for control in form.inputs} | small | {form.amount: 20} | changes


def test_nothing_touched_is_a_race_on_tales(local: Services, form: RaceForm) -> None:
    data = filled(form, {})
    assert brought_text(local, form, data) is None
    assert recipe_spec("classic_modern", form, data).shared["corpus"] == "tales"
    task = filled(form, {form.text.text: "task", form.text.task: "sort"})
    assert own_spec(form, task).shared["corpus"] == "sort"
    assert "arms × 3 seeds" in preview(form, task)
    assert re.search(
        r"- \*\*Modern\*\* [\d,]+ parameters · [\d.]+ MFLOPs/token · MLP size \d+ → \d+", preview(form, task)
    )
    odd = filled(form, {form.arms: ["classic", "<b>*loud*</b> [x](y): modern"]})
    assert r"\<b\>\*loud\*\<\/b\> \[x\]\(y\)" in preview(form, odd)


@pytest.mark.parametrize("way", ["pasted", "uploaded", "path"])
def test_all_arms_read_the_text_that_is_brought(way: str, local: Services, form: RaceForm, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text(TEXT)
    value = {"pasted": TEXT, "uploaded": [str(tmp_path / "mine.txt")], "path": str(tmp_path / "mine.txt")}[way]
    control = {"pasted": form.text.pasted, "uploaded": form.text.upload, "path": form.text.path}[way]
    data = filled(form, {form.text.text: "own", control: value})
    launcher = Started()
    services = Services(local.store, launcher, local.curves, local.models, local.cache_dir, public=False)  # type: ignore[arg-type]
    race_tab.begin(services, own_spec(form, data), brought_text(services, form, data), "")
    race = get_race(local.store, launcher.ids[0])
    members = [run for arm in race.members for run in arm]
    assert len(members) == 6
    assert {run.own_text() for run in members} == {TEXT}
    assert {run.train.corpus for run in members} == {"own"}
    assert {run.model.n_embd for run in members} == {16}


def test_a_text_that_is_no_text_is_refused_and_nothing_is_written(local: Services, form: RaceForm) -> None:
    data = filled(form, {form.text.text: "own", form.text.pasted: "  \n "})
    with pytest.raises(ValueError, match="The text is empty"):
        brought_text(local, form, data)
    public = Services(local.store, local.launcher, local.curves, local.models, local.cache_dir, public=True)
    with pytest.raises(ValueError, match="for a playground on one's own machine"):
        brought_text(public, form, filled(form, {form.text.text: "own", form.text.path: "/etc/passwd"}))
    assert local.store.list() == []


def test_of_a_text_too_large_for_a_race_the_beginning_is_read(
    local: Services, form: RaceForm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (race_form, text_card):
        monkeypatch.setattr(module, "MAX_BYTES", 1_000)
    monkeypatch.setattr("playground.data.sources.MAX_BYTES", 1_000)
    (tmp_path / "large.txt").write_text(TEXT)
    data = filled(form, {form.text.text: "own", form.text.upload: [str(tmp_path / "large.txt")]})
    data[form.train["corpus_bytes"]] = 900
    with pytest.raises(ValueError, match="Text size must be 1000 to"):
        brought_text(local, form, data)
    data[form.train["corpus_bytes"]] = 1_000
    assert brought_text(local, form, data) == TEXT[:1_000]
    words, _, size = text_card.show_upload(local, form.text, form.train["corpus_bytes"], 2_000, data)
    assert "Its first 0.002 MB are read." in words
    assert size == 2_000


def test_the_numerics_lab_races_what_the_train_tab_describes(local: Services) -> None:
    with gr.Blocks():
        tab = train.build(local)
    launcher = Started()
    services = Services(local.store, launcher, local.curves, local.models, local.cache_dir, public=False)  # type: ignore[arg-type]
    small = {{**tab.model, **tab.train}[name]: value for name, value in SMALL.items()}
    data = {control: control.value for control in tab.inputs} | small  # type: ignore[attr-defined]
    data |= {tab.train["steps"]: 60, tab.text.text: "own", tab.text.pasted: TEXT, tab.preset: "classic"}
    where, which, *_ = start_numerics(services, tab, data, "")
    assert (where["selected"], which["selected"]) == ("compare", "races")
    race = get_race(local.store, launcher.ids[0])
    assert [arm.name for arm in race.spec.arms] == ["fp32", "bf16", "fp16", "2 micro-batches", "recomputed"]
    assert all(run.own_text() == TEXT and run.train.steps == 60 for arm in race.members for run in arm)
    with pytest.raises(ValueError, match="imported tokenizer"):
        start_numerics(services, tab, data | {tab.train["tokenizer"]: "imported"}, "")
