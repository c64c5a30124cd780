"""The public endpoints, called as a program would call them: over HTTP, on a real app."""

from __future__ import annotations

import base64
import io
import math
import time
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.utils import get_function_description
from gradio_client import Client
from gradio_client.exceptions import AppError

from playground.runs.curves import Curves
from playground.runs.loading import ModelCache
from playground.runs.queue.launcher import Launcher
from playground.runs.store.run_store import RunStore
from playground.ui.api import add_api
from playground.ui.app import build_app
from playground.ui.server.outputs import json_safe_outputs
from playground.ui.services import Services

SMALL = {"n_layer": 2, "n_embd": 32, "n_head": 2, "n_kv_head": 2, "block_size": 32, "steps": 20, "warmup_steps": 2,
         "corpus_bytes": 20_000, "sample_interval": 10, "eval_interval": 10, "eval_tokens": 128}  # fmt: skip
ANN = "a" * 32


@pytest.fixture(scope="module")
def public(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A client of a public app that has nothing but the API."""
    root: Path = tmp_path_factory.mktemp("api")
    store = RunStore(root / "runs")
    services = Services(
        store, Launcher(store, spare=False, threads=1), Curves(store), ModelCache(), root / "corpora", public=True
    )
    with gr.Blocks(analytics_enabled=False) as demo:
        add_api(services)
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, ssr_mode=False)
    yield Client(url, verbose=False, analytics_enabled=False)
    demo.close()
    services.launcher.close()


@pytest.fixture(scope="module")
def trained(public: Client) -> dict[str, Any]:
    """A run that was started without a token and has finished."""
    run = public.predict(settings=SMALL, name="Mine", api_name="/train")
    deadline = time.monotonic() + 120
    while public.predict(run["run"], run["token"], api_name="/status")["state"] != "finished":
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return dict(run)


def test_there_are_these_endpoints_and_each_says_what_it_does(public: Client) -> None:
    known = public.view_api(return_format="dict")["named_endpoints"]
    assert set(known) == {"/train", "/stop", "/status", "/metrics", "/generate", "/attention", "/export"}
    for name, facts in known.items():
        assert facts["description"], name
        assert [p["parameter_name"] for p in facts["parameters"]][-1] == "token"


@pytest.mark.slow
def test_a_model_is_trained_measured_and_written_with(public: Client, trained: dict[str, Any]) -> None:
    assert len(trained["token"]) == 32
    mine = (trained["run"], trained["token"])
    now = public.predict(*mine, api_name="/status")
    assert (now["name"], now["step"], now["steps"]) == ("Mine", 20, 20)
    curves = public.predict(*mine, api_name="/metrics")
    assert curves["train"]["step"][-1] == 20
    assert abs(curves["validation"]["loss"][0] - math.log(256)) < 0.1  # an untrained model knows nothing
    assert all(0 < error < loss for error, loss in zip(
        curves["validation"]["loss_se"], curves["validation"]["loss"], strict=True))  # fmt: skip
    assert curves["validation"]["bits_per_byte_se"] == pytest.approx(
        [error * curves["bits_per_nat"] for error in curves["validation"]["loss_se"]], rel=0.01)  # fmt: skip
    assert len(curves["tokens"]) == len(curves["text"]) == 16
    assert curves["samples"][-1]["step"] == 20

    asked = {"run": trained["run"], "token": trained["token"], "api_name": "/generate", "max_new_tokens": 12}
    written = public.predict(prompt="Once", temperature=0, **asked)
    assert len(written["tokens"]) == 12
    assert all(0 < p <= 1 for _, p in written["tokens"])
    assert public.predict(prompt="Once", temperature=0, seed=5, **asked) == written
    seen = public.predict(trained["run"], "Once upon", 2, 1, token=trained["token"], api_name="/attention")
    assert seen["tokens"] == list("Once upon")
    assert all(abs(sum(row) - 1) < 1e-3 for row in seen["weights"])
    assert all(weight == 0 for at, row in enumerate(seen["weights"]) for weight in row[at + 1 :])


@pytest.mark.parametrize(("format", "inside"), [("code", "train.py"), ("safetensors", "model.safetensors")])
def test_a_model_is_taken_away(public: Client, trained: dict[str, Any], format: str, inside: str) -> None:
    file = public.predict(trained["run"], format, token=trained["token"], api_name="/export")
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(file["base64"])))
    assert any(name.endswith(f"/{inside}") for name in archive.namelist())
    assert file["name"].startswith("mine-")


@pytest.mark.slow
def test_strangers_see_and_stop_nothing(public: Client, trained: dict[str, Any]) -> None:
    other = trained["token"][:-1] + ("0" if trained["token"][-1] != "0" else "1")
    for token in ("", ANN, other):
        for call in ({"api_name": "/status"}, {"api_name": "/metrics"}, {"api_name": "/stop"}, {"api_name": "/export"},
                     {"api_name": "/generate"}, {"api_name": "/attention", "text": "x"}):  # fmt: skip
            with pytest.raises(AppError, match=r"Run not found\."):
                public.predict(run=trained["run"], token=token, **call)
        assert public.predict(token=token, api_name="/status") == {"runs": []}
    mine = public.predict(token=trained["token"], api_name="/status")["runs"]
    assert [run["run"] for run in mine] == [trained["run"]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        ({"preset": "huge"}, "Preset must be one of"), ({"corpus": "own"}, "text is empty"),
        ({"corpus": "nope"}, "Dataset must be one of"), ({"settings": {"foo": 1}}, "Unknown setting 'foo'"),
        ({"settings": [1]}, "Settings must be given by name"),
        ({"settings": {"n_layer": "two"}}, "Layers must be a number"),
        ({"settings": {"n_layer": 3.5}}, "Layers must be a whole number"),
        ({"settings": {"n_embd": 10**9}}, "Embedding size (d_model) must be"),
        ({"text": "ab", "settings": SMALL}, "context"), ({"text": 5}, "Text must be text"),
        ({"name": "x" * 90, "settings": SMALL}, "1 to 60 printable characters"),
    ],
)  # fmt: skip
def test_wrong_wishes_are_refused_in_a_sentence(public: Client, call: dict[str, Any], message: str) -> None:
    with pytest.raises(AppError) as caught:
        public.predict(**call, token=ANN, api_name="/train")
    assert message in str(caught.value)
    assert public.predict(token=ANN, api_name="/status") == {"runs": []}


@pytest.mark.parametrize(
    ("name", "call", "message"),
    [
        ("generate", {"temperature": -1}, "Temperature must be"),
        ("generate", {"max_new_tokens": 5_000}, "Max new tokens must be"),
        ("generate", {"max_new_tokens": 1_001}, "Max new tokens must be 1 to 1,000"), ("generate", {"step": 7}, "step 7"),
        ("generate", {"step": "x"}, "Step must be a whole number"),
        ("generate", {"prompt": ["x"]}, "Prompt must be text"),
        ("attention", {"text": "x", "layer": 3}, "Layer must be 1 to 2"),
        ("attention", {"text": "x", "head": 0}, "Head must be"),
        ("attention", {"text": "x" * 20_001}, "the limit here is 20,000"),
        ("export", {"format": "pickle"}, "Format must be one of"),
    ],
)  # fmt: skip
def test_wrong_questions_are_too(
    public: Client, trained: dict[str, Any], name: str, call: dict[str, Any], message: str
) -> None:
    with pytest.raises(AppError) as caught:
        public.predict(run=trained["run"], **call, token=trained["token"], api_name=f"/{name}")
    assert message in str(caught.value)


MARKED = "<b>&amp;</b>"


def test_what_is_quoted_is_plain_text_for_programs(public: Client, trained: dict[str, Any]) -> None:
    """Nothing is escaped on the way, in an answer or in an error; the page escapes what it shows."""
    with pytest.raises(AppError) as caught:
        public.predict(settings={MARKED: 1}, token=ANN, api_name="/train")
    assert f"Unknown setting {MARKED!r}. Known" in str(caught.value)
    for name, call in (("export", {"format": MARKED}), ("generate", {"step": MARKED})):
        with pytest.raises(AppError) as caught:
            public.predict(run=trained["run"], token=trained["token"], **call, api_name=f"/{name}")
        assert MARKED[:15] in str(caught.value)


PUBLIC = {"train", "stop", "status", "metrics", "generate", "attention", "export"}


def test_exactly_these_endpoints_are_for_programs_and_agents(local: Services) -> None:
    """What Gradio makes its API page, `gradio_client` and, where the extra is installed, an agent's tools of."""
    demo = build_app(replace(local, public=True))
    info = demo.get_api_info()
    assert set(info["named_endpoints"]) == {f"/{name}" for name in PUBLIC}
    assert info["unnamed_endpoints"] == {}
    for function in demo.fns.values():
        assert (function.api_visibility == "public") == (function.api_name in PUBLIC), function.api_name


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_an_endpoint_explains_itself_to_an_agent(local: Services, name: str) -> None:
    """The words come from the docstring, by way of all that wraps the function; each parameter has some, and a type."""
    with gr.Blocks(analytics_enabled=False) as demo:
        add_api(local)
    json_safe_outputs(demo)
    function = next(function for function in demo.fns.values() if function.api_name == name)
    assert function.fn is not None
    description, parameters, returns = get_function_description(function.fn)
    asked = demo.get_api_info()["named_endpoints"][f"/{name}"]["parameters"]
    assert len(description) > 30
    assert returns
    assert [each["parameter_name"] for each in asked] == list(parameters)
    assert all(len(words) > 5 for words in parameters.values())
    assert all(each["python_type"]["type"] not in ("Any", "") for each in asked)


def test_runs_of_a_malformed_or_missing_token_are_nobodys(public: Client) -> None:
    """Another visitor with the same word in place of a token was shown such runs, and could stop them."""
    known = public.predict(api_name="/status")
    for token in ("alice", "a" * 31, "../" * 9):
        with pytest.raises(AppError, match=r"^Token must be 32 hexadecimal digits"):
            public.predict(settings=SMALL, name="Hers", token=token, api_name="/train")
        for call in ("/status", "/stop"):
            with pytest.raises(AppError, match=r"^Token must be 32 hexadecimal digits"):
                public.predict("0" * 32, token, api_name=call)
    assert public.predict(api_name="/status") == known
