"""The worked examples of docs/extending.md work, exactly as they stand there."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.extending import GUIDE, Change, changes
from tests.texts import PROJECT

CHANGES = changes(GUIDE.read_text("utf-8"))
# What the changes add, and the tests that they may have broken.
TESTS = [
    "tests/extended_project.py", "tests/data/test_collatz.py", "tests/data/test_corpora.py", "tests/train/test_mean_rank.py",
    "tests/runs/test_metric_columns.py", "tests/models/test_family.py", "tests/models/test_axes.py",
    "tests/test_new_settings.py", "tests/test_forbidden.py",
]  # fmt: skip


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The files that the guide changes, changed."""
    files = {change.path for change in CHANGES if not change.new_file}
    for path in {"playground/__init__.py", "tests/__init__.py", *files}:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(PROJECT / path, tmp_path / path)
    for change in CHANGES:
        (tmp_path / change.path).parent.mkdir(parents=True, exist_ok=True)
        change.apply(tmp_path)
    return tmp_path


def test_every_change_finds_its_place_and_passes_the_linter(copy: Path) -> None:
    assert len(CHANGES) >= 20
    assert len({change.path for change in CHANGES}) >= 15
    # The order of imports depends on which modules there are; it is checked in the whole copy below.
    for command in (["format", "--check"], ["check", "--output-format", "concise", "--ignore", "I001"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", "--quiet", *command], cwd=copy, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stdout) == (0, "")


def test_a_place_that_is_not_there_or_not_unique_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("if x:\n    y = 1\nelse:\n    y = 1\n")
    Change("a.py", " else:\n-    y = 1\n+    y = 2\n+\n", False).apply(tmp_path)
    assert (tmp_path / "a.py").read_text() == "if x:\n    y = 1\nelse:\n    y = 2\n\n"
    Change("a.py", "-y = 2\n+y = [\n+  3]\n", False).apply(tmp_path)
    assert (tmp_path / "a.py").read_text() == "if x:\n    y = 1\nelse:\n    y = [\n      3]\n\n"
    for text, number in ((" y = 1\n y = 1\n", 0), ("-z = 1\n", 0), ("-\n", 2)):
        with pytest.raises(ValueError, match=f"a.py has {number} places"):
            Change("a.py", text, False).apply(tmp_path)
    with pytest.raises(ValueError, match="exists already"):
        Change("a.py", "", True).apply(tmp_path)


@pytest.mark.slow
def test_the_extended_project_trains_draws_and_passes_its_tests(tmp_path: Path) -> None:
    for name in ("playground", "tests", "docs"):
        shutil.copytree(PROJECT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__", "*.png"))
    for name in ("pyproject.toml", "requirements.txt", "app.py"):
        shutil.copyfile(PROJECT / name, tmp_path / name)
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints/gallery").symlink_to(PROJECT / "checkpoints/gallery")
    for change in CHANGES:
        change.apply(tmp_path)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path), "PLAYGROUND_CACHE": str(tmp_path / "cache")}
    bin = Path(sys.executable).parent
    for command in (
        [bin / "ruff", "check", "--quiet"],
        [bin / "lint-imports", "--no-cache"],
        [sys.executable, "-m", "pytest", "-q", "-m", "not slow", "-k", "scalenorm or not test_family", *TESTS],
    ):
        done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
