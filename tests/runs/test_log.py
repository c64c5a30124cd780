import json
import math
import random
from dataclasses import replace
from pathlib import Path

import pytest

from playground.runs.store.history import Downsampled, History
from playground.runs.store.log import LogWriter, Tail, frame, unframe
from playground.train.events import Diverged, Evaluated, Event, Finished, Sampled, Started, StepDone, event_to_dict

STARTED = Started(0, 20, 100, 1000, 100, 1.5)


def done(step: int, loss: float | None = None) -> StepDone:
    return StepDone(step, step * 64, step * 0.5, 5.0 / step if loss is None else loss, 1.0 + step, 1e-3)


def life(start: int = 0, end: int = 20) -> list[Event]:
    """The events of a run from one step to another, with an evaluation and a sample every fifth step."""
    events: list[Event] = [replace(STARTED, step=start)]
    for step in range(start, end + 1):
        if step > start:
            events.append(done(step))
        if step % 5 == 0:
            events += [Evaluated(step, step * 64, step * 0.5, 3.0, 0.25), Sampled(step, "p", "\n\t\r\u2028é\x00")]
    return events


def written(path: Path, events: list[Event]) -> bytes:
    with LogWriter(path) as log:
        for event in events:
            log.append(event)
    return path.read_bytes()


def read(path: Path) -> History:
    history = History(path)
    history.refresh()
    return history


def test_a_row_survives_its_frame() -> None:
    for event in life():
        row = event_to_dict(event)
        line = frame(row)
        assert line.endswith(b"\n")
        assert line.count(b"\n") == 1
        assert unframe(line[:-1]) == json.loads(json.dumps(row))


def test_no_nan_is_ever_written() -> None:
    event = Diverged(3, math.inf, (1.0, math.nan, -math.inf))
    row = unframe(frame(event_to_dict(event))[:-1])
    assert row == {"event": "Diverged", "step": 3, "learning_rate": None, "last_losses": [1.0, None, None]}


def test_every_flipped_bit_of_a_line_is_noticed() -> None:
    line = frame(event_to_dict(done(3)))[:-1]
    for bit in range(len(line) * 8):
        flipped = bytearray(line)
        flipped[bit // 8] ^= 1 << bit % 8
        assert unframe(bytes(flipped)) is None


@pytest.mark.slow
def test_a_log_cut_at_any_byte_gives_its_complete_rows_and_then_the_rest(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", life())
    path = tmp_path / "log"
    for cut in range(len(whole) + 1):
        path.write_bytes(whole[:cut])
        tail = Tail(path)
        rows = list(tail.rows())
        assert len(rows) == whole[:cut].count(b"\n")
        with open(path, "ab") as file:
            file.write(whole[cut:])
        assert not tail.changed()
        rows += tail.rows()
        assert rows == [json.loads(line.rpartition(b"\t")[0]) for line in whole.splitlines()]
        assert tail.damaged == 0


def test_a_writer_cuts_a_torn_line_and_goes_on(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", life())
    path = tmp_path / "log"
    for cut in range(0, len(whole) + 1, 7):
        path.write_bytes(whole[:cut])
        before = Tail(path)
        kept = list(before.rows())
        written(path, [Finished(20, 1280, 10.0)])
        assert path.read_bytes()[: whole[:cut].rfind(b"\n") + 1] == whole[: whole[:cut].rfind(b"\n") + 1]
        assert not before.changed()
        assert [row["event"] for row in before.rows()] == ["Finished"]
        assert before.damaged == 0
        assert len(list(Tail(path).rows())) == len(kept) + 1


@pytest.mark.slow
def test_damage_costs_the_rows_it_hits_and_is_counted(tmp_path: Path) -> None:
    whole = written(tmp_path / "whole", life(end=60))
    rng = random.Random(1)
    path = tmp_path / "log"
    total = whole.count(b"\n")
    for _ in range(200):
        data = bytearray(whole)
        data[rng.randrange(len(data) - 1)] ^= 1 << rng.randrange(8)
        path.write_bytes(data)
        history = read(path)
        rows = list(Tail(path).rows())
        assert total - 2 <= len(rows) <= total - 1  # a destroyed newline joins two rows
        assert 1 <= history.damaged <= 2
        assert history.step >= 59  # unless the flip hit the very last step
        steps = list(history.train["step"])
        assert steps == sorted(set(steps))
        assert len(steps) >= 58


@pytest.mark.parametrize("what", ["deleted", "replaced", "cut"])
def test_a_log_that_is_not_the_same_any_more_is_read_anew(tmp_path: Path, what: str) -> None:
    path = tmp_path / "log"
    whole = written(path, life())
    history = read(path)
    before = history.life
    if what == "cut":
        path.write_bytes(whole[: len(whole) // 2])
    else:
        path.rename(tmp_path / "elsewhere")
    if what == "replaced":
        written(path, life(end=7))
    history.refresh()
    assert history.life != before
    expected = read(path)
    assert history.train == expected.train
    assert history.validation == expected.validation


def test_a_missing_log_is_an_empty_one(tmp_path: Path) -> None:
    assert read(tmp_path / "none").step == 0


@pytest.mark.parametrize("checkpoint", [0, 5, 10, 12, 17])
def test_after_a_crash_each_step_is_seen_once(tmp_path: Path, checkpoint: int) -> None:
    whole, crashed = tmp_path / "whole", tmp_path / "crashed"
    written(whole, life())
    written(crashed, life(end=17))
    watcher = read(crashed)
    before = watcher.life
    written(crashed, life(checkpoint))
    watcher.refresh()
    for history in (read(crashed), watcher):
        assert history.train == read(whole).train
        assert history.validation == read(whole).validation
        assert history.samples == read(whole).samples
    assert (watcher.life != before) == (checkpoint < 17)


def test_two_crashes_are_no_harder_than_one(tmp_path: Path) -> None:
    for part in (life(0, 13), life(10, 12), life(5, 19), life(15, 20)):
        written(tmp_path / "log", part)
    written(tmp_path / "whole", life())
    assert read(tmp_path / "log").train == read(tmp_path / "whole").train
    assert read(tmp_path / "log").validation == read(tmp_path / "whole").validation


def test_rows_of_another_shape_are_counted_and_skipped(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"event": "StepDone", "step": "x"},
        {"event": "Nonsense"},
        {},
        {"event": ["StepDone"]},
        {**event_to_dict(done(1)), "loss": None},
        {**event_to_dict(done(1)), "step": None},
        {**event_to_dict(Evaluated(1, 2, 3.0, 4.0, 0.5)), "loss": None},
        event_to_dict(done(2)),
    ]
    (tmp_path / "log").write_bytes(b"".join(map(frame, rows)))
    history = read(tmp_path / "log")
    assert history.damaged == 7
    assert list(history.train["step"]) == [2]
    assert all(len(column) == 1 for column in history.train.values())


def test_thinning_gives_means_of_full_bins(tmp_path: Path) -> None:
    rng = random.Random(2)
    losses = [rng.random() for _ in range(10)]
    path = tmp_path / "log"
    history, given = History(path), []
    thinned = Downsampled(history, 3)
    for step, loss in enumerate(losses, 1):
        written(path, [done(step, loss)])
        history.refresh()
        thinned.extend()
        given.append(len(thinned.columns["step"]))
    assert given == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3]
    written(path, [Finished(10, 640, 5.0)])
    history.refresh()
    thinned.extend()
    assert thinned.columns["step"] == [3, 6, 9, 10]
    assert thinned.columns["tokens"] == [192, 384, 576, 640]
    assert thinned.columns["seconds"] == [1.5, 3.0, 4.5, 5.0]
    means = [sum(losses[i : i + 3]) / len(losses[i : i + 3]) for i in (0, 3, 6, 9)]
    assert thinned.columns["loss"] == pytest.approx(means, rel=1e-4)
    at_once = Downsampled(history, 3)
    at_once.extend()
    assert at_once.columns == thinned.columns


def test_a_bin_with_a_hole_is_closed_by_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    written(path, [done(step, 1.0) for step in (1, 2, 7)])
    thinned = Downsampled(read(path), 3)
    thinned.extend()
    assert thinned.columns["step"] == [2]
