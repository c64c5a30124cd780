"""The page's scripts: ES modules in ``components/``, ``desk/`` and ``static/``, and plotly.js from the installed package.

They are served under ``/scripts/VERSION/``, where the version is a hash of all of them: a browser keeps them for good, and
relative imports stay within a version. The offline report carries the modules that it needs in an import map.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from functools import cache
from pathlib import Path, PurePosixPath

import plotly
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from playground.ui.server.delivery import IMMUTABLE, accepts_gzip

HERE = Path(__file__).parent
PLOTLY_PATH = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"
PATHS = {
    "plotly.min.js": PLOTLY_PATH,
    **{
        path.relative_to(HERE).as_posix(): path
        for path in sorted(path for folder in ("components", "desk", "static") for path in HERE.glob(f"{folder}/*.js"))
    },
}
IMPORTED = re.compile(r'^import [^;]*? from "(\.{1,2}/[\w./]+)";$', re.MULTILINE)


@cache
def version() -> str:
    """A hash of all scripts, 16 hexadecimal digits."""
    digest = hashlib.sha256()
    for name, path in PATHS.items():
        digest.update(f"{name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:16]


def address(name: str) -> str:
    """Where a script is served, relative to the page. Raises KeyError for an unknown one."""
    if name not in PATHS:
        raise KeyError(name)
    return f"scripts/{version()}/{name}"


def importing(name: str) -> str:
    """A JavaScript expression: a promise of a module. Works under any root path, because it is relative to the page."""
    return f'import(new URL("{address(name)}", document.baseURI))'


def page_function(parameters: str, result: str) -> str:
    """A function for the ``js=`` of an event: `result` is an expression that can use ``static/view.js`` as `view`."""
    return f"async ({parameters}) => {{ const view = await {importing('static/view.js')}; return {result}; }}"


def routes() -> list[Route]:
    """The route that serves the scripts. They are public: there is nothing of a visitor or of the host in them."""
    return [Route("/scripts/{version}/{name:path}", _serve, methods=["GET", "HEAD"])]


def _serve(request: Request) -> Response:
    name = request.path_params["name"]
    if name not in PATHS:
        return PlainTextResponse("Not Found", 404)
    # A page that was opened before an update asks for an old version. It gets the current one, which it must not keep.
    current = request.path_params["version"] == version()
    headers = {"cache-control": IMMUTABLE if current else "no-cache", "vary": "Accept-Encoding"}
    body = PATHS[name].read_bytes()
    if accepts_gzip(request.headers.get("accept-encoding", "")):
        headers["content-encoding"] = "gzip"
        body = _compressed(name)
    return Response(body, media_type="text/javascript", headers=headers)


@cache
def _compressed(name: str) -> bytes:
    return gzip.compress(PATHS[name].read_bytes(), 9, mtime=0)


def imports(name: str) -> dict[str, str]:
    """What a module imports directly: the specifier in its text, and the name of the script."""
    found = {}
    for specifier in IMPORTED.findall(PATHS[name].read_text("utf-8")):
        parts: list[str] = []
        for part in (PurePosixPath(name).parent / specifier).parts:
            parts = parts[:-1] if part == ".." else [*parts, part]
        found[specifier] = "/".join(parts)
    return found


def with_imports(*names: str) -> list[str]:
    """These modules and all that they import, each once, every module after those that it imports."""
    ordered: dict[str, None] = {}

    def add(name: str) -> None:
        if name not in ordered:
            for needed in imports(name).values():
                add(needed)
            ordered[name] = None

    for name in names:
        add(name)
    return list(ordered)


def import_map(*names: str) -> str:
    """An HTML import map with these modules and all that they import as data: addresses, for a page without a server.

    There a module is imported as ``playground/NAME``.
    """
    addresses = {}
    for name in with_imports(*names):
        text = PATHS[name].read_text("utf-8")
        for specifier, needed in imports(name).items():
            text = text.replace(f' from "{specifier}";\n', f' from "playground/{needed}";\n')
        addresses[f"playground/{name}"] = f"data:text/javascript;base64,{base64.b64encode(text.encode()).decode()}"
    return f'<script type="importmap">{json.dumps({"imports": addresses})}</script>'
