"""The page's scripts: what is served under which address, and how modules find each other with and without a server."""

import gzip
import json
import re
from base64 import b64decode

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from playground.ui import scripts
from playground.ui.components import COMPONENTS
from playground.ui.server.delivery import IMMUTABLE

MODULES = [name for name in scripts.PATHS if name != "plotly.min.js"]


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=[*scripts.routes()]))


def test_a_script_is_served_for_good_under_the_hash_of_all(client: TestClient) -> None:
    answer = client.get(f"/{scripts.address('static/view.js')}", headers={"accept-encoding": "identity"})
    assert answer.content == scripts.PATHS["static/view.js"].read_bytes()
    assert answer.headers["content-type"].startswith("text/javascript")
    assert answer.headers["cache-control"] == IMMUTABLE
    assert "content-encoding" not in answer.headers


def test_plotly_is_compressed_once(client: TestClient) -> None:
    with client.stream(
        "GET", f"/{scripts.address('plotly.min.js')}", headers={"accept-encoding": "br, gzip"}
    ) as answer:
        body = b"".join(answer.iter_raw())
    assert answer.headers["content-encoding"] == "gzip"
    assert len(body) < 1_600_000
    assert gzip.decompress(body) == scripts.PLOTLY_PATH.read_bytes()
    assert scripts._compressed("plotly.min.js") is scripts._compressed("plotly.min.js")


def test_a_page_from_before_an_update_gets_what_there_is_and_does_not_keep_it(client: TestClient) -> None:
    answer = client.get("/scripts/0123456789abcdef/static/view.js")
    assert answer.content == scripts.PATHS["static/view.js"].read_bytes()
    assert answer.headers["cache-control"] == "no-cache"


@pytest.mark.parametrize(
    "name", ["", "style.css", "scripts.py", "../app.py", "..%2Fapp.py", "static/..%2F..%2Fapp.py", "static/gone.js"]
)
def test_nothing_else_is_served(client: TestClient, name: str) -> None:
    assert client.get(f"/scripts/{scripts.version()}/{name}").status_code == 404
    with pytest.raises(KeyError):
        scripts.address(name)


@pytest.mark.parametrize("name", MODULES)
def test_a_module_imports_modules_that_there_are(name: str) -> None:
    text = scripts.PATHS[name].read_text("utf-8")
    assert set(scripts.imports(name).values()) <= set(MODULES)
    assert len(re.findall(r"^import ", text, re.M)) == len(scripts.imports(name))  # none is written in another form
    assert not re.search(r"\bimport\(|window\.Playground|^export default|^export \*|^export \{ ", text, re.M)
    for names, specifier in re.findall(r'^import {([^}]*)} from "([^"]+)";', text, re.M):
        target = scripts.PATHS[scripts.imports(name)[specifier]].read_text("utf-8")
        for one in re.findall(r"\w+", names):
            assert re.search(rf"^export (?:async )?(?:function|class|const) {one}\b", target, re.M), (specifier, one)
            assert len(re.findall(rf"\b{one}\b", text)) > 1, f"{one} is imported and not used"


@pytest.mark.parametrize("name", COMPONENTS)
def test_modules_come_after_those_that_they_import(name: str) -> None:
    ordered = scripts.with_imports(f"components/{name}.js")
    assert ordered[-1] == f"components/{name}.js"
    assert len(set(ordered)) == len(ordered)
    for i, one in enumerate(ordered):
        assert set(scripts.imports(one).values()) <= set(ordered[:i])


def test_an_import_map_carries_all_that_a_module_needs() -> None:
    tag = scripts.import_map("components/race_view.js")
    addresses = json.loads(re.fullmatch(r'<script type="importmap">(.*)</script>', tag)[1])["imports"]
    assert set(addresses) == {f"playground/{name}" for name in scripts.with_imports("components/race_view.js")}
    for address in addresses.values():
        code = b64decode(address.removeprefix("data:text/javascript;base64,")).decode()
        assert set(re.findall(r'^import [^"]* from "(.*)";$', code, re.M)) <= set(addresses)


def test_the_version_changes_with_every_script(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = scripts.version.__wrapped__()
    for name in ("static/view.js", "plotly.min.js"):
        changed = tmp_path / "changed.js"
        changed.write_bytes(scripts.PATHS[name].read_bytes() + b"\n")
        with monkeypatch.context() as patched:
            patched.setitem(scripts.PATHS, name, changed)
            assert scripts.version.__wrapped__() != before
    assert scripts.version.__wrapped__() == before
