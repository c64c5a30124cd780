"""Data sets from a server on this machine that imitates the hub: its API, its redirects, its ranges, and its failures."""

import io
import json
import random
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import httpx2
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from playground.data import hub as module
from playground.data.http_client import OutsideError
from playground.data.hub import Hub, dataset_text

pytestmark = pytest.mark.usefixtures("online")

STORIES = [f"Story {n}.\r\nIt has {n % 7} turns and an é." for n in range(4_000)]
WHOLE = "\n\n".join(story.replace("\r\n", "\n") for story in STORIES)


def parquet(rows: list[Any], **columns: Any) -> bytes:
    with io.BytesIO() as file:
        pq.write_table(
            pa.table({"text": pa.array(rows, pa.string()), "id": list(range(len(rows))), **columns}),
            file,
            row_group_size=500,
        )
        return file.getvalue()


@dataclass
class World:
    """What the server has and how it misbehaves."""

    listing: Any = None
    files: dict[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)  # path, range
    cut_after: dict[int, int] = field(default_factory=dict)  # number of a file request -> bytes that come
    errors: dict[int, int] = field(default_factory=dict)  # number of a file request -> status
    sent: int = 0
    whole: bool = False  # ignores ranges
    away: str = ""  # redirects files there
    clients: set[tuple[str, int]] = field(default_factory=set)  # connections that were opened


class Handler(BaseHTTPRequestHandler):
    world: World

    def do_GET(self) -> None:
        world, path = self.world, unquote(self.path)
        world.clients.add(self.client_address)
        assert "Authorization" not in self.headers
        if path.startswith("/api/datasets/") and path.endswith("/parquet"):
            known = path == "/api/datasets/ann/stories/parquet" and world.listing is not None
            self.answer(200 if known else 404, json.dumps(world.listing).encode())
            return
        if path.startswith("/api/"):  # the hub redirects from its own list to where the file is
            self.send_response(302)
            self.send_header("Location", world.away or f"/files/{path.rsplit('/', 1)[1]}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        number = sum(asked.startswith("/files/") for asked, _ in world.asked)
        world.asked.append((path, self.headers.get("Range", "")))
        data = world.files[path.rsplit("/", 1)[1]]
        if number in world.errors:
            self.answer(world.errors[number], b"")
            return
        first, last = map(int, self.headers["Range"].removeprefix("bytes=").split("-"))
        part = data if world.whole else data[first : last + 1]
        cut = world.cut_after.get(number, len(part))
        world.sent += min(cut, len(part))
        self.answer(200 if world.whole else 206, part[:cut], len(part), f"bytes {first}-{last}/{len(data)}")

    def answer(self, status: int, body: bytes, length: int | None = None, content_range: str = "") -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        if content_range and status == 206:
            self.send_header("Content-Range", content_range)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[World, Hub]]:
    monkeypatch.setattr(module, "_BLOCK_BYTES", 4096)  # so that small files, too, are read in several requests
    Handler.world = world = World()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        address = f"http://127.0.0.1:{running.server_port}"
        world.files = {"0.parquet": parquet(STORIES[:1500]), "1.parquet": parquet([None, *STORIES[1500:]])}
        urls = [f"{address}/api/datasets/ann/stories/parquet/default/train/{name}" for name in world.files]
        world.listing = {"other": {"train": ["x"]}, "default": {"test": urls[:1], "train": urls}}
        yield world, Hub(address, ("127.0.0.1",), timeout=2, attempts=3, pause=0.01)
        running.shutdown()
        thread.join()


def refusal(hub: Hub, folder: Path, name: str = "ann/stories", column: str = "text", **more: Any) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the message is the result
        dataset_text(name, column, folder=folder, hub=hub, **more)
    left = [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
    assert left == []
    return str(caught.value)


def test_all_texts_of_all_shards_in_order(server: tuple[World, Hub], tmp_path: Path) -> None:
    world, hub = server
    seen: list[tuple[int, int]] = []
    text = dataset_text("ann/stories", "text", folder=tmp_path, hub=hub, progress=lambda *now: seen.append(now))
    assert text.path.read_text("utf-8") == WHOLE
    assert (text.n_bytes, text.name) == (len(WHOLE.encode()), "ann/stories (text)")
    rows = f"{len(STORIES) + 1:,} rows"
    assert text.notes == (f"ann/stories: 1 of {rows} has no text in the column 'text' and is left out.",)
    assert seen[-1] == (text.n_bytes, 20_000_000)
    world.listing = None  # from now on the server is of no use
    again = dataset_text(" ann/stories ", "text", folder=tmp_path, hub=hub)
    assert (again, again.notes) == (text, text.notes)
    text.path.unlink()
    with pytest.raises(ValueError, match="no public dataset ann/stories"):
        dataset_text("ann/stories", "text", folder=tmp_path, hub=hub)


def test_columns_within_columns_chats_and_words_of_a_dictionary(server: tuple[World, Hub], tmp_path: Path) -> None:
    world, hub = server
    world.listing = {"default": {"train": world.listing["default"]["train"][:1]}}
    world.files["0.parquet"] = parquet(
        [None, None, None],
        said=pa.array([{"en": "A house.", "n": 1}, None, {"en": "A dog.", "n": 2}]),
        messages=pa.array([[{"role": "user", "content": "Hi!"}, {"role": "assistant", "content": None}], None, []]),
        kind=pa.array(["good", None, "good"]).dictionary_encode(),
        numbers=pa.array([[1], [2], [3]]),
    )
    for column, wanted in [
        ("said.en", "A house.\n\nA dog."), ("messages", "user: Hi!"), ("kind", "good\n\ngood"),
    ]:  # fmt: skip
        assert dataset_text("ann/stories", column, folder=tmp_path / column, hub=hub).path.read_text("utf-8") == wanted
    notes = dataset_text("ann/stories", "messages", folder=tmp_path / "messages", hub=hub).notes
    assert notes[1] == (
        "ann/stories: In the chats of the column 'messages', 1 of 2 messages has no text (such as tool calls) and is left "
        "out."
    )
    offered = "It has text in text, said.en, messages (a chat), kind."
    for column, message in [
        ("said", "Column 'said' of ann/stories holds no text."), ("said.n", "ann/stories has no column 'said.n'."),
        ("numbers", "Column 'numbers' of ann/stories holds no text."), ("nothing", "has no column 'nothing'."),
    ]:  # fmt: skip
        said = refusal(hub, tmp_path / "refused", column=column)
        assert message in said and offered in said
    assert "is empty" in refusal(hub, tmp_path / "refused")


def test_a_column_that_is_no_text_is_refused(server: tuple[World, Hub], tmp_path: Path) -> None:
    world, hub = server
    world.listing = {"default": {"train": world.listing["default"]["train"][:1]}}
    world.files["0.parquet"] = parquet(["\x00\x01\x02 binary"] * 300)
    assert refusal(hub, tmp_path).startswith("Column text of ann/stories is not UTF-8 text (looks like ")


def test_no_more_is_fetched_than_is_asked_for(server: tuple[World, Hub], tmp_path: Path) -> None:
    world, hub = server
    noise = [random.Random(n).randbytes(100).hex() for n in range(4_000)]
    world.files["0.parquet"] = parquet(STORIES, other=noise)
    text = dataset_text("ann/stories", "text", folder=tmp_path, hub=hub, max_bytes=5_000)
    cut = text.path.read_text("utf-8")
    assert WHOLE.startswith(cut) and 4_996 <= text.n_bytes <= 5_000
    assert world.sent < len(world.files["0.parquet"]) / 3
    assert all("1.parquet" not in path for path, _ in world.asked)


def test_another_split(server: tuple[World, Hub], tmp_path: Path) -> None:
    _, hub = server
    text = dataset_text("ann/stories", "text", folder=tmp_path, split="test", hub=hub)
    assert text.path.read_text("utf-8") == WHOLE[: text.n_bytes * 2].split("\n\nStory 1500.")[0]
    assert "no split 'valid'; it has test, train." in refusal(hub, tmp_path / "new", split="valid")


def test_a_connection_that_is_cut_goes_on_where_it_stopped(server: tuple[World, Hub], tmp_path: Path) -> None:
    world, hub = server
    world.cut_after = {2: 1000, 3: 500}
    world.errors = {6: 503, 7: 429}
    text = dataset_text("ann/stories", "text", folder=tmp_path, hub=hub)
    assert text.path.read_text("utf-8") == WHOLE
    ranges = [asked.removeprefix("bytes=").split("-") for _, asked in world.asked]
    assert int(ranges[3][0]) == int(ranges[2][0]) + 1000  # not from the beginning again
    assert int(ranges[4][0]) == int(ranges[3][0]) + 500


@pytest.mark.parametrize("after", [0, 700])
def test_a_connection_lost_for_good_leaves_nothing(server: tuple[World, Hub], tmp_path: Path, after: int) -> None:
    world, hub = server
    world.cut_after = dict.fromkeys(range(2, 100), after) if after == 0 else dict.fromkeys(range(3, 100), 1)
    message = refusal(hub, tmp_path)
    assert message.startswith(
        "ann/stories could not be read: the connection to 127.0.0.1 was cut. Check the connection"
    )


def test_it_is_lost_in_the_second_shard(server: tuple[World, Hub], tmp_path: Path) -> None:
    world, hub = server
    dataset_text("ann/stories", "text", folder=tmp_path / "a", hub=hub)
    first = next(n for n, (path, _) in enumerate(world.asked) if "1.parquet" in path)
    world.asked.clear()
    world.errors = dict.fromkeys(range(first + 1, 100), 500)
    assert "the server answered 500 (Internal Server Error). Check the connection" in refusal(hub, tmp_path / "b")
    world.errors = {}
    world.asked.clear()
    assert dataset_text("ann/stories", "text", folder=tmp_path / "b", hub=hub).path.read_text("utf-8") == WHOLE


def test_nobody_listens(tmp_path: Path) -> None:
    nowhere = Hub("http://127.0.0.1:9", ("127.0.0.1",), timeout=1, attempts=2, pause=0.01)
    assert "there is no connection to 127.0.0.1" in refusal(nowhere, tmp_path)


WRONG = [
    ({"name": "stories"}, "A dataset is named owner/name"),
    ({"name": "https://huggingface.co/datasets/ann/stories"}, "A dataset is named owner/name"),
    ({"name": "../../etc"}, "A dataset is named owner/name"),
    ({"name": "ann/..%2f"}, "A dataset is named owner/name"),
    ({"name": "ann/a..b"}, "A dataset is named owner/name"),
    ({"name": "ann/sto?x=1"}, "A dataset is named owner/name"),
    ({"name": None}, "A dataset is named owner/name"),
    ({"name": "bob/stories"}, "The hub has no public dataset bob/stories."),
    ({"column": "story"}, "ann/stories has no column 'story'. It has text in text."),
    ({"column": "id"}, "Column 'id' of ann/stories holds no text."),
    ({"column": ""}, "Column must be the name"),
    ({"column": "a\nb"}, "Column must be the name"),
    ({"split": "tr/ain"}, "Split must be a word"),
    ({"max_bytes": 10}, "Dataset size must be 1,000 to 1,000,000,000 bytes; 10 is not."),
]


@pytest.mark.parametrize(("wishes", "message"), WRONG)
def test_wrong_wishes(server: tuple[World, Hub], tmp_path: Path, wishes: dict[str, Any], message: str) -> None:
    assert message in refusal(server[1], tmp_path, **wishes)


def test_wrong_answers(server: tuple[World, Hub], tmp_path: Path) -> None:
    world, hub = server
    good = world.listing
    for listing, message in [
        ([], "no Parquet files"), ({}, "no Parquet files"), ({"default": []}, "no Parquet files"),
        ({"default": {}}, "no split ''"), ({"default": {"train": []}}, "no split 'train'"),
        ({"default": {"train": ["file:///etc/passwd"]}}, "it lies outside the hub"),
        ({"default": {"train": ["http://169.254.169.254/latest"]}}, "it lies outside the hub, at 169.254.169.254"),
        ({"default": {"train": [hub.endpoint.rsplit(":", 1)[0] + ":1/x"]}}, "it lies outside the hub"),
    ]:  # fmt: skip
        world.listing = listing
        assert message in refusal(hub, tmp_path)
    world.listing = good
    world.away = "http://evil.example/0.parquet"
    assert "it lies outside the hub, at evil.example" in refusal(hub, tmp_path)
    world.away = ""
    world.whole = True
    assert "could not be read" in refusal(hub, tmp_path)
    world.whole = False
    for content in (b"", b"PAR1 and no more", b"x" * 5000):
        world.files["0.parquet"] = content
        assert refusal(hub, tmp_path).startswith(
            ("A file of ann/stories cannot be read", "ann/stories could not be read")
        )
    world.files["0.parquet"] = parquet([None] * 9)
    world.listing = {"default": {"train": good["default"]["train"][:1]}}
    assert "ann/stories (text) is empty" in refusal(hub, tmp_path)


def test_without_pyarrow_one_sentence_says_what_to_install(
    server: tuple[World, Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    assert refusal(server[1], tmp_path).endswith("need pyarrow, which is not installed: pip install pyarrow.")


def test_the_real_hub_is_fixed_and_its_hosts_are_its_own() -> None:
    for url, fine in [
        ("https://huggingface.co/api/datasets/a/b/parquet/default/train/0.parquet", True),
        ("https://cdn-lfs.huggingface.co/x", True), ("https://cas-bridge.xethub.hf.co/x", True),
        ("https://huggingface.co:443/x", True), ("https://user@huggingface.co/x", True),
        ("http://huggingface.co/x", False), ("https://huggingface.co.evil.com/x", False),
        ("https://evilhf.co/x", False), ("https://huggingface.co:8443/x", False), ("https://user@127.0.0.1/x", False),
        ("https://huggingface.co@evil.com/x", False), ("https://evil.com#@huggingface.co/x", False),
        ("https://evil.com/\\@huggingface.co", False), ("https:///huggingface.co/x", False), ("/x", False),
    ]:  # fmt: skip
        if fine:
            module.HUB.check(httpx2.URL(url))
        else:
            with pytest.raises(OutsideError, match="outside the hub"):
                module.HUB.check(httpx2.URL(url))


def test_the_blocks_of_a_file_come_over_one_connection(
    server: tuple[World, Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Handler, "protocol_version", "HTTP/1.1")
    monkeypatch.setattr(Handler, "disable_nagle_algorithm", True)
    world, hub = server
    assert dataset_text("ann/stories", "text", folder=tmp_path, hub=hub).path.read_text("utf-8") == WHOLE
    assert len(world.asked) > 10
    assert len(world.clients) == 1


def test_with_hf_hub_offline_nothing_is_requested(
    server: tuple[World, Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    world, hub = server
    assert refusal(hub, tmp_path).startswith("ann/stories could not be read: HF_HUB_OFFLINE is set, which forbids")
    assert world.clients == set()


def test_a_listing_that_is_too_long_is_refused(
    server: tuple[World, Hub], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_LISTING_BYTES", 100)
    assert "its list of files is larger than" in refusal(server[1], tmp_path)


def test_the_session_and_pyarrow_are_imported_when_they_are_needed() -> None:
    code = "import sys, playground.data.hub, playground.interchange.hub; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert "playground.data.http_client" in loaded
    assert not {"huggingface_hub", "httpx2", "fsspec", "pyarrow"} & set(loaded)
