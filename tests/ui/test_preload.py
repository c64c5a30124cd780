"""The page names Gradio's files for its components in its head. That these are all, a browser says: test_first_visit."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from playground.ui.server import preload
from playground.ui.server.delivery import HASHED, IMMUTABLE

ASSETS = preload.FRONTEND / "assets"
KINDS = ["accordion", "button", "checkbox", "dataframe", "dropdown", "html", "markdown", "slider", "tabs", "textbox"]
PAGE = (
    "[" + ",".join(f'{{"id":{n},"type":"{kind}"}}' for n, kind in enumerate([*KINDS, "api", "nothing"])) + "]"
).encode()


@pytest.fixture(scope="module")
def client() -> TestClient:
    return TestClient(Starlette(routes=[*preload.routes()]))


def test_the_files_of_a_component_follow_those_of_the_application() -> None:
    application = preload.gradio_files([])
    assert re.fullmatch(r"index-[\w-]+\.js", application[0])
    assert next(name for name in application if name.startswith("Blocks-")).endswith(".js")
    for kind in KINDS:
        files = preload.gradio_files([kind])
        assert files[: len(application)] == application
        assert len(files) > len(application), kind
        assert all((ASSETS / name).is_file() and HASHED.search(f"/assets/{name}") for name in files)
    assert preload.gradio_files(["api", "nothing"]) == application


def test_the_head_names_each_script_once_and_switches_off_the_joined_style_sheets() -> None:
    first, last = (part.decode() for part in preload.links(PAGE, ("./scripts/1/a.js",)))
    files = preload.gradio_files(KINDS)
    assert re.findall(r'"modulepreload" crossorigin href="\./assets/([^"]+)"', first) == [
        n for n in files if n.endswith(".js")
    ]
    assert "./scripts/1/a.js" in first and "plotly.min.js" not in first
    off = re.findall(r'<link rel="stylesheet" disabled href="\./assets/([^"]+)">', last)
    assert off == [name for name in files if name.endswith(".css") and not name.startswith("index-")]
    (joined,) = re.findall(r'<link rel="stylesheet" crossorigin href="\./([^"]+)">', last)
    assert f'<link rel="preload" as="style" crossorigin href="./{joined}">' in first


def test_the_joined_style_sheet_has_all_of_them(client: TestClient) -> None:
    _, last = (part.decode() for part in preload.links(PAGE))
    (joined,) = re.findall(r'crossorigin href="\.(/[^"]+)"', last)
    answer = client.get(joined)
    assert answer.headers["content-type"].startswith("text/css")
    assert answer.headers["cache-control"] == IMMUTABLE
    names = re.findall(r'disabled href="\./assets/([^"]+)"', last)
    assert len(names) > 15
    assert answer.text == "\n".join((ASSETS / name).read_text("utf-8") for name in names)


def test_a_style_sheet_that_needs_another_file_stays_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    every = preload._styles(["slider"])
    text = preload._text
    monkeypatch.setattr(
        preload, "_text", lambda name: text(name) + ("a{background:url(./b.png)}" * (name == every[-1]))
    )
    assert preload._styles(["slider"]) == every[:-1]


@pytest.mark.parametrize("path", ["6.0.0/slider", f"{preload.gradio.__version__}/slider+slider",
                                  f"{preload.gradio.__version__}/" + "+".join(map(str, range(101)))])  # fmt: skip
def test_another_version_and_long_lists_are_not_found(client: TestClient, path: str) -> None:
    assert client.get(f"/gradio-styles/{path}.css").status_code == 404


@pytest.mark.parametrize("index", ["", '<script type="module" crossorigin src="./assets/index-1.js"></script>'])
def test_a_gradio_that_is_built_otherwise_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str
) -> None:
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "index-1.js").write_text("import('./other.js')")
    (tmp_path / "index.html").write_text(index)
    monkeypatch.setattr(preload, "FRONTEND", tmp_path)
    assert preload._links.__wrapped__(frozenset(KINDS), ()) == (b"", b"")


def test_a_page_without_components_asks_for_nothing() -> None:
    assert preload.links(b"<html><head></head>the login page</html>", ("./scripts/1/a.js",)) == (b"", b"")
