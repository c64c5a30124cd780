"""Everything that can be wrong with a wish, through each door that it can come in by: the page's form, the API, the command
line, a link. One sentence each time that names the field, the value and what to do; nothing is written, nothing started."""

from __future__ import annotations

import functools
import gzip
import html
import json
import math
import re
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest

from playground.__main__ import main
from playground.cli import commands, sample, train
from playground.config import TrainConfig, preset, setting_kinds
from playground.interchange.folders import write_transformers
from playground.runs.curves import Curves
from playground.runs.limits import PUBLIC
from playground.runs.loading import ModelCache
from playground.runs.queue.hosting import Hosting
from playground.runs.queue.launcher import Launcher
from playground.runs.store import status
from playground.runs.store.run_store import Run, RunStore
from playground.runs.store.status import Status
from playground.runs.worker.execution import execute
from playground.tokenizers import build_tokenizer
from playground.train.race_spec import RaceSpec
from playground.ui import links
from playground.ui.api import Api
from playground.ui.compare import compare_tab, race_tab
from playground.ui.forms import HIDDEN
from playground.ui.sample import sample_tab
from playground.ui.services import Services, show_errors
from playground.ui.train import run_actions, train_tab
from playground.ui.train.import_panel import bring
from tests.interchange.models import CASES, package

ANN = "a" * 32
TEXT = "the cat sat on the mat and the dog sat on the log. " * 60
NAN, INF = float("nan"), float("inf")
OF_THE_TAB = ("preset", "name", "token_file")  # the other controls stand on its text card
LONG = 900  # characters of a sentence, with the names of all settings in it
PATH = re.compile(r"(?:^|[\s'\"(])/(?:home|tmp|usr|var|work|root|proc)\b|[A-Z]:\\")


@dataclass
class Doors:
    """An app whose launcher starts nothing, with a trained run in it, and its four entry points."""

    services: Services
    run: Run
    root: Path
    capsys: pytest.CaptureFixture[str]
    tab: train_tab.TrainTab
    visitor: gr.BrowserState

    def form(self, settings: dict[str, Any], **more: Any) -> str:
        """Start with these values on the Train tab's form; `more` by the names of the tab's and its text card's parts."""
        shown = {**self.tab.model, **self.tab.train}
        data: dict[Any, Any] = {control: control.value for control in self.tab.inputs} | {
            self.visitor: ANN,
            self.tab.name: "",
        }
        data |= {shown[name]: value for name, value in settings.items()}
        data |= {
            getattr(self.tab if name in OF_THE_TAB else self.tab.text, name): value for name, value in more.items()
        }
        return self.said(lambda: list(train_tab.start(self.services, self.tab, self.visitor, data)))

    def api(self, **call: Any) -> str:
        return self.said(lambda: Api(self.services).train(**call, token=ANN))

    def said(self, call: Callable[[], Any]) -> str:
        """What a call complains of, as the page would say it; whatever is no sentence of ours comes through."""
        try:
            show_errors(lambda: call())()  # a partial has no name to be known by
        except gr.Error as error:
            return html.unescape(error.message)
        return ""

    def command(self, *arguments: str) -> str:
        self.capsys.readouterr()
        code = main([*arguments])
        out, err = self.capsys.readouterr()
        assert (code, out) == (2, ""), (arguments, err)
        return err.strip()

    def link(self, setup: dict[str, Any]) -> str:
        return self.said(lambda: links.open_setup(self.tab, json.dumps(setup)))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunStore, Run]:
    """A store with a run of twenty steps in it."""
    store = RunStore(tmp_path_factory.mktemp("bad") / "data", tmp_path_factory.mktemp("gallery"))
    model = preset("modern", n_layer=1, n_embd=16, n_head=2, block_size=16)
    steps = TrainConfig(
        corpus="own", tokenizer="char", steps=20, batch_size=2, warmup_steps=0, eval_tokens=64, sample_interval=0,
        checkpoint_interval=20,
    )  # fmt: skip
    tokenizer = build_tokenizer("char", TEXT)
    run = store.create(
        replace(model, vocab_size=tokenizer.vocab_size), steps, tokenizer, name="mine", preset="modern", owner=ANN,
        own_text=TEXT,
    )  # fmt: skip
    assert execute(run).state == "finished"
    return store, run


@pytest.fixture(scope="module")
def page(made: tuple[RunStore, Run]) -> tuple[train_tab.TrainTab, gr.BrowserState]:
    """A Train tab to fill in."""
    launcher = Launcher(made[0], supervise=False, spare=False)
    shown = Services(
        made[0], launcher, Curves(made[0]), ModelCache(), made[0].root / "none", True, Hosting(public=True)
    )
    with gr.Blocks():
        return train_tab.build(shown), gr.BrowserState("")


@pytest.fixture
def doors(
    made: tuple[RunStore, Run],
    page: tuple[train_tab.TrainTab, gr.BrowserState],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Iterator[Doors]:
    """The doors; afterwards the store must be as it was, and nobody may have started a process or opened a connection."""
    store, run = made

    def never(what: str) -> Callable[..., Any]:
        def refuse(*_: Any, **__: Any) -> Any:
            raise AssertionError(f"{what} for a wish that is wrong")

        return refuse

    monkeypatch.setattr(subprocess, "Popen", never("a process was started"))
    monkeypatch.setattr(socket.socket, "connect", never("a connection was opened"))
    monkeypatch.setattr(train, "execute", never("training began"))
    monkeypatch.setattr(Launcher, "begin", never("a run was queued"))
    monkeypatch.setenv("PLAYGROUND_DATA", str(store.root))
    monkeypatch.setenv("PLAYGROUND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(commands, "gallery_root", lambda: store.gallery)
    launcher = Launcher(store, supervise=False, spare=False, limits=PUBLIC)
    hosting = Hosting(public=True, limits=PUBLIC)
    services = Services(store, launcher, Curves(store), ModelCache(), tmp_path / "cache", True, hosting)
    before = _files(store.root)
    yield Doors(services, run, tmp_path, capsys, *page)
    assert _files(store.root) == before


def _files(root: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in root.rglob("*") if path.is_file()}


def is_a_sentence(text: str, *parts: str) -> None:
    """One line in words that has these parts in it, and nothing of the program's insides."""
    assert text, "nothing was said"
    assert len(text.splitlines()) == 1, text
    assert len(text) <= LONG, text
    assert text[-1] in ".)" or text.endswith(": python -m playground runs"), text
    assert not re.search(r"Traceback|\w+Error\b|Exception|NoneType|object at 0x|argument '", text), text
    assert not PATH.search(text), text
    for part in parts:
        assert part in text, text


# Settings: the same table for all four doors

NUMBERS: list[tuple[str, str, Any, str]] = [
    *(
        (name, show_errors, bad, words)
        for name, show_errors in (("n_layer", "Layers"), ("learning_rate", "Learning rate"), ("steps", "Steps"))
        for bad, words in (
            (NAN, "must be a number. You sent"), (None, "must be a number. You sent"), ("", "must be a number. You sent"),
            ("abc", "must be a number. You sent 'abc'"), ([4], "must be a number. You sent"),
            ({"a": 1}, "must be a number. You sent"), (True, "must be a number. You sent"),
            (INF, "must be a finite number. You sent inf"),
        )
    ),
    ("n_layer", "Layers", 3.7, "must be a whole number; 3.7 is not"),
    *(
        (name, show_errors, bad, "must be")
        for name, show_errors in (
            ("n_layer", "Layers"), ("block_size", "Context length"), ("batch_size", "Batch size"),
            ("bpe_vocab", "BPE vocabulary size"),
        )
        for bad in (0, -1, 10**9)
    ),
    *(("learning_rate", "Learning rate", bad, "must be 1e-06 to 1;") for bad in (0, -1, 1e6)),
    *(("dropout", "Dropout", bad, "must be 0 to 0.9;") for bad in (1.0, -0.1)),
    ("grad_accum", "Gradient accumulation", 0, "must be 1 to"),
    *(("seed", "Seed", bad, "must be 0 to 4294967295;") for bad in (-1, 2**70)),
    ("norm", "Norm", "batchnorm", "must be one of layernorm, rmsnorm. You sent 'batchnorm'."),
    ("norm", "Norm", ["rmsnorm"], "must be one of layernorm, rmsnorm."),
    ("norm", "Norm", None, "must be one of layernorm, rmsnorm."),
    ("bias", "Biases", "perhaps", "must be true or false. You sent 'perhaps'."),
    ("window", "Window", -1, "must be 0 to"),
    ("n_expert_active", "Active experts", 0, "must be 1 to"),
    ("bpe_vocab", "BPE vocabulary size", 255, "must be 256 to 32000; 255 is not."),
]  # fmt: skip
TOGETHER: list[tuple[dict[str, Any], str]] = [
    ({"n_embd": 100, "n_head": 3, "n_kv_head": 3}, "Embedding size 100 is not divisible by 3 heads. Try 96 or 102."),
    ({"n_embd": 36, "n_head": 4, "n_kv_head": 2, "position": "rope"}, "RoPE needs an even head size; embedding size 36"),
    ({"n_head": 8, "n_kv_head": 3}, "KV heads (3) must divide Heads (8): use one of 1, 2, 4, 8."),
    ({"n_head": 8, "n_kv_head": 16}, "KV heads (16) must divide Heads (8): use one of 1, 2, 4, 8."),
    ({"n_expert": 1, "n_expert_active": 2}, "Active experts (2) must not exceed Experts (1)."),
    ({"n_sink": 4, "window": 0}, "Sinks (4) require a sliding window"),
    ({"steps": 200, "warmup_steps": 500}, "Warm-up steps (500) must not exceed Steps (200). Lower Warm-up steps."),
]  # fmt: skip
LIMITED: list[tuple[dict[str, Any], str]] = [  # in range, and too much for a visitor of a public app
    ({"block_size": 1024}, "Context length: this model has 1,024 tokens; the limit here is 512. Lower it."),
    ({"n_layer": 12, "n_embd": 512, "n_head": 4}, "Parameters: this model has"),
    ({"batch_size": 512}, "Batch: a step reads"),
]
KINDS = setting_kinds()


def _setup(settings: dict[str, Any]) -> dict[str, Any]:
    """A link's set-up with these settings."""
    kinds = {True: "train", False: "model"}
    parts: dict[str, Any] = {"preset": "modern", "model": {}, "train": {}}
    for name, value in settings.items():
        parts[kinds[KINDS[name] is TrainConfig]][name] = value
    return parts


def _told(doors: Doors, settings: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """What each of the doors says to these settings."""
    yield "form", doors.form(settings)
    yield "API", doors.api(settings=settings)
    yield "link", doors.link(_setup(settings))
    written = [f"--set={name}={value}" for name, value in settings.items()]
    if not any(isinstance(value, (list, dict, bool)) for value in settings.values()):  # not to be written there
        yield "command line", doors.command("train", *written)


@pytest.mark.parametrize(
    ("name", "label", "bad", "words"), NUMBERS, ids=[f"{row[0]}={row[2]!r:.20}" for row in NUMBERS]
)
def test_a_wrong_setting_is_named_at_every_door(doors: Doors, name: str, label: str, bad: Any, words: str) -> None:
    for door, text in _told(doors, {name: bad}):
        is_a_sentence(text, label)
        if door != "command line" or not (bad is None or isinstance(bad, float)):
            assert f"{label} {words}" in text, (door, text)  # a command line knows text only: "None" is sent as 'None'
        else:
            assert f"{label} must be" in text, (door, text)


@pytest.mark.parametrize(("settings", "words"), TOGETHER, ids=[" ".join(row[0]) for row in TOGETHER])
def test_settings_that_do_not_go_together_are_named_at_every_door(
    doors: Doors, settings: dict[str, Any], words: str
) -> None:
    for door, text in _told(doors, settings):
        is_a_sentence(text)
        assert words in text, (door, text)


@pytest.mark.parametrize(("settings", "words"), LIMITED, ids=[" ".join(row[0]) for row in LIMITED])
def test_too_much_for_a_visitor_is_refused_at_both_of_their_doors(
    doors: Doors, settings: dict[str, Any], words: str
) -> None:
    for text in (doors.form(settings), doors.api(settings=settings)):
        is_a_sentence(text, words, "the limit here is", "Lower")


def test_what_fits_no_machine_is_refused_at_every_door(doors: Doors) -> None:
    huge = {"n_layer": 24, "n_embd": 1024, "n_head": 16, "n_kv_head": 8, "block_size": 2048, "batch_size": 512}
    for text in (doors.form(huge), doors.api(settings=huge)):
        is_a_sentence(text, "the limit here is", "Lower")
    is_a_sentence(doors.command("train", *(f"--set={name}={value}" for name, value in huge.items())), "GB", "Lower the")


def test_unknown_settings_and_wrong_shapes(doors: Doors) -> None:
    is_a_sentence(doors.api(settings={"foo": 1}), "Unknown setting 'foo'")
    is_a_sentence(doors.link({"model": {"foo": 1}}), "Unknown setting 'foo'")
    is_a_sentence(doors.command("train", "--set", "foo=1"), "Unknown setting 'foo=1'")
    for shape in ([1], "x", None, 7):
        is_a_sentence(doors.api(settings=shape), "Settings must be given by name")
        is_a_sentence(doors.link({"model": shape}), "damaged")
    for wrong in (None, 5, [], {"a": 1}, "vintage", "<img src=x>"):
        is_a_sentence(doors.form({}, preset=wrong), "Preset must be one of")
        is_a_sentence(doors.api(preset=wrong), "Preset must be one of")
        is_a_sentence(
            doors.api(corpus=wrong), "Dataset must be one of" if isinstance(wrong, str) else "Dataset must be"
        )
        is_a_sentence(doors.form({}, text=wrong), "Dataset must be")
    is_a_sentence(doors.link({"preset": "vintage"}), "Preset must be one of")
    is_a_sentence(doors.link({"corpus": "../x"}), "unknown dataset, '../x'")
    is_a_sentence(doors.command("train", "--preset", "vintage"), "vintage")
    is_a_sentence(doors.command("train", "--corpus", "vintage"), "vintage")


# Texts: pasted, sent, in files

TEXTS: list[tuple[Any, str]] = [
    ("", "The text is empty. Paste some text or choose a sample."),
    (" \n\t ", "The text is empty."),
    ("too short", "context length 64 needs at least 65. Add text."),
    ("ab\ud800" * 500, "invalid character at position 3"),
    ("x" * 20_000_001, "20"),
]


@pytest.mark.parametrize(("text", "words"), TEXTS, ids=["empty", "blank", "short", "surrogate", "large"])
def test_a_wrong_text_is_named_at_every_door(doors: Doors, text: Any, words: str) -> None:
    small = {"block_size": 64}
    is_a_sentence(doors.form(small, text="own", pasted=text), words)
    is_a_sentence(doors.api(settings=small, corpus="own", text=text), words)
    file = doors.root / "text.txt"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    if len(text) < 10_000_000:  # a file on one's own machine may be larger
        said_there = doors.command("train", "--set=block_size=64", "--text", str(file))
        is_a_sentence(
            said_there, "is empty" if not text.strip() else words if "\ud800" not in text else "not UTF-8 text"
        )
    assert "own text" not in doors.link(
        _setup(small) | {"corpus": "own"}
    )  # it says nothing of a text, and none travels


FILES: list[tuple[bytes, str]] = [
    (b"", "is empty"), (b"PK\x03\x04" + bytes(99), "looks like ZIP"), (gzip.compress(b"x" * 99, mtime=0), "looks like GZIP"),
    (b"%PDF-1.7\n\xff\xfe" + bytes(99), "looks like PDF"), (b"\x89PNG\r\n\x1a\n" + bytes(99), "looks like PNG"),
    ("text".encode("utf-16"), "looks like UTF-16"), (b"MZ\x90\x00" + bytes(range(256)), "is not UTF-8 text"),
    (b"good, then \xe9 and more", "The first wrong byte is number 12."),
]  # fmt: skip


@pytest.mark.parametrize(("content", "words"), FILES, ids=[row[1] for row in FILES])
def test_a_file_that_is_no_text_is_named(doors: Doors, content: bytes, words: str) -> None:
    file = doors.root / f"{'n' * 200}.txt"
    file.write_bytes(content)
    is_a_sentence(doors.form({}, text="own", upload=[str(file)]), words)
    is_a_sentence(doors.command("train", "--text", str(file)), words)
    is_a_sentence(doors.command("train", "--text", "nowhere.txt"), "nowhere.txt")


# Writing

WRITING: list[tuple[str, str, Any, str]] = [
    *(("temperature", "Temperature", bad, "must be 0 to 5;") for bad in (-1, 1e9)),
    ("temperature", "Temperature", NAN, "must be a number."),
    ("top_k", "Top-k", -1, "must be 0 to"),
    ("top_k", "Top-k", 3.5, "must be a whole number; 3.5 is not."),
    ("top_p", "Top-p", NAN, "must be a number."),
    ("top_p", "Top-p", 1.2, "must be 0 to 1; 1.2 is not."),
    ("max_new_tokens", "Max new tokens", 0, "must be 1 to"),
    ("max_new_tokens", "Max new tokens", 10**6, "must be 1 to"),
    ("seed", "Seed", -1, "must be 0 to"),
    ("n_sample", "Samples", 0, "must be 1 to"),
]
OPTIONS = {name: option for option, name in sample._SAMPLING.items()}


def _write(doors: Doors, prompt: Any = "the", step: Any = None, run: Any = None, **settings: Any) -> str:
    values = [
        settings.get(name, getattr(sample_tab.GenerationConfig(), name))
        for name in (*sample_tab.SHAPE, *sample_tab.LENGTH)
    ]
    wanted = doors.run.id if run is None else run
    return doors.said(lambda: list(sample_tab.write(doors.services, wanted, step, prompt, *values, ANN)))


@pytest.mark.parametrize(("name", "label", "bad", "words"), WRITING, ids=[f"{row[0]}={row[2]!r}" for row in WRITING])
def test_a_wrong_wish_about_writing_is_named(doors: Doors, name: str, label: str, bad: Any, words: str) -> None:
    is_a_sentence(_write(doors, **{name: bad}), f"{label} {words}")
    if name != "n_sample":  # programs ask once for each
        call = functools.partial(Api(doors.services).generate, doors.run.id, token=ANN, **{name: bad})
        is_a_sentence(doors.said(call), f"{label} {words}")
    words = words if not isinstance(bad, float) or not math.isnan(bad) else "must be"
    is_a_sentence(doors.command("sample", doors.run.id, f"{OPTIONS[name]}={bad}"), f"{label} {words}")


def test_a_wrong_prompt_or_step_is_named(doors: Doors) -> None:
    ask = functools.partial(Api(doors.services).generate, doors.run.id, token=ANN)
    for words, text in (
        ("never seen 'Z'", _write(doors, "Z")),
        ("never seen 'Z'", doors.said(lambda: ask("Z"))),
        ("never seen 'Z'", doors.command("sample", doors.run.id, "--prompt", "Z")),
        ("Prompt must be text", _write(doors, ["x"])),
        ("Prompt must be text", doors.said(lambda: ask(["x"]))),
        ("step 7", _write(doors, step=7)),
        ("step 7", doors.said(lambda: ask("the", step=7))),
        ("step 7", doors.command("sample", doors.run.id, "--step", "7")),
    ):
        is_a_sentence(text, words)
    for layer, head, words in (
        (9, 1, "Layer must be 1 to 1"),
        (1, 0, "Head must be 1 to 2"),
        ("x", 1, "Layer must be"),
    ):
        question = functools.partial(Api(doors.services).attention, doors.run.id, "the", layer, head, token=ANN)
        is_a_sentence(doors.said(question), words)


# Names and ids

NAMES = ["a\nb", "a\x00b", "x" * 61, "\u202eevil", "\ud800"]
IDS = ["../" * 6 + "etc/passwd", "f" * 32, "x", "%2e%2e%2f", "a/b", "\x00", "\ud800", ".", "0" * 5000]


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_wrong_name_is_named(doors: Doors, name: str) -> None:
    small = {"n_layer": 1, "n_embd": 16, "n_head": 2, "n_kv_head": 1, "block_size": 16, "corpus_bytes": 20_000}
    rename = functools.partial(run_actions.rename, doors.services, doors.run.id, name, ANN)
    told = [doors.form(small, name=name), doors.api(settings=small, name=name), doors.said(rename)]
    if "\x00" not in name and "\ud800" not in name:  # no argument can hold those
        told.append(doors.command("train", *(f"--set={key}={value}" for key, value in small.items()), "--name", name))
    for text in told:
        is_a_sentence(text.encode("utf-8", "replace").decode("utf-8"), "1 to 60 printable characters")


@pytest.mark.parametrize("wrong", IDS, ids=lambda wrong: ascii(wrong)[:20])
def test_a_run_that_is_not_there_is_not_found(doors: Doors, wrong: str) -> None:
    api = Api(doors.services)
    told = [
        *(
            doors.said(functools.partial(run_actions.act, doors.services, what, wrong, ANN))
            for what in ("stop", "pause", "resume")
        ),
        doors.said(lambda: run_actions.delete(doors.services, wrong, ANN)),
        doors.said(lambda: run_actions.rename(doors.services, wrong, "new", ANN)),
        doors.said(lambda: links.share(doors.services, wrong, ANN)),
        _write(doors, run=wrong),
        *(
            doors.said(functools.partial(getattr(api, name), wrong, token=ANN))
            for name in ("stop", "status", "metrics", "generate", "export")
        ),
        doors.said(lambda: api.attention(wrong, "the", token=ANN)),
    ]
    assert set(told) == {"Run not found."}, told
    assert links.open_view(doors.services, links.Place(gr.Dropdown()), {"run": wrong}, ANN) == {}
    page = run_actions.arrive(doors.services, ANN, wrong)[1]
    assert page["run"] == doors.run.id  # as if the address had named none
    if not any(letter in wrong for letter in ("\x00", "\ud800")):
        for command in (["sample", wrong], ["resume", wrong], ["export", wrong, str(doors.root / "away")]):
            is_a_sentence(doors.command(*command), "No run is called")


# Comparing


def test_wrong_races_and_comparisons_are_named(doors: Doors) -> None:
    known = [doors.run.id]
    for runs, words in ((known * 50, "2 to 8|8 runs"), ("x", "list"), ([7], "Run not found"), ({"a": 1}, "list")):
        text = doors.said(functools.partial(compare_tab.choose, doors.services, runs, ANN))
        if text:
            is_a_sentence(text)
            assert re.search(words, text), text
    two = ["classic", "modern"]
    for spec, words in (
        ({"arms": []}, "2 to 8 arms; this one has 0"), ({"arms": ["modern"]}, "has 1"),
        ({"arms": ["modern"] * 40}, "2 to 8 arms; this one has 40"),
        ({"arms": ["vintage", "modern"]}, "vintage"), ({"arms": ["modern", "modern + n_layer=x"]}, "Layers must be"),
        ({"arms": [{"name": "a", "preset": []}, "modern"]}, "preset must be text"), ({"arms": "x"}, "must be a list"),
        ({"arms": two, "amount": NAN}, "Budget must be a number above 0"), ({"arms": two, "amount": 0}, "Budget must be"),
        *(({"arms": two, "seeds": bad}, "Seeds must be 1 to 5") for bad in (0, 10**6, NAN, INF, -INF, 1.5)),
        ({"arms": two, "seeds": [2**70]}, "Seed must be 0 to"), ({"arms": two, "budget": "wishes"}, "'wishes' is not"),
        ({"arms": two, "shared": {"n_layer": NAN}}, "Layers must be a number"),
        ({"arms": two, "foo": 1}, "Unknown entry 'foo'"),
    ):  # fmt: skip
        begin = functools.partial(_race, doors, spec)
        is_a_sentence(doors.said(begin), words)
        file = doors.root / "race.json"
        file.write_text(json.dumps(spec), "utf-8")
        is_a_sentence(doors.command("race", str(file)), words)


def _race(doors: Doors, spec: dict[str, Any]) -> Any:
    return race_tab.begin(doors.services, RaceSpec.from_dict(spec), None, ANN)


# Models and tokenizers that are brought

PICKLE = b"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix."
MODELS: list[tuple[str, bytes, str]] = [
    *((f"model.{ending}", PICKLE, "pickle") for ending in ("safetensors", "pt", "bin", "txt")),
    ("model.safetensors", b"", "truncated"), ("model.safetensors", b"\xff" * 8 + b"{}", "truncated"),
    ("model.zip", b"PK\x03\x04" + bytes(99), r"\.safetensors"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "content", "words"), MODELS, ids=[f"{row[0]} {row[2]}" for row in MODELS])
def test_a_wrong_model_is_named(doors: Doors, name: str, content: bytes, words: str) -> None:
    folder = doors.root / "model"
    folder.mkdir()
    (folder / name).write_bytes(content)
    (folder / "config.json").write_text(json.dumps({"model_type": "llama"}), "utf-8")
    files = [str(path) for path in folder.iterdir()]
    for text in (
        doors.said(lambda: bring(doors.services, files, "", "", ANN)),
        doors.command("import", str(folder)),
    ):
        is_a_sentence(text)
        assert re.search(words, text), text


def test_a_model_of_an_unknown_kind_is_named(doors: Doors) -> None:
    folder = doors.root / "model"
    folder.mkdir()
    write_transformers(folder, package(CASES["Llama"][1]))
    for config, words in (
        ({"model_type": "mamba"}, "mamba"),
        ([], "config.json"),
        ({}, "The config has no model_type"),
    ):
        (folder / "config.json").write_text(json.dumps(config), "utf-8")
        files = [str(path) for path in folder.iterdir()]
        is_a_sentence(doors.said(functools.partial(bring, doors.services, files, "", "", ANN)), words)
        is_a_sentence(doors.command("import", str(folder)), words)


@pytest.mark.parametrize(
    "file", [b"", b"{}", b"[]", PICKLE, b"\xff\xfe", b"[" * 100_000], ids=lambda file: repr(file[:8])
)
def test_a_wrong_tokenizer_is_named(doors: Doors, file: bytes) -> None:
    path = doors.root / "tokenizer.json"
    path.write_bytes(file)
    is_a_sentence(doors.form({"tokenizer": "imported"}, token_file=file))
    is_a_sentence(doors.command("train", "--tokenizer-file", str(path)))
    is_a_sentence(doors.api(settings={"tokenizer": "imported"}), "no file was given")


# Buttons at the wrong time


def test_buttons_at_the_wrong_time_are_answered(doors: Doors) -> None:
    act = functools.partial(run_actions.act, doors.services, run_id=doors.run.id, token=ANN)
    is_a_sentence(doors.said(lambda: act(action="stop")), "This run has already finished.")
    is_a_sentence(doors.said(lambda: act(action="resume")), "finished")
    is_a_sentence(doors.said(lambda: Api(doors.services).stop(doors.run.id, ANN)), "This run has already finished.")
    is_a_sentence(doors.command("resume", doors.run.id), "already finished")
    for steps in (NAN, None, "many", 0, 10**9, [1]):
        is_a_sentence(
            doors.said(functools.partial(run_actions.continue_training, doors.services, doors.run.id, steps, ANN)),
            "More steps must be 1 to 1,000,000",
        )
    is_a_sentence(
        doors.said(lambda: run_actions.act(doors.services, "stop", None, ANN)), "No run is chosen. Choose one"
    )  # type: ignore[arg-type]


def test_no_more_room_is_said_at_both_doors(doors: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    for limits, words in (
        (replace(PUBLIC, queue_length=1, waiting_runs=None), "Try again in a few minutes"),
        (replace(PUBLIC, daily_minutes=1), "becomes available again in"),
        (replace(PUBLIC, trainers="nobody"), "Training is disabled on this server."),
        (replace(PUBLIC, trainers="owner"), "Enter the host's password"),
    ):
        doors.services.launcher.limits = limits
        monkeypatch.setattr(status, "derive", lambda _: Status("queued", queued=1.0))
        doors.services.launcher.usage.add(doors.run.owner, 100)
        for text in (doors.form({}), doors.api()):
            is_a_sentence(text, words)


def test_each_door_is_tried_with_every_setting_that_has_one() -> None:
    assert {name for name, *_ in NUMBERS} | {
        name for row in TOGETHER for name in row[0]
    } <= KINDS.keys() - HIDDEN.keys()
