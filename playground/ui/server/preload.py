"""What a page asks for at once: Gradio's files for its components, otherwise found in four steps, and our first scripts.

Gradio 6.31's page names a script, which imports the application, which imports the blocks, which import the components: four
steps, each of which waits for the one before, and a hundred files, half of them small style sheets. Over a slow link that
takes seconds. Vite, which has made these files, wrote into them what each dynamic import needs; this module reads that, so
that the page can name all scripts in its head, and get the style sheets as one. What is not found is loaded as before.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from html import escape
from pathlib import Path

import gradio
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from playground.ui.server.delivery import IMMUTABLE

FRONTEND = Path(gradio.__file__).parent / "templates" / "frontend"
COMPONENT = re.compile(rb'\{"id": ?\d+, ?"type": ?"(\w+)"')  # in the configuration that the page carries
ENTRY = re.compile(r'<script type="module" crossorigin src="\./assets/([^"]+)">')
NEEDED = re.compile(r"__vite__mapDeps=\(.*?m\.f=(\[[^\]]*\])")
DYNAMIC = re.compile(r"import\(`\./([^`]+)`\)[^`]{0,60}?__vite__mapDeps\(\[([\d,]*)\]\)")


def gradio_files(types: Iterable[str]) -> list[str]:
    """The files in Gradio's folder of assets that a page with these types of components loads, the first of all first.

    Empty where Gradio is not built as expected; unknown types are skipped.
    """
    found = ENTRY.search((FRONTEND / "index.html").read_text("utf-8"))
    if found is None:
        return []
    application = _imported_by(found[1], "Index-")
    blocks = _imported_by(application[0], "Blocks-") if application else []
    table = next((name for name in application if "accordion:{" in _text(name)), "")
    parts = [name for kind in sorted(types) if table for name in _imported_by(table, "", f"{kind}:{{")]
    return list(dict.fromkeys([found[1], *application, *blocks, *parts]))


def _imported_by(script: str, prefix: str, after: str = "") -> list[str]:
    """The first file of this prefix that a script imports dynamically, and what it needs; after the key of a table."""
    text = _text(script)
    needed, start = NEEDED.search(text), re.search(rf"[,{{]{re.escape(after)}", text)
    begin = text.find("component:", start.start()) if start and after else 0
    if needed is None or start is None or begin < 0:
        return []
    known = json.loads(needed[1])
    for name, numbers in DYNAMIC.findall(text, begin):
        if name.startswith(prefix):
            files = [name, *(known[int(number)].removeprefix("./") for number in numbers.split(",") if number)]
            return [file for file in files if (FRONTEND / "assets" / file).is_file()]
    return []


@cache
def _text(name: str) -> str:
    return (FRONTEND / "assets" / name).read_text("utf-8")


def _styles(types: Iterable[str]) -> list[str]:
    """The style sheets that can be joined: those that refer to no other file. The page has the first one itself."""
    names = [name for name in gradio_files(types) if name.endswith(".css")]
    apart = re.compile(r"url\(|@import|@charset")
    return [name for name in names if not name.startswith("index-") and not apart.search(_text(name))]


def links(page: bytes, scripts: tuple[str, ...] = ()) -> tuple[bytes, bytes]:
    """What belongs at the beginning and at the end of the head of Gradio's page, which also needs some scripts of ours."""
    return _links(frozenset(kind.decode() for kind in COMPONENT.findall(page)), scripts)


@cache
def _links(types: frozenset[str], scripts: tuple[str, ...]) -> tuple[bytes, bytes]:
    known = sorted(kind for kind in types if set(gradio_files([kind])) - set(gradio_files([])))
    if not known:
        return b"", b""
    styles = _styles(known)
    joined = escape(f"./gradio-styles/{gradio.__version__}/{'+'.join(known)}.css")
    modules = [f"./assets/{name}" for name in gradio_files(known) if name.endswith(".js")]
    first = [f'<link rel="preload" as="style" crossorigin href="{joined}">']
    first += [f'<link rel="modulepreload" crossorigin href="{escape(each)}">' for each in (*modules, *scripts)]
    # Gradio loads a style sheet unless the page has a link to it. A disabled link counts, and is not loaded.
    last = [f'<link rel="stylesheet" crossorigin href="{joined}">']
    last += [f'<link rel="stylesheet" disabled href="./assets/{escape(name)}">' for name in styles]
    return "".join(first).encode(), "".join(last).encode()


def routes() -> list[Route]:
    """The route of the style sheets of some types of components, joined."""

    def joined(request: Request) -> Response:
        types = request.path_params["types"].split("+")
        if len(types) > 100 or len(set(types)) < len(types) or request.path_params["version"] != gradio.__version__:
            return PlainTextResponse("Not Found", 404)
        text = "\n".join(_text(name) for name in _styles(types))
        return Response(text, media_type="text/css", headers={"cache-control": IMMUTABLE})

    return [Route("/gradio-styles/{version}/{types}.css", joined, methods=["GET", "HEAD"])]
