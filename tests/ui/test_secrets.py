"""A visitor's token is known to their browser and nobody else: no file, link, export or line of output has it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import gradio as gr
import pytest

from playground.runs.curves import Curves
from playground.runs.export import FORMATS, export_run
from playground.runs.limits import PUBLIC
from playground.runs.queue.audit_log import standard_output
from playground.runs.queue.hosting import Hosting
from playground.runs.queue.launcher import Launcher
from playground.runs.store.run_store import hashed
from playground.runs.worker.execution import execute
from playground.ui import endpoints, links
from playground.ui.api import Api
from playground.ui.links import Place
from playground.ui.server import health
from playground.ui.services import Services
from tests.ui.conftest import MakeRun

TOKEN = "0123456789abcdef" * 2


def test_a_token_is_written_nowhere(
    local: Services, make_run: MakeRun, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    kept = make_run()
    launcher = Launcher(local.store, spare=False, supervise=False, limits=PUBLIC, tell=standard_output)
    rules = Hosting(public=True, limits=PUBLIC)
    services = replace(local, launcher=launcher, curves=Curves(local.store), public=True, hosting=rules)
    run = services.store.create(
        kept.model, kept.train, kept.tokenizer, name="Ann's", preset="modern", owner=TOKEN, own_text=kept.own_text()
    )
    launcher._journal.look([(run, "queued")])
    launcher._journal.look([(run, execute(run).state)])
    launcher.usage.add(run.owner, 60)
    launcher.usage.flush()
    launcher.close()
    for format in FORMATS:
        export_run(run, tmp_path / format, format, cache_dir=services.cache_dir)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert {path.name for path in files} >= {"usage.json", "run.json", "model.safetensors", "train.py"}
    assert [str(path) for path in files if TOKEN.encode() in path.read_bytes()] == []
    exported = [path for path in files if path.is_relative_to(tmp_path) and path.parts[len(tmp_path.parts)] in FORMATS]
    owner = hashed(TOKEN) or ""
    assert [str(path) for path in exported if owner.encode() in path.read_bytes()] == []

    where = {"train": Place(gr.Dropdown())}
    told = [
        links.view_link(services, where, "train", TOKEN, run.id),
        links.share(services, run.id, TOKEN),
        endpoints.curves(services, {"visitor": TOKEN, "cursors": {run.id: None}}),
        endpoints.live(services, {"visitor": TOKEN}),
        Api(services).status(run.id, TOKEN),
        Api(services).metrics(run.id, TOKEN),
        health.report(services),
        capfd.readouterr(),
    ]
    assert "finished" in repr(told[-1]), "the journal has spoken"
    assert owner not in repr(told)
    assert TOKEN not in repr(told)
