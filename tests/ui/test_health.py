"""The host's two pages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from starlette.applications import Starlette
from starlette.testclient import TestClient

from playground.ui.server.health import routes
from playground.ui.services import Services
from tests.ui.conftest import MakeRun


def client(services: Services) -> TestClient:
    return TestClient(Starlette(routes=routes(services)))


def test_health_says_whether_runs_can_be_stored(local: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    assert client(local).get("/health").json() == {"status": "ok"}

    def full(self: object) -> None:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr("playground.runs.store.files.Lock.__enter__", full)
    answer = client(local).get("/health")
    assert answer.status_code == 503
    assert answer.json()["reason"] == "The run store cannot be written: Read-only file system."


@pytest.mark.parametrize(("public", "free", "need"), [(True, 150, "200"), (False, 15, "20")])
def test_health_says_when_the_disk_is_full(
    local: Services, monkeypatch: pytest.MonkeyPatch, public: bool, free: int, need: str
) -> None:
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=free * 1e6))
    answer = client(replace(local, public=public)).get("/health")
    assert answer.status_code == 503
    assert answer.json() == {
        "status": "unwell",
        "reason": f"The disk of the run store is full: {free} MB are free of the {need} MB that runs need.",
    }
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1e9))
    assert client(replace(local, public=public)).get("/health").status_code == 200


def test_metrics_count_runs_and_memory(local: Services, make_run: MakeRun, tmp_path: Path) -> None:
    make_run()
    text = client(local).get("/metrics").text
    assert 'playground_runs{state="finished"} 1' in text
    values = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert float(values["playground_app_resident_bytes"]) > 50e6
    assert float(values["playground_disk_free_bytes"]) > 0
    assert str(tmp_path) not in text


def test_in_public_metrics_are_the_hosts_alone(local: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    public = client(replace(local, public=True))
    assert public.get("/metrics").status_code == 404
    assert public.get("/metrics", headers={"Authorization": "Bearer "}).status_code == 404
    monkeypatch.setenv("PLAYGROUND_METRICS_TOKEN", "s3cret")
    assert public.get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 404
    assert public.get("/metrics", headers={"Authorization": "Bearer s3cret"}).status_code == 200
    assert public.get("/health").status_code == 200
