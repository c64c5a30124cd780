"""Sentences for screen readers, in a browser whose clock is set."""

from __future__ import annotations

from playground.ui import scripts
from tests.e2e.conftest import Watch


def test_a_new_subject_is_announced_at_once_and_the_latest_sentence_of_one_is_never_lost(watch: Watch) -> None:
    page = watch.context().new_page()  # a clock is of all pages of a window
    page.clock.install()
    page.set_content(f"<!doctype html><head>{scripts.import_map('static/dom.js')}</head><body></body>")
    page.evaluate(
        """async () => {
            const { announcer } = await import("playground/static/dom.js");
            window.announce = announcer(document.body);
        }"""
    )

    def announced(text: str, subject: str) -> str:
        page.evaluate("([text, subject]) => announce(text, subject)", [text, subject])
        return heard()

    def heard() -> str:
        return page.locator("[aria-live]").text_content()

    assert announced("A leads.", "first race") == "A leads."
    assert announced("B leads.", "first race") == "A leads."
    assert announced("B has won.", "first race") == "A leads."
    page.clock.fast_forward(10_000)
    assert heard() == "B has won."
    assert announced("C has won.", "second race") == "C has won."
    page.clock.fast_forward(60_000)
    assert heard() == "C has won."
