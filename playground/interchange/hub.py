"""A public model from the Hugging Face Hub, by its repository id ``owner/name``.

One fixed server; no token is sent; one revision for all files; sizes are known before anything is downloaded; only
``config.json``, ``tokenizer.json``, files on special tokens, and ``*.safetensors`` are downloaded.
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from playground.config import apart, counted
from playground.data.http_client import HIDDEN, Hosts, RequestError, stream
from playground.interchange.refusal import shown

ENDPOINT = "https://huggingface.co"
HOSTS = (".huggingface.co", ".hf.co")  # where its own redirects may lead
MAX_BYTES = 600_000_000  # the default limit
MAX_JSON = 40_000_000
MAX_ANSWER = 2_000_000
TIMEOUT = 20.0
_ID = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9_][\w.-]{0,95}", re.ASCII)
_JSON = ("config.json", "tokenizer.json", "generation_config.json", "tokenizer_config.json")
_FILE = re.compile(r"[\w.-]{1,100}\.safetensors", re.ASCII)
_REVISION = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class Listing:
    """The needed files of a repository at one revision: file names with sizes in bytes."""

    revision: str
    files: dict[str, int]


def checked_id(repository: str) -> str:
    """A repository's id. Raises ValueError for anything else, a URL first of all."""
    text = repository.strip() if isinstance(repository, str) else ""
    if not _ID.fullmatch(text) or ".." in text or text.endswith(".git"):
        raise ValueError(f"{shown(text)} is not a repository id. Use the form owner/name, as in openai-community/gpt2.")
    return text


def list_files(repository: str, max_bytes: int = MAX_BYTES) -> Listing:
    """The files that are needed of a repository. Raises ValueError for one that is private, too large or has none."""
    name = f"The repository {repository}"
    address = f"{ENDPOINT}/api/models/{repository}?blobs=true"
    answer = b"".join(_body(name, address, MAX_ANSWER))
    try:
        values = json.loads(answer)
    except (ValueError, RecursionError):
        values = None
    if not isinstance(values, dict):
        raise ValueError(f"{name} could not be read: the server's answer is invalid. Try again later.")
    if values.get("private") or values.get("gated") or values.get("disabled"):
        raise ValueError(f"{name} is not public. Choose another one.")
    revision = values.get("sha")
    if not isinstance(revision, str) or not _REVISION.fullmatch(revision):
        raise ValueError(f"{name} could not be read: the server's answer is invalid. Try again later.")
    files = _needed(values.get("siblings"))
    if not any(file.endswith(".safetensors") for file in files):
        raise ValueError(f"{name} has no .safetensors file; other kinds of weights are not read.")
    total = sum(files.values())
    max_bytes = min(max_bytes, shutil.disk_usage(tempfile.gettempdir()).free)
    if total > max_bytes:
        size, limit = apart(total / 1e6, max_bytes / 1e6, 0)
        raise ValueError(
            f"{name} is too large: {size} MB; the limit, set by free memory and disk space, is {limit} MB. Choose a smaller "
            "model."
        )
    return Listing(revision, files)


def _needed(siblings: Any) -> dict[str, int]:
    files: dict[str, int] = {}
    for entry in siblings if isinstance(siblings, list) else []:
        file, size = (entry.get("rfilename"), entry.get("size")) if isinstance(entry, dict) else (None, None)
        if not isinstance(file, str) or not (file in _JSON or _FILE.fullmatch(file)):
            continue
        if type(size) is not int or size < 0 or (file.endswith(".json") and size > MAX_JSON):
            raise ValueError(f"The file {shown(file)} of this repository has an invalid size.")
        files[file] = size
    return files


@contextmanager
def downloaded(repository: str, max_bytes: int = MAX_BYTES) -> Iterator[Path]:
    """Context manager: a temporary folder with the needed files of a repository, up to a size limit.

    Raises ValueError.
    """
    repository = checked_id(repository)
    listing = list_files(repository, max_bytes)
    with tempfile.TemporaryDirectory(prefix="playground-hub-") as folder:
        for file, size in listing.files.items():
            url = f"{ENDPOINT}/{repository}/resolve/{listing.revision}/{file}"
            with open(Path(folder) / file, "wb") as target:
                done = sum(map(target.write, _body(file, url, size)))
            if done != size:
                raise ValueError(
                    f"{file} could not be downloaded: {done:,} of {counted(size, 'byte')} came. Try again."
                )
        yield Path(folder)


def _body(name: str, url: str, max_bytes: int) -> Iterator[bytes]:
    """The body of a response, in pieces. Raises ValueError on errors and beyond `max_bytes`."""
    failed = f"{name} could not be downloaded"
    done = 0
    try:
        with stream(url, Hosts(ENDPOINT, (urlsplit(ENDPOINT).hostname or "", *HOSTS)), TIMEOUT) as response:
            for chunk in response.iter_raw():
                done += len(chunk)
                if done > max_bytes:
                    raise ValueError(
                        f"{failed}: it is larger than the {counted(max_bytes, 'byte')} that the server announced."
                    )
                yield chunk
    except RequestError as error:
        if error.status in HIDDEN:
            raise ValueError(f"{name} does not exist or is not public.") from error
        remedy = "Check the connection and try again" if error.transient else "Try again later"
        raise ValueError(f"{failed}: {error}. {remedy}.") from error
