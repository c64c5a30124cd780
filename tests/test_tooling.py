"""Release notes, and that hosted checks, hooks and guides call what exists."""

from __future__ import annotations

import re
import subprocess
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml

from tests.release_notes import release_notes
from tests.texts import PROJECT

CHANGES = """# Changelog

## Unreleased

- new

## 0.2.0 (2026-12-01)

### App

- a tab

## 0.1.0 (2026-11-01)

- first
"""
CALLERS = [
    *sorted((PROJECT / ".github/workflows").glob("*.yml")), PROJECT / ".pre-commit-config.yaml",
    *(PROJECT / name for name in ("README.md", "CONTRIBUTING.md", "docs/releasing.md")),
]  # fmt: skip
TARGETS = set(re.findall(r"^(\w+):", (PROJECT / "Makefile").read_text("utf-8"), re.M))


def test_the_notes_are_the_section_of_the_version() -> None:
    assert release_notes("v0.2.0", "0.2.0", CHANGES) == "### App\n\n- a tab"
    assert release_notes("v0.1.0", "0.1.0", CHANGES) == "- first"


@pytest.mark.parametrize(
    ("tag", "version", "message"),
    [
        ("v0.3.0", "0.2.0", "The tag v0.3.0 is not v0.2.0. Set __version__"),
        ("0.2.0", "0.2.0", "The tag 0.2.0 is not v0.2.0."),
        ("v0.3.0", "0.3.0", "no section with the heading: ## 0.3.0 (YYYY-MM-DD)"),
        ("v0X2.0", "0X2.0", "no section"),
    ],
)
def test_what_does_not_agree_is_an_error(tag: str, version: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        release_notes(tag, version, CHANGES)


@pytest.mark.parametrize("path", CALLERS, ids=lambda path: path.name)
def test_what_is_called_exists(path: Path) -> None:
    text = path.read_text("utf-8")
    targets = re.findall(r"(?:run: |entry: |^|`|\n)make (\w+)", text)
    assert targets
    assert set(targets) <= TARGETS
    assert [name for name in re.findall(r"-m (tests\.[\w.]+)", text) if find_spec(name) is None] == []


def test_hosted_checks_run_what_a_person_runs() -> None:
    jobs = yaml.safe_load((PROJECT / ".github/workflows/checks.yml").read_text("utf-8"))["jobs"]
    assert {name: job["steps"][-1]["run"] for name, job in jobs.items()} == {"check": "make check", "test": "make test"}


def test_every_file_of_the_package_goes_into_the_wheel() -> None:
    """tests/test_install.py builds one; this finds a new kind of file at once."""
    settings = tomllib.loads((PROJECT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["package-data"]
    kept = {path for pattern in settings["playground"] for path in (PROJECT / "playground").glob(pattern)}
    command = ["git", "ls-files", "playground"]
    tracked = subprocess.run(command, cwd=PROJECT, capture_output=True, text=True, check=True).stdout.splitlines()
    others = [PROJECT / name for name in tracked if not name.endswith(".py") and (PROJECT / name).exists()]
    assert len(others) > 40
    assert [path for path in others if path not in kept] == []
