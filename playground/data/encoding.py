"""Detect whether bytes and strings are text, and if not, what they are.

Valid UTF-8 is not always text: Cyrillic in UTF-16 is valid UTF-8, as letters among control characters. So a text is read
in pieces by a `Checker`, which counts characters that are rare in text and checks whether its beginning is text in another
encoding. Error messages name the most likely encoding.
"""

from __future__ import annotations

import codecs
import re
import unicodedata
from collections import Counter
from functools import partial

from charset_normalizer import CharsetMatches, from_bytes

from playground.data.latin import latin_encodings
from playground.data.scripts import CODECS, script_encodings

SAMPLE_BYTES = 16_384  # used to guess an encoding
_BEGINNING = 65_536  # characters of a text that are checked for other encodings
_FEW = 3  # characters that are nothing strange in a short text
_SHARE = 0.01  # of a text's characters

_SIGNATURES = (
    *((b"PK\x03\x04", "ZIP"), (b"PK\x05\x06", "ZIP"), (b"\x1f\x8b", "GZIP"), (b"BZh", "BZIP2"), (b"\xfd7zXZ", "XZ")),
    *((b"7z\xbc\xaf\x27\x1c", "7-Zip"), (b"\x89PNG", "PNG"), (b"\xff\xd8\xff", "JPEG")),
    *((b"GIF8", "GIF"), (b"RIFF", "audio, video or WebP"), (b"ID3", "MP3"), (b"OggS", "Ogg")),
    *((b"\x7fELF", "a Linux program"), (b"MZ", "a Windows program"), (b"SQLite format 3\x00", "SQLite")),
    *((b"\xd0\xcf\x11\xe0", "an old Office document"), (b"PAR1", "Parquet"), (b"\x80\x02", "a Python pickle")),
    *((b"\x80\x03", "a Python pickle"), (b"\x80\x04", "a Python pickle"), (b"\x80\x05", "a Python pickle")),
    *((b"\xff\xfe\x00\x00", "UTF-32"), (b"\x00\x00\xfe\xff", "UTF-32")),
    *((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16")),
)
# The headers of formats that are text, which a text about them may begin with in part.
_HEADERS = ((re.compile(rb"%PDF-\d\.\d[ \t]*([\r\n]|$)"), "PDF"), (re.compile(rb"\{\\rtf\d*\s*[\\{]"), "RTF"))
_CONTROL = re.compile(b"[\x00-\x08\x0e-\x1a]")
# These are valid UTF-8, but text does not begin like this.
_NEVER_TEXT = ("ZIP", "PDF", "SQLite", "RTF", "TAR", "UTF-16", "UTF-32")
# The contents of a word processor's ZIP file; its first entry begins at byte 30.
_INSIDE_ZIP = (
    *((b"mimetypeapplication/epub+zip", "an EPUB book"), (b"mimetypeapplication/vnd.oasis", "an OpenDocument file")),
    (b"[Content_Types].xml", "a document of Word, Excel or PowerPoint"),
)

_LATIN = "Latin-1, Windows-1252 or Windows-1250"
# The encodings that are common in practice: Python's names, and names for messages.
_ENCODINGS = {
    "cp1252": _LATIN, "cp1250": _LATIN, "iso8859_15": _LATIN, "iso8859_2": _LATIN, "cp1258": _LATIN,
    "cp1254": "Windows-1254", "cp1251": "Windows-1251", "koi8_r": "KOI8-R", "koi8_u": "KOI8-U", "cp866": "code page 866",
    "iso8859_5": "ISO 8859-5", "mac_cyrillic": "Mac Cyrillic", "cp1253": "Windows-1253", "cp1256": "Windows-1256",
    "iso8859_6": "ISO 8859-6", "cp1255": "Windows-1255", "cp874": "Windows-874", "gb18030": "GB 18030 (GBK)",
    "big5": "Big5", "cp932": "Shift-JIS", "euc_jp": "EUC-JP", "cp949": "EUC-KR", "johab": "Johab",
    "cp850": "code page 850", "cp852": "code page 852", "mac_roman": "Mac Roman", "cp037": "EBCDIC",
}  # fmt: skip
_LATIN_ENCODINGS = frozenset(
    ("cp1252", "cp1250", "iso8859_15", "iso8859_2", "cp1258", "cp1254", "cp850", "cp852", "mac_roman")
)
_FEW_BYTES = 0.2  # beyond ASCII, of a text in the Latin script
_ASCII = 0.6  # letters and spaces, of what is no UTF-16 or UTF-32: these have at most one in two bytes
_NEAR = 0.05  # that two encodings differ in charset_normalizer's measure of disorder and yet may both be right
_CLEARLY = 0.25  # fewer odd characters, of all beyond ASCII
_IDEOGRAPHS = "\u3000-\u303f\u4e00-\u9fff\uff01-\uff60\u2018-\u201d\u2026\u2014\u00b7"
_CHINESE = re.compile(f"[{_IDEOGRAPHS}]")
_JAPANESE = re.compile(
    f"[{_IDEOGRAPHS}\u3041-\u30ff\u0370-\u04ff\u00c0-\u017f]"
)  # and the letters of its foreign words
_KOREAN = re.compile(f"[{_IDEOGRAPHS}\uac00-\ud7a3]")
_EAST_ASIAN = {
    "gb18030": _CHINESE, "big5": _CHINESE, "cp932": _JAPANESE, "euc_jp": _JAPANESE, "cp949": _KOREAN, "johab": _KOREAN,
}  # fmt: skip
_WITHIN_WORDS = re.compile("[\\s\u00ad\u00b7\u2010-\u2015\u2018\u2019]")  # hyphens, dashes, apostrophes
_WIDE = {"utf-32-le": "UTF-32-LE", "utf-32-be": "UTF-32-BE", "utf-16-le": "UTF-16-LE", "utf-16-be": "UTF-16-BE"}

# Control characters but for white space, backspace and the escape that colours a terminal; noncharacters; and U+FFFD, which
# stands where a letter was lost.
_STRANGE = re.compile("[\x00-\x07\x0e-\x1a\x1c-\x1f\x7f-\x84\x86-\x9f\ufdd0-\ufdef\ufffd-\uffff]")
_READ_AS_LATIN_1 = re.compile("[\x80\x82-\x84\x86-\x8c\x8e\x91-\x9c\x9e\x9f]")  # signs of Windows-1252
_LOST = re.compile("\ufffd")
_ISO_2022 = re.compile(r"\x1b\$[@AB()]")
_ISO_2022_CODECS = ("iso2022_jp_2", "iso2022_jp_ext", "iso2022_jp_2004", "iso2022_kr")
_SHIFTED = re.compile(r"\x0e(?:[!-~][!-~])+\x0f")  # as in ISO-2022-CN, which Python does not decode
_HZ = re.compile(r"~\{(?:[!-w][!-~])+~\}")
_SEPARATORS = re.compile("[ \n\u3000-\u3002\uff0c]")


class Checker:
    """Whether a text in pieces is one. Feed `add` every piece, then call `finish`; the pieces' sizes make no difference."""

    def __init__(self) -> None:
        self._length = self._strange = self._lost = 0
        self._start = ""

    def add(self, piece: str) -> None:
        """Take the next piece."""
        if len(self._start) < _BEGINNING:
            self._start += piece[: _BEGINNING - len(self._start)]
        self._length += len(piece)
        found = len(_STRANGE.findall(piece))
        self._strange += found
        if found:
            self._lost += len(_LOST.findall(piece))

    def finish(self, name: str) -> None:
        """Raise ValueError, naming the text by `name`, if it is not text."""
        if self._strange > _FEW and self._strange > _SHARE * self._length:
            raise ValueError(self._complaint(name))
        hidden = _disguised(self._start)
        if hidden is not None:
            raise ValueError(_not_text(name, hidden))

    def _complaint(self, name: str) -> str:
        share = f"{self._strange / self._length:.0%} of its characters are"
        if self._lost > self._strange / 2:
            return (
                f"{name} has lost letters: {share} the replacement character U+FFFD. "
                "It was once read in a wrong encoding; use the original file."
            )
        kind = _wide(self._start.encode("utf-8")[:SAMPLE_BYTES]) or _disguised(self._start)
        if kind is None and 2 * len(_READ_AS_LATIN_1.findall(self._start)) > len(_STRANGE.findall(self._start)):
            kind = "Windows-1252 that was read as Latin-1 and encoded as UTF-8"
        kind = kind or "binary data"
        return _not_text(name, kind, f": {share} control characters")


def decode_utf8(data: bytes, name: str = "This file") -> str:
    """UTF-8 to text. Raises ValueError, naming the file by `name`, with a guess of what it is instead."""
    refuse_other_formats(data, name)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ValueError(not_utf8(data, error.start, name)) from None


def refuse_other_formats(start: bytes, name: str) -> None:
    """Raise ValueError if a file that begins with `start` is in a format that is valid UTF-8 but not text."""
    kind = _signature(start)
    if kind == "RTF":
        raise ValueError(f"{name} is RTF, a word processor's file, and not plain text. Save it as plain text (.txt).")
    if kind in _NEVER_TEXT or kind in dict(_INSIDE_ZIP).values():
        raise ValueError(_not_text(name, str(kind)))


def check_beginning(start: bytes, name: str) -> None:
    """Raise ValueError if the first bytes of a file already show that it is no UTF-8 text."""
    refuse_other_formats(start, name)
    checker = Checker()
    try:
        checker.add(codecs.getincrementaldecoder("utf-8")().decode(start))
    except UnicodeDecodeError as error:
        raise ValueError(f"{not_utf8(start, error.start, name)} {first_wrong(error.start)}") from None
    checker.finish(name)


def first_wrong(at: int) -> str:
    """A sentence on where a file stops being UTF-8; `at` counts from 0."""
    return f"The first wrong byte is number {at + 1:,}."


def not_utf8(data: bytes, wrong: int = 0, name: str = "This file") -> str:
    """The error message for bytes that are not UTF-8, the first wrong one at `wrong`."""
    kind = _signature(data) or _cut_off(data, wrong) or guess_encoding(data[max(0, wrong - SAMPLE_BYTES // 4) :])
    return _not_text(name, kind)


def guess_encoding(data: bytes) -> str:
    """What bytes that are not UTF-8 most likely are: the name of an encoding, or "binary data"."""
    data = data[:SAMPLE_BYTES]
    wide = _wide(data) or (_wide(data[1:]) if len(data) > 64 else None)  # a piece of a file may begin at an odd byte
    if wide is not None:
        return wide
    controls = sum(byte < 32 and byte not in b"\t\n\v\f\r\b\x1b" for byte in data)
    best = _likeliest(data, from_bytes(data, cp_isolation=list(_ENCODINGS)))
    if best is None or (controls * 100 > len(data) and best != "cp037"):  # EBCDIC has its letters elsewhere
        if controls * 100 > len(data):
            return "binary data"
        best = "cp1252"
    if (best in CODECS or best == "cp874" or best in _LATIN_ENCODINGS) and (named := script_encodings(data)):
        return named
    mixed = best in _EAST_ASIAN and sum(byte > 127 for byte in data) < _FEW_BYTES * len(data)
    return (latin_encodings(data) if best in _LATIN_ENCODINGS or mixed else "") or _ENCODINGS[best]


def _likeliest(data: bytes, matches: CharsetMatches) -> str | None:
    """Of the encodings of one kind that fit about as well as the best, the one whose text has the fewest odd characters.

    Windows-1252 is one of them in any case: languages with many accents in a row, as Finnish, are held for disorder.
    """
    found = [(match.encoding, match.chaos, str(match)) for match in matches]
    if not found:
        return None
    best, least, _ = found[0]
    near = {
        encoding: _odd(text, encoding)
        for encoding, chaos, text in found
        if chaos <= least + _NEAR and (encoding in _EAST_ASIAN) == (best in _EAST_ASIAN)
    }
    likeliest = min(near, key=lambda encoding: near[encoding])
    western = _odd(data.decode("cp1252", errors="replace"), "cp1252")
    return "cp1252" if best not in _EAST_ASIAN and western < near[likeliest] - _CLEARLY else likeliest


def _odd(text: str, encoding: str) -> float:
    """Which share of the characters beyond ASCII does not stand as characters do in natural text of such an encoding.

    Of the East Asian ones these are all but ideographs, syllables and full-width punctuation; of the others signs within
    words, and capitals between small letters: what Mac Roman makes of the bytes of "läuft" is "l‰uft".
    """
    if encoding in _EAST_ASIAN:
        beyond = [letter for letter in text if letter > "\x7f"]
        usual = _EAST_ASIAN[encoding]
        odd = sum(usual.match(letter) is None for letter in beyond)
        return odd / max(1, len(beyond))
    odd = count = 0
    for before, letter, after in zip(f" {text}", text, f"{text[1:]} ", strict=False):
        if letter <= "\x7f":
            continue
        count += 1
        if _sign(letter) and (before.isalpha() or _sign(before)) and (after.isalpha() or _sign(after)):
            odd += 1
        elif before.islower() and after.islower():
            odd += letter.isupper()
    return odd / max(1, count)


def _sign(letter: str) -> bool:
    """Whether a character beyond ASCII has no place in a word: no letter, vowel sign, hyphen or apostrophe, nor space."""
    if letter <= "\x7f" or letter.isalpha() or _WITHIN_WORDS.match(letter):
        return False
    return not unicodedata.category(letter).startswith("M")


def _not_text(name: str, kind: str, why: str = "") -> str:
    return f"{name} is not UTF-8 text (looks like {kind}){why}. Save it as plain UTF-8 text."


def _signature(data: bytes) -> str | None:
    """The format of a file by its first bytes. What letters say ("MZ", "ustar") is one only if not all of it is text."""
    binary = _CONTROL.search(data) is not None
    if data[257:262] == b"ustar" and binary:
        return "TAR"
    if header := next((kind for pattern, kind in _HEADERS if pattern.match(data)), None):
        return header
    begins = (found for found in _SIGNATURES if data.startswith(found[0]))
    kind = next(
        (kind for magic, kind in begins if binary or not (magic.isascii() and magic.decode().isprintable())), None
    )
    inside = data[30:80] if kind == "ZIP" else b""
    return next((known for magic, known in _INSIDE_ZIP if inside.startswith(magic)), kind)


def _cut_off(data: bytes, wrong: int) -> str | None:
    """Whether the bytes end in the middle of a character, and are UTF-8 with others before."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    try:
        text = decoder.decode(data)
    except UnicodeDecodeError:
        return None
    return "UTF-8 that is cut off in the middle of a character" if wrong and not text.isascii() else None


def _wide(data: bytes) -> str | None:
    """UTF-16 or UTF-32 without a byte order mark, by what the text would be.

    Natural text has characters of few blocks, so of two byte orders the one whose high bytes vary less is the right one.
    """
    if data.isascii() and sum(map(_ascii_letter, data)) > _ASCII * len(data):  # ASCII among zeros
        return None
    found = []
    for codec, label in _WIDE.items():
        width = 4 if "32" in codec else 2
        whole = data[: len(data) // width * width]
        try:
            text = codecs.getincrementaldecoder(codec)().decode(whole)
        except UnicodeDecodeError:
            continue
        if len(text) > _FEW and _natural(text):
            found.append((-width, len({ord(letter) >> 8 for letter in text}), label))
    return min(found)[2] if found else None


def _ascii_letter(byte: int) -> bool:
    return byte == 32 or chr(byte).isalpha()


def _natural(text: str) -> bool:
    """Whether every character of a decoded text has a meaning, and words or sentences are kept apart."""
    strange = len(_STRANGE.findall(text))
    categories = [unicodedata.category(letter) for letter in set(text)]
    apart = _SEPARATORS.search(text) is not None or len({ord(letter) >> 8 for letter in text}) == 1
    return strange * 100 <= len(text) and apart and not {"Cn", "Co", "Cs"} & set(categories)


def _disguised(text: str) -> str | None:
    """What valid UTF-8 is that is text of another encoding: one of seven bits, or UTF-8 that was encoded twice."""
    if text.isascii():
        return _seven_bits(text)
    if sum(letter > "\x7f" for letter in text) < 8:
        return None
    for codec, label in (("cp1252", "Windows-1252"), ("cp1251", "Windows-1251")):
        try:
            data = b"".join(_byte(letter, codec) for letter in text)
            again = codecs.getincrementaldecoder("utf-8")().decode(data)
        except UnicodeError:
            continue
        if len(again) < len(text) and not _STRANGE.search(again):
            return f"UTF-8 that was read as {label} and encoded again"
    return None


def _byte(letter: str, codec: str) -> bytes:
    """A letter's byte in a code page; many programs keep bytes that have no letter there as control characters."""
    try:
        return letter.encode(codec)
    except UnicodeEncodeError:
        return letter.encode("latin-1")


def _seven_bits(text: str) -> str | None:
    if _ISO_2022.search(text) and (_SHIFTED.search(text) or any(map(partial(_escaped, text), _ISO_2022_CODECS))):
        return "ISO-2022"
    pairs = sum(len(found) - 4 for found in _HZ.findall(text))
    if pairs >= 6 and _decodes(text, "hz") is not None:
        return "HZ"
    seven = _decodes(text, "utf-7") if "+" in text else None
    return "UTF-7" if seven is not None and _natural(seven) and _one_script(seven) else None


def _escaped(text: str, codec: str) -> bool:
    """Whether a text has letters beyond ASCII in a variant of ISO-2022, and does not only quote its escapes."""
    decoded = _decodes(text, codec)
    return decoded is not None and sum(letter > "\x7f" for letter in decoded) > 1


def _one_script(text: str) -> bool:
    """Whether the letters that are not ASCII are several, and nearly all of one script: chance would mix them."""
    letters = [letter for letter in text if letter > "\x7f" and letter.isalpha()]
    scripts = Counter(unicodedata.name(letter, "?").split()[0] for letter in letters)
    scripts["CJK"] += scripts.pop("HIRAGANA", 0) + scripts.pop("KATAKANA", 0)
    script, count = scripts.most_common(1)[0]  # of CJK at least 0
    return len(letters) >= 4 and count >= 0.9 * len(letters) and (script == "LATIN" or len(set(letters)) >= 4)


def _decodes(text: str, codec: str) -> str | None:
    try:
        return codecs.getincrementaldecoder(codec)().decode(text.encode("ascii"))
    except UnicodeError:
        return None
