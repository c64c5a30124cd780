"""Downloads against a server on this machine that behaves, misbehaves and vanishes."""

import hashlib
import re
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from playground.data.downloads import DOWNLOADS, fetch

BODY = b"To be, or not to be.\n" * 10_000
SHA256 = hashlib.sha256(BODY).hexdigest()


class Handler(BaseHTTPRequestHandler):
    requests: list[str]

    def do_GET(self) -> None:
        self.requests.append(self.path)
        if self.path == "/missing":
            self.send_error(404)
            return
        if self.path.startswith("/redirect"):
            self.send_response(302)
            self.send_header("Location", "/ok" if self.path == "/redirect" else "file:///etc/hostname")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if self.path == "/silent":
            self.server.silence.wait(10)  # type: ignore[attr-defined]
            return
        self.send_response(200)
        if self.path != "/no-length":
            self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY[: len(BODY) // 2] if self.path == "/cut" else BODY)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Handler.requests = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        running.silence = threading.Event()  # type: ignore[attr-defined]
        running.handle_error = lambda *args: None  # type: ignore[method-assign]
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.silence.set()  # type: ignore[attr-defined]
        running.shutdown()
        thread.join()


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "plays.txt"


def refused(url: str, target: Path, *, sha256: str = SHA256, max_bytes: int = len(BODY), timeout: float = 5) -> str:
    """The message of a fetch that must fail and leave nothing behind."""
    before = {path: path.read_bytes() for path in target.parent.glob("*")} if target.parent.exists() else {}
    with pytest.raises(ValueError, match=r"^plays\.txt ") as caught:
        fetch(url, sha256, target, max_bytes=max_bytes, timeout=timeout)
    after = {path: path.read_bytes() for path in target.parent.glob("*")} if target.parent.exists() else {}
    assert after == before
    message = str(caught.value)
    assert str(target.parent) not in message
    assert re.search(r"[.;] (Check the connection|Choose|It was discarded)|only http", message)
    return message


def test_downloads_verifies_and_reports(server: str, target: Path) -> None:
    heard: list[tuple[int, int]] = []
    found = fetch(f"{server}/ok", SHA256, target, max_bytes=len(BODY), progress=lambda *event: heard.append(event))
    assert found == target
    assert target.read_bytes() == BODY
    assert [path.name for path in target.parent.iterdir()] == ["plays.txt"]
    done = [event[0] for event in heard]
    assert done == sorted(set(done))
    assert heard[-1] == (len(BODY), len(BODY))


def test_a_server_that_does_not_tell_the_length(server: str, target: Path) -> None:
    heard: list[tuple[int, int]] = []
    fetch(f"{server}/no-length", SHA256, target, max_bytes=len(BODY), progress=lambda *event: heard.append(event))
    assert target.read_bytes() == BODY
    assert heard[-1] == (len(BODY), 0)


def test_a_right_file_is_used_without_the_server(server: str, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(BODY)
    assert fetch(f"{server}/ok", SHA256, target, max_bytes=len(BODY)) == target
    assert Handler.requests == []


def test_a_broken_file_is_replaced(server: str, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(BODY[:-1] + b"?")
    fetch(f"{server}/ok", SHA256, target, max_bytes=len(BODY))
    assert target.read_bytes() == BODY
    assert Handler.requests == ["/ok"]


def test_a_broken_file_survives_a_failed_download(server: str, target: Path) -> None:
    target.parent.mkdir()
    target.write_bytes(b"broken")
    refused(f"{server}/missing", target)
    assert target.read_bytes() == b"broken"


def test_wrong_hash(server: str, target: Path) -> None:
    message = refused(f"{server}/ok", target, sha256="0" * 64)
    assert SHA256[:12] in message
    assert "not the expected file" in message


def test_not_found(server: str, target: Path) -> None:
    assert "the server answered 404 (Not Found)" in refused(f"{server}/missing", target)


@pytest.mark.parametrize("path", ["/ok", "/no-length"])
def test_too_large(server: str, target: Path, path: str) -> None:
    assert "larger than the limit of 0.1 MB" in refused(f"{server}{path}", target, max_bytes=100_000)


def test_cut_half_way(server: str, target: Path) -> None:
    assert f"was cut after {len(BODY) // 2:,} of {len(BODY):,} bytes" in refused(f"{server}/cut", target)


def test_a_silent_server(server: str, target: Path) -> None:
    assert "127.0.0.1 did not answer within 0.2 seconds" in refused(f"{server}/silent", target, timeout=0.2)


def test_nobody_there(target: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "there is no connection to 127.0.0.1" in refused(f"http://127.0.0.1:{port}/ok", target)


def test_redirects_stay_on_the_web(server: str, target: Path) -> None:
    refused(f"{server}/redirect-to-file", target)
    fetch(f"{server}/redirect", SHA256, target, max_bytes=len(BODY))
    assert target.read_bytes() == BODY


@pytest.mark.parametrize("url", ["file:///etc/hostname", "ftp://example.org/x", "data:,x", "plays.txt", ""])
def test_only_the_web(target: Path, url: str) -> None:
    assert "only http and https addresses are allowed" in refused(url, target)


def test_a_cache_folder_that_cannot_be_made(server: str, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(
        ValueError, match=r"^plays\.txt could not be stored: .*choose another cache folder\.$"
    ) as caught:
        fetch(f"{server}/ok", SHA256, tmp_path / "file" / "plays.txt", max_bytes=len(BODY))
    assert str(tmp_path) not in str(caught.value)


def test_an_interrupted_download_leaves_nothing(server: str, target: Path) -> None:
    def interrupt(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fetch(f"{server}/ok", SHA256, target, max_bytes=len(BODY), progress=interrupt)
    assert list(target.parent.iterdir()) == []


def test_the_table_is_pinned() -> None:
    assert {name: (entry.n_bytes, len(bytes.fromhex(entry.sha256))) for name, entry in DOWNLOADS.items()} == {
        "tiny_shakespeare": (1_115_394, 32),
        "tiny_stories": (19_447_282, 32),
    }
    assert all(entry.url.startswith("https://") for entry in DOWNLOADS.values())
