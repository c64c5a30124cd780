"""`make dev`: a change of a file starts the app again, on the same port."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from playground.cli.reload import PORTS, Reloader, free_port
from tests.texts import PROJECT

# Appends a file and its arguments to a log, and waits.
PROGRAM = """
import sys, time
log, source, *arguments = sys.argv[1:]
with open(log, "a") as file:
    file.write(open(source).read() + "".join(arguments))
time.sleep(60)
"""


def wait_until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_change_is_noticed_and_the_command_runs_again(tmp_path: Path) -> None:
    log, source = tmp_path / "log", tmp_path / "code" / "deep" / "a.py"
    source.parent.mkdir(parents=True)
    source.write_text("first")
    reloader = Reloader([sys.executable, "-c", PROGRAM, str(log), str(source)], tmp_path / "code")
    reloader.start()
    try:
        wait_until(lambda: log.exists() and log.read_text() == "first")
        (source.parent / "cache.pyc").write_text("of no interest")
        assert reloader.changed() == []
        source.write_text("second")
        assert reloader.changed() == ["deep/a.py"]
        reloader.start(" again")
        wait_until(lambda: log.read_text() == "firstsecond again")
        (source.parent / "b.css").write_text("added")
        source.unlink()
        assert reloader.changed() == ["deep/a.py", "deep/b.css"]
        assert reloader.changed() == []
    finally:
        reloader.stop()


def test_a_port_in_use_is_passed_over() -> None:
    port = free_port()
    with socket.socket() as used:
        used.bind(("127.0.0.1", port))
        used.listen()
        assert port < free_port() <= PORTS[-1]


@pytest.mark.slow
def test_the_page_is_that_of_the_changed_file(tmp_path: Path) -> None:
    shutil.copytree(PROJECT / "playground", tmp_path / "playground")  # with the bytecode
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "playground", "serve", "--reload", "--no-browser", "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "no_proxy": "127.0.0.1"}

    def title() -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/config", timeout=5) as reply:
                return str(json.loads(reply.read())["title"])
        except OSError:
            return ""

    with open(tmp_path / "log", "wb") as log:
        app = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        wait_until(lambda: title() == "LLM Playground", 120)
        file = tmp_path / "playground/ui/app.py"
        text = file.read_text("utf-8")
        file.write_text("a mistake (" + text, "utf-8")  # the app does not start, and the next change is awaited
        wait_until(lambda: "SyntaxError" in (tmp_path / "log").read_text("utf-8"), 120)
        file.write_text(text.replace('TITLE = "LLM Playground"', 'TITLE = "Another title"'), "utf-8")
        wait_until(lambda: title() == "Another title", 120)
    finally:
        os.killpg(app.pid, signal.SIGINT)  # as Ctrl-C in a terminal
        try:
            ended = app.wait(30)
        finally:
            app.kill()
    assert ended == 0
    before, _, after = (tmp_path / "log").read_text("utf-8").rpartition("Changed: ui/app.py. Restarting.")
    assert "Changed: ui/app.py. Restarting." in before, "changed twice"
    assert "Traceback" not in after
    assert title() == "", "the app ends with the process that watches"
