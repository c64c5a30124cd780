"""Any text in any encoding is read as it is or refused with the encoding's name; and what is UTF-8 is never refused."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from playground.data.corpora import check_text
from playground.data.encoding import Checker, guess_encoding
from tests.data.languages import SENTENCES

WIDE = ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be", "utf-16", "utf-32"]
ENCODINGS = {  # and the names that a complaint may give them
    **{name: name.upper() for name in WIDE},
    "cp1251": "Windows-1251", "koi8-r": "KOI8-R", "koi8-u": "KOI8-[RU]", "iso8859-5": "ISO 8859-5", "cp866": "code page 866",
    "mac-cyrillic": "Mac Cyrillic|Windows-1251", "cp1253": "Windows-1253", "iso8859-7": "Windows-1253",
    "cp1256": "Windows-1256|Latin-1", "iso8859-6": "ISO 8859-6", "cp1255": "Windows-1255", "iso8859-8": "Windows-1255",
    "tis-620": "Windows-874", "cp874": "Windows-874", "gbk": "GB 18030|EUC-JP", "gb18030": "GB 18030|EUC-JP",
    "big5": "Big5", "shift-jis": "Shift-JIS", "cp932": "Shift-JIS", "euc-jp": "EUC-JP", "iso2022-jp": "ISO-2022",
    "euc-kr": "EUC-KR", "cp949": "EUC-KR", "johab": "Johab", "iso2022-kr": "ISO-2022", "hz": "HZ", "utf-7": "UTF-7",
    "cp1252": "Windows-1252", "latin-1": "Latin-1", "iso8859-15": "Latin-1", "mac-roman": "Mac Roman|Latin-1",
    "cp437": "code page 850", "cp850": "code page 850", "cp1250": "Windows-1250", "iso8859-2": "ISO 8859-2|Latin-1",
    "cp852": "code page 85", "cp1254": "Windows-1254|Latin-1", "iso8859-9": "Windows-1254|Latin-1",
    "cp1258": "Windows-1258|Latin-1",
    "cp037": "EBCDIC", "cp500": "EBCDIC",
}  # fmt: skip


def accepted(data: bytes) -> str:
    """The text, or "" where it is refused; a refusal is one sentence that names what the bytes look like."""
    try:
        return check_text(data)
    except ValueError as error:
        said = str(error)
    assert re.search(r"is not UTF-8 text \(looks like [^()]+(\(GBK\))?\)", said), said
    return ""


@st.composite
def natural(draw: st.DrawFn) -> str:
    """A text of a language: its words in another order, so long that a person could train on a few of them."""
    words = SENTENCES[draw(st.sampled_from(sorted(SENTENCES)))].split()
    return "\n".join(" ".join(draw(st.permutations(words))) for _ in range(draw(st.integers(2, 4))))


@given(natural(), st.sampled_from(sorted(ENCODINGS)))
@settings(max_examples=150, deadline=None)
def test_a_text_in_any_encoding_is_read_right_or_refused(text: str, encoding: str) -> None:
    try:
        data = text.encode(encoding)
    except UnicodeEncodeError:  # this encoding has no such letters
        return
    assert accepted(data) in ("", text)
    assert accepted(text.encode("utf-8")) == text


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_the_refusal_names_the_encoding(encoding: str) -> None:
    tried = 0
    for text in SENTENCES.values():
        try:
            data = f"{text}\n{text}".encode(encoding)
        except UnicodeEncodeError:
            continue
        if data == f"{text}\n{text}".encode():
            continue
        tried += 1
        with pytest.raises(ValueError, match=rf"looks like [^()]*({ENCODINGS[encoding]})"):
            check_text(data)
    assert tried


REPEATED = [
    ("latin-1", "Der Bär läuft über die Straße nach Köln. ", "Latin-1"),
    ("cp1252", "„Schöne Grüße“ – für 5 € aus München. ", "Windows-1252"),
    ("latin-1", "Les élèves sont allés à l'école cet été. ", "Latin-1"),
    ("cp1252", "L’été où l’œuvre fut achevée… ", "Windows-1252"),
    ("latin-1", "El niño comió una manzana mañana, ¿qué pasó? ", "Latin-1"),
    ("latin-1", "Hon åker till Malmö på måndag för att äta. ", "Latin-1"),
    ("latin-1", "A maçã não é da irmã, são três corações. ", "Latin-1"),
    ("latin-1", "Rødgrød med fløde på bordet. ", "Latin-1"),
    ("latin-1", "Hyvää päivää, mitä kuuluu teille tänään? ", "Latin-1"),
    ("latin-1", "Perché è così? La città è già più lontana. ", "Latin-1"),
    ("cp1250", "Zażółć gęślą jaźń, książka leży na stole. ", "Windows-1250"),
    ("cp1250", "Příliš žluťoučký kůň úpěl ďábelské ódy. ", "Windows-1250"),
    ("cp1253", "Η γάτα κάθεται στο χαλί και κοιτάζει. ", "Windows-1253"),
    ("cp1251", "Привет мир, это обычный русский текст. ", "Windows-1251"),
    ("euc-jp", "これはにほんごのてきすとです。", "EUC-JP"),
    ("euc-jp", "カタカナノテキストデス。", "EUC-JP"),
    ("euc-jp", "これは日本語のテキストです。", "EUC-JP"),
    ("shift-jis", "これはにほんごのてきすとです。", "Shift-JIS"),
    ("euc-kr", "이것은 평범한 한국어 텍스트입니다. ", "EUC-KR"),
    ("gb18030", "这是一个普通的中文文本。", "GB 18030"),
    ("mac-roman", "Der Bär läuft über die Straße nach Köln. ", "Mac Roman"),
    ("cp850", "Der Bär läuft über die Straße nach Köln. ", "code page 850"),
    ("cp1251", "Привет, мир. ", "Windows-1251"),
    ("koi8-r", "Привет, мир. ", "KOI8-R"),
    ("cp866", "Привет, мир. ", "code page 866"),
    ("cp1255", "כל בני האדם נולדו בני חורין ושווים בערכם. ", "Windows-1255"),
    ("iso8859-8", "כל בני האדם נולדו בני חורין ושווים בערכם. ", "ISO 8859-8"),
    ("cp862", "כל בני האדם נולדו בני חורין ושווים בערכם. ", "code page 862"),
    (
        "cp1258",
        "Tâ\u0301t ca\u0309 mo\u0323i ngươ\u0300i sinh ra đê\u0300u được tư\u0323 do. ".replace("ợ", "ơ\u0323"),
        "Windows-1258",
    ),
    ("cp857", "Bütün insanlar hür, haysiyet ve haklar bakımından eşit doğarlar. ", "code page 857"),
    ("mac-latin2", "Zażółć gęślą jaźń, książka leży na stole. ", "Mac Central European"),
]


@pytest.mark.parametrize("times", [2, 10, 40, 400])
@pytest.mark.parametrize(("encoding", "sentence", "name"), REPEATED)
def test_a_sentence_again_and_again_names_its_encoding(encoding: str, sentence: str, name: str, times: int) -> None:
    assert name in guess_encoding((sentence * times).encode(encoding))


@pytest.mark.parametrize("between", ["cp1252", "latin-1", "cp1251"])
def test_utf8_that_was_encoded_twice_is_refused(between: str) -> None:
    tried = 0
    for text in SENTENCES.values():
        try:
            twice = text.encode("utf-8").decode(between)
        except UnicodeDecodeError:
            continue
        if sum(letter > "\x7f" for letter in twice) < 8:
            continue
        tried += 1
        with pytest.raises(ValueError, match=r"control characters|looks like UTF-8 that was read as Windows-125"):
            check_text(twice)
    assert tried > 2


@given(
    st.text(
        alphabet=st.characters(exclude_categories=["Cs", "Cc", "Co", "Cn"], exclude_characters="\ufffd"), min_size=1
    )
)
@settings(max_examples=200, deadline=None)
def test_printable_unicode_is_never_refused(text: str) -> None:
    if text.isspace() or text.strip("\ufeff") == "":
        return
    assert accepted(text.encode("utf-8")) == text.lstrip("\ufeff")


def test_zeros_in_ascii_are_not_utf16() -> None:
    data = bytearray(b"The fox ran to the house and back again. " * 50)
    data[::12] = bytes(len(data[::12]))
    with pytest.raises(ValueError, match=r"looks like binary data\): 8% of its characters are control characters"):
        check_text(bytes(data))


def test_signs_of_windows_1252_that_were_read_as_latin_1_are_named() -> None:
    text = ("“Hello” – it’s fine… " * 30).encode("cp1252").decode("latin-1")
    with pytest.raises(
        ValueError, match=r"looks like Windows-1252 that was read as Latin-1 and encoded as UTF-8\): 19%"
    ):
        check_text(text)


NATURAL = {
    "code": "for (i = 0; i < n+1; i++) { s += a[i]+b[j]-c; }\n" * 20,
    "minified": "!function(e,t){var n=+e-1,r='+ab-';return n+'/'+t+=r~{x}}(1,2);" * 20,
    "plus names": "# doctest: +ELLIPSIS, +NORMALIZE_WHITESPACE, +SKIP-IF\nx+offset-1, a+b, +49 170 1234567\n" * 20,
    "base64": "QUJD+ERFRkdISUpLTE1OT1BRUlNUVVZX/WFla+Y2RlZmdoaWprbG1ub3BxcnN0dXY=\n" * 20,
    "ascii art": "/\\_/\\  (o.o)  > ^ <  ~{ }~  <(-_-)>  +--+--+  |##|  \n" * 20,
    "ansi colours": "\x1b[31mred\x1b[0m \x1b[1;32mok\x1b[m \x1b(B\n" * 20,
    "overstruck": "N\bNA\bAM\bME\bE\n" * 20,
    "form feeds": "chapter\x0c\n\x0bvertical\n" * 20,
    "emoji": "👩‍👩‍👧🦊❤️🇩🇪 " * 20,
    "box drawing": "┌─┬─┐│ │ │└─┴─┘░▒▓█ ⠁⠃⠉⠙⠑⠋⠛⠓\n" * 20,
    "maths": "∀x∈ℝ: ⌈x⌉ = −⌊−x⌋, 𝔸 ⊂ 𝔹, ∑ᵢ xᵢ² ≤ ∞\n" * 20,
    "private use": "\ue0b0 \uf8ff \ue000 powerline\n" * 20,
    "tex": r"Fig.~{\bf 1}, $a~{b}~c$, caf\'{e}~{}~" * 20,
    "about mojibake": "Ã© is how é looks when UTF-8 is read as Latin-1, and Ã¼ is ü.\n" * 20,
    "polytonic": "μῆνιν ἄειδε θεὰ Πηληϊάδεω Ἀχιλῆος\n" * 20,
    "hieroglyphs": "𓀀𓀁𓂀 𐎠𐎡 ᚠᚢᚦ ᏣᎳᎩ ꆈꌠ ⵜⵉⴼⵉⵏⴰⵖ\n" * 20,
    "one letter": "a" * 2_000,
    "a few controls": "NUL \x00 and \x07 bell",
    "lines": "\n" * 2_000 + "x",
}


@pytest.mark.parametrize("name", NATURAL)
def test_odd_texts_are_texts(name: str) -> None:
    assert accepted(NATURAL[name].encode("utf-8")) == NATURAL[name]


@pytest.mark.parametrize("cut", [1, 2, 3, 50, 1_000])
def test_the_size_of_the_pieces_makes_no_difference(cut: int) -> None:
    for text in (
        *SENTENCES.values(),
        *NATURAL.values(),
        "ab\x00c" * 40,
        "\ufffdabc" * 9,
        SENTENCES["thai"].encode("utf-7").decode(),
    ):
        answers = []
        for size in (cut, len(text)):
            checker = Checker()
            for at in range(0, len(text), size):
                checker.add(text[at : at + size])
            try:
                checker.finish("This")
                answers.append("")
            except ValueError as error:
                answers.append(str(error))
        assert answers[0] == answers[1]


def test_lost_letters_are_named() -> None:
    with pytest.raises(
        ValueError, match=r"^The text has lost letters: 17% of its characters are the replacement character"
    ):
        check_text("M\ufffdnchn" * 100)


def test_a_text_that_was_trained_on_stays_readable() -> None:
    assert check_text("\x00\x01 " * 100, stored=True) == "\x00\x01 " * 100


@pytest.mark.parametrize(
    "data", [b"\xff" * 30_000, bytes(range(128, 256)) * 200, b"\x80a" * 9_000, b"\xc3(" * 9_000, b"\xff\x00" * 9_000]
)
def test_a_guess_takes_no_time(data: bytes) -> None:
    began = time.process_time()
    assert guess_encoding(data)
    assert time.process_time() - began < 2
