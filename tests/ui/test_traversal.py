"""Ways out of a folder, in every word that could become part of a path and every address that could: none leads out."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gradio as gr
import pytest
from gradio.context import LocalContext
from gradio.processing_utils import async_move_files_to_cache
from gradio.routes import App
from starlette.testclient import TestClient

from playground.runs.curves import Curves
from playground.runs.loading import ModelCache
from playground.runs.queue.hosting import Hosting
from playground.runs.queue.launcher import Launcher
from playground.runs.store.run_store import RunStore
from playground.ui import endpoints, links
from playground.ui.api import Api
from playground.ui.app import build_app, launch_options
from playground.ui.compare import race_endpoints, race_tab
from playground.ui.inside import attention_endpoints
from playground.ui.sample import sample_tab
from playground.ui.server.event_queue import queued
from playground.ui.services import Services
from playground.ui.texts import TextSource, own_text
from playground.ui.train import run_actions
from playground.ui.train.import_panel import bring

CANARY = "the canary of this test"
ANN = "a" * 32


def ways(secret: Path, root: Path) -> list[str]:
    """Sixty and more spellings of where a file lies that is beside the store."""
    near = [f"{'../' * up}{secret.name}" for up in (1, 2, 3, 4, 8)]
    far = str(secret)
    plain = [*near, far, f"/{far}", f"file://{far}", f"~{far}", f"{root.name}/../{secret.name}", f"./../{secret.name}"]
    plain += [
        f"{root.name}/%00/../../{secret.name}",
        f"..;/{secret.name}",
        f"....//{secret.name}",
        f"..././{secret.name}",
    ]
    plain += [
        f"../{secret.name}\x00.json",
        f"../{secret.name}%00.json",
        f"\\\\?\\{far}",
        f"../{secret.name}/.",
        f"CON/../{far}",
    ]
    backwards = [way.replace("/", "\\") for way in near]
    once = [quote(way, safe="") for way in plain[:8]] + [way.replace("..", "%2e%2e") for way in near]
    twice = [quote(way, safe="") for way in once[:8]] + [way.replace("..", "%252e%252e") for way in near]
    odd = [
        way.replace("/", slash)
        for way in near[:3]
        for slash in ("%c0%af", "%5c", "/%2e/", "\u2215", "\uff0f", "%u2215")
    ]
    return list(dict.fromkeys([*plain, *backwards, *once, *twice, *odd]))


@pytest.fixture(scope="module")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Services, gr.Blocks, list[str]]]:
    """A public app with an empty store, and the ways from there to a secret beside it."""
    root = tmp_path_factory.mktemp("traversal")
    (root / "canary.json").write_text(f'"{CANARY}"', "utf-8")
    store = RunStore(root / "runs")
    launcher = Launcher(store, spare=False, supervise=False)
    rules = Hosting(public=True)
    services = Services(store, launcher, Curves(store), ModelCache(), root / "cache", True, rules)
    yield services, queued(build_app(services)), ways(root / "canary.json", store.root)
    launcher.close()


def files(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_there_are_sixty_of_them(stage: tuple[Services, gr.Blocks, list[str]]) -> None:
    assert len(stage[2]) >= 60
    assert any((stage[0].store.root / way).is_file() for way in stage[2] if "\x00" not in way), "some would lead there"


def test_no_word_of_a_visitor_leads_out(stage: tuple[Services, gr.Blocks, list[str]]) -> None:
    services, _, spellings = stage
    api, root = Api(services), services.store.root.parent
    before = files(root)
    for way in spellings:
        for call in _calls(services, api, way):
            answer: Any = None
            with suppress(ValueError, gr.Error):
                answer = call()
            assert CANARY not in repr(answer), way
    assert files(root) == before


def _calls(services: Services, api: Api, way: str) -> Iterator[Callable[[], Any]]:
    for action in ("stop", "pause", "resume"):
        yield lambda action=action: run_actions.act(services, action, way, ANN)
    for ask in (api.stop, api.status, api.metrics, api.generate, api.export):
        yield lambda ask=ask: ask(way, token=way)
    for asked in ({"run": way}, {"race": way}, {"cursors": {way: way}}, {"run": way, "step": way, "text": way}):
        for answer in (
            endpoints.curves,
            endpoints.band,
            race_endpoints.race,
            race_endpoints.race_file,
            attention_endpoints.attention,
            endpoints.timeline,
        ):
            yield lambda asked=asked, answer=answer: answer(services, {"visitor": ANN, "kind": "json", **asked})
    yield lambda: api.attention(way, way, token=ANN)
    yield lambda: api.train(way, way, {"steps": 0}, "", way, ANN)
    yield lambda: api.train("modern", way, {"corpus": way, "steps": 0}, token=ANN)
    yield lambda: run_actions.delete(services, way, ANN)
    yield lambda: run_actions.rename(services, way, way, ANN)
    yield lambda: run_actions.arrive(services, ANN, way)
    yield lambda: race_tab.arrive(services, ANN, way)
    yield lambda: links.share(services, way, ANN)
    yield lambda: links.Setup.from_json(json.dumps({"corpus": way}))
    yield lambda: next(sample_tab.write(services, way, way, way, 1, 0, 1, 0, 1, 5, 1, 0, "", ANN))
    yield lambda: bring(services, None, way, way, ANN)
    for field in ("path", "dataset", "column", "split", "field"):
        yield lambda field=field: own_text(
            services, TextSource(**{"corpus": "own", "dataset": "a/b", field: way}), 10_000
        )


def test_no_upload_is_a_file_that_was_none(stage: tuple[Services, gr.Blocks, list[str]]) -> None:
    _, demo, spellings = stage
    upload = next(block for block in demo.blocks.values() if isinstance(block, gr.File))
    demo.has_launched = True
    LocalContext.blocks.set(demo)
    try:
        for way in spellings:
            sent = {"path": way, "meta": {"_type": "gradio.FileData"}}
            with pytest.raises(Exception, match=r"Cannot move|null|not uploaded|No such"):
                asyncio.run(async_move_files_to_cache(sent, upload, check_in_upload_folder=True))
    finally:
        LocalContext.blocks.set(None)


@pytest.mark.slow
def test_no_address_leads_out(stage: tuple[Services, gr.Blocks, list[str]]) -> None:
    services, demo, spellings = stage
    demo.max_file_size = None
    client = TestClient(
        App.create_app(demo, app_kwargs=dict(launch_options(services)["app_kwargs"])),
        base_url="http://localhost",
        raise_server_exceptions=False,
    )
    places = (
        "/gradio_api/file=",
        "/gradio_api/file/",
        "/static/",
        "/assets/",
        "/svelte/",
        "/gradio_api/stream/x/",
        "/?run=",
    )
    places += (
        "/gradio_api/custom_component/1/client/component/",
        "/manifest.json/",
        "/pwa_icon/",
        "/health/",
        "/?deep_link=",
    )
    for place in places:
        for way in spellings:
            if way.isprintable():
                assert CANARY not in client.get(place + way, follow_redirects=False).text, place + way
    assert client.get("/gradio_api/file=" + str(services.store.root / "usage.json")).status_code in (403, 404)


def test_nothing_names_a_folder_of_the_server(stage: tuple[Services, gr.Blocks, list[str]]) -> None:
    services, demo, _ = stage
    demo.max_file_size = None
    app = App.create_app(demo, app_kwargs=dict(launch_options(services)["app_kwargs"]))
    client = TestClient(app, base_url="http://localhost")
    root = Path(__file__).parents[2]
    folders = {str(place) for place in (root, Path.home(), sys.prefix, services.store.root, services.cache_dir)} - {"/"}
    for address in ("/config", "/gradio_api/info", "/gradio_api/openapi.json"):
        answer = client.get(address)
        assert answer.status_code == 200
        assert len(answer.text) > 1_000
        assert [folder for folder in folders if folder in answer.text] == [], address
    for address in ("/openapi.json", "/docs", "/redoc"):
        assert client.get(address).status_code == 404
