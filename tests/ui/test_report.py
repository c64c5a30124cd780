"""The saved page of a race: whole, inert, and readable again."""

from __future__ import annotations

import json
import re

from playground.races.payload import race_news
from playground.runs.curves import Curves
from playground.runs.races import create_race, list_races, prepare_race
from playground.runs.store.paths import gallery_root
from playground.runs.store.run_store import RunStore
from playground.train.race_spec import RaceSpec
from playground.ui.compare.report import race_file, race_report

HOSTILE = "</script><img src=x onerror=alert(1)>"
SHARED = {"n_layer": 1, "n_embd": 16, "n_head": 2, "block_size": 16, "batch_size": 2, "corpus_bytes": 50_000}


def test_a_report_is_inert_whatever_a_race_is_called(tmp_path) -> None:
    store = RunStore(tmp_path)
    arms = [{"name": HOSTILE[:38], "preset": "classic"}, "modern"]
    spec = RaceSpec.from_dict({"arms": arms, "shared": SHARED, "amount": 5, "seeds": 1})
    race = create_race(store, prepare_race(spec), name=HOSTILE)
    page = race_report(race, Curves(store))
    assert "<img" not in page
    assert page.count("<script") == page.count("</script>") == 4
    data = json.loads(re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.S)[1])
    assert data["head"]["name"] == HOSTILE
    assert data == json.loads(json.dumps(race_news(race, Curves(store))))


def test_a_report_fetches_nothing(tmp_path) -> None:
    store = RunStore(tmp_path, gallery_root())
    race = list_races(store)[0]
    page = race_report(race, Curves(store))
    outside = re.sub(r"<script>.*?</script>", "", page, flags=re.S)  # plotly.js names addresses that it never asks
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)=.?https?:", outside)
    assert "@import" not in outside


def test_the_config_races_the_same_again(tmp_path) -> None:
    store = RunStore(tmp_path, gallery_root())
    for race in list_races(store):
        file = race_file(race, Curves(store), "json")
        assert RaceSpec.from_dict(json.loads(file["text"])).arms == race.spec.arms
        assert file["name"] == f"{race.name.replace(':', ' ')}.json"


def test_csv_names_every_measurement(tmp_path) -> None:
    store = RunStore(tmp_path, gallery_root())
    race = next(race for race in list_races(store) if race.name.startswith("The ladder"))
    lines = race_file(race, Curves(store), "csv")["text"].splitlines()
    assert (
        lines[0]
        == "arm,seed,step,tokens,flops,seconds,loss,loss_se,bits_per_byte,bits_per_byte_se,accuracy,exact_match"
    )
    assert len(lines) == 1 + 5 * 3 * 21
