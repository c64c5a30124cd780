"""Rows: the field is found over many of them, chats and objects within objects are offered, and nothing is mixed up."""

from __future__ import annotations

import csv
import io
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.data import sources
from playground.data.documents import notes_of
from playground.data.python_source import python_source
from playground.data.rows import markup_note
from playground.data.sources import TextFile, documents, gather
from playground.data.tables import table_suffix
from playground.data.tales import tales
from playground.runs.create import prepare_run
from playground.ui.texts import described
from tests.data.conftest import Write
from tests.data.languages import SENTENCES


def lines(*rows: Any) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def table(*rows: Any) -> str:
    with io.StringIO() as file:
        names = list(rows[0])
        writer = csv.DictWriter(file, names)
        writer.writeheader()
        writer.writerows(rows)
        return file.getvalue()


FILES: list[tuple[str, Callable[..., str]]] = [
    ("rows.jsonl", lines), ("rows.json", lambda *rows: json.dumps(rows)), ("rows.csv", table),
    ("rows.json", lambda *rows: json.dumps({"version": "1.0", "data": rows})), ("rows.json", lines),
]  # fmt: skip
SAID = "Somebody said something."


@pytest.mark.parametrize(("name", "made"), FILES, ids=["lines", "array", "csv", "array in object", "lines named .json"])
def test_the_field_is_found_over_many_rows(write: Write, name: str, made: Callable[..., str]) -> None:
    nothing = [{"id": f"a{n}", "body": None} for n in range(50)]
    assert gather([write(name, made(*nothing, {"id": "x", "body": SAID}))]) == SAID
    first = {"id": "a long title of a row", "title": "Some words too", "text": None}
    assert gather([write(name, made(first, {"id": "b", "title": "More words", "text": SAID}))]) == SAID
    assert gather([write(name, made({"url": "http://x.y", "label": "pos", "review": SAID}))]) == SAID
    assert gather([write(name, made({"id": "b", "word": "apple"}, {"id": "c", "word": "pear"}))]) == "apple\n\npear"


BODY = "The quick brown fox jumped over the lazy dog and went home. " * 30


@pytest.mark.parametrize(
    ("value", "text", "note"),
    [
        ({"title": "A book", "text": BODY, "authors": [{"name": "Jane Q Public"}]}, BODY, "entries of 'authors'"),
        ({"text": BODY, "chapters": [{"heading": "One of many"}, {"heading": "Two"}]}, BODY, "entries of 'chapters'"),
        ({"body": BODY, "chapters": [{"heading": "One of many"}]}, BODY, "entries of 'chapters'"),
        ({"text": BODY, "measures": [{"id": 3}]}, BODY, ""),
        ({"description": BODY, "rows": [{"text": "One"}, {"text": "Two"}]}, "One\n\nTwo", "'description' beside it"),
        ({"note": "a few words", "rows": [{"review": BODY}]}, BODY, "'note' beside it"),
        ({"version": "1.0", "rows": [{"text": "One"}, {"text": "Two"}]}, "One\n\nTwo", ""),
        ({"text": "One", "chat": [{"role": "user", "content": BODY}]}, "One", ""),
    ],
)
def test_an_object_that_has_the_text_is_an_entry_itself(write: Write, value: Any, text: str, note: str) -> None:
    """And what is left out of it is said, whichever of the two is read."""
    read = gather([write("a.json", json.dumps(value))])
    assert read == text
    assert [note in said for said in notes_of(read)] == ([True] if note else [])


def test_a_field_that_is_asked_for_is_found_in_an_object_or_in_its_entries(write: Write) -> None:
    path = write("a.json", json.dumps({"title": "A book", "text": BODY, "authors": [{"name": "Jane Q Public"}]}))
    assert gather([path], field="title") == "A book"
    assert gather([path], field="name") == "Jane Q Public"


@pytest.mark.parametrize(("name", "made"), FILES)
def test_text_is_the_field_only_where_most_rows_have_it(write: Write, name: str, made: Callable[..., str]) -> None:
    """Else the field with nearly all of the text; and where that cannot be told, a person must choose."""
    few = [{"text": None, "body": BODY[:200]} for _ in range(99)] + [{"text": "one only", "body": BODY[:200]}]
    read = gather([write(name, made(*few))])
    assert read.count(BODY[:200]) == 100 and "one only" not in read
    assert notes_of(read) == (f"{name}: The text is that of the field 'body'; other fields with text: text.",)
    half = [{"text": None, "body": BODY}] * 3 + [{"text": SAID, "body": BODY}] * 3
    read = gather([write(name, made(*half))])
    assert read == "\n\n".join([SAID] * 3)
    noun = "entries" if name == "rows.json" and made is not lines else "lines"
    left_out = f"3 of 6 {noun} have no text in the field 'text' and are left out; other fields with text: body."
    assert notes_of(read) == (f"{name}: {left_out}",)
    several = [{"text": None, "body": "some words", "other": "other words"}] * 9
    with pytest.raises(
        ValueError, match=r"only 1 of its first 10 \w+ has text in the field 'text'; .*: body, other, tex"
    ):
        gather([write(name, made(*several, {**several[0], "text": SAID}))])


@given(st.lists(st.sampled_from(["", None, SAID, BODY]), min_size=1, max_size=12), st.booleans())
@settings(max_examples=60, deadline=None)
def test_rows_without_text_are_counted(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str | None], asked: bool
) -> None:
    empty = sum(not text for text in texts)
    path = tmp_path_factory.getbasetemp() / "counted.jsonl"
    path.write_text(lines(*({"id": 1, "said": text} for text in texts)))
    if empty == len(texts):
        with pytest.raises(ValueError, match=r"is empty|has no"):
            gather([path], field="said" if asked else "")
        return
    have = "has" if empty == 1 else "have"
    said = [note for note in notes_of(gather([path], field="said" if asked else "")) if f" {have} no text" in note]
    total = f"{len(texts)} line{'s' * (len(texts) > 1)}"
    assert [note.startswith(f"counted.jsonl: {empty} of {total} {have} no text") for note in said] == [True] * bool(
        empty
    )


def test_a_run_and_the_page_say_how_rows_were_read(
    write: Write, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whether the text is held or lies in a file; and no letter of a note is a mark for the page."""
    path = write("a.csv", "".join(f"<b>*good*</b>,{n} said `that` and *this*\n" for n in range(300)))
    monkeypatch.setattr(sources, "MAX_BYTES", 10)
    for folder in (None, tmp_path / "texts"):
        read = gather([path], folder=folder)
        assert isinstance(read, str if folder is None else TextFile)
        notes = prepare_run("modern", {"block_size": 16}, {"tokenizer": "byte"}, read).notes
        assert notes[0].startswith("a.csv: The first line (“<b>*good*</b>,0 said `that` and *this*”) is read as text")
        assert "<" not in described(read).replace("\\<", "") and "`" not in described(read).replace("\\`", "")[12:]
    assert pickle.loads(pickle.dumps(gather([path]))).notes == notes_of(gather([path]))


@pytest.mark.parametrize(("name", "made"), FILES)
def test_ids_are_never_taken_for_the_text(write: Write, name: str, made: Callable[..., str]) -> None:
    for rows in (
        [{"id": "a1", "body": None}, {"id": "a2", "body": None}],
        [{"doc_id": "a1"}, {"doc_id": "a2"}],
        [{"genre": "pos", "body": None}, {"genre": "neg", "body": None}],
        [{"first": "some words", "second": "some other words"}],
    ):
        with pytest.raises(
            ValueError, match=r"^rows\.\w+ has no (field|text in the field) 'text' in .*; its fields with text are: "
        ):
            gather([write(name, made(*rows))])


CHAT = {"id": "7", "messages": [{"role": "user", "content": "Hi!"}, {"role": "assistant", "content": "Hello."}]}
SHARED = {
    "conversations": [
        {"from": "human", "value": "Hi!"},
        {"from": "gpt", "value": None},
        {"from": "gpt", "value": "Yes."},
    ]
}
PARTS = {"messages": [{"role": "user", "content": [{"type": "text", "text": "Look"}, {"type": "image"}]}]}


def test_chats_are_read_message_by_message(write: Write) -> None:
    assert gather([write("a.jsonl", lines(CHAT, {"id": "8", "messages": []}))]) == "user: Hi!\nassistant: Hello."
    assert gather([write("a.jsonl", lines(SHARED))], field="conversations") == "human: Hi!\ngpt: Yes."
    assert gather([write("a.json", json.dumps([PARTS, CHAT]))]) == "user: Look\n\nuser: Hi!\nassistant: Hello."
    with pytest.raises(
        ValueError, match=r"'text' in line 1; its fields with text are: messages \(a chat\), prompt\. Choose"
    ):
        gather([write("a.jsonl", lines({**CHAT, "prompt": "a few words", "id": 3}))])


def test_messages_and_parts_without_text_are_counted(write: Write) -> None:
    silent = [{"role": "assistant", "content": content} for content in (None, "", [{"type": "image"}])]
    calls = {"messages": [*CHAT["messages"], *silent, *PARTS["messages"], {"role": "user", "content": ["Yes."]}]}
    text = gather([write("a.jsonl", lines(calls, CHAT, {"messages": silent[:1]}))])
    assert text == "user: Hi!\nassistant: Hello.\nuser: Look\nuser: Yes.\n\nuser: Hi!\nassistant: Hello."
    assert notes_of(text) == (
        "a.jsonl: 1 of 3 lines has no text in the field 'messages' and is left out.",
        "a.jsonl: In the chats of the field 'messages', 3 of 9 messages have no text (such as tool calls) and 1 part of "
        "messages is no text (such as images) and are left out.",
    )
    assert notes_of(gather([write("a.jsonl", lines(CHAT))])) == ()


NO_TEXT: list[tuple[Any, str]] = [
    (
        {"train": [{"text": "abc def"}], "test": [{"text": "x y"}]},
        "no field is text or a chat: 'test' is a list of objects, 'train' is a list of objects",
    ),
    (
        {"messages": [CHAT["messages"][0], "plain"]},
        "'messages' is a chat but for item 2, which is no object with role and content",
    ),
    ({"a": ["one two"], "b": ["three"]}, "'a' is a list of texts, 'b' is a list of texts"),
    ({"a": {"b": {"c": {"d": {"e": "some words"}}}}}, "'a.b.c.d' is an object inside 3 others"),
    ({"n": 3, "a": [], "b": {}}, "no field has text. Choose another file"),
]


@pytest.mark.parametrize(("value", "words"), NO_TEXT)
def test_what_holds_text_that_is_not_read_is_named(write: Write, value: Any, words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        gather([write("a.json", json.dumps(value))])


def test_a_line_whose_chat_is_broken_is_named(write: Write) -> None:
    broken = {"messages": [None, *CHAT["messages"]]}
    with pytest.raises(ValueError, match=r"line 2 has no text in the field 'messages', which is a chat but for item 1"):
        gather([write("a.jsonl", lines(CHAT, broken))])


def test_an_object_may_hold_a_list_of_texts(write: Write) -> None:
    assert gather([write("a.json", json.dumps({"texts": ["One.", "Two."], "n": 2}))]) == "One.\n\nTwo."
    text = gather(
        [
            write(
                "a.json",
                json.dumps({"story": "One two.", "tags": ["a", "b"], "x": [{"text": "y"}], "z": [{"text": "y"}]}),
            )
        ]
    )
    assert (text, notes_of(text)) == (
        "One two.",
        ("a.json: The entries of 'x' are left out.", "a.json: The entries of 'z' are left out."),
    )


def test_a_notebook_of_format_3_has_worksheets(write: Write) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "Words."]},
        {"cell_type": "code", "input": ["x = 1\n", "x"], "outputs": [{"text": "1"}]},
    ]
    sheets = {"nbformat": 3, "worksheets": [{"cells": cells}, {"cells": cells[1:]}]}
    for name in ("a.ipynb", "a.json"):
        assert gather([write(name, json.dumps(sheets))]) == "# Title\nWords.\n\nx = 1\nx\n\nx = 1\nx"


def test_objects_within_objects_are_offered(write: Write) -> None:
    rows = [{"text": None}, {"text": {"en": "A house.", "de": "Ein Haus."}}, {"text": {"en": None, "de": "Ein Hund."}}]
    path = write("a.jsonl", lines(*rows))
    for wanted in ("", "text"):
        with pytest.raises(
            ValueError,
            match=r"the field 'text' holds an object, not text, in its first 3 lines; .* are: text\.de, text\.en\. Ch",
        ):
            gather([path], field=wanted)
    assert gather([path], field="text.en") == "A house."
    assert gather([path], field="text.de") == "Ein Haus.\n\nEin Hund."
    with pytest.raises(ValueError, match=r"a\.jsonl: line 2 has no text in the field 'text\.en'\."):
        gather([write("a.jsonl", lines({"text": {"en": "A house."}}, {"text": {"fr": "x"}}))], field="text.en")


@given(
    st.lists(
        st.one_of(
            st.none(), st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffd\ufeff"))
        ),
        min_size=1,
    )
)
@settings(max_examples=60, deadline=None)
def test_every_kind_of_rows_gives_the_same_documents(
    tmp_path_factory: pytest.TempPathFactory, texts: list[str | None]
) -> None:
    rows = [{"n": number, "words": text} for number, text in enumerate(texts)]
    wanted = [text for text in texts if text]
    folder = tmp_path_factory.getbasetemp()
    for name, made in FILES:
        path = folder / name
        path.write_bytes(made(*rows).encode("utf-8"))
        if wanted:
            assert ["".join(document) for document in documents(path, "words")] == wanted
        else:
            with pytest.raises(ValueError, match="is empty: no"):
                list(documents(path, "words"))


def test_tables(write: Write) -> None:
    assert (
        gather([write("a.tsv", 'label\ttext\npos\t"Good,\tvery ""good""\nindeed"\n')]) == 'Good,\tvery "good"\nindeed'
    )
    assert gather([write("a.csv", "\ufefftext;n\nEins, zwei;1\nDrei, vier;2\n")]) == "Eins, zwei\n\nDrei, vier"
    assert gather([write("a.csv", f"1,{SAID}\n2,Again.\n")]) == f"{SAID}\n\nAgain."  # without names of columns
    assert gather([write("a.csv", f"a,b\r\n1,{SAID}\r\n")], field="b") == SAID
    cases = [
        ("a,text\n1,x,y\n", "a.csv: line 2 has 3 cells for 2 columns."),
        (
            'a,text\n1,"never closed',
            "a.csv is not CSV from line 2 on (unexpected end of data). Fix it, or name it .txt",
        ),
        ("a,b\n1,2\n", "a.csv has no field 'text' in line 2; its fields with text are: a, b."),
        (
            b"a,text\n" + b"1,x\n" * 9_000 + "1,Привет\n".encode("cp1251"),
            "a.csv: line 9,002 is not UTF-8 text (looks like ",
        ),
        ("a,text\n", "a.csv is empty: no line has any text"),
    ]
    for content, message in cases:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message follows
            gather([write("a.csv", content)])
        assert message in str(caught.value)


def test_json_that_is_no_rows(write: Write) -> None:
    assert gather([write("a.json", '["one", "two"]')]) == "one\n\ntwo"
    cases = [
        ('{"a": 1}', "a.json has no field 'text' in entry 1; no field has text. Choose another file."),
        (
            "17",
            "a.json holds JSON, but no rows with text. Choose another file, or name it .txt to train on it as it is.",
        ),
        ('{"a": 1,\n b}', "a.json is not JSON in line 2. Fix it, or name it .txt"),
        ("[" * 100_000, "a.json is not JSON"),
        ("[]", "a.json is empty: no entry has any text"),
        ('["a", 3, {"text": "b"}]', "a.json: entry 1 is not a JSON object. Entry 2 cannot be used either."),
        ("[1" + " " * 20_000_000 + "]", "larger than 20 MB, the limit for one JSON value"),
        ('[{"text": "\\ud800"}]', "a.json: entry 1 contains an invalid character (a lone surrogate)"),
    ]
    for content, message in cases:
        with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message follows
            gather([write("a.json", content)], max_bytes=10**9)
        assert message in str(caught.value)


def test_a_notebook_gives_its_cells(write: Write) -> None:
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "Words."]},
        {"cell_type": "code", "source": "print(1)", "outputs": [{"text": ["1\n"]}]},
        {"cell_type": "code", "source": []},
    ]
    for name in ("a.ipynb", "a.json"):
        assert gather([write(name, json.dumps({"nbformat": 4, "cells": cells}))]) == "# Title\nWords.\n\nprint(1)"


def test_names_that_end_in_id_are_not_all_ids(write: Write) -> None:
    assert gather([write("a.jsonl", lines({"docId": "a1", "said": "apple"}))]) == "apple"


def test_a_field_is_refused_where_there_are_none(write: Write) -> None:
    with pytest.raises(
        ValueError, match=r"^Field 'body' is for JSON and CSV files; a\.txt has no fields\. Leave it empty\.$"
    ):
        gather([write("a.txt", "words"), write("b.md", "words")], field=" body ")
    assert gather([write("a.txt", "words"), write("b.jsonl", lines({"body": "x"}))], field="body") == "words\n\nx"


@pytest.mark.parametrize("name", ["nb.ipynb", "x.rtf", "page.html", "a.txt"])
def test_a_file_without_fields_is_not_called_plain_text(write: Write, name: str) -> None:
    with pytest.raises(ValueError, match=rf"{re.escape(name)} has no fields\. Leave it empty\.$"):
        gather([write(name, "{}")], field="body")


@pytest.mark.parametrize(
    ("row", "field", "there"),
    [
        ({"text": {"de": "Hallo Welt", "en": "Hello world"}, "note": "x y"}, "", "text.de, text.en"),
        ({"said": {"de": "Hallo Welt", "en": "Hello world"}}, "said", "said.de, said.en"),
        ({"a": {"said": {"de": "Hallo Welt"}}, "b": "x y"}, "a.said", "a.said.de"),
        ({"text": {}, "a": "one two", "b": "three four"}, "", "a, b"),
    ],
)
def test_a_field_that_holds_an_object_is_there(write: Write, row: dict[str, Any], field: str, there: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message follows
        gather([write("a.jsonl", lines(row, row))], field=field)
    assert str(caught.value) == (
        f"a.jsonl: the field '{field or 'text'}' holds an object, not text, in its first 2 lines; its fields with text are: "
        f"{there}. Choose one of them."
    )


ROWS = lines({"text": "Something."}, {"text": "Else."})
MARKED = {
    ".html": "\n<!DOCTYPE html><html><p>x</p></html>", ".jsonl": ROWS, ".json": json.dumps([{"text": "a"}, {"text": "b"}]),
    ".ipynb": json.dumps({"nbformat": 4, "cells": []}, indent=1),
    ".csv": table(*({"id": n, "text": f'Then, "{n}" came.\nIt went.'} for n in range(300))),
    ".tsv": "label\tcontent\n" + "pos\tGood, very good.\n" * 4,
}  # fmt: skip


@pytest.mark.parametrize("suffix", MARKED)
def test_rows_and_pages_that_are_read_as_they_are_say_so(suffix: str) -> None:
    note = markup_note(MARKED[suffix])
    assert note.startswith("This text is ") and note.endswith(f"Name it {suffix} to train on what is in it.")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Words.",
        "{ok} then\n{ok}",
        "[1, 2, 3]",
        '{"a": 1}',
        "<p>x</p>",
        "[" * 100_000,
        "{\n}\n",
        "html",
        "id,text\n1,Too short.\n",
        "| id | text |\n|---|---|\n" + "| 1 | Markdown |\n" * 9,
        "Words, and text,\n" + "Roses are red, my love,\n" * 9,
        "id,text\n" + "1,Once.\n2,Twice, or more.\n" * 9,
        *SENTENCES.values(),
    ],
)
def test_other_texts_get_no_note(text: str) -> None:
    assert markup_note(text) == ""


@pytest.fixture(scope="module")
def ordinary() -> list[str]:
    """Lines of prose, a sentence each, and of Python source."""
    return [*re.split(r"(?<=[.!?,]) |\n+", str(tales(200_000))), *python_source(200_000).split("\n")]


@given(at=st.floats(0, 1), size=st.integers(1, 40))
@settings(max_examples=300, deadline=None)
def test_prose_and_source_code_are_no_table(ordinary: list[str], at: float, size: int) -> None:
    begin = int(at * (len(ordinary) - size))
    assert table_suffix("\n".join(ordinary[begin : begin + size])) == ""


def test_a_run_on_rows_as_they_are_has_the_note() -> None:
    assert markup_note(ROWS * 50) in prepare_run("modern", {"block_size": 16}, {"tokenizer": "byte"}, ROWS * 50).notes
    plain = prepare_run("modern", {"block_size": 16}, {"tokenizer": "byte"}, "Words and words.\n" * 50)
    assert not any(note.startswith("This text is ") for note in plain.notes)
