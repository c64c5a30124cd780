"""Repositories by their id, against a server on this machine that behaves, lies and leads astray."""

import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from playground.interchange import hub
from playground.interchange.folders import read_folder, write_transformers
from tests.interchange.models import CASES, package

SHA = hashlib.sha1(b"revision").hexdigest()

pytestmark = pytest.mark.usefixtures("online")


class Handler(BaseHTTPRequestHandler):
    answers: dict[str, bytes | str]  # a str is where a redirect leads
    requests: list[tuple[str, str | None]]

    def do_GET(self) -> None:
        self.requests.append((self.path, self.headers.get("Authorization")))
        answer = self.answers.get(self.path)
        if answer is None:
            self.send_error(404)
        elif isinstance(answer, str):
            self.send_response(302)
            self.send_header("Location", answer)
            self.send_header("Content-Length", "0")
            self.end_headers()
        else:
            self.send_response(200)
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    Handler.answers, Handler.requests = {}, []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        monkeypatch.setattr(hub, "ENDPOINT", f"http://127.0.0.1:{running.server_port}")
        monkeypatch.setattr(hub, "TIMEOUT", 2.0)
        yield hub.ENDPOINT
        running.shutdown()
        thread.join()


def offer(files: dict[str, bytes], sizes: dict[str, int] | None = None, **facts: object) -> None:
    """Let the server have a repository a/model with these files; `sizes` are what it says of them instead."""
    siblings = [{"rfilename": name, "size": (sizes or {}).get(name, len(data))} for name, data in files.items()]
    Handler.answers["/api/models/a/model?blobs=true"] = json.dumps({"sha": SHA, "siblings": siblings, **facts}).encode()
    for name, data in files.items():
        Handler.answers[f"/a/model/resolve/{SHA}/{name}"] = data


@pytest.fixture
def model(tmp_path: Path) -> dict[str, bytes]:
    folder = tmp_path / "model"
    folder.mkdir()
    write_transformers(folder, package(CASES["Llama"][1]))
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_only_what_is_needed_is_taken_and_no_token_is_sent(
    server: str, model: dict[str, bytes], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    offer({**model, "pytorch_model.bin": b"x", "../up.safetensors": b"x", "a/b.safetensors": b"x", "modeling.py": b"x"})
    with hub.downloaded("a/model") as folder:
        assert sorted(path.name for path in folder.iterdir()) == [
            "config.json", "generation_config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json",
        ]  # fmt: skip
        assert read_folder(folder).config == CASES["Llama"][1]
    assert not folder.exists()
    assert {authorization for _, authorization in Handler.requests} == {None}
    assert len(Handler.requests) == 6


@pytest.mark.parametrize(
    "repository",
    ["", "gpt2", "https://huggingface.co/a/b", "http://169.254.169.254/latest", "file:///etc/passwd", "a/../b", "../a/b",
     "a/b/c", "a/b?x=1", "a/b#c", "a /b", "-a/b", "a/b.git", "a\\b", "a/" + "b" * 97, "ä/b", "a/b\n", "a/..", None, 7],
)  # fmt: skip
def test_what_is_no_id_is_never_asked_for(server: str, repository: str) -> None:
    if repository == "a/b\n":  # white space around an id is forgiven
        assert hub.checked_id(repository) == "a/b"
        return
    with pytest.raises(ValueError, match="Use the form owner/name"), hub.downloaded(repository):
        pass
    assert Handler.requests == []


def refused(message: str) -> None:
    with pytest.raises(ValueError, match=message), hub.downloaded("a/model"):
        pass


def test_repositories_that_are_refused_by_what_is_said_of_them(server: str, model: dict[str, bytes]) -> None:
    refused("The repository a/model does not exist or is not public")
    offer(model, {"model.safetensors": 7_000_000_000})
    refused("too large: 7,000 MB; the limit, set by free memory and disk space, is 600 MB")
    with (
        pytest.raises(
            ValueError, match="too large: 7,000 MB; the limit, set by free memory and disk space, is 5,000 MB"
        ),
        hub.downloaded("a/model", 5 * 10**9),
    ):
        pass
    offer(model, {"tokenizer.json": 50_000_000})
    refused("has an invalid size")
    offer(model, {"config.json": -1})
    refused("has an invalid size")
    for facts in ({"private": True}, {"gated": "auto"}, {"disabled": True}):
        offer(model, **facts)
        refused("is not public")
    offer({"pytorch_model.bin": b"x", "config.json": b"{}"})
    refused("has no .safetensors file")
    offer(model, sha="main; rm")
    refused("is invalid")
    for nonsense in (b"", b"[]", b"<html>", b"[" * 100_000):
        Handler.answers["/api/models/a/model?blobs=true"] = nonsense
        refused("is invalid")
    assert not any("resolve" in path for path, _ in Handler.requests), "nothing was downloaded"


def test_files_that_are_not_what_was_said(server: str, model: dict[str, bytes]) -> None:
    offer(model, {"model.safetensors": len(model["model.safetensors"]) - 1})
    refused("larger than the .* bytes that the server announced")
    offer(model, {"model.safetensors": len(model["model.safetensors"]) + 1})
    refused("could not be downloaded: .* bytes came")
    offer(model)
    del Handler.answers[f"/a/model/resolve/{SHA}/config.json"]
    refused("config.json does not exist or is not public")


@pytest.mark.parametrize(
    "target", ["http://127.0.0.2:1/x", "https://evil.example/x", "file:///etc/hostname", "http://169.254.169.254/x"]
)
def test_redirects_stay_on_the_hub(server: str, model: dict[str, bytes], target: str) -> None:
    offer(model)
    Handler.answers[f"/a/model/resolve/{SHA}/model.safetensors"] = target
    refused("lies outside the hub|could not be downloaded")


def test_a_redirect_on_the_hub_is_followed(server: str, model: dict[str, bytes]) -> None:
    offer(model)
    data = Handler.answers.pop(f"/a/model/resolve/{SHA}/model.safetensors")
    Handler.answers["/elsewhere"] = data
    Handler.answers[f"/a/model/resolve/{SHA}/model.safetensors"] = "/elsewhere"
    with hub.downloaded("a/model") as folder:
        assert (folder / "model.safetensors").read_bytes() == data
