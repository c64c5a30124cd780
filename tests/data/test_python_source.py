"""Python source: real, whole lines of it, in a fixed order, and a clear word if there is none."""

import ast
import sysconfig
from pathlib import Path

import pytest

from playground.data.python_source import python_source


@pytest.fixture
def library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(sysconfig, "get_path", lambda name: str(tmp_path))
    return tmp_path


def test_our_own_standard_library() -> None:
    source = python_source(500_000)
    assert 490_000 < len(source.encode("utf-8")) <= 500_000
    assert source.endswith("\n")
    assert "\r" not in source
    assert source.count("\ndef ") > 100
    assert python_source(1_000_000).startswith(source)


def test_files_are_whole_and_valid_python(library: Path) -> None:
    for index in range(20):
        (library / f"module_{index}.py").write_bytes(b"def f():\r\n    return %d\r\n" % index)
    source = python_source(100_000)
    tree = ast.parse(source)
    returned = [node.value.value for node in ast.walk(tree) if isinstance(node, ast.Return)]  # type: ignore[union-attr]
    assert sorted(returned) == list(range(20))
    assert returned != list(range(20))  # mixed, so that a prefix is a sample
    assert python_source(100_000) == source


def test_leaves_out_what_is_no_source(library: Path) -> None:
    (library / "good.py").write_text("good = 1\n")
    for folder in ("test", "email/tests", "encodings", "site-packages/foreign", "pydoc_data"):
        (library / folder).mkdir(parents=True)
        (library / folder / "bad.py").write_text("bad = 1\n")
    (library / "latin.py").write_bytes(b"# caf\xe9 bad\n")
    (library / "table.py").write_text("bad = 1\n" * 50_000)
    (library / "notes.txt").write_text("bad\n")
    (library / "empty.py").write_text("\n\n")
    (library / "marked.py").write_bytes(b"\xef\xbb\xbfmarked = 1\n")
    source = python_source(100_000)
    assert sorted(source.split()) == ["1", "1", "=", "=", "good", "marked"]


def test_cut_after_a_line(library: Path) -> None:
    (library / "one.py").write_text("a = 'ä'\n" * 10, encoding="utf-8")
    assert python_source(30) == "a = 'ä'\n" * 3  # a line is 9 bytes
    assert python_source(27) == "a = 'ä'\n" * 3
    assert python_source(26) == "a = 'ä'\n" * 2


def test_an_interpreter_without_sources(library: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^The source files of the Python standard library are not installed\. Choose another dataset"
    ):
        python_source(10_000)
    with pytest.raises(ValueError, match="are not installed") as caught:
        python_source(10_000)
    assert str(library) not in str(caught.value)
