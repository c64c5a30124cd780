"""Which 8-bit encodings of the Latin script turn bytes into letters that one language uses.

Measures of disorder cannot tell these encodings apart: what Windows-1250 makes of Turkish in Windows-1254 is as orderly
as Turkish. The alphabets can: no language has both "ý" and "ţ".
"""

from __future__ import annotations

import unicodedata
from collections import Counter

_TONES = "\u0300\u0301\u0303\u0309\u0323"  # of Vietnamese, which Windows-1258 has apart from the letters
# Letters beyond ASCII, with those of usual loanwords.
_WESTERN = {
    "english": "", "french": "àâæçèéêëîïôœùûüÿ", "german": "äöüßéà", "spanish": "áéíñóúüªº", "catalan": "àçèéíïòóúü",
    "portuguese": "àáâãçéêíóôõúüªº", "italian": "àèéìíîòóùú", "dutch": "áäçèéêëíïóöúü", "swedish": "åäöéàü",
    "danish": "æøåéèêòóôä", "finnish": "åäöéšž", "icelandic": "áæéðíóöúýþ",
}  # fmt: skip
_CENTRAL = {
    "polish": "ąćęłńóśźż", "czech": "áčďéěíňóřšťúůýžöü", "slovak": "áäčďéíĺľňóôŕšťúýž", "hungarian": "áéíóöőúüű",
    "croatian": "čćđšž", "romanian": "ăâîşţ", "albanian": "çë", "german": _WESTERN["german"],
}  # fmt: skip
_TURKISH = {"turkish": "çğıöşüâîûİ"}
_VIETNAMESE = {"vietnamese": "".join(
    unicodedata.normalize("NFC", f"{vowel}{tone}") for vowel in "aăâeêioôơuưy" for tone in ("", *_TONES)
) + "đ"}  # fmt: skip
_BALTIC = {"lithuanian": "ąčęėįšųūž", "latvian": "āčēģīķļņšūž", "estonian": "äõöüšž"}
# Python's names and names for messages, the most common first, with the languages that are written in them.
_ENCODINGS = (
    ("latin-1", "Latin-1", _WESTERN), ("cp1252", "Windows-1252", _WESTERN), ("cp1250", "Windows-1250", _CENTRAL),
    ("iso8859-2", "ISO 8859-2", _CENTRAL), ("cp1254", "Windows-1254", _TURKISH), ("iso8859-9", "ISO 8859-9", _TURKISH),
    ("iso8859-15", "ISO 8859-15", _WESTERN), ("cp1257", "Windows-1257", _BALTIC), ("iso8859-13", "ISO 8859-13", _BALTIC),
    ("cp850", "code page 850", _WESTERN), ("cp852", "code page 852", _CENTRAL), ("mac-roman", "Mac Roman", _WESTERN),
    ("cp857", "code page 857", _TURKISH), ("mac-latin2", "Mac Central European", _CENTRAL),
    ("cp1258", "Windows-1258", _VIETNAMESE),
)  # fmt: skip
_RARE = (
    "code page 857",
    "Mac Central European",
    "Windows-1258",
)  # named only if they are clearly better than the others
_PUNCTUATION = frozenset("«»‹›“”„‚‘’–—…¿¡°\u00a0\u00ad")  # may stand next to a letter
_FITS = 0.9  # of the characters beyond ASCII
_NEAR = 0.02  # the shares of two encodings that are equally likely differ by at most this
_NAMED = 3  # encodings that give the same text


def latin_encodings(data: bytes) -> str:
    """The names of the encodings that turn `data` into text of a language that is written in them: "Windows-1254 or
    ISO 8859-9"; with "one of" if they give different texts. An empty string if there are none."""
    shares: dict[str, tuple[float, str]] = {}  # by names, which are in the order of the table
    for codec, name, languages in _ENCODINGS:
        try:
            text = data.decode(codec)
        except UnicodeDecodeError:
            continue
        if languages is _VIETNAMESE:
            if not any(tone in text for tone in _TONES):
                continue
            text = unicodedata.normalize("NFC", text)
        shares[name] = _share(text, languages), text
    usual = max((share for name, (share, _) in shares.items() if name not in _RARE), default=0.0)
    shares = {name: found for name, found in shares.items() if name not in _RARE or found[0] > usual + _NEAR}
    best = max((share for share, _ in shares.values()), default=0.0)
    names: dict[str, list[str]] = {}  # by text
    for name, (share, text) in shares.items():
        if share >= max(_FITS, best - _NEAR) and len(names.setdefault(text, [])) < _NAMED:
            names[text].append(name)
    found = [name for same in names.values() for name in same]
    said = " or ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)
    return f"one of {said}" if len(names) > 1 else said


def _share(text: str, languages: dict[str, str]) -> float:
    """The largest share of the characters beyond ASCII that are letters of one language, each at its place."""
    letters, wrong = _letters(text)
    total = letters.total() + wrong
    if not total:
        return float("" in languages.values())  # only punctuation
    return max(sum(letters[one] for one in {*alphabet, *alphabet.upper()}) for alphabet in languages.values()) / total


def _letters(text: str) -> tuple[Counter[str], int]:
    """The letters beyond ASCII, and how many characters are signs next to a letter, capitals behind a small one, or
    control characters."""
    letters: Counter[str] = Counter()
    wrong = 0
    for before, one, after in zip(f" {text}", text, f"{text[1:]} ", strict=False):
        if one <= "\x7f" or one in _PUNCTUATION:
            continue
        if one.isalpha() and not (before.islower() and one.isupper()):
            letters[one] += 1
        elif one.isalpha() or "\x80" <= one <= "\x9f" or before.isalpha() or after.isalpha():
            wrong += 1
    return letters, wrong
