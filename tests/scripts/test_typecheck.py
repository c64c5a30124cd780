"""The scripts are checked against the types of what the server says, or one line says that they were not."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest

from playground.ui import scripts
from tests.scripts import typecheck


def test_one_line_says_why_types_were_not_checked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert typecheck.main() == 0
    assert capsys.readouterr().out == "The types of the scripts were not checked: npm is not installed.\n"
    assert list(tmp_path.iterdir()) == []


def test_a_failed_installation_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(shutil, "which", lambda name: "/bin/false")
    assert typecheck.check() == f"npm could not install TypeScript {typecheck.VERSION}"
    assert list((tmp_path / "llm-playground").iterdir()) == []


MISTAKES = [
    ("components/live_run.js", "run.bits_per_nat", "run.bits_per_net", "Property 'bits_per_net' does not exist"),
    ("components/status_pill.js", "reply.text", "reply.words", "Property 'words' does not exist"),
    ("components/live_run.js", "server.band, { visitor, run }", "server.band, { visitor }", "Property 'run' is missing"),
]  # fmt: skip


@pytest.mark.slow
def test_keys_that_the_server_does_not_know_are_found(tmp_path: Path) -> None:
    """Each in its script, by one run of the compiler, which takes four seconds."""
    if isinstance(typecheck.compiler(), str):
        pytest.skip("TypeScript is not installed")
    shutil.copytree(scripts.HERE, tmp_path / "ui", ignore=lambda folder, names: [n for n in names if n.endswith(".py")])
    for script, right, wrong, _ in MISTAKES:
        path = tmp_path / "ui" / script
        text = path.read_text("utf-8")
        assert right in text
        path.write_text(text.replace(right, wrong), "utf-8")
    config = json.loads(typecheck.CONFIG.read_text("utf-8"))
    config["compilerOptions"]["paths"], config["include"] = {"playground/*": ["./ui/*"]}, ["ui/**/*.js"]
    (tmp_path / "tsconfig.json").write_text(json.dumps(config))
    found = typecheck.check(tmp_path / "tsconfig.json")
    assert not isinstance(found, str)
    assert found.returncode == 2
    for script, _, _, error in MISTAKES:
        assert re.search(rf"/ui/{re.escape(script)}\(.*(\n .*)*{error}", found.stdout), found.stdout
