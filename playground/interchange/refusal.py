"""How untrusted input is quoted in error messages: short, on one line, and without paths."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from playground.config import counted
from playground.tokenizers.imported import check_parts

_BEGINNINGS = (
    *((b"\x80" + bytes([version]), "a Python pickle, which can run code") for version in (2, 3, 4, 5)),
    *((b"PK\x03\x04", "an archive (ZIP; PyTorch's .pt and .bin are such)"), (b"PK\x05\x06", "an archive (ZIP)")),
    *((b"\x1f\x8b", "an archive (GZIP)"), (b"BZh", "an archive (BZIP2)"), (b"\xfd7zXZ", "an archive (XZ)")),
    *((b"7z\xbc\xaf\x27\x1c", "an archive (7-Zip)"), (b"GGUF", "a GGUF file"), (b"\x89HDF", "an HDF5 file")),
    *((b"\x7fELF", "a program"), (b"MZ", "a program"), (b"%PDF-", "a PDF file")),
)


def shown(value: Any) -> str:
    """A value of a JSON file for an error message: at most 40 characters, on one line, in quotes if it is text."""
    text = json.dumps(value) if value is None or isinstance(value, (bool, list, dict)) else repr(value)
    return text if len(text) <= 40 else text[:39] + "…"


def signature(start: bytes) -> str | None:
    """The format of a file by its first bytes, if it is one that must not be opened."""
    if start[257:262] == b"ustar":
        return "an archive (TAR)"
    return next((kind for magic, kind in _BEGINNINGS if start.startswith(magic)), None)


def read_object(path: Path, max_bytes: int) -> dict[str, Any]:
    """A JSON object from an untrusted file. Raises ValueError that names the file and the problem."""
    name = shown(path.name)
    if path.stat().st_size > max_bytes:
        raise ValueError(f"{name} has {counted(path.stat().st_size, 'byte')}; the limit is {max_bytes:,}.")
    data = path.read_bytes()
    kind = signature(data[:300])
    if kind:
        raise ValueError(f"{name} is {kind}; JSON was expected.")
    check_parts(data, name)
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=_no_constant)
    except RecursionError:
        raise ValueError(f"{name} is nested too deeply.") from None
    except ValueError:  # also what is not UTF-8
        raise ValueError(f"{name} is not valid JSON.") from None
    if not isinstance(value, dict):
        raise ValueError(f"{name} is not a JSON object.")
    return value


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not JSON")
