"""Many visitors write at once, and some leave in the middle: over HTTP, against the app's own server."""

import threading
import time

import httpx
import pytest

from playground.inference import generation
from playground.ui.app import build_app, launch_options
from playground.ui.sample.sample_tab import WRITERS
from playground.ui.server.event_queue import queued
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
    under_way, plain = set(), generation.continue_batch

    def counted(*arguments):
        mine = object()
        under_way.add(mine)
        try:
            for tokens in plain(*arguments):
                time.sleep(0.03)
                yield tokens
        finally:
            under_way.discard(mine)

    monkeypatch.setattr(generation, "continue_batch", counted)
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


@pytest.mark.slow
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


@pytest.mark.slow
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


BAD = [
    ("temperature", float("nan"), "Temperature must be a number. You sent NaN."),
    ("temperature", float("inf"), "Temperature must be a finite number. You sent inf."),
    ("temperature", -1, "Temperature must be 0 to 5; -1 is not."),
    ("temperature", "hot", "Temperature must be a number. You sent 'hot'."),
    ("top_k", -1, "Top-k must be 0 to 65536; -1 is not."),
    ("top_k", 1.5, "Top-k must be a whole number; 1.5 is not."),
    ("top_p", 2, "Top-p must be 0 to 1; 2 is not."),
    ("min_p", -0.1, "Min-p must be 0 to 1; -0.1 is not."),
    ("repetition_penalty", 0, "Repetition penalty must be 0.1 to 10; 0 is not."),
    ("max_new_tokens", 10**6, "Max new tokens must be 1 to 8192; 1000000 is not."),
    ("n_sample", 99, "Samples must be 1 to 16; 99 is not."),
    ("seed", 1.5, "Seed must be a whole number; 1.5 is not."),
    ("run", "0" * 32, "Run not found."),
    ("run", None, "No run is chosen."),
    ("step", 7_777, "There are no weights of step 7777."),
    ("step", float("nan"), "There are no weights of step nan."),
    ("prompt", None, "Prompt must be text"),
    ("prompt", "x" * 20_001, "Prompt has 20,001 characters; the limit is 20,000. Shorten it."),
]


@pytest.mark.slow
def test_what_makes_no_sense_is_answered_in_a_sentence(served):
    """Through HTTP, where no slider stands in the way; and each time the next one is answered."""
    url, run = served
    for name, value, sentence in BAD:
        asked = {"run": run.id, "step": None, "prompt": "the"}
        with Visitor(url) as visitor:
            if name in asked:
                asked[name] = value
                visitor.generate(asked["run"], asked["step"], asked["prompt"], max_new_tokens=3)
            else:
                visitor.generate(run.id, None, "the", **{"max_new_tokens": 3, name: value})
            last = [output for kind, output in visitor.answers() if kind == "process_completed"][-1]
        assert last["error"].startswith(sentence), (name, value, last)


@pytest.mark.parametrize("prompt", ["", "the cat sat on the mat. " * 9])
def test_no_prompt_and_one_that_is_too_long_say_so_and_write(served, prompt):
    url, run = served
    with Visitor(url) as visitor:
        visitor.generate(run.id, None, prompt, max_new_tokens=3)
        first = next(output for kind, output in visitor.answers() if kind == "process_generating")
    note = first["data"][0]["note"]
    assert ("starts from a line break" if not prompt else "only the last 32 fit") in note


def test_a_busy_machine_does_not_end_the_app_while_it_starts(local, monkeypatch):
    """Gradio asks the app for its page and gives up after three seconds; the answer may come later."""
    monkeypatch.setattr("gradio.networking.url_ok", lambda _url: False)
    demo = queued(build_app(local))
    _, url, _ = demo.launch(prevent_thread_lock=True, quiet=True, **launch_options(local))
    try:
        assert httpx.get(url, timeout=60).status_code == 200
    finally:
        demo.close()
