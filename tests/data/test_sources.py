"""Files into text: what is joined, what is refused and how, and that nothing is left behind by what fails."""

import gzip
import json
import re
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.data import sources
from playground.data.corpora import check_text
from playground.data.sources import TextFile, documents, gather, shown
from tests.data.conftest import Write


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> None:
    """From now on 100 bytes are too large to hold, and files are read seven bytes at a time."""
    monkeypatch.setattr(sources, "MAX_BYTES", 100)
    monkeypatch.setattr(sources, "_CHUNK_BYTES", 7)


def lines(*values: object) -> str:
    return "".join(json.dumps(value) + "\n" for value in values)


def test_one_file_is_the_text_that_a_paste_would_be(write: Write) -> None:
    raw = "\ufeffone\r\ntwo\rthree, no end"
    assert gather([write("a.txt", raw)]) == check_text(raw) == "one\ntwo\nthree, no end"


def test_several_files_follow_each_other_after_an_empty_line(write: Write) -> None:
    paths = [
        write("a.md", "# One\r\n"),
        write("b.py", "two = 2"),
        write("c.jsonl", lines({"text": "three"}, {"text": "4"})),
    ]
    assert gather(paths) == "# One\n\ntwo = 2\n\nthree\n\n4"


def test_documents_are_rows_or_whole_files(write: Write) -> None:
    rows = write("rows.jsonl", lines({"text": "one"}, {"text": None}, {"text": "\ufeff"}, {"text": "two\r\nlines"}))
    assert ["".join(document) for document in documents(rows)] == ["one", "two\nlines"]
    assert ["".join(document) for document in documents(write("a.txt", "one\n\nfile"))] == ["one\n\nfile"]
    assert gather([rows]) == "one\n\ntwo\nlines"


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"]), min_size=1))
@settings(max_examples=200, deadline=None)
def test_pieces_of_any_size_give_what_the_whole_gives(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    folder = tmp_path_factory.getbasetemp() / "pieces"
    folder.mkdir(exist_ok=True)
    path = folder / "text.txt"
    path.write_bytes(text.encode("utf-8"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "MAX_BYTES", 0)
        patch.setattr(sources, "_CHUNK_BYTES", 3)
        try:
            wanted = check_text(text)
        except ValueError as refused:
            reason = "is empty" if "is empty" in str(refused) else str(refused).removeprefix("The text")
            with pytest.raises(ValueError, match=re.escape(reason)):
                gather([path], folder=folder / "texts")
            return
        made = gather([path], folder=folder / "texts")
    assert isinstance(made, TextFile)
    assert made.path.read_bytes().decode("utf-8") == wanted
    assert made.n_bytes == len(wanted.encode("utf-8"))


@pytest.mark.usefixtures("large")
def test_a_large_text_becomes_a_file_named_after_its_content(write: Write, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    paths = [write("a.txt", "é\r\n" * 100), write("b.txt", "end")]
    seen: list[tuple[int, int]] = []
    made = gather(paths, folder=folder, progress=lambda done, total: seen.append((done, total)))
    assert isinstance(made, TextFile)
    assert made.path.read_text("utf-8") == "é\n" * 100 + "\nend"
    assert made.name == "a.txt and 1 more"
    assert seen == [(400, 403), (403, 403)]
    assert gather(paths, folder=folder) == made
    assert [path.name for path in folder.iterdir()] == [made.path.name]


@pytest.mark.usefixtures("large")
def test_only_the_latest_large_texts_are_kept(write: Write, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    made = [gather([write("a.txt", f"{n}\n" * 100)], folder=folder) for n in range(sources.KEPT + 3)]
    assert len(list(folder.iterdir())) == sources.KEPT
    assert isinstance(made[-1], TextFile) and made[-1].path.exists()


def test_json_lines_give_the_chosen_field(write: Write) -> None:
    path = write(
        "d.jsonl", "\ufeff" + lines({"a": {"b": "x\r\ny"}, "a.c": "dot"}, {"a": {"b": None}, "a.c": "z"}) + "\n"
    )
    assert gather([path], field="a.b") == "x\ny"
    assert gather([path], field=" a.c ") == "dot\n\nz"
    only = write("only.ndjson", lines({"id": 3, "body": "one"}, {"id": 4, "body": "two"}))
    assert gather([only]) == "one\n\ntwo"
    assert gather([write("both.jsonl", lines({"title": "no", "text": "yes"}))]) == "yes"


BAD_LINES = [
    (lines({"text": "a"}) + "{oops\n", "d.jsonl: line 2 is not JSON. Fix or remove"),
    (
        lines({"text": "a"}, [1]) + "x\ny\nz\n",
        "line 2 is not a JSON object. Line 3, line 4 and 1 more cannot be used either.",
    ),
    (
        lines({"text": "a"}, {"text": 3}, {"no": 1}),
        "line 2 has no text in the field 'text'. Line 3 cannot be used either.",
    ),
    ('{"text": "\\ud800"}\n', "line 1 contains an invalid character (a lone surrogate)"),
    (lines({"text": "a"}).encode() + b'{"text": "\xff"}\n', "The first wrong byte is number 25."),
    (lines({"text": "a" * 20_000}).encode() + b'{"text": "\xff"}\n', "line 2 is not UTF-8 text (looks like "),
    ("[" * 100_000 + "\n", "line 1 is not JSON"),
    (lines({"text": None}), "d.jsonl is empty: no line has any text"),
    ("\n\n", "d.jsonl is empty: no line has any text"),
]


@pytest.mark.parametrize(("content", "message"), BAD_LINES)
def test_bad_lines_are_named(write: Write, content: str | bytes, message: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message follows
        gather([write("d.jsonl", content)])
    assert message in str(caught.value)


def test_an_unknown_field_is_answered_with_those_there_are(write: Write) -> None:
    path = write("d.jsonl", lines({"meta": {"title": "t", "deep": {"er": "x"}}, "body": "b", "id": 1}))
    with pytest.raises(ValueError, match=r"no field 'txt' in line 1; .* are: body, meta.deep.er, meta.title\. Choose"):
        gather([path], field="txt")
    with pytest.raises(ValueError, match="no field 'text' in line 1"):
        gather([path])
    with pytest.raises(ValueError, match=r"no field 'body\.x'"):
        gather([path], field="body.x")


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("../../etc/passwd", "x")


def _tar(path: Path) -> None:
    inner = path.with_suffix(".inner")
    inner.write_text("hello")
    with tarfile.open(path, "w") as archive:
        archive.add(inner, arcname="../../evil.txt")


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (_zip, "ZIP"),
        (_tar, "TAR"),
        (lambda path: path.write_bytes(gzip.compress(b"x")), "GZIP"),
        (lambda path: path.write_bytes("Hello, world, hello".encode("utf-16")), "UTF-16"),
        (lambda path: path.write_bytes(bytes(range(256)) * 9), "binary data"),
        (
            lambda path: path.write_bytes("été\n".encode() * 50 + "été\n".encode("latin-1") * 50),
            "Latin-1, Windows-1252 or Windows-1250",
        ),
    ],
)
@pytest.mark.usefixtures("large")
def test_what_is_no_text_is_refused_by_name_and_leaves_nothing(tmp_path: Path, make: Callable, kind: str) -> None:
    bad = tmp_path / "bad.txt"
    make(bad)
    good = tmp_path / "good.txt"
    good.write_text("good\n" * 100)
    with pytest.raises(ValueError, match=rf"^bad\.txt is not UTF-8 text \(looks like {kind}\)"):
        gather([good, bad], folder=tmp_path / "texts")
    assert list((tmp_path / "texts").iterdir()) == []


@pytest.mark.parametrize("good", [0, 5, 6, 7, 8, 13, 20])
@pytest.mark.usefixtures("large")
def test_the_first_wrong_byte_is_named_wherever_the_pieces_are_cut(tmp_path: Path, good: int) -> None:
    (tmp_path / "bad.txt").write_bytes(b"x" * good + "é".encode() + b"\xe9 and more")  # pieces of 7 bytes here
    with pytest.raises(ValueError, match=rf"The first wrong byte is number {good + 3}\.$"):
        gather([tmp_path / "bad.txt"], folder=tmp_path / "texts")


def test_what_cannot_be_used_is_said_in_a_sentence(write: Write, tmp_path: Path) -> None:
    cases: list[tuple[list[Path], str]] = [
        ([], "No file was chosen"),
        ([tmp_path / "gone.txt"], "Cannot read gone.txt: No such file"),
        ([tmp_path], "is a folder or a device"),
        ([write("empty.txt", "")], "empty.txt is empty. Leave it out"),
        ([write("a.txt", "x"), write("blank.txt", " \n\t")], "blank.txt is empty"),
        ([write("mark.txt", "\ufeff")], "mark.txt is empty"),
        ([write("a.txt", "x"), write("empty.html", "")], "empty.html is empty"),
        ([write("tags.html", "<html><body></body></html>"), write("a.txt", "x")], "tags.html is empty"),
        ([write("none.ipynb", '{"nbformat": 4, "cells": []}')], "none.ipynb is empty"),
        ([write("blank.jsonl", lines({"text": "  "}))], "blank.jsonl is empty"),
        ([write("a.txt", "x")] * 1001, "1,001 files are too many; the limit is 1,000"),
        ([tmp_path / "a\0b"], "No file was chosen"),
    ]
    for paths, message in cases:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message follows
            gather(paths)
        assert message in str(caught.value)
    with pytest.raises(ValueError, match="The files have 30 bytes together; the limit here is 20 bytes"):
        gather([write("c.txt", "y" * 30)], max_bytes=20)
    with pytest.raises(ValueError, match="have 3 MB together; the limit here is 2 MB"):
        gather([write("c.txt", "y" * 3_000_000)], max_bytes=2_000_000)


@pytest.mark.usefixtures("large")
def test_a_full_disk_leaves_nothing(write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    path = write("a.txt", "x" * 200)
    monkeypatch.setattr(sources.os, "replace", full)
    with pytest.raises(ValueError, match=r"a\.txt could not be stored: No space left on device\. Free some"):
        gather([path], folder=tmp_path / "texts")
    assert list((tmp_path / "texts").iterdir()) == []


def test_names_are_shown_without_folders_and_on_one_line() -> None:
    assert shown(Path("../../etc/pass\nwd\u202e.txt")) == "pass?wd?.txt"
    assert len(shown(Path("x" * 300 + ".txt"))) <= 60


def test_one_line_of_20_mb_and_one_character_are_texts(write: Write) -> None:
    assert gather([write("line.txt", "a" * 20_000_000)]) == "a" * 20_000_000
    assert gather([write("one.txt", "a")]) == "a"
