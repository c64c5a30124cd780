"""Uploads and downloads go with the run that they belong to and with the page's session, and no others with them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from playground.ui.session_files import EndOfSession, SessionFiles


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "gradio"


def upload(folder: Path, name: str, content: str = "my own text") -> Path:
    path = folder / f"hash of {content}" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def event(*paths: Path | str) -> list[object]:
    """The inputs of an event, with files as Gradio describes them."""
    return ["a prompt", 3, [{"path": str(path), "meta": {"_type": "gradio.FileData"}} for path in paths], None]


def test_a_session_takes_its_files_with_it(folder: Path) -> None:
    files, mine, theirs = SessionFiles(folder), upload(folder, "mine.txt"), upload(folder, "theirs.txt", "another text")
    files.sent("me", event(mine))
    files.sent("they", event(theirs))
    files.session_ended("me")
    assert not mine.parent.exists()
    assert theirs.read_text() == "another text"
    files.session_ended("me")
    files.session_ended(None)


def test_the_same_file_of_two_visitors_goes_with_the_second(folder: Path) -> None:
    files, shared = SessionFiles(folder), upload(folder, "both.txt")
    for session in ("me", "they"):
        files.sent(session, event(shared))
    files.session_ended("me")
    assert shared.exists()
    files.session_ended("they")
    assert not shared.exists()


def test_a_deleted_run_takes_its_upload_and_its_download_with_it(folder: Path) -> None:
    files, text, archive, other = SessionFiles(folder), *(upload(folder, name, name) for name in ("t", "z", "o"))
    files.sent("me", event(text, other))
    files.used("run", [str(text), archive])
    files.used("kept", [other])
    files.sweep({"run", "kept"}.__contains__)
    assert text.exists() and archive.exists()
    files.sweep({"kept"}.__contains__)
    assert not text.exists() and not archive.exists()
    files.session_ended("me")
    assert other.exists(), "a run that is still there has it"
    files.sweep(set().__contains__)
    assert not other.exists()


def test_files_elsewhere_are_never_touched(folder: Path, tmp_path: Path) -> None:
    files, secret = SessionFiles(folder), tmp_path / "secret.txt"
    folder.mkdir()
    secret.write_text("of the host")
    link = folder / "link"
    link.symlink_to(secret)
    files.sent("me", event(secret, folder / ".." / "secret.txt", link, "\0", "x" * 5_000, folder, ""))
    files.sent("me", {"path": 3, "more": {"path": str(secret)}})
    files.session_ended("me")
    assert secret.exists() and link.exists() and folder.is_dir()


@pytest.mark.parametrize("path", ["/gradio_api/heartbeat/me", "/room/gradio_api/heartbeat/me/"])
def test_a_page_that_closes_takes_its_files_with_it(folder: Path, path: str) -> None:
    """Also if its stream breaks; other requests and streams take nothing."""

    async def breaks(scope: Any, receive: Any, send: Any) -> None:
        raise OSError

    files, mine = SessionFiles(folder), upload(folder, "a")
    files.sent("me", event(mine))
    app = EndOfSession(breaks, files)
    for other in ("/gradio_api/heartbeat/they", "/gradio_api/queue/data", "/gradio_api/heartbeat/me/x"):
        with pytest.raises(OSError, match=r"^$"):
            asyncio.run(app({"type": "http", "path": other}, None, None))
    assert mine.exists()
    with pytest.raises(OSError, match=r"^$"):
        asyncio.run(app({"type": "http", "path": path}, None, None))
    assert not mine.exists()
