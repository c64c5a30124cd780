"""What the app stores of a visitor, in one sentence, and all of it as a download or deleted."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import gradio as gr
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from playground.config import counted
from playground.runs.collection import entries, stream
from playground.runs.queue.control import delete_jobs
from playground.runs.queue.queue import Job
from playground.runs.races import jobs
from playground.runs.store.run_store import ANONYMOUS, check_owner, hashed
from playground.ui.downloads import zip_response
from playground.ui.picker import QUIET
from playground.ui.scripts import importing
from playground.ui.server.logins import Throttle
from playground.ui.services import Services
from playground.ui.train.run_actions import follow

PATH = "your-data"
FILE = "playground-runs.zip"
DOWNLOADS = (3, 20.0)  # that a visitor can begin at once, and seconds for each one after them
DOWNLOAD = (
    f"async (token) => (await {importing('static/dom.js')})"
    f".download({PATH!r}, token, {FILE!r}, 'Your runs are downloaded.')"
)


@dataclass(frozen=True)
class YourData:
    """The components; only a public app shows them."""

    words: gr.Markdown
    download: gr.Button
    delete: gr.Button
    sure: gr.Row
    question: gr.Markdown
    confirm: gr.Button
    keep: gr.Button
    said: gr.Markdown


def stored_words(services: Services) -> str:
    """What is stored and for how long, in one sentence."""
    hosting = services.hosting
    kept = "" if hosting.keep_days is None else counted(max(1, round(hosting.keep_days)), "day")
    until = f" or, unless they are shared, have not used them for {kept}" if kept else ""
    asked = {"name": hosting.class_code, "answers": services.assignments.all()}
    given = " and ".join(f"your {what}" for what, wanted in asked.items() if wanted)
    school = f"{given}{f' for {kept}' if kept else ''}, " if given else ""
    return (
        f"This app stores your runs (settings, texts, curves, samples and weights) until you delete them{until}, "
        f"your training time for one day, {school}and uploads for up to two hours."
    )


def build_your_data(services: Services) -> YourData:
    """The sentence, and the buttons below it."""
    with gr.Column(visible=services.public, elem_id="your-data"):
        words = gr.Markdown(stored_words(services), elem_classes="pg-note")
        look: dict[str, Any] = {"elem_classes": "pg-quiet", "scale": 0, "min_width": 150, "size": "sm"}
        with gr.Row(elem_classes="pg-actions"):
            download = gr.Button("Download all my runs", elem_id="your-data-download", **look)
            delete = gr.Button("Delete all my runs", elem_id="your-data-delete", **look)
        with gr.Row(visible=False, elem_classes="pg-actions") as sure:
            question = gr.Markdown("", elem_classes="pg-note")
            confirm = gr.Button("Delete all", variant="stop", elem_id="your-data-confirm", **look)
            keep = gr.Button("Keep them", **look)
        said = gr.Markdown("", elem_classes="pg-note", elem_id="your-data-said")
    return YourData(words, download, delete, sure, question, confirm, keep, said)


def _own(services: Services, token: object) -> list[Job]:
    visitor = services.visitor(token)
    check_owner(visitor)
    return [job for job in jobs(services.store) if job.owner == hashed(visitor)]


def ask(services: Services, token: str) -> tuple[Any, str, str]:
    """The question before anything is deleted. Raises ValueError if there is nothing."""
    own = _own(services, token)
    named = hashed(services.visitor(token)) in services.people.people()
    if not own and not named:
        raise ValueError("You have no runs here. Nothing is stored that could be deleted.")
    name = " and your name" if named else ""
    return gr.update(visible=True), f"Delete {counted(len(own), 'run or race', 'runs and races')}{name} for good?", ""


def delete_all(services: Services, token: str) -> tuple[Any, ...]:
    """Delete all runs and races of a visitor and the name they gave, and show that there are none."""
    deleted = delete_jobs(services.store, _own(services, token))
    owner = hashed(services.visitor(token))
    services.people.forget(lambda each, person: each == owner)
    services.assignments.forget(lambda answer: answer.owner == owner)
    said = f"{counted(deleted, 'run or race', 'runs and races')} deleted."
    return gr.update(visible=False), said, *follow(services, None, token)


def routes(services: Services) -> list[Route]:
    """The download: ``POST /your-data`` with the visitor's token as ``Authorization: Bearer``. In public mode only."""
    throttle = Throttle(*DOWNLOADS)

    def download(request: Request) -> Response:
        token = request.headers.get("authorization", "").removeprefix("Bearer ")
        try:
            visitor = services.visitor(token)
        except ValueError as error:
            return PlainTextResponse(str(error), 403)
        owner = hashed(visitor)
        if visitor == ANONYMOUS or owner is None:
            return PlainTextResponse("Only a visitor with a token can do this. Reload the page.", 403)
        if (wait := throttle.take(owner)) > 0:
            throttle.give_back(owner)
            return PlainTextResponse(f"Too many downloads. Try again in {counted(math.ceil(wait), 'second')}.", 429)
        own = [run for run in services.store.list() if run.owner == owner]
        return zip_response(stream(entries(own, services.curves, everything=True)), FILE)

    return [Route(f"/{PATH}", download, methods=["POST"])] if services.public else []


def wire_your_data(panel: YourData, services: Services, visitor: gr.BrowserState, shown: list[Any]) -> None:
    """Connect the buttons; `shown` are the run list and the view, which show none of the deleted runs any more."""
    panel.download.click(None, visitor, panel.said, js=DOWNLOAD, **QUIET)
    panel.delete.click(services.bind(ask), visitor, [panel.sure, panel.question, panel.said], **QUIET)
    panel.keep.click(lambda: gr.update(visible=False), None, panel.sure, **QUIET)
    panel.confirm.click(
        services.bind(delete_all), visitor, [panel.sure, panel.said, *shown],
        show_progress="minimal", concurrency_limit=4, api_visibility="private",
    )  # fmt: skip
