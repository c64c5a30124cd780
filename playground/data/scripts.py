"""Which 8-bit encodings turn bytes into Russian, Ukrainian, Bulgarian or Hebrew.

The letters of one script stand where those of another do: Hebrew in Windows-1255 is orderly as Russian in Windows-1251. How
often letters occur tells them apart.
"""

from __future__ import annotations

_CYRILLIC = "абвгдежзийклмнопрстуфхцчшщъыьэюяёіїєґ", "оеаинтсрвл"  # all letters, and the most frequent ones
_HEBREW = "אבגדהוזחטיךכלםמןנסעףפץצקרשת", "יוהלאתרמשנ"
# Python's names and names for messages, the most common first.
_ENCODINGS = (
    ("cp1251", "Windows-1251", _CYRILLIC), ("koi8_r", "KOI8-R", _CYRILLIC), ("koi8_u", "KOI8-U", _CYRILLIC),
    ("cp866", "code page 866", _CYRILLIC), ("iso8859_5", "ISO 8859-5", _CYRILLIC),
    ("mac_cyrillic", "Mac Cyrillic", _CYRILLIC), ("cp1255", "Windows-1255", _HEBREW), ("iso8859_8", "ISO 8859-8", _HEBREW),
    ("cp862", "code page 862", _HEBREW),
)  # fmt: skip
CODECS = frozenset(codec for codec, _, _ in _ENCODINGS)
_SIGNS = frozenset("«»„“”‘’–—…№\u00a0\u05be\u05f3\u05f4")
_OWN_WORDS = 0.6  # of the letters, of a text that is not in the Latin script
_CAPITALS = (
    0.3  # taken off where all letters are capitals: few texts are, and KOI8-R has them where others have small letters
)
_FITS = 0.8  # of the letters beyond ASCII
_NEAR = 0.1  # the scores of two encodings that are both named differ by at most this
_NAMED = 3


def script_encodings(data: bytes) -> str:
    """The names of the encodings that turn most of the letters of `data` into those of one of these scripts, or "".

    Several are named where they give the same text or one that is about as likely.
    """
    beyond = sum(byte > 127 for byte in data)
    ascii_letters = sum(chr(byte).isalpha() for byte in data if byte < 128)
    if beyond < _OWN_WORDS * (beyond + ascii_letters):
        return ""
    scores: dict[str, float] = {}
    for codec, name, (alphabet, frequent) in _ENCODINGS:
        try:
            scores[name] = _score(data.decode(codec), alphabet, frequent)
        except UnicodeDecodeError:
            continue
    best = max(scores.values(), default=0.0)
    found = [name for name, score in scores.items() if score and score >= best - _NEAR][:_NAMED]
    return " or ".join([", ".join(found[:-1]), found[-1]] if len(found) > 1 else found)


def _score(text: str, alphabet: str, frequent: str) -> float:
    """How much a text looks like one of a language: by the share of letters that are in their place and by how many of
    them are frequent ones. 0 if it does not."""
    letters = fits = often = capitals = 0
    for before, one in zip(f" {text}", text, strict=False):
        if one <= "\x7f" or one in _SIGNS:
            continue
        letters += 1
        if one.lower() in alphabet and not (before.islower() and one.isupper()):
            fits += 1
            often += one.lower() in frequent
            capitals += one.isupper() and before.isupper()
    return (fits + often - _CAPITALS * capitals) / letters if letters and fits >= _FITS * letters else 0.0
