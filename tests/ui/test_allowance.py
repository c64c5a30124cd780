"""What a host has decided, as visitors meet it: refusals in a sentence, places in the queue, pinned runs, passwords."""

from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

from playground.config import TrainConfig, preset
from playground.runs.curves import Curves
from playground.runs.limits import PUBLIC, Limits
from playground.runs.loading import ModelCache
from playground.runs.queue.hosting import Hosting
from playground.runs.queue.launcher import Launcher
from playground.runs.store import status
from playground.runs.store.run_store import Run, RunStore
from playground.runs.store.status import Status
from playground.tokenizers import build_tokenizer
from playground.ui import allowance, endpoints
from playground.ui.app import access, launch_options
from playground.ui.compare import race_tab
from playground.ui.data import tokenizer_tab
from playground.ui.sample import sample_tab
from playground.ui.server.logins import LoginThrottle
from playground.ui.services import Services
from playground.ui.train import train_tab
from playground.ui.train.import_panel import bring
from tests.runs.conftest import TEXT

ANN, BOB = "a" * 32, "b" * 32


def services(tmp_path: Path, **hosting: object) -> Services:
    store = RunStore(tmp_path / "runs", tmp_path / "gallery")
    rules = Hosting(public=True, **hosting)  # type: ignore[arg-type]
    launcher = Launcher(store, supervise=False, spare=False, limits=rules.limits)
    return Services(store, launcher, Curves(store), ModelCache(), tmp_path / "cache", True, rules)


def make(found: Services, name: str, owner: str | None = ANN) -> Run:
    model = preset("modern", n_layer=1, n_embd=16, n_head=2, block_size=16)
    training = TrainConfig(corpus="own", steps=50, batch_size=2, warmup_steps=0)
    return found.store.create(
        model, training, build_tokenizer("byte", ""), name=name, preset="modern", owner=owner, own_text=TEXT
    )


def test_a_place_in_the_queue_and_when_it_begins(tmp_path: Path) -> None:
    found = services(tmp_path, limits=PUBLIC)
    ended, first, second = make(found, "ended", BOB), make(found, "first", BOB), make(found, "second")
    for run, owner in ((first, BOB), (second, ANN)):
        found.launcher.start(run, owner)
    assert endpoints.live(found, {"visitor": BOB})["text"].startswith(
        "first · waiting, number 1 in the queue, begins at once"
    )
    said = endpoints.live(found, {"visitor": ANN})["text"]
    assert said.startswith("second · waiting, number 2 in the queue, begins in about ")
    answer = endpoints.curves(found, {"visitor": ANN, "cursors": {second.id: None}})["runs"][0]
    assert answer["waiting"] == said.removeprefix("second · waiting, ")
    assert "first" not in str(answer)  # nobody learns what others train
    assert endpoints.curves(found, {"visitor": BOB, "cursors": {ended.id: None}})["runs"][0]["waiting"] == ""


@pytest.mark.parametrize("limits", [Limits(trainers="nobody"), Limits(queue_length=1), Limits(daily_minutes=1)])
def test_no_button_starts_what_may_not_start(tmp_path: Path, limits: Limits) -> None:
    found = services(tmp_path, limits=limits)
    waits = make(found, "waits", BOB)
    status.declare(waits.path, Status("queued", queued=1.0))
    found.launcher.usage.add(waits.owner, 100)
    found.launcher.usage.add(make(found, "mine").owner, 100)
    before = sorted(path.name for path in found.store.root.iterdir())
    spec = race_tab.RaceSpec.from_dict({"arms": ["classic", "modern"], "amount": 1})
    for press in (
        lambda: race_tab.begin(found, spec, None, ANN),
        lambda: list(tokenizer_tab.start_duel(found, ANN, "tales", 10, 64, 256, 300)),
    ):
        with pytest.raises(
            ValueError,
            match=r"Training is disabled on this server|Queue: 1 job waiting, and this would add [14]|Training time: you",
        ):
            press()
    assert sorted(path.name for path in found.store.root.iterdir()) == before


def test_the_form_says_what_is_too_large_and_what_is_fixed(tmp_path: Path) -> None:
    found = services(tmp_path, limits=replace(PUBLIC, frozen=("n_layer", "mlp", "learning_rate"), run_minutes=0.001))
    with gr.Blocks():
        tab = train_tab.build(found)
    data = {control: control.value for control in tab.inputs}
    words, _ = train_tab.show_estimate(found, tab, data)
    assert words.endswith("⚠ a run ends after 0.001 min here, with its last checkpoint")
    data[tab.model["n_embd"]] = 512
    assert train_tab.show_estimate(found, tab, data)[0].startswith("⚠ Parameters: this model has ")
    fixed = {name for name, control in (tab.model | tab.train).items() if control.interactive is False}
    assert fixed == {"n_layer", "mlp", "learning_rate"}
    assert "5,000,000 parameters" in str(tab.allowance.words.value)
    with gr.Blocks():
        local = train_tab.build(replace(found, hosting=Hosting()))
    assert not local.allowance.words.visible
    assert all(control.interactive is not False for control in (local.model | local.train).values())


def test_pinned_runs_come_first(tmp_path: Path) -> None:
    found = services(tmp_path, pinned=("third", "unheard of", "first"))
    (tmp_path / "gallery").mkdir()
    for name in ("first", "second", "third"):
        run = make(found, name, None)
        run.path.rename(tmp_path / "gallery" / run.id)
    make(found, "mine")
    assert [name for name, _ in found.choices(ANN)] == [
        "third · reference",
        "first · reference",
        "mine",
        "second · reference",
    ]
    plain = replace(found, hosting=Hosting())
    assert next(name for name, _ in plain.choices(ANN)) == "mine"


def test_only_the_password_unlocks_and_only_for_who_gives_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allowance, "WRONG_SECONDS", 0.0)
    found = services(tmp_path, limits=Limits(trainers="owner"), host_password="chalk")
    for wrong in ("", "Chalk", "chalk ", None, 3, ["chalk"], "\ud800"):
        with pytest.raises(ValueError, match="not the host's password"):
            allowance.unlock(found, wrong, ANN)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="Only the host can train on this server"):
        found.launcher.admit(ANN)
    assert allowance.unlock(found, "chalk", ANN)[0] == ""
    found.launcher.admit(ANN)
    with pytest.raises(ValueError, match="Only the host can train on this server"):
        found.launcher.admit(BOB)
    open_to_all = services(tmp_path, limits=Limits())
    with pytest.raises(ValueError, match="not the host's password"):
        allowance.unlock(open_to_all, "", ANN)  # no password is not an empty one


def test_a_password_for_the_page(tmp_path: Path) -> None:
    assert access(services(tmp_path)) == {}
    options = launch_options(services(tmp_path, password="board"))
    assert LoginThrottle in [each.cls for each in options["app_kwargs"]["middleware"]]
    assert [options["auth"]("anyone", given) for given in ("board", "", "Board", "\ud800")] == [
        True,
        False,
        False,
        False,
    ]


def test_writing_is_limited_too(tmp_path: Path) -> None:
    found = services(tmp_path, limits=Limits(new_tokens=100))
    settings = [
        getattr(sample_tab.GenerationConfig(max_new_tokens=101), name)
        for name in (*sample_tab.SHAPE, *sample_tab.LENGTH)
    ]
    with pytest.raises(
        ValueError, match=r"Max new tokens: 101 were requested; the limit here is 100. Lower it, then continue"
    ):
        next(sample_tab.write(found, "any", 0, "a", *settings, ANN))


def test_a_model_that_is_brought_takes_of_the_visitors_disk_space(tmp_path: Path) -> None:
    found = services(tmp_path, limits=Limits(visitor_mb=1))
    (tmp_path / "model.safetensors").write_bytes(b"x" * 600_000)
    with pytest.raises(
        ValueError, match=r"Disk space: your other runs use [0-9.]+ MB, this one needs up to [0-9.]+ MB; the limit here"
    ):
        bring(found, [str(tmp_path / "model.safetensors")], "", "", ANN)
    assert found.store.list() == []


def test_many_who_bring_models_do_not_fill_the_disk(tmp_path: Path) -> None:
    """A new token each time has a new visitor's space, but there is one disk."""
    found = services(tmp_path, limits=Limits(visitor_mb=100, total_mb=2))
    file = tmp_path / "model.safetensors"
    file.write_bytes(b"x" * 600_000)
    said = []
    for token in (ANN, BOB, "c" * 32):
        with pytest.raises(ValueError, match=r".") as caught:
            bring(found, [str(file)], "", "", token)
        said.append(str(caught.value))
    assert "config.json" in said[0], "there would have been room for it"
    assert said[2].startswith("Disk space: all runs here use 2 MB of 2")
