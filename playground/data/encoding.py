"""What a file is by its first bytes, so that a complaint about one that is no UTF-8 text can say what it looks like."""

_SIGNATURES = (
    *((b"PK\x03\x04", "ZIP"), (b"PK\x05\x06", "ZIP"), (b"\x1f\x8b", "GZIP"), (b"BZh", "BZIP2"), (b"\xfd7zXZ", "XZ")),
    *((b"7z\xbc\xaf\x27\x1c", "7-Zip"), (b"%PDF-", "PDF"), (b"\x89PNG", "PNG"), (b"\xff\xd8\xff", "JPEG")),
    *((b"GIF8", "GIF"), (b"RIFF", "audio, video or WebP"), (b"ID3", "MP3"), (b"OggS", "Ogg")),
    *((b"\x7fELF", "a Linux program"), (b"MZ", "a Windows program"), (b"SQLite format 3\x00", "SQLite")),
    *((b"\xd0\xcf\x11\xe0", "an old Office document"), (b"PAR1", "Parquet"), (b"\x80\x02", "a Python pickle")),
    *((b"\x80\x03", "a Python pickle"), (b"\x80\x04", "a Python pickle"), (b"\x80\x05", "a Python pickle")),
    *((b"\xff\xfe\x00\x00", "UTF-32"), (b"\x00\x00\xfe\xff", "UTF-32")),
    *((b"\xff\xfe", "UTF-16"), (b"\xfe\xff", "UTF-16")),
)
# These are valid UTF-8 as far as they go, but no text begins so.
_NEVER_TEXT = ("ZIP", "PDF", "SQLite")


def decode_utf8(data: bytes, name: str = "This file") -> str:
    """UTF-8 to text. Raises ValueError, naming the file by `name`, with a guess of what it is instead."""
    refuse_other_formats(data, name)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError(not_utf8(data, name)) from None


def refuse_other_formats(start: bytes, name: str) -> None:
    """Raise ValueError if a file that begins with `start` is something that is valid UTF-8 and yet no text."""
    kind = _signature(start)
    if kind in _NEVER_TEXT or kind == "TAR" or _zeros_of_utf16(start) == "UTF-16" or kind == "UTF-16":
        raise ValueError(not_utf8(start, name))


def not_utf8(start: bytes, name: str = "This file") -> str:
    """The complaint about a file that begins with `start` and is not UTF-8."""
    kind = _zeros_of_utf16(start) or _signature(start) or _guess(start)
    return f"{name} is not UTF-8 text (looks like {kind}). Save it as plain UTF-8 text."


def _signature(data: bytes) -> str | None:
    if data[257:262] == b"ustar":
        return "TAR"
    return next((kind for magic, kind in _SIGNATURES if data.startswith(magic)), None)


def _zeros_of_utf16(data: bytes) -> str | None:
    """English in UTF-16 without a byte order mark is valid UTF-8, but every other byte of it is zero."""
    start = data[:4096]
    even, odd = start[::2].count(0), start[1::2].count(0)
    return "UTF-16" if len(start) >= 16 and max(even, odd) > 0.4 * len(start) and min(even, odd) == 0 else None


def _guess(data: bytes) -> str:
    """What bytes without a known beginning may be: text of an older encoding has hardly any control characters."""
    start = data[:4096]
    controls = sum(byte < 32 and byte not in b"\t\n\f\r" for byte in start)
    return "Latin-1 or Windows-1252" if controls * 100 <= len(start) else "binary data"
