"""Only what a page has started last goes on."""

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import gradio as gr

from playground.ui import cancel_previous
from playground.ui.cancel_previous import CancelPrevious


def count(name: str, most: int) -> Iterator[tuple[str, int]]:
    for number in range(most):
        yield name, number


def page(session: str) -> Any:
    return SimpleNamespace(session_hash=session)


def test_a_second_one_ends_the_first_and_nothing_of_the_first_is_shown_again() -> None:
    only = CancelPrevious().only(count)
    first = only(page("a"), "first", 5)
    assert [next(first), next(first)] == [("first", 0), ("first", 1)]
    second = only(page("a"), "second", 3)
    assert next(second) == ("second", 0)
    assert list(first) == [(gr.skip(), gr.skip())]
    assert list(second) == [("second", 1), ("second", 2)]


def test_stop_ends_it_too_and_pages_do_not_know_each_other() -> None:
    tab = CancelPrevious()
    first, other = tab.only(count)(page("a"), "first", 5), tab.only(count)(page("b"), "other", 2)
    next(first), next(other)
    tab.end_what_runs(page("a"))
    assert list(first) == [(gr.skip(), gr.skip())]
    assert list(other) == [("other", 1)]


def test_gradio_finds_the_request_before_the_handlers_own_parameters() -> None:
    found, *_ = gr.helpers.special_args(CancelPrevious().only(count), ["name", 3], page("a"))
    assert found[0].session_hash == "a"
    assert found[1:] == ["name", 3]


def test_no_more_pages_are_remembered_than_that(monkeypatch: Any) -> None:
    monkeypatch.setattr(cancel_previous, "MOST_PAGES", 2)
    tab = CancelPrevious()
    for session in "abc":
        tab.end_what_runs(page(session))
    assert list(tab._last) == ["b", "c"]
