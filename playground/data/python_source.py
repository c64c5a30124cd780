"""Python source as training text: the standard library of the running interpreter, which is always available."""

import os
import sysconfig
import zlib
from collections.abc import Iterator
from pathlib import Path

# Tests, third-party code, and tables that a program wrote.
_SKIPPED_FOLDERS = frozenset(
    ["test", "tests", "idle_test", "site-packages", "dist-packages", "encodings", "pydoc_data", "lib2to3", "ensurepip"]
)
_SKIPPED_PREFIXES = ("_sysconfigdata", "__phello__")
_MAX_FILE_BYTES = 300_000


def python_source(n_bytes: int) -> str:
    """Return up to `n_bytes` (as UTF-8) of the standard library's source, cut after a line; all of it if there is less.

    Newlines are normalised. Files follow each other by the CRC-32 of their path, so the order is the same on every
    machine and any prefix is a fair sample; the text itself depends on the Python version. Tests, codec tables, other
    generated files and files that are not UTF-8 are left out. Raises ValueError if this interpreter has no sources.
    """
    root = Path(sysconfig.get_path("stdlib"))
    parts: list[bytes] = []
    missing = n_bytes
    for path in sorted(_source_files(root), key=lambda path: (zlib.crc32(path.encode()), path)):
        if missing <= 0:
            break
        text = _read(root / path)
        if text:
            parts.append(text)
            missing -= len(text)
    if not parts:
        raise ValueError(
            "The source files of the Python standard library are not installed. Choose another dataset, such as Tales."
        )
    source = b"".join(parts)
    if len(source) > n_bytes:
        source = source[: source.rfind(b"\n", 0, n_bytes) + 1]
    return source.decode("utf-8")


def _source_files(root: Path) -> Iterator[str]:
    """Paths of the usable .py files, relative to `root`, with forward slashes."""
    for folder, subfolders, files in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in _SKIPPED_FOLDERS]
        for name in files:
            if name.endswith(".py") and not name.startswith(_SKIPPED_PREFIXES):
                yield (Path(folder) / name).relative_to(root).as_posix()


def _read(path: Path) -> bytes:
    """The file as UTF-8 with \\n newlines and two empty lines at its end; nothing if it is too large or not UTF-8."""
    data = path.read_bytes()
    if len(data) > _MAX_FILE_BYTES:
        return b""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return b""
    text = text.replace("\r\n", "\n").replace("\r", "\n").rstrip()
    return f"{text}\n\n\n".encode() if text else b""
