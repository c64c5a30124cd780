"""Guided readings: every claim they make is held to the weights that ship."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from playground.interp.ablation import Part, continuation, effect, probe
from playground.interp.attention import attention_patterns
from playground.runs.loading import ModelCache
from playground.runs.store.log import Tail
from playground.runs.store.paths import cache_root, gallery_root
from playground.runs.store.run_store import RunStore
from playground.runs.texts import dataset
from playground.ui.inside.attention_tab import opening
from playground.ui.inside.guided_tours import READINGS, Reading

pytestmark = pytest.mark.slow  # `make check` leaves out what only new reference runs can change


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    """A function (reading) -> its run, its ids, and a function step -> patterns (L, H, T, T)."""
    store, models = RunStore(tmp_path_factory.mktemp("runs"), gallery_root()), ModelCache()

    def look(reading: Reading):
        run = store.get(reading.run)
        ids = [int(token) for token in run.tokenizer.encode(reading.text)]
        return run, ids, lambda step: attention_patterns(models.get(run, step), ids)

    return look


def without(run, ids, heads) -> tuple[float, float, str, str]:
    """Validation loss with and without heads, and how the text goes on with and without."""
    model = ModelCache().get(run)
    on = probe(model, dataset(run, cache_root()), 4_000)
    parts = [Part(layer, "head", head) for layer, head in heads]
    texts = [
        b"".join(run.tokenizer.token_bytes(token) for token in continuation(model, ids, off, None, 10).ids).decode()
        for off in ([], parts)
    ]
    return on.loss, on.loss + effect(model, on, parts).change, *texts


@pytest.mark.parametrize("name", READINGS)
def test_stages_speak_of_what_is_there(read, name):
    reading = READINGS[name]
    run, ids, _ = read(reading)
    for stage in reading.stages:
        assert stage.step in run.steps_available()
        assert all(layer < run.model.n_layer and head < run.model.n_head for layer, head in stage.heads)
        assert stage.token < len(ids)
        assert stage.off in ("on", "zero")


def test_the_induction_head_forms_as_the_reading_says(read):
    reading = READINGS["induction"]
    run, ids, look = read(reading)
    bar = reading.text.index("|")
    row, behind = len(ids) - 1, reading.text.index("i") + 1
    assert {stage.token for stage in reading.stages} == {row}
    assert reading.text[row] == "i"
    assert reading.text[behind] == "c"
    second = range(bar + 2, len(ids))  # of the second copy, from the second letter on

    at = look(0)
    assert np.abs(at[:, :, row] - 1 / len(ids)).max() < 0.02, "alike"
    at = look(78)[1, 0, row]
    assert at[behind] < 0.1
    assert 10 <= (at * (row - np.arange(len(ids)))).sum() <= 18, "a dozen or so places back"
    assert np.sort(at)[-3:].sum() > 0.7, "a blur of a few"
    at = look(161)[0, 2]
    assert np.diagonal(at, -1).mean() > 0.5
    assert np.diagonal(at, -1).mean() > 3 * np.diagonal(look(78)[0, 2], -1).mean()
    at = look(161)[1, 0]
    assert at[row].argmax() == behind
    assert np.mean([at[t, t - bar] for t in second]) > 0.85
    at = look(1000)[1]
    assert all(np.mean([at[head, t, t - bar] for t in second]) > 0.9 for head in (0, 1, 2))
    measured = {row["step"]: row["loss"] for row in Tail(run.log).rows() if row["event"] == "Evaluated"}
    assert measured[75] > math.log(26) - 0.2, "hardly moved"
    assert measured[175] < 0.6, "falls at the same time"

    loss, broken, before, after = without(run, ids, reading.stages[-1].heads)
    assert loss < 0.1
    assert broken > measured[75]
    assert before.startswith("ckbrownfox")
    assert not any(before[i : i + 3] in after for i in range(8)), "no piece of the copy is left"


@pytest.mark.slow
def test_heads_find_their_word_as_the_reading_says(read):
    reading = READINGS["words"]
    run, ids, look = read(reading)
    text = reading.text
    starts = [max(k for k in range(i + 1) if k == 0 or text[k - 1] == " ") for i in range(len(text))]
    inside = [i for i in range(len(text)) if text[i].isalpha() and starts[i] < i]
    near = [np.diagonal(look(step)[0], -1, axis1=1, axis2=2).mean(-1) for step in (0, 28, 55)]
    assert near[0].max() < 0.08
    assert near[1].max() < 0.08
    assert near[2][2] > 0.3
    first = look(213)[0, 0]
    assert np.mean([first[i, starts[i]] for i in inside]) > 0.6
    oren = text.index("Oren")
    assert [int(first[i].argmax()) for i in range(oren + 1, oren + 4)] == [oren] * 3
    last = look(1600)[0]
    assert np.mean([last[0, i, starts[i]] for i in inside]) > 0.6
    assert np.diagonal(last[2], -2).mean() == max(np.diagonal(last[2], -n).mean() for n in range(8))
    assert np.diagonal(last[3], -1).mean() > 0.5
    loss, broken, *_ = without(run, ids, reading.stages[-1].heads)
    assert loss == pytest.approx(0.42, abs=0.02)
    assert broken == pytest.approx(2.4, abs=0.1)


def test_a_reading_opens_with_its_run_its_text_and_its_first_stage(local, tmp_path):
    reading = READINGS["induction"]
    shipped = replace(local, store=RunStore(tmp_path, gallery_root()))
    run, text, value = opening(reading)(shipped, "")
    assert run["value"] == value["run"] == reading.run
    assert reading.run in [known for _, known in run["choices"]]
    assert text == value["text"] == reading.text
    assert [stage["step"] for stage in value["reading"]["stages"]] == [0, 78, 161, 161, 1000]
