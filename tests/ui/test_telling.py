"""Work behind a button tells what it does, and ends with its result or its error."""

import time

import pytest

from playground.ui.telling import telling


def listen(words):
    heard = []
    while True:
        try:
            heard.append(next(words))
        except StopIteration as end:
            return heard, end.value


def test_words_come_while_the_work_goes_on(monkeypatch):
    monkeypatch.setattr("playground.ui.telling.SECONDS", 0.02)

    def work(tell):
        for share in (0.25, 0.5):
            tell(share, "counting words")
            time.sleep(0.15)
        return "done"

    heard, result = listen(telling(work))
    assert result == "done"
    assert heard == ["Counting words … 25%", "Counting words … 50%"]


def test_an_error_of_the_work_is_raised():
    def work(tell):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        listen(telling(work))
