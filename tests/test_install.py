"""The wheel, installed: its command starts the app with the reference runs, and keeps runs in the user's folder."""

from __future__ import annotations

import json
import os
import shutil
import site
import socket
import subprocess
import sys
import time
import urllib.request
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.benchmarks.install import ASK, TRAIN
from tests.dockerfile import command, environment, health_check
from tests.texts import PROJECT

pytestmark = pytest.mark.slow
SOURCES = (
    "playground",
    "checkpoints/gallery",
    "pyproject.toml",
    "setup.py",
    "README.md",
    "LICENSE",
    "requirements.txt",
)
PIP = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]


@dataclass(frozen=True)
class Installation:
    """A virtual environment with the wheel, which borrows all other packages from the environment of the tests."""

    root: Path
    wheel: Path

    @property
    def site(self) -> Path:
        return next((self.root / "venv").rglob("site-packages"))

    @property
    def home(self) -> Path:
        return self.root / "home"

    @property
    def environment(self) -> dict[str, str]:
        kept = {
            name: value for name, value in os.environ.items() if not name.startswith(("PLAYGROUND", "PYTHON", "XDG"))
        }
        return {**kept, "HOME": str(self.home), "HF_HUB_OFFLINE": "1", "no_proxy": "127.0.0.1,localhost"}

    def command(self, *arguments: str) -> list[str]:
        return [str(self.root / "venv/bin/llm-playground"), *arguments]

    def output(self, *command: str) -> str:
        done = subprocess.run(
            command, env=self.environment, cwd=self.home, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def files(self) -> set[Path]:
        return set(self.site.rglob("*"))


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Installation:
    root = tmp_path_factory.mktemp("installed")
    for name in SOURCES:  # setuptools writes into the folder that it builds
        target = root / "source" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (PROJECT / name).is_dir():
            shutil.copytree(PROJECT / name, target, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(PROJECT / name, target)
    subprocess.run(
        [*PIP, "wheel", "--no-deps", "--no-build-isolation", "-w", str(root), str(root / "source")], check=True
    )
    venv.create(root / "venv", with_pip=False)
    (wheel,) = root.glob("*.whl")
    installed = Installation(root, wheel)
    python = str(root / "venv/bin/python")
    subprocess.run([*PIP, "--python", python, "install", "--no-deps", "--no-index", str(wheel)], check=True)
    (installed.site / "borrowed.pth").write_text("\n".join(site.getsitepackages()))
    installed.home.mkdir()
    return installed


def test_the_wheel_has_every_file_of_the_package_and_the_reference_runs(installed: Installation) -> None:
    tracked = subprocess.run(
        ["git", "ls-files", "playground", "checkpoints/gallery"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    assert len(tracked) > 500
    wanted = {
        name.replace("checkpoints/gallery", "playground/gallery") for name in tracked if (PROJECT / name).exists()
    }
    assert wanted - set(ZipFile(installed.wheel).namelist()) == set()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
def address(installed: Installation) -> Iterator[str]:
    """The app, as `llm-playground` without a command starts it."""
    port = free_port()
    process = subprocess.Popen(
        installed.command("--no-browser", "--port", str(port)), env=installed.environment, cwd=installed.home,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline and process.poll() is None:
            try:
                assert json.loads(get(f"http://127.0.0.1:{port}/health")) == {"status": "ok"}
                break
            except OSError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=30)
    assert "Traceback" not in output


def get(address: str) -> str:
    with urllib.request.urlopen(address, timeout=20) as reply:
        return str(reply.read().decode())


def test_the_command_starts_the_app_and_keeps_runs_in_the_folder_of_the_user(
    installed: Installation, address: str
) -> None:
    before = installed.files()
    assert "Modern on Tales, seed 0" in get(f"{address}config")
    python = str(installed.root / "venv/bin/python")
    assert installed.output(python, "-c", ASK, address, json.dumps(TRAIN)).strip() == "finished"
    table = installed.output(*installed.command("runs"))
    assert "Modern on Tales, seed 0" in table
    assert "finished  20/20" in table
    (run,) = (installed.home / ".local/share/llm-playground/runs").glob("*/run.json")
    assert str(installed.site) in installed.output(python, "-c", "import playground; print(playground.__file__)")
    assert installed.files() == before, "nothing is written next to the program"
    assert {path.name for path in installed.home.iterdir()} <= {".local", ".cache", ".config"}
    assert run.stat().st_size > 0


def test_the_commands_of_the_dockerfile_serve_and_report_health(installed: Installation, tmp_path: Path) -> None:
    places = {"/tmp": tmp_path / "tmp", "/data": tmp_path / "data"}
    for folder in places.values():
        folder.mkdir()

    def placed(value: str) -> str:
        root = f"/{value.split('/')[1]}" if value.startswith("/") else ""
        return value.replace(root, str(places[root]), 1) if root else value

    variables = {**installed.environment, **{name: placed(value) for name, value in environment().items()}}
    variables |= {"TMPDIR": str(places["/tmp"]), "PLAYGROUND_PUBLIC": "1"}
    before, port = installed.files(), str(free_port())
    words = [port if word == "7860" else word for word in command()]
    check = [sys.executable, *(word.replace("7860", port) for word in health_check()[1:])]
    process = subprocess.Popen(
        installed.command(*words[1:]), env=variables, cwd=places["/data"],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        healthy = False
        deadline = time.monotonic() + 120
        while not healthy and time.monotonic() < deadline and process.poll() is None:
            healthy = subprocess.run(check, env=variables, capture_output=True, check=False).returncode == 0
        assert healthy
    finally:
        process.terminate()
        output, _ = process.communicate(timeout=60)
    assert "Traceback" not in output
    assert subprocess.run(check, env=variables, capture_output=True, check=False).returncode != 0, "it has ended"
    assert (places["/data"] / "runs").is_dir()
    assert installed.files() == before, "the rest of the container is read-only"
