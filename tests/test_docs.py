"""The docs site builds without warnings, needs nothing from the network, and all its links lead somewhere."""

from __future__ import annotations

import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from urllib.parse import unquote

import pytest

from tests.texts import PROJECT

DOCS = [*sorted((PROJECT / "docs").rglob("*.md")), PROJECT / "README.md", PROJECT / "CONTRIBUTING.md"]
READING = PROJECT / "docs/reading.md"


@pytest.fixture(scope="module")
def hooks() -> ModuleType:
    spec = importlib.util.spec_from_file_location("docs_hooks", PROJECT / ".ci/docs_hooks.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_function_that_a_page_links_to_exists(hooks: ModuleType, path: Path) -> None:
    for link, target, name in hooks.linked(path):
        assert target.exists(), link
        if name and target.suffix != ".md":
            assert hooks.line_of(target, name) > 0


def test_the_guided_path_names_functions_of_every_layer(hooks: ModuleType) -> None:
    links = [(target, name) for _, target, name in hooks.linked(READING) if name and target.suffix != ".md"]
    assert len(links) > 40
    packages = {target.relative_to(PROJECT / "playground").parts[0] for target, _ in links}
    assert packages >= {"config", "data", "tokenizers", "models", "train", "inference", "runs", "interp", "ui"}


def test_a_definition_is_found_on_its_line(hooks: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hooks, "ROOT", tmp_path)
    python, c = tmp_path / "a.py", tmp_path / "a.c"
    python.write_text("x = f()\n\nclass A:\n    size: int = 3\n    async def f(self): ...\n\ndef f(): ...\n")
    c.write_text("// f(x)\nstatic float *f(int x) {\n  return f(x);\n}\n")
    assert [hooks.line_of(python, name) for name in ("x", "A", "A.size", "A.f", "f")] == [1, 3, 4, 5, 7]
    assert hooks.line_of(c, "f") == 2
    for path, name in ((python, "A.x"), (python, "self"), (c, "x")):
        with pytest.raises(ValueError, match=rf"^{path.name} does not define {name}\.$"):
            hooks.line_of(path, name)


def test_the_first_script_of_the_guided_path_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (script,) = re.findall(r"^```python\n(.*?)^```$", READING.read_text("utf-8"), re.M | re.S)
    exec(script, {})
    output = capsys.readouterr().out
    assert output.count("StepDone(") == 60
    assert "Finished(step=60" in output
    assert "Once there was a" not in output.splitlines()[-1], "what is printed is the continuation"


def test_the_site_is_complete_and_offline(tmp_path: Path) -> None:
    command = ["-m", "mkdocs", "build", "--strict", "--quiet", "-f", ".ci/mkdocs.yml", "-d", str(tmp_path)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    done = subprocess.run(
        [sys.executable, *command], cwd=PROJECT, env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    pages = {path: path.read_text("utf-8") for path in tmp_path.rglob("*.html") if path.name != "404.html"}
    assert len(pages) > len(DOCS)
    ids = {path: set(re.findall(r'\bid="([^"]+)"', text)) for path, text in pages.items()}
    for path, text in pages.items():
        assert re.findall(r'<(?:script|img|link|iframe)\b[^>]*\b(?:src|href)="?(?:https?:)?//[^>]*', text) == []
        for link, anchor in set(re.findall(r'<a\b[^>]*\bhref="([^"#:]*)(?:#([^"]*))?"', text)):
            target = (path.parent / unquote(link)).resolve() if link else path
            target = target / "index.html" if target.is_dir() else target
            assert target.exists(), (path.name, link)
            assert not anchor or unquote(anchor) in ids[target], (path.name, link, anchor)
