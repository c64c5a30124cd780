"""Work behind a button tells what it does, and ends with its result or its error."""

import time

import pytest

from playground.ui import progress as module
from playground.ui.progress import paced, with_progress


def listen(words):
    heard = []
    while True:
        try:
            heard.append(next(words))
        except StopIteration as end:
            return heard, end.value


def test_words_come_while_the_work_goes_on(monkeypatch):
    monkeypatch.setattr("playground.ui.progress.SECONDS", 0.02)

    def work(tell):
        for share in (0.25, 0.999):
            tell(share, "counting words")
            time.sleep(0.15)
        return "done"

    heard, result = listen(with_progress(work))
    assert result == "done"
    assert heard == ["Counting words … 25 %", "Counting words … 99 %"], "100 % is done"


def test_an_error_of_the_work_is_raised():
    def work(tell):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        listen(with_progress(work))


@pytest.mark.parametrize(("showing", "shown"), [(0.0, 100 / 12.5), (0.1, 100 / 50), (1.0, 1)])
def test_showing_takes_a_fifth_of_the_time_at_most(monkeypatch, showing, shown):
    """A hundred views, a hundredth of a second apart: eight a second where showing is free, fewer where it is not."""
    now = [0.0]
    monkeypatch.setattr(module.time, "monotonic", lambda: now[0])

    def views():
        for number in range(100):
            now[0] += 0.01
            yield lambda number=number: number

    seen = []
    for number in paced(views(), 8):
        seen.append(number)
        now[0] += showing
    assert seen[0] == 0
    assert abs(len(seen) - shown) <= 1
