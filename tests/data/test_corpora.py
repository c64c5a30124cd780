"""The registry of texts, and the gate for a user's own."""

import gzip
import hashlib
import io
import pickle
import re
import tarfile
import time
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from playground.data.corpora import CORPORA, MAX_BYTES, check_text, load_text
from playground.data.downloads import DOWNLOADS
from playground.data.python_source import python_source
from playground.data.tales import tales
from playground.data.tasks import TASKS, answer_mask, task_text


def refusal(data: object, **options: object) -> str:
    with pytest.raises(ValueError, match=r"\.$") as caught:
        check_text(data, **options)  # type: ignore[arg-type]
    message = str(caught.value)
    assert len(message) < 200
    assert "Traceback" not in message
    return message


# --- registry


def test_registry_is_complete() -> None:
    assert list(CORPORA) == ["tales", "python_source", *TASKS, "tiny_shakespeare", "tiny_stories", "own"]
    for name, corpus in CORPORA.items():
        assert corpus.name == name
        assert corpus.prompt
        assert corpus.blurb.endswith(".")
        assert 1000 <= corpus.default_bytes <= MAX_BYTES
    assert {name for name, corpus in CORPORA.items() if corpus.kind == "task"} == set(TASKS)
    assert {name for name, corpus in CORPORA.items() if corpus.kind == "download"} == set(DOWNLOADS)


@pytest.mark.parametrize("name", TASKS)
def test_task_prompts_ask_for_an_answer(name: str) -> None:
    prompt = CORPORA[name].prompt
    assert answer_mask(name, f"{prompt}x").tolist() == [False] * len(prompt) + [True]


def test_tales_and_tasks_come_by_size_and_seed() -> None:
    assert load_text("tales", n_bytes=5000, seed=3) == tales(5000, 3)
    assert load_text("sort", n_bytes=5000, seed=3) == task_text("sort", 5000, 3)
    assert load_text("python_source", n_bytes=5000) == python_source(5000)
    assert abs(len(load_text("copy")) - CORPORA["copy"].default_bytes) < 1000


def test_tales_prompt_begins_stories() -> None:
    assert f"\n\n{CORPORA['tales'].prompt}" in tales(50_000)


@pytest.mark.parametrize("name", ["nothing", "", "../tales", None, ["tales"]])
def test_unknown_text(name: object) -> None:
    with pytest.raises(ValueError, match=r"^Dataset must be one of tales, .* is not\.$"):
        load_text(name)  # type: ignore[arg-type]


@pytest.mark.parametrize("n_bytes", [0, -5, 999, 20_000_001])
def test_sizes_out_of_range(n_bytes: int) -> None:
    with pytest.raises(ValueError, match=r"^Dataset size must be 1,000 to 20,000,000 bytes; .* is not\.$"):
        load_text("tales", n_bytes=n_bytes)


def test_own_text_is_checked_and_cut_after_a_line() -> None:
    assert load_text("own", own_text="Hello\r\nthere") == "Hello\nthere"
    assert load_text("own", own_text="a line of text\n" * 100, n_bytes=1000) == "a line of text\n" * 66
    assert load_text("own", own_text="ä" * 1000, n_bytes=1001) == "ä" * 500
    for nothing in (None, "", " \n"):
        with pytest.raises(ValueError, match="The text is empty"):
            load_text("own", own_text=nothing)


def test_downloads_need_a_folder() -> None:
    with pytest.raises(ValueError, match="Tiny Shakespeare is downloaded and needs a cache folder"):
        load_text("tiny_shakespeare")


def test_a_cached_download_needs_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"Once.\r\nTwice.\n<|endoftext|>\nThe next one.\n<|endoftext|>\nThe last.\n" * 20
    entry = replace(DOWNLOADS["tiny_stories"], sha256=hashlib.sha256(data).hexdigest(), n_bytes=len(data))
    monkeypatch.setitem(DOWNLOADS, "tiny_stories", entry)
    (tmp_path / entry.file_name).write_bytes(data)
    text = load_text("tiny_stories", cache_dir=tmp_path)
    assert text == "Once.\nTwice.\n\nThe next one.\n\nThe last.\n" * 20
    assert text[:1000].startswith(load_text("tiny_stories", cache_dir=tmp_path, n_bytes=1000))


# --- the gate


@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        "a",
        "NUL \x00 and \x07 bell",
        "emoji \U0001f98a, bidi \u202e, combining e\u0301, private \ue000",
        "tab\tand\x0cform feed",
        "line\u2028separator\x85",
        "\ufffd is a character too",
        "inner \ufeff mark",
    ],
)
def test_accepts_text_unchanged(text: str) -> None:
    assert check_text(text) == text
    assert check_text(text.encode("utf-8")) == text


@pytest.mark.parametrize("text", ["a\r\nb\rc\nd\r\n", "\ufeffa\r\nb\rc\nd\r\n"])
def test_normalises_newlines_and_drops_the_mark(text: str) -> None:
    assert check_text(text) == "a\nb\nc\nd\n"
    assert check_text(text.encode("utf-8")) == "a\nb\nc\nd\n"


@pytest.mark.parametrize(
    "data", ["", b"", "   ", " \n\t\r\n", b"\xef\xbb\xbf", "\ufeff", "\u3000\u2003", " " * 1_000_000]
)
def test_refuses_nothing(data: str | bytes) -> None:
    assert refusal(data) == "The text is empty. Paste some text or choose a sample."


def test_refuses_lone_surrogates_by_position() -> None:
    assert refusal("\ud800").startswith("The text contains an invalid character at position 1. ")
    assert refusal("ab\udfff", name="prompt").startswith("The prompt contains an invalid character at position 3. ")


def test_refuses_what_is_too_large() -> None:
    assert refusal(b"a" * 23_000_000).startswith("Text is 23.0 MB; the limit here is 20 MB. ")
    assert refusal("a" * 3_000_000, max_bytes=2_000_000).startswith("Text is 3.0 MB; the limit here is 2 MB. ")
    assert refusal("ä" * 1_500_000, max_bytes=2_000_000).startswith("Text is 3.0 MB; the limit here is 2 MB. ")
    assert refusal("a" * 20_000_001).startswith("Text is 20,000,001 bytes; the limit here is 20,000,000 bytes. ")
    assert check_text("a" * 2000, max_bytes=2000) == "a" * 2000


def _zip_of(name: str, content: str = "hello") -> bytes:
    with io.BytesIO() as stream:
        with zipfile.ZipFile(stream, "w") as archive:
            archive.writestr(name, content)
        return stream.getvalue()


def _tar() -> bytes:
    with io.BytesIO() as stream:
        with tarfile.open(fileobj=stream, mode="w") as archive:
            archive.addfile(tarfile.TarInfo("a.txt"))
        return stream.getvalue()


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (_zip_of("a.txt"), "ZIP"),
        (_tar(), "TAR"),
        (gzip.compress(b"hello", mtime=0), "GZIP"),
        (b"%PDF-1.7\n1 0 obj\n", "PDF"),
        (b"\x89PNG\r\n\x1a\n\x00\x00", "PNG"),
        (b"\xff\xd8\xff\xe0", "JPEG"),
        (b"MZ\x90\x00\x03\x00\x00\x00\x04\x00\xff\xff", "a Windows program"),
        (b"\x7fELF\x02\x01\x01\x00\xff", "a Linux program"),
        (pickle.dumps([1.5, -1], protocol=4) + b"\xff", "a Python pickle"),
        ("Hello, world".encode("utf-16"), "UTF-16"),
        ("Hello, world".encode("utf-32"), "UTF-32"),
        ("Le café était fermé".encode("latin-1"), "Latin-1, Windows-1252 or Windows-1250"),
        (bytes(range(256)), "binary data"),
        ("text é cut in ".encode() + b"\xf0\x9f\xa6", "UTF-8 that is cut off in the middle of a character"),
        (_zip_of("[Content_Types].xml"), "a document of Word, Excel or PowerPoint"),
        (_zip_of("mimetype", "application/epub+zip"), "an EPUB book"),
    ],
)
def test_guesses_what_a_file_is(data: bytes, kind: str) -> None:
    assert refusal(data) == f"This file is not UTF-8 text (looks like {kind}). Save it as plain UTF-8 text."


QUOTED = [
    "MZ is a name", "BZh and GIF8 and RIFF begin words too", "PAR1", "ID3 tags", "%PDF- is how PDF files begin.",
    "%PDF-1.7 is a version", "{\\rtf begins RTF, as {\\rtf1 does", "x" * 257 + "ustar is in a TAR file",
    "The escapes \x1b$B and \x1b(B enclose kanji", "A line may end with \x1b$B\nand go on",
]  # fmt: skip


@pytest.mark.parametrize("text", QUOTED)
def test_text_that_begins_like_a_file_format_is_text(text: str) -> None:
    assert check_text(text.encode()) == text
    with pytest.raises(ValueError, match="Latin-1"):
        check_text(f"{text} café".encode("latin-1"))


@pytest.mark.parametrize("text", ["日本", "日本語の文章です。", "the 日本語 here"])
def test_a_few_letters_in_iso_2022_are_no_text(text: str) -> None:
    with pytest.raises(ValueError, match="looks like ISO-2022"):
        check_text(text.encode("iso2022_jp"))


@pytest.mark.parametrize("data", [None, 3, ["a"], {"text": "a"}, True])
def test_refuses_what_is_no_text(data: object) -> None:
    assert re.match(r"The text must be text; a \w+ was sent\.", refusal(data))


@pytest.mark.parametrize(
    "text",
    ["a" * 20_000_000, "\u0301" * 1_000_000, " " * 1_000_000 + "x", "\r" * 10_000_000 + "x", "a\r\n" * 6_000_000],
)
def test_hostile_sizes_take_no_time(text: str) -> None:
    data = text.encode("utf-8")
    start = time.process_time()
    assert check_text(text) == check_text(data)
    assert time.process_time() - start < 2


def test_a_broken_byte_at_the_very_end_takes_no_time() -> None:
    start = time.process_time()
    assert "not UTF-8" in refusal(b" " * 19_999_999 + b"\xff")
    assert time.process_time() - start < 2
