"""What the race form says about the text, made into a race: built-in, pasted, uploaded, too large."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from playground.races.recipes import RECIPES, race_of
from playground.runs.races import get_race, plan_race
from playground.train.estimate import count_parameters
from playground.train.race_spec import UNITS, parse_arm
from playground.ui import text_card
from playground.ui.app import start_numerics
from playground.ui.compare import race_form, race_tab
from playground.ui.compare.race_form import (
    RaceForm,
    add_arm,
    brought_text,
    build_race_form,
    filled_with,
    offer,
    own_spec,
    preview,
    recipe_spec,
    usual_amount,
)
from playground.ui.services import Services
from playground.ui.train import train_tab
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
    sizes, own = preview(form, task)
    assert sizes == "Each: Sort · 1 layer, d_model 16 · 20 steps · 3 seeds."
    assert "arms × 3 seeds" in own
    assert re.search(r"- \*\*Modern\*\* [\d,]+ parameters · [\d.]+ MFLOPs/token · MLP hidden size \d+ → \d+", own)
    learned = ["b: modern", "c: modern + tokenizer=char", "p: modern + tokenizer=bpe + bpe_vocab=300"]
    rows = preview(form, filled(form, {form.arms: learned, form.match: "none"}))[1].splitlines()[:3]
    model = plan_race(own_spec(form, filled(form, {form.arms: learned, form.match: "none"})))[0].model
    sizes_of = [count_parameters(model.replace(vocab_size=size)) for size in (256, 256, 300)]
    assert [
        f"{abouts}{size:,} parameters" for abouts, size in zip(("", "about ", "about "), sizes_of, strict=True)
    ] == [re.search(r"\*\* (.*? parameters)", row)[1] for row in rows]
    odd = filled(form, {form.arms: ["classic", "<b>*loud*</b> [x](y): modern"]})
    assert r"\<b\>\*loud\*\<\/b\> \[x\]\(y\)" in preview(form, odd)[1]


def test_one_thing_is_changed_in_any_arm(form: RaceForm) -> None:
    """What may be chosen is what the setting may be, other than what it is; what was added can be started from."""
    assert [value for _, value in offer("modern", "norm")["choices"]] == ["layernorm"]
    assert [value for _, value in offer("modern + norm=layernorm", "norm")["choices"]] == ["rmsnorm"]
    assert [value for _, value in offer("classic", "bias")["choices"]] == ["false"]
    assert [value for _, value in offer("modern", "n_layer")["choices"]] == ["1", "4"], (
        "half and twice what races start with"
    )
    assert [value for _, value in offer("modern", "learning_rate")["choices"]] == ["0.0015", "0.006"]
    assert offer("nonsense", "norm")["choices"] == []
    arms, start = add_arm(["classic"], "modern", "norm", "layernorm")
    assert arms["value"] == ["classic", "modern + norm=layernorm"]
    again, _ = add_arm(arms["value"], "modern + norm=layernorm", "norm", "rmsnorm")
    assert again["value"][-1] == "modern + norm=rmsnorm", "changed, not given twice"
    assert "modern + norm=layernorm" in start["choices"]
    both, _ = add_arm(arms["value"], "modern + norm=layernorm", "n_kv_head", "1")
    assert parse_arm(both["value"][-1]).changes == {"norm": "layernorm", "n_kv_head": 1}
    with pytest.raises(ValueError, match="is no change"):
        add_arm(["classic"], "modern", "wings", "2")


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_race_goes_back_into_the_form(recipe: str, local: Services, form: RaceForm) -> None:
    """The form filled with a race describes that very race: "change it" changes nothing by itself."""
    spec = race_of(RECIPES[recipe], {**SMALL, "corpus": "sort", "dropout": 0.1}, budget="tokens", amount=1e5, seeds=2)
    values = {key: one["value"] if isinstance(one, dict) else one for key, one in filled_with(form, spec, None).items()
              if not isinstance(one, dict) or "value" in one}  # fmt: skip
    again = own_spec(form, {**filled(form, {}), **values})
    ours, theirs = plan_race(again), plan_race(spec)
    assert [arm.name for arm in again.arms] == [arm.name for arm in spec.arms]
    assert [(arm.model, arm.train, arm.solved) for arm in ours] == [
        (arm.model, arm.train, arm.solved) for arm in theirs
    ]
    assert (again.budget, again.amount, again.seeds, again.match) == (spec.budget, 1e5, (0, 1), spec.match)


@pytest.mark.parametrize("unit", UNITS)
def test_another_unit_of_the_budget_begins_with_about_as_long_a_race(unit: str, form: RaceForm) -> None:
    data = filled(form, {form.budget: unit})
    amount = usual_amount(form, data)
    if unit == "seconds":
        assert amount == 20
        return
    steps = plan_race(own_spec(form, {**data, form.amount: amount}))[0].train.steps
    assert steps == pytest.approx(300, rel=0.05)
    assert usual_amount(form, {**data, form.arms: ["modern + wings=2"]}) > 0


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
    with pytest.raises(ValueError, match="only on your own computer"):
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
    with pytest.raises(ValueError, match="Dataset size must be 1000 to"):
        brought_text(local, form, data)
    data[form.train["corpus_bytes"]] = 1_000
    assert brought_text(local, form, data) == TEXT[:1_000]
    words, _, size = text_card.show_upload(local, form.text, form.train["corpus_bytes"], 2_000, data)
    assert "Its first 0.002 MB are read." in words
    assert size == 2_000


def test_the_numerics_lab_races_what_the_train_tab_describes(local: Services) -> None:
    with gr.Blocks():
        tab = train_tab.build(local)
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
