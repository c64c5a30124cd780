"""The races that ship: there, whole, small enough, and saying what their words say."""

from pathlib import Path

import pytest

from playground.races.verdict import verdict
from playground.reference.make_races import SHIPPED
from playground.runs.curves import Curves
from playground.runs.races import list_races
from playground.runs.store.paths import gallery_root
from playground.runs.store.run_store import RunStore

pytestmark = pytest.mark.slow  # `make check` leaves out what only new reference runs can change


@pytest.fixture(scope="module")
def shipped(tmp_path_factory):
    store = RunStore(tmp_path_factory.mktemp("runs"), gallery_root())
    curves = Curves(store)
    return {race.name: (race, verdict(race, curves)) for race in list_races(store)}


def test_all_are_there_with_at_least_three_seeds(shipped):
    assert set(shipped) == {one.title for one in SHIPPED} | {"Classic against modern on Tales"}
    for race, _ in shipped.values():
        assert len(race.spec.seeds) >= 3
        assert race.notes
        assert race.reference
        assert race.status().state == "finished"
    for one in SHIPPED:
        race = shipped[one.title][0]
        assert (race.spec, race.id, race.notes) == (one.spec, one.id, one.notes)


def test_they_say_what_their_words_say(shipped):
    assert shipped["Classic against modern on Tales"][1].headline.startswith("Modern is better by 0.4")
    assert shipped["Classic against modern on Python source"][1].headline.startswith("Modern is better by 0.4")
    assert "not distinguishable" in shipped["A short budget: 100 steps on Python source"][1].headline
    tuned = shipped["Each at its best rate on Tales"][1]
    assert tuned.headline.startswith("Each at its best learning rate: Modern is better by 0.4")
    assert [tuned.table[i]["arm"] for i in tuned.best] == ["Classic 0.003", "Modern 0.003"]
    classic, modern = ([row["loss"] for row in tuned.table[i : i + 3]] for i in (0, 3))
    gaps = [a - b for a, b in zip(classic, modern, strict=True)]
    assert gaps[1] > max(gaps[0], gaps[2]) > 0
    assert modern[2] > classic[1]
    muon = shipped["AdamW against Muon on Tales"][1]
    assert muon.headline.startswith("Muon, rate 0.02 is better than AdamW by 0.5")
    same, own = muon.comparisons
    assert same.words[0].startswith("Muon, same rate is worse than AdamW")
    assert own.costs["tokens"].high < 0.55
    assert own.token_time is not None
    assert 1.2 < own.token_time.mean < 1.3
    assert own.costs["tokens"].mean < own.costs["seconds"].mean < own.costs["seconds"].high < 1
    bars = {bar["name"]: bar for bar in shipped["The ladder on Tales"][1].waterfall}
    assert list(bars) == ["Classic", "+ RMSNorm", "+ RoPE", "+ SwiGLU", "+ GQA"]
    assert bars["+ RoPE"]["outcome"] == "better"
    assert bars["+ RMSNorm"]["outcome"] == bars["+ GQA"]["outcome"] == "unclear"
    assert bars["+ RoPE"]["change"] < 0.75 * (bars["+ GQA"]["value"] - bars["Classic"]["value"])


def test_the_gallery_is_small_enough():
    sizes = [path.stat().st_size for path in Path(gallery_root()).rglob("*") if path.is_file()]
    assert sum(sizes) < 25e6
    assert max(sizes) < 5e6
