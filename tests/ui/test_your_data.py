"""What is stored of a visitor: said in a sentence, taken as one archive, and deleted, without touching anybody else's."""

from __future__ import annotations

import io
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from playground.runs.store import status
from playground.runs.store.status import Status
from playground.ui.services import Services
from playground.ui.train.your_data import DOWNLOADS, ask, delete_all, routes, stored_words
from tests.runs.conftest import TEXT
from tests.ui.test_allowance import ANN, BOB, make, services


def client(found: Services) -> TestClient:
    return TestClient(Starlette(routes=routes(found)))


def test_a_visitor_takes_all_that_is_theirs(tmp_path: Path) -> None:
    found = services(tmp_path)
    mine, theirs = make(found, "mine"), make(found, "theirs", BOB)
    found.store.share(theirs.id, True, BOB)
    answer = client(found).post("/your-data", headers={"authorization": f"Bearer {ANN}"})
    assert answer.headers["cache-control"] == "no-store"
    files = zipfile.ZipFile(io.BytesIO(answer.content))
    assert files.testzip() is None
    assert theirs.id[:8] not in str(files.namelist())
    assert files.read(f"001-mine-{mine.id[:8]}/text.txt").decode() == TEXT


@pytest.mark.parametrize("token", ["", "x", "A" * 32, "é"])
def test_nobody_takes_anything_without_a_token(tmp_path: Path, token: str) -> None:
    found = services(tmp_path)
    make(found, "nobody's", None)
    answer = client(found).post("/your-data", headers={"authorization": f"Bearer {token}".encode()})
    assert answer.status_code == 403
    assert "oken" in answer.text
    assert client(found).get("/your-data").status_code == 405


def test_downloads_are_throttled(tmp_path: Path) -> None:
    page = client(services(tmp_path))
    headers = {"authorization": f"Bearer {ANN}"}
    codes = [page.post("/your-data", headers=headers).status_code for _ in range(DOWNLOADS[0] + 2)]
    assert codes == [200] * DOWNLOADS[0] + [429] * 2
    assert page.post("/your-data", headers={"authorization": f"Bearer {BOB}"}).status_code == 200


def test_a_local_app_has_no_such_page(tmp_path: Path) -> None:
    found = services(tmp_path)
    assert routes(Services(found.store, found.launcher, found.curves, found.models, tmp_path, public=False)) == []


def test_a_visitor_deletes_all_that_is_theirs(tmp_path: Path) -> None:
    found = services(tmp_path)
    waits, theirs = make(found, "mine"), make(found, "theirs", BOB)
    make(found, "mine too")
    status.declare(waits.path, Status("queued", queued=1.0))
    assert ask(found, ANN)[1] == "Delete 2 runs and races for good?"
    assert delete_all(found, ANN)[1] == "2 runs and races deleted."
    assert [run.id for run in found.store.list()] == [theirs.id]
    with pytest.raises(ValueError, match="You have no runs here"):
        ask(found, ANN)
    for token in ("", "x"):
        with pytest.raises(ValueError, match="oken"):
            delete_all(found, token)


def test_the_sentence_says_how_long(tmp_path: Path) -> None:
    found = services(tmp_path)
    assert stored_words(found) == (
        "This app stores your runs (settings, texts, curves, samples and weights) until you delete them, your training time "
        "for one day, and uploads for up to two hours."
    )
    found.hosting = replace(found.hosting, keep_days=14.0)
    assert "them or, unless they are shared, have not used them for 14 days, your training" in stored_words(found)
    found.assignments.create("t", "q", "{}", [])
    assert "for one day, your answers for 14 days, and" in stored_words(found)
    found.hosting = replace(found.hosting, keep_days=None, class_code="7b")
    assert "for one day, your name and your answers, and" in stored_words(found)
