"""The datasets that are downloaded on request: their addresses, and a verified `fetch`.

Both files are pinned by SHA-256, so a changed or broken file is never trained on. A download is written to a temporary
name next to its destination and renamed when it is complete, so a file that exists is complete and a failure leaves none.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from playground.config import counted
from playground.data.http_client import RequestError, stream

Progress = Callable[[int, int], None]  # (bytes so far, bytes in all or 0 if unknown)

_REMEDY = "Check the connection and try again, or choose a built-in text such as Tales."


@dataclass(frozen=True)
class Download:
    """One file to download: `n_bytes` and `sha256` are those of the file that was pinned."""

    file_name: str
    url: str
    sha256: str
    n_bytes: int


DOWNLOADS: dict[str, Download] = {
    "tiny_shakespeare": Download(
        "tiny_shakespeare.txt",
        "https://raw.githubusercontent.com/karpathy/char-rnn/master/data/tinyshakespeare/input.txt",
        "86c4e6aa9db7c042ec79f339dcb96d42b0075e16b8fc2e86bf0ca57e2dc565ed",
        1_115_394,
    ),
    # Hash and size as several public projects state them, independently of each other, for this revision of the dataset
    # (the git-lfs entry of the file). We could not download it ourselves where this was written.
    "tiny_stories": Download(
        "tiny_stories_valid.txt",
        "https://huggingface.co/datasets/roneneldan/TinyStories/resolve/"
        "f54c09fd23315a6f9c86f9dc80f725de7d8f9c64/TinyStories-valid.txt",
        "94e431816c4cce81ff71e4408ff8d3bda9a42e8d2663986697c3954288cb38b4",
        19_447_282,
    ),
}


def fetch(
    url: str,
    sha256: str,
    destination: Path,
    *,
    max_bytes: int,
    timeout: float = 20.0,
    progress: Progress | None = None,
) -> Path:
    """Return `destination` holding the file whose SHA-256 (hex) is `sha256`, downloading it from `url` if need be.

    A file already there is used if its hash is right and replaced if not. `timeout` is the longest silence of the
    server in seconds; `progress` is called for every chunk. Raises ValueError, which names the file, what went wrong and
    what to do, if the URL is not http(s), the server cannot be reached or refuses, the connection is cut, the file is
    larger than `max_bytes` or another one, or it cannot be stored; nothing is left behind then.
    """
    if urlsplit(url).scheme not in ("http", "https"):
        raise ValueError(f"{destination.name} cannot be downloaded: only http and https addresses are allowed.")
    try:
        if destination.is_file() and destination.stat().st_size <= max_bytes and _sha256(destination) == sha256:
            return destination
        destination.parent.mkdir(parents=True, exist_ok=True)
        handle, part_name = tempfile.mkstemp(prefix=f".{destination.name}.", suffix=".part", dir=destination.parent)
        part = Path(part_name)
        try:
            with open(handle, "wb") as file, closing(_chunks(destination.name, url, max_bytes, timeout)) as chunks:
                digest = hashlib.sha256()
                for chunk, done, total in chunks:
                    file.write(chunk)
                    digest.update(chunk)
                    if progress is not None:
                        progress(done, total)
            _check_hash(destination.name, digest.hexdigest(), sha256)
            os.replace(part, destination)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:  # _chunks translates the network's errors, so this is the disk
        reason = f"{destination.name} could not be stored: {error.strerror or 'the disk failed'}."
        raise ValueError(f"{reason} Free some space or choose another cache folder.") from error
    return destination


def _chunks(name: str, url: str, max_bytes: int, timeout: float) -> Generator[tuple[bytes, int, int], None, None]:
    """Yield (chunk, bytes so far, bytes in all or 0) of the body of `url`; ValueError unless all of it comes."""
    failed = f"{name} could not be downloaded"
    done = total = 0
    try:
        with stream(url, None, timeout) as response:
            length = response.headers.get("Content-Length", "")
            total = int(length) if length.isdecimal() else 0
            for chunk in response.iter_raw() if total <= max_bytes else ():
                done += len(chunk)
                if done > max_bytes:
                    break
                yield chunk, done, total
    except RequestError as error:
        cut = error.transient and done < total
        reason = f"the connection was cut after {done:,} of {counted(total, 'byte')}" if cut and done else error
        raise ValueError(f"{failed}: {reason}. {_REMEDY}") from error
    if max(done, total) > max_bytes:
        limit = f"{max_bytes / 1e6:.1f} MB"
        raise ValueError(f"{failed}: it is larger than the limit of {limit}. Choose a built-in text such as Tales.")


def _check_hash(name: str, found: str, expected: str) -> None:
    if found != expected:
        raise ValueError(
            f"{name} is not the expected file: its SHA-256 begins with {found[:12]} instead of {expected[:12]}. "
            "It was discarded; choose a built-in text such as Tales, or paste your own."
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
