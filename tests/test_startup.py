"""Starting the app with something wrong: one sentence and exit code 2, before anything is loaded."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from playground.__main__ import main
from playground.cli import startup
from playground.runs.queue.hosting import VARIABLES

Captured = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in list(os.environ):
        if name.startswith("PLAYGROUND_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("PLAYGROUND_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PLAYGROUND_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("playground.cli.serve.prepare_process", lambda: None)
    return tmp_path


def refused(capsys: Captured, *arguments: str) -> str:
    assert main(["serve", *arguments]) == 2
    out, said = capsys.readouterr()
    assert out == ""
    assert said.count("\n") == 1
    return said


@pytest.mark.parametrize("port", [0, -1, 65_536, 99_999])
def test_a_port_that_is_none(capsys: Captured, port: int) -> None:
    assert refused(capsys, "--port", str(port)) == f"Port must be 1 to 65,535; {port} is not.\n"


def test_a_port_in_use(capsys: Captured) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(capsys, "--port", str(port))
    assert said.startswith(
        f"The app cannot be served at 127.0.0.1, port {port}: Address already in use. Choose another"
    )
    startup.check_port("127.0.0.1", port)


def test_an_address_of_another_machine(capsys: Captured) -> None:
    assert refused(capsys, "--host", "203.0.113.7", "--port", "17999").startswith(
        "The app cannot be served at 203.0.113.7, port 17999: "
    )


@pytest.mark.parametrize("name", ["DATA", "CACHE"])
def test_a_folder_that_cannot_be_used(capsys: Captured, monkeypatch: pytest.MonkeyPatch, root: Path, name: str) -> None:
    (root / "file").write_text("x")
    monkeypatch.setenv(f"PLAYGROUND_{name}", str(root / "file"))
    assert f"PLAYGROUND_{name}." in refused(capsys)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("RUN_MINUTE", "3", "There is no variable PLAYGROUND_RUN_MINUTE. Did you mean PLAYGROUND_RUN_MINUTES?"),
        ("COLOUR", "3", "There is no variable PLAYGROUND_COLOUR. docs/hosting.md lists all variables."),
        (
            "PINNED",
            "no such; nor this",
            "PLAYGROUND_PINNED must have ids or names of reference runs and races; 'no such'",
        ),
        ("PASSWORD", "  ", "PLAYGROUND_PASSWORD is nothing but blanks. Set a password, or remove the variable."),
        ("HOST_PASSWORD", "\t", "PLAYGROUND_HOST_PASSWORD is nothing but blanks."),
        ("PUBLIC", "maybe", "PLAYGROUND_PUBLIC must be 1 or 0; 'maybe' is neither."),
    ],
)
def test_a_variable_that_is_wrong(
    capsys: Captured, monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(f"PLAYGROUND_{name}", value)
    assert refused(capsys).startswith(sentence)


def test_an_empty_variable_is_none(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    for name in ("PASSWORD", "PINNED", "RUN_MINUTES"):
        monkeypatch.setenv(f"PLAYGROUND_{name}", "")
    assert main(["serve", "--check"]) == 0


def test_a_reference_run_can_be_pinned(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    monkeypatch.setenv("PLAYGROUND_PINNED", "Modern on Tales, seed 0")
    assert main(["serve", "--check"]) == 0, capsys.readouterr().out


def test_check_prints_all_limits_and_all_problems(monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    for name, value in {"PUBLIC": "1", "RUN_MINUTES": "7.5", "MEMORY_MB": "none", "PASSWORD": "blackboard"}.items():
        monkeypatch.setenv(f"PLAYGROUND_{name}", value)
    assert main(["serve", "--check"]) == 0
    said = capsys.readouterr().out
    for line in ("mode: public", "run_minutes: 7.5", "memory_mb: none", "max_parameters: 5,000,000", "password: set"):
        assert f"{line}\n" in said
    assert "blackboard" not in said
    names = {line.partition(":")[0] for line in said.splitlines()}
    assert {name.lower() for name in VARIABLES} - {"public", "classroom", "train"} <= names
    for name in ("RUN_MINUTE", "COLOUR"):
        monkeypatch.setenv(f"PLAYGROUND_{name}", "1")
    assert main(["serve", "--check", "--port", "0"]) == 2
    assert capsys.readouterr().out.splitlines()[-3:] == [
        "There is no variable PLAYGROUND_COLOUR. docs/hosting.md lists all variables.",
        "There is no variable PLAYGROUND_RUN_MINUTE. Did you mean PLAYGROUND_RUN_MINUTES?",
        "Port must be 1 to 65,535; 0 is not.",
    ]


@pytest.mark.slow
@pytest.mark.skipif(os.name == "nt", reason="needs signals")
def test_sigterm_during_the_start_is_a_sentence(root: Path) -> None:
    code = "import playground.cli.serve as serve; serve.prepare_process(); print(1, flush=True)"
    wait = "; import time; time.sleep(60)"
    process = subprocess.Popen(
        [sys.executable, "-c", code + wait], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "1\n"
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=30)
    assert (process.returncode, said) == (2, "Ended before the app had started.\n")
    assert time.monotonic() - began < 5
