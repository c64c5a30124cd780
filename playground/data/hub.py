"""Text from a dataset on the Hugging Face Hub: one column of its Parquet files, streamed until there is enough.

The Hub lists the Parquet files of every public dataset (``/api/datasets/{name}/parquet``). They are read remotely: the
footer first, then the column row group by row group, each with a range request, so only the needed part of a large dataset
is downloaded. A failed request is retried from where it stopped; if retries fail, nothing is kept. No token is sent, and
redirects are followed only to the Hub's own hosts.

Reading Parquet needs pyarrow, an optional extra: ``pip install pyarrow``.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote

from playground.config import counted
from playground.data.chats import ROLES, Silent, text_of
from playground.data.documents import SEPARATOR, Seam, read_ends, write_ends
from playground.data.downloads import Progress
from playground.data.encoding import Checker
from playground.data.fields import value_at
from playground.data.http_client import HIDDEN, Hosts, OutsideError, RequestError, stream
from playground.data.sources import MAX_FILE_BYTES, TextFile, write_text_file

T = TypeVar("T")

NAME = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}")
WORD = re.compile(r"[\w .:-]{1,100}")
MIN_BYTES = 1_000
_LISTING_BYTES = 4_000_000
_BLOCK_BYTES = 4 << 20  # fetched at a time
_ROWS = 512
_TEXT_TYPES = ("string", "large_string", "string_view")
_LISTS = ("list", "large_list", "fixed_size_list")
_REMEDY = "Check the connection and try again, or choose a built-in text such as Tales."


@dataclass(frozen=True)
class Hub(Hosts):
    """The Hub's address, the hosts that redirects may lead to, and timeouts. `attempts` is per request."""

    endpoint: str = "https://huggingface.co"
    hosts: tuple[str, ...] = ("huggingface.co", ".huggingface.co", ".hf.co")
    timeout: float = 20.0
    attempts: int = 4
    pause: float = 0.5  # seconds before the second attempt, doubled for each further one


HUB = Hub()


def dataset_text(
    name: str,
    column: str,
    *,
    folder: Path,
    split: str = "",
    max_bytes: int = 20_000_000,
    progress: Progress | None = None,
    hub: Hub = HUB,
) -> TextFile:
    """The texts in one column of a data set as one text of about `max_bytes` bytes, an empty line between two of them.

    `name` is owner/name; `split` is "train" if there is one, else the first. What was fetched once is taken from `folder`.
    Raises ValueError with one sentence for a wrong name, an unknown data set, column or split, a column without text, a
    connection that is lost for good, or when pyarrow is missing; nothing is left behind then.
    """
    name, column, split = (str(value or "").strip() for value in (name, column, split))
    _check_request(name, column, split, max_bytes)
    known = folder / "datasets" / f"{_key(name, column, split, max_bytes)}.json"
    cached = _cached(known, folder)
    if cached is not None:
        return cached
    arrow = _pyarrow()
    shards = _shards(_ask(hub, f"/api/datasets/{quote(name)}/parquet", name), name, split)
    notes: list[str] = []
    texts = _texts(hub, shards, name, column, max_bytes, arrow, progress, notes)
    text = replace(write_text_file(texts, folder, f"{name} ({column})"), notes=tuple(notes))
    known.parent.mkdir(parents=True, exist_ok=True)
    known.with_suffix(".npy").unlink(missing_ok=True)
    write_ends(known.with_suffix(".npy"), text.ends)
    known.write_text(
        json.dumps({"file": text.path.name, "n_bytes": text.n_bytes, "name": text.name, "notes": notes}), "utf-8"
    )
    return text


def _check_request(name: str, column: str, split: str, max_bytes: int) -> None:
    if not NAME.fullmatch(name) or ".." in name:
        raise ValueError(f"A dataset is named owner/name, as in roneneldan/TinyStories; {name[:40]!r} is not.")
    if not WORD.fullmatch(column):
        raise ValueError(f"Column must be the name of one with text, such as text or text.en; {column[:40]!r} is not.")
    if split and not WORD.fullmatch(split):
        raise ValueError(f"Split must be a word such as train; {split[:40]!r} is not.")
    if not MIN_BYTES <= max_bytes <= MAX_FILE_BYTES:
        raise ValueError(f"Dataset size must be {MIN_BYTES:,} to {MAX_FILE_BYTES:,} bytes; {max_bytes:,} is not.")


def _key(*parts: object) -> str:
    return hashlib.sha256(json.dumps(parts).encode("ascii")).hexdigest()[:32]


def _cached(known: Path, folder: Path) -> TextFile | None:
    try:
        facts = json.loads(known.read_bytes())
        ends = read_ends(known.with_suffix(".npy"))
        text = TextFile(
            folder / Path(facts["file"]).name,
            int(facts["n_bytes"]),
            str(facts["name"]),
            ends,
            tuple(facts.get("notes", [])),
        )
        return text if text.path.stat().st_size == text.n_bytes else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _pyarrow() -> Any:
    try:
        import pyarrow
        import pyarrow.parquet  # an attribute of the former only once it is imported
    except ImportError:
        raise ValueError(
            "Datasets from Hugging Face need pyarrow, which is not installed: pip install pyarrow."
        ) from None
    return pyarrow


def _shards(listing: Any, name: str, split: str) -> list[str]:
    """The addresses of the wanted split's files, in order: of the configuration "default", else of the first."""
    if not isinstance(listing, dict) or not listing or not all(isinstance(value, dict) for value in listing.values()):
        raise ValueError(f"The hub has no Parquet files of {name}. Choose another dataset.")
    splits = listing.get("default") or next(iter(listing.values()))
    wanted = split or ("train" if "train" in splits else next(iter(splits), ""))
    urls = splits.get(wanted)
    if not isinstance(urls, list) or not urls or not all(isinstance(url, str) for url in urls):
        raise ValueError(f"{name} has no split {wanted[:40]!r}; it has {', '.join(map(str, splits))[:200]}.")
    return urls


def _texts(
    hub: Hub,
    shards: list[str],
    name: str,
    column: str,
    max_bytes: int,
    arrow: Any,
    progress: Progress | None,
    notes: list[str],
) -> Iterator[str]:
    """The column's texts with newlines normalised, until they are enough.

    A null or an empty text counts as missing; their number is added to `notes`.
    """
    done = n_rows = n_empty = 0
    checker, silent = Checker(), Silent()
    for url in shards:
        for content in _rows(hub, url, name, column, arrow):
            value = text_of(content)
            silent.add(content)
            n_rows += 1
            if not value or not isinstance(value, str):
                n_empty += 1
                continue
            if done:
                if max_bytes - done <= len(SEPARATOR):
                    done = max_bytes
                    break
                done += len(SEPARATOR)
                yield Seam(SEPARATOR)
            data = re.sub("\r\n?", "\n", value).encode("utf-8", errors="replace")[: max_bytes - done]
            done += len(data)
            text = data.decode("utf-8", errors="ignore")  # ignores only a character cut in two at the very end
            checker.add(text)
            yield text
            if progress is not None:
                progress(done, max_bytes)
            if done >= max_bytes:
                break
        if done >= max_bytes:
            break
    checker.finish(f"Column {column} of {name}")
    if n_empty:
        have, are = ("has", "is") if n_empty == 1 else ("have", "are")
        read = counted(n_rows, "row")
        notes.append(f"{name}: {n_empty:,} of {read} {have} no text in the column {column!r} and {are} left out.")
    notes += [f"{name}: {note}" for note in [silent.note(f"the column {column!r}")] if note]


def _rows(hub: Hub, url: str, name: str, column: str, arrow: Any) -> Iterator[Any]:
    """The values of a column: text, a chat or nothing."""
    with _remote_file(hub, url, name) as remote:
        try:
            table = arrow.parquet.ParquetFile(remote, buffer_size=_BLOCK_BYTES)
            top = _top(table.schema_arrow, column, name)
            for batch in table.iter_batches(batch_size=_ROWS, columns=[top]):
                for value in batch.column(0).to_pylist():
                    yield value_at({top: value}, column)
        except (arrow.ArrowException, OSError, UnicodeDecodeError) as error:
            raise ValueError(
                f"A file of {name} cannot be read as Parquet with text. Choose another dataset."
            ) from error


def _top(schema: Any, column: str, name: str) -> str:
    """The column of the file that `column` names or begins with. Raises ValueError unless there is text or a chat in it."""
    columns = _text_columns([schema.field(top) for top in schema.names])
    if column in columns:
        return column if column in schema.names else column.partition(".")[0]
    inside = any(known.startswith(f"{column}.") for known in columns)
    lacks = (
        f"Column {column[:40]!r} of {name} holds no text"
        if column in schema.names or inside
        else (f"{name} has no column {column[:40]!r}")
    )
    offer = ", ".join(f"{known} (a chat)" if kind == "chat" else known for known, kind in columns.items())
    raise ValueError(
        f"{lacks}. {f'It has text in {offer[:200]}.' if offer else 'No column has text. Choose another dataset.'}"
    )


def _text_columns(fields: list[Any], before: str = "", depth: int = 3) -> dict[str, str]:
    """The columns with text or chats, those of structures within columns with dots, each with what it holds."""
    found: dict[str, str] = {}
    for item in fields:
        name, kind = f"{before}{item.name}", item.type
        if str(getattr(kind, "value_type", kind)) in _TEXT_TYPES and not str(kind).startswith(_LISTS):
            found[name] = "text"  # plain, or each different text once with its number in each row
        elif str(kind).startswith("struct<") and depth:
            found |= _text_columns(_inner(kind), f"{name}.", depth - 1)
        elif str(kind).startswith(_LISTS) and str(kind.value_type).startswith("struct<"):
            keys = {inner.name for inner in _inner(kind.value_type)}
            if any({role, content} <= keys for role, content in ROLES):
                found[name] = "chat"
    return found


def _inner(kind: Any) -> list[Any]:
    return [kind.field(number) for number in range(kind.num_fields)]


def _remote_file(hub: Hub, url: str, name: str) -> Any:
    """A file on the hub that can be read from any place. Raises ValueError, also later, if it cannot be read."""
    from fsspec.spec import AbstractBufferedFile  # comes with huggingface_hub

    size = _size(hub, url, name)

    class RemoteFile(AbstractBufferedFile):  # type: ignore[misc]
        def _fetch_range(self, start: int, end: int) -> bytes:
            return _fetch(hub, url, name, start, min(end, size))

    options = {"maxblocks": 2}  # in memory: the footer's, and the one that is read
    return RemoteFile(None, url, block_size=_BLOCK_BYTES, cache_type="blockcache", cache_options=options, size=size)


def _fetch(hub: Hub, url: str, name: str, start: int, stop: int) -> bytes:
    """The bytes from `start` to `stop`; what has come stays when the connection breaks, and the rest is asked for again."""
    data = bytearray()

    def go_on() -> bytes:
        begin = start + len(data)
        with stream(url, hub, hub.timeout, (begin, stop - 1)) as response:
            if begin and response.status_code != HTTPStatus.PARTIAL_CONTENT:
                raise ValueError(f"{name} could not be read: the server sends whole files only. {_REMEDY}")
            for chunk in response.iter_raw():
                if len(data) == stop - start:
                    break  # it sends more than was requested
                data.extend(chunk[: stop - start - len(data)])
        if len(data) < stop - start:
            raise RequestError("the server sent too little", transient=True)
        return bytes(data)

    return _patiently(hub, name, go_on)


def _patiently(hub: Hub, name: str, attempt: Callable[[], T]) -> T:
    """Call `attempt`, again after what may pass. Raises ValueError for what does not, or does not in time."""
    for number in range(hub.attempts):
        try:
            return attempt()
        except RequestError as error:
            failure = error
            if not error.transient:
                break
            time.sleep(hub.pause * 2**number if number + 1 < hub.attempts else 0)
    raise ValueError(_refusal(name, failure)) from failure


def _refusal(name: str, error: RequestError) -> str:
    if error.status in HIDDEN:
        return f"The hub has no public dataset {name}. Look for its name on huggingface.co."
    remedy = "Choose another dataset." if isinstance(error, OutsideError) else _REMEDY
    return f"{name} could not be read: {error}. {remedy}"


def _size(hub: Hub, url: str, name: str) -> int:
    def ask() -> str:
        with stream(url, hub, hub.timeout, (0, 0)) as response:
            size = response.headers.get("Content-Range", "").rpartition("/")[2]
            return size or str(response.headers.get("Content-Length", ""))

    size = _patiently(hub, name, ask)
    if not size.isdecimal():
        raise ValueError(f"{name} could not be read: the server does not say how large its files are. {_REMEDY}")
    return int(size)


def _ask(hub: Hub, path: str, name: str) -> Any:
    """A JSON answer of the hub's API."""

    def ask() -> bytes:
        data = bytearray()
        with stream(hub.endpoint + path, hub, hub.timeout) as response:
            for chunk in response.iter_raw():
                data += chunk
                if len(data) > _LISTING_BYTES:
                    raise RequestError(f"its list of files is larger than {_LISTING_BYTES // 10**6} MB")
        return bytes(data)

    try:
        return json.loads(_patiently(hub, name, ask))
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{name} could not be looked up: the hub's answer is not JSON. {_REMEDY}") from error
