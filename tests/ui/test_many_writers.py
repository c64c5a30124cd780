"""Many visitors write at once, and some leave in the middle: over HTTP, against the app's own server."""

import threading
import time

import pytest

from playground.inference import generation
from playground.ui.app import build_app, launch_options, queued
from playground.ui.tabs.sample import WRITERS
from tests.visitor import Visitor

pytestmark = pytest.mark.filterwarnings(
    "ignore:'future.no_silent_downcasting'"
)  # Gradio's statistics ask pandas for it


@pytest.fixture
def served(local, make_run):
    """The app's address, and a run in it."""
    run = make_run(block_size=32, window=16)
    demo = queued(build_app(local))
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options(local))
    yield url, run
    demo.close()


@pytest.fixture
def slow(monkeypatch):
    """Writing takes 30 ms a token, half a minute for the longest text, and every text under way is counted."""
    under_way, plain = set(), generation.continue_rows

    def counted(*arguments):
        mine = object()
        under_way.add(mine)
        try:
            for tokens in plain(*arguments):
                time.sleep(0.03)
                yield tokens
        finally:
            under_way.discard(mine)

    monkeypatch.setattr(generation, "continue_rows", counted)
    return under_way


def until(true, seconds=10):
    end = time.monotonic() + seconds
    while not true() and time.monotonic() < end:
        time.sleep(0.05)
    assert true()


def first_text(visitor):
    """Reads until some of the text has come."""
    for kind, output in visitor.answers():
        if kind == "process_generating" and output["data"][0]["branches"][0]["tokens"]:
            return
        assert kind != "process_completed", output


def test_a_visitor_who_leaves_frees_the_worker(served, slow):
    """As many as may write at once begin long texts and go; the next one writes at once, and nothing goes on behind."""
    url, run = served
    for _ in range(WRITERS):
        with Visitor(url) as visitor:
            visitor.generate(run.id, None, "the", max_new_tokens=1_000)
            first_text(visitor)
    until(lambda: not slow)
    with Visitor(url) as last:
        began = time.monotonic()
        last.generate(run.id, None, "the", max_new_tokens=1_000)
        first_text(last)
        assert time.monotonic() - began < 3
        assert len(slow) == 1
    until(lambda: not slow)


def test_ten_visitors_write_at_once(served, slow):
    url, run = served
    done: list[int] = []
    together = threading.Barrier(10)

    def visit(number):
        with Visitor(url) as visitor:
            together.wait()
            visitor.generate(run.id, None, "the", max_new_tokens=100, seed=number)
            first_text(visitor)
            together.wait(timeout=20)  # all ten have seen some of theirs, and none has waited for another's end
            done.append(number)

    visitors = [threading.Thread(target=visit, args=(number,)) for number in range(10)]
    for thread in visitors:
        thread.start()
    for thread in visitors:
        thread.join()
    assert sorted(done) == list(range(10))
