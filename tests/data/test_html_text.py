"""HTML pages: what a reader sees comes out, and no page keeps the parser busy."""

from __future__ import annotations

import subprocess
import time
from html import escape
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.data.html_text import extract, text_of
from playground.data.sources import gather

PAGE = """<!DOCTYPE html>
<html><head><title>T</title><style>p { color: red }</style><script>if (a < b) { alert("</p>") }</script></head>
<body class="x"><h1>A &amp; B</h1>
<p>One   <b>bold</b>, <a href="#">two</a>
line.</p><!-- hidden --><p>Next &lt;p&gt; &#233;<br>line</p>
<ul><li>first<li>second</ul><pre>a  =  1
  b</pre><script>never()</script>End</body></html>"""
WANTED = "A & B\n\nOne bold, two line.\n\nNext <p> é\nline\n\nfirst\nsecond\n\na  =  1\n  b\n\nEnd\n"


def test_a_page_gives_what_its_reader_sees(tmp_path: Path) -> None:
    path = tmp_path / "page.HTML"
    path.write_text(PAGE, "utf-8")
    assert gather([path]) == WANTED == extract(PAGE)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=1), min_size=1))
@settings(max_examples=100, deadline=None)
def test_paragraphs_come_back(paragraphs: list[str]) -> None:
    page = "".join(f"<p>{escape(text)}</p>" for text in paragraphs)
    assert extract(page) == "\n\n".join(paragraphs) + "\n"


HOSTILE = [
    *("<a" * 100_000, "<!--" * 100_000, "<a " + "b=c " * 100_000, "<![CDATA[" * 50_000, "</" * 100_000),
    *("<script>" * 9_000, "&" * 200_000, "<p>" * 50_000 + "x", "<head>" * 9_000),
]


@pytest.mark.parametrize("page", HOSTILE, ids=[page[:9] for page in HOSTILE])
def test_hostile_pages_take_no_time(page: str) -> None:
    began = time.process_time()
    extract(page)
    assert time.process_time() - began < 3


def test_a_page_that_takes_too_long_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("playground.data.html_text.SECONDS", 0.001)
    with pytest.raises(ValueError, match=r"^a\.html was not read after"):
        text_of(b"<p>x</p>", "a.html")
    with pytest.raises(ValueError, match=r"^a\.html is larger than 20 MB, the limit for HTML\."):
        text_of(b"x" * 20_000_001, "a.html")


def test_a_page_in_another_encoding_or_without_words_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.htm").write_bytes("<p>Привет, мир. Как дела у вас сегодня?</p>".encode("cp1251"))
    with pytest.raises(
        ValueError,
        match=r"^a\.htm is not UTF-8 text \(looks like Windows-1251 or Mac Cyrillic\).* The first wrong byte is number 4\.$",
    ):
        gather([tmp_path / "a.htm"])
    (tmp_path / "b.html").write_text("<script>x()</script>")
    with pytest.raises(ValueError, match="is empty"):
        gather([tmp_path / "b.html"])


def test_the_process_does_not_inherit_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "secret")
    seen = {}
    run = subprocess.run
    monkeypatch.setattr(subprocess, "run", lambda *args, **options: seen.update(options) or run(*args, **options))
    assert text_of(b"<p>a</p>", "a.html") == "a\n"
    assert not any("secret" in value for value in seen["env"].values())
