"""Tables as people have them: what separates cells, which marks enclose them, and whether the first line is text."""

from __future__ import annotations

import contextlib
import csv
import io
import random

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from playground.data.documents import notes_of
from playground.data.sources import documents, gather
from playground.data.tables import names_columns
from tests.data.conftest import Write

RATED = "positive,I love this film\nnegative,I hate that film\npositive,great stuff indeed\n"


@pytest.mark.parametrize(
    ("content", "first", "noted"),
    [
        (RATED, "I love this film", True),
        ("What a waste of time\nI hate that film\ngreat stuff indeed\n", "What a waste of time", True),
        ("1,Yes.\n2,I hate that film\n", "Yes.", False),
        ("Good.,5\nI hate that film,1\ngreat stuff indeed,4\n", "Good.", False),
        ("positive,Great\n" + RATED, "Great", True),
        ("said,who\nI hate that film,Bob\ngreat stuff indeed,Jane\n", "I hate that film", True),
        ("Customer's words,n\nI hate that film,1\ngreat stuff indeed,2\n", "I hate that film", True),
        (",words\n0,I hate that film\n1,great stuff indeed\n", "I hate that film", True),
        (",text\n0,I hate that film\n1,great stuff indeed\n", "I hate that film", False),
        ("1st,text\n0,I hate that film\n1,great stuff indeed\n", "I hate that film", False),
        ("label,review\npos,I hate that film\nneg,great stuff indeed\n", "I hate that film", False),
        ("apple\npear\nplum\n", "pear", True),
        ("I love this film,positive\n", "I love this film", True),
    ],
)
def test_a_first_line_is_text_or_names_and_never_lost_unsaid(
    write: Write, content: str, first: str, noted: bool
) -> None:
    read = gather([write("a.csv", content)])
    assert read.split("\n\n")[0] == first
    quoted = [note for note in notes_of(read) if note.startswith("a.csv: The first line (“")]
    assert len(quoted) == noted
    assert all(content.split("\n")[0].split(",")[0] in note for note in quoted)


@given(st.integers(0, 10_000))
@settings(max_examples=60, deadline=None)
def test_labelled_sentences_without_names_keep_their_first_line(seed: int) -> None:
    """However they are ordered: with two labels one of them comes again, or the text is as long as the others."""
    chance = random.Random(seed)
    words = ["good", "bad", "film", "story", "I", "it", "was", "never", "really", "boring"]
    rows = [
        [chance.choice(["pos", "neg"]), " ".join(chance.choices(words, k=chance.randrange(3, 12)))]
        for _ in range(chance.randrange(8, 40))
    ]
    assert not names_columns(rows[0], rows[1:], "")[0]
    assert names_columns(["label", "review"], rows, "") == (True, True)
    assert names_columns(["said", "words"], rows, "words") == (True, True)
    assert names_columns(["mood", "words"], rows, "") == (True, False)


CELL = st.text(st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="\ufffd\ufeff"), max_size=12)


@given(st.lists(st.tuples(CELL, CELL), min_size=1, max_size=6), st.sampled_from(",;\t|"), st.booleans())
@settings(max_examples=200, deadline=None)
def test_what_csv_writes_is_read_back(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str]], between: str, everywhere: bool
) -> None:
    """With any separator, and any other separator, mark or line end within cells."""
    assume(any(text for _, text in rows))
    path = tmp_path_factory.getbasetemp() / "written.csv"
    with io.StringIO() as file:
        writer = csv.writer(
            file, delimiter=between, quoting=csv.QUOTE_ALL if everywhere else csv.QUOTE_MINIMAL, lineterminator="\n"
        )
        writer.writerows([("label, a; b", "text"), *rows])
        path.write_text(file.getvalue(), "utf-8")
    assert ["".join(document) for document in documents(path, "text")] == [text for _, text in rows if text]


def test_separators_are_those_outside_of_marks(write: Write) -> None:
    table = '"a, b";text\n"x, y";hello there friend\n"x, z";hello again friend\n'
    assert gather([write("a.csv", table)]) == "hello there friend\n\nhello again friend"
    assert gather([write("a.csv", "text\nHello, one, two\nplain\n")]) == "Hello, one, two\n\nplain"
    assert gather([write("a.csv", "text, label\nHello,1\n")], field="label") == "1"
    with pytest.raises(ValueError, match="line 2 has 2 cells for 1 column"):
        gather([write("a.csv", "A title\nalpha,beta\nv w,x y\nu,z w\n")])


STORIES = "".join(f"{n};The fox ran to house {n}.;nice\n" for n in range(8))


@pytest.mark.parametrize("line", ["sep=;\n", "sep=;\r\n", '"sep=;"\n', "\ufeffsep=;\n", "SEP=;\n"])
@pytest.mark.parametrize("named", [True, False])
def test_a_first_line_may_give_the_delimiter(write: Write, line: str, named: bool) -> None:
    text = gather([write("a.csv", line + "id;story;label\n" * named + STORIES)])
    assert text.startswith("The fox ran to house 0.\n\n") and text.count("\n\n") == 7
    if not named:
        assert notes_of(text)[0].startswith("a.csv: The first line (“0;The fox ran to house 0.;nice”) is read as text")
    with pytest.raises(ValueError, match=r"a\.csv: line 10 has 4 cells for 3 columns"):
        gather([write("a.csv", line + STORIES + "8;The fox;nice;x\n")])


def test_a_given_delimiter_may_be_any(write: Write) -> None:
    assert gather([write("a.csv", "sep=~\nid~text\n1~a; b, c\n2~d\n")]) == "a; b, c\n\nd"
    assert gather([write("a.csv", 'sep=\t\nid\ttext\n1\t"a\n2\tb\n')]) == '"a\n\nb'


@pytest.mark.parametrize(
    ("title", "number"),
    [("Export of 2024\n", 2), ("Export of 2024;;\n", 2), ("Export of 2024;;\n;;\n", 3), ("Export\n\n", 3)],
)
def test_a_title_above_the_names_is_left_out(write: Write, title: str, number: int) -> None:
    text = gather([write("a.csv", f"{title}id;story;label\n{STORIES}")])
    assert text.startswith("The fox ran to house 0.\n\n") and text.count("\n\n") == 7
    shown = title.split("\n")[0]
    assert notes_of(text) == (
        f"a.csv: The first line (“{shown}”) is left out: the names of the columns are in line {number}.",
    )


def test_a_title_above_one_column_is_left_out(write: Write) -> None:
    text = gather([write("a.csv", "Stories of a fox\ntext\nThe fox ran.\nIt was late.\n")])
    assert text == "The fox ran.\n\nIt was late."


@given(st.text(st.sampled_from('a,;\t|"\n\r\x00 é'), min_size=1, max_size=40))
@settings(max_examples=300, deadline=None)
def test_any_table_is_read_or_refused_in_a_sentence(tmp_path_factory: pytest.TempPathFactory, content: str) -> None:
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(content.encode())
    with contextlib.suppress(ValueError):
        assert gather([path])


@pytest.mark.parametrize("content", ["text,label\rhello there,1\rbye there,2\r", 'text,label\r"a,b'])
def test_line_ends_of_old_macs_are_refused_in_a_sentence(write: Write, content: str) -> None:
    with pytest.raises(ValueError, match=r"^a\.csv is not CSV from line 1 on \("):
        gather([write("a.csv", content)])


@pytest.mark.parametrize(
    ("cells", "texts"),
    [
        (['He said "hi" to me', '"quoted" start'], ['He said "hi" to me', '"quoted" start']),
        (['"Hello, he said', "bye", 'foo"'], ['"Hello, he said', "bye", 'foo"']),
        (['"said ""hi"" to me"', "bye"], ['said "hi" to me', "bye"]),
        (['"two\nlines"', '"a\ttab"'], ["two\nlines", "a\ttab"]),
    ],
)
def test_marks_at_the_beginning_of_cells_between_tabs(write: Write, cells: list[str], texts: list[str]) -> None:
    """They enclose the cell if they do so everywhere; else they are text, as in files that know no quoting."""
    path = write("a.tsv", "id\ttext\n" + "".join(f"{n}\t{cell}\n" for n, cell in enumerate(cells)))
    assert ["".join(document) for document in documents(path)] == texts
