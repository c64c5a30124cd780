"""Addresses in every place that takes a word: none of them is asked for anything, and no name is looked up."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import gradio as gr
import pytest
from gradio.processing_utils import async_move_files_to_cache
from gradio.routes import App
from starlette.testclient import TestClient

from playground.runs.curves import Curves
from playground.runs.loading import ModelCache
from playground.runs.queue.hosting import Hosting
from playground.runs.queue.launcher import Launcher
from playground.runs.store.run_store import RunStore
from playground.ui import links
from playground.ui.api import Api
from playground.ui.app import build_app, launch_options
from playground.ui.data import tokenizer_tab
from playground.ui.sample import sample_tab
from playground.ui.server import fetching
from playground.ui.server.event_queue import queued
from playground.ui.services import Services
from playground.ui.texts import TextSource, own_text
from playground.ui.train import run_actions
from playground.ui.train.import_panel import bring

PLACES = [
    *("127.0.0.1", "127.0.0.1:22", "127.1", "0.0.0.0", "localhost", "[::1]", "[::ffff:127.0.0.1]", "[fd00:ec2::254]"),
    *("169.254.169.254", "metadata.google.internal", "10.0.0.1", "192.168.0.1", "2130706433", "0x7f000001", "0177.0.0.1"),
    *("127.0.0.1.nip.io", "huggingface.co@127.0.0.1", "127.0.0.1#@huggingface.co", "127.0.0.1%2f@huggingface.co"),
    *("①②⑦.⓪.⓪.①", "example.org", "127.0.0.1\\@huggingface.co", "huggingface.co.example.org"),
]  # fmt: skip
URLS = [f"http://{place}/latest/meta-data/" for place in PLACES] + [
    *("https://example.org/big", "HTTP://127.0.0.1/", "//127.0.0.1/x", "file:///etc/passwd", "file://127.0.0.1/etc/passwd"),
    *("gopher://127.0.0.1:25/_HELO", "ftp://127.0.0.1/x", "dict://127.0.0.1:11211/stats", "data:text/plain,x"),
    *("http://httpbin.org/redirect-to?url=http://127.0.0.1/", "http:127.0.0.1/x", " http://127.0.0.1/ ", "http:///x"),
    *("ws://127.0.0.1/", "jar:http://127.0.0.1!/x", "\\\\127.0.0.1\\share", "http://127.0.0.1:99999/"),
]  # fmt: skip
# As they are, without a scheme, and hosts alone.
WORDS = sorted(
    {part for url in URLS for part in (url, url.strip(), url.partition("//")[2], url.split("/")[-1])} | {*PLACES}
)


@pytest.fixture
def silence(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No socket connects and no name is looked up; who tries is in this list."""
    tried: list[str] = []

    def loudly(what: str) -> Callable[..., Any]:
        def refuse(*arguments: Any, **_: Any) -> Any:
            tried.append(f"{what} {[each for each in arguments if not isinstance(each, socket.socket)]!r:.200}")
            raise OSError("no connections in this test")

        return refuse

    for name in ("connect", "connect_ex", "sendto"):
        monkeypatch.setattr(socket.socket, name, loudly(name))
    for name in ("getaddrinfo", "gethostbyname", "create_connection"):
        monkeypatch.setattr(socket, name, loudly(name))
    return tried


@pytest.fixture(params=["local", "public"])
def services(request: pytest.FixtureRequest, local: Services) -> Services:
    public = request.param == "public"
    launcher = Launcher(local.store, spare=False, supervise=False)
    return replace(local, launcher=launcher, public=public, hosting=Hosting(public=public))


def as_file(url: str) -> dict[str, Any]:
    """What a page sends for a file that was uploaded."""
    return {"path": url, "url": url, "orig_name": "x.txt", "meta": {"_type": "gradio.FileData"}}


def quietly(call: Callable[[], Any]) -> None:
    """A refusal in words is as good as an answer here."""
    with suppress(ValueError, OSError, gr.Error):
        call()


def test_there_are_enough_of_them() -> None:
    assert len(set(URLS)) >= 40
    assert {url.partition(":")[0].lower() for url in URLS} >= {"http", "https", "file", "gopher", "ftp", "data"}


@pytest.mark.slow
@pytest.mark.usefixtures("online")
def test_no_field_of_ours_asks_an_address(services: Services, silence: list[str]) -> None:
    for word in WORDS:
        for field in ("path", "dataset", "pasted", "field", "column", "split", "corpus"):
            wish = TextSource(
                **{"corpus": "own", **({"dataset": "a b"} if field in ("column", "split") else {}), field: word}
            )
            quietly(lambda wish=wish: own_text(services, wish, 1_000_000))
        quietly(lambda word=word: own_text(services, TextSource(corpus="own", files=(word,)), 1_000_000))
        quietly(lambda word=word: bring(services, None, word, word, ""))
        quietly(lambda word=word: bring(services, [word], "", word, ""))
    # On one's own machine what looks like owner/name is one, and the Hub is asked for it: nobody else ever.
    assert [tried for tried in silence if "('huggingface.co', 443)" not in tried] == []
    assert bool(silence) is not services.public


def test_no_word_in_a_link_or_to_the_api_does(services: Services, silence: list[str]) -> None:
    for word in WORDS:
        _in_links_and_the_api(services, word)
    assert silence == []


def _in_links_and_the_api(services: Services, url: str) -> None:
    api = Api(services)
    for settings in ({"corpus": url}, {"prompt": url}, {"tokenizer": url}, {url: 1}):
        quietly(lambda settings=settings: api.train(settings={**settings, "steps": 0}))
    quietly(lambda: api.train(url, url, {"steps": 0}, url, url, url))
    for call in (api.stop, api.status, api.metrics, api.generate, api.export):
        quietly(lambda call=call: call(url, token=url))
    quietly(lambda: api.attention(url, url, token=url))
    asked = {"tab": "inside", "run": url, "race": url, "step": url, "text": url}
    links.open_view(services, links.Place(gr.Dropdown(), text=gr.Textbox()), asked, url)
    for setup in (
        url,
        json.dumps({"corpus": url}),
        json.dumps({"preset": url}),
        json.dumps({"train": {"corpus": url}}),
    ):
        quietly(lambda setup=setup: links.Setup.from_json(setup))
    quietly(lambda: next(sample_tab.write(services, url, None, url, 1, 0, 1, 0, 1, 5, 1, 0, url, url)))
    quietly(lambda: run_actions.rename(services, url, url, url))
    quietly(lambda: list(tokenizer_tab.start_duel(services, url, url, 10, 64, 256, 300)))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[gr.Blocks, TestClient]]:
    """The whole page, served without a network."""
    root: Path = tmp_path_factory.mktemp("fetching")
    store = RunStore(root / "runs")
    launcher = Launcher(store, spare=False, supervise=False)
    rules = Hosting(public=True)
    services = Services(store, launcher, Curves(store), ModelCache(), root / "cache", True, rules)
    demo = queued(build_app(services))
    demo.max_file_size = None
    app = App.create_app(demo, app_kwargs=dict(launch_options(services)["app_kwargs"]))
    yield demo, TestClient(app, "http://localhost")
    launcher.close()


def test_gradio_fetches_no_file_for_any_component(demo: tuple[gr.Blocks, TestClient], silence: list[str]) -> None:
    inputs = {block for function in demo[0].fns.values() for block in function.inputs}
    kinds = {type(block): block for block in inputs}  # one of each: they differ in nothing that matters here
    assert {kind.__name__ for kind in kinds} >= {"Api", "File", "Textbox", "Dropdown", "HTML", "BrowserState"}
    told = set()
    for block in kinds.values():
        for url in URLS:
            for value in (as_file(url), [as_file(url)], {"deep": [{"er": as_file(url)}]}):
                try:
                    moved = asyncio.run(async_move_files_to_cache(value, block, check_in_upload_folder=True))
                except gr.Error as error:
                    told.add(error.message)
                except (ValueError, OSError):
                    continue  # no http address: Gradio looks for a file, and only among uploads
                else:
                    assert not url.startswith(("http://", "https://")), (url, moved)
    assert silence == []
    assert told == {fetching.REFUSED}


@pytest.mark.parametrize(
    "where", ["/gradio_api/file=", "/gradio_api/file/", "/gradio_api/proxy=", "/proxy=", "/file=", "/static/"]
)
def test_no_route_does(demo: tuple[gr.Blocks, TestClient], silence: list[str], where: str) -> None:
    for url in URLS:
        if "\\" not in url and "⓪" not in url:  # no client can write those into a request's line
            answer = demo[1].get(where + url, follow_redirects=False)
            assert answer.status_code in (400, 403, 404, 405), (url, answer.status_code)
    assert silence == []


def test_the_silence_would_be_broken(silence: list[str]) -> None:
    with pytest.raises(OSError, match="no connections"):
        socket.create_connection(("127.0.0.1", 1))
    assert silence
