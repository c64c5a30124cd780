import gzip
import json
import random
import threading
from typing import Any

import pytest

from playground.races.comparison import results
from playground.runs.curves import NOT_COMPARED, POINTS, Curves
from playground.runs.store import status
from playground.runs.store.log import LogWriter, frame
from playground.runs.store.run_store import Run, RunStore
from playground.runs.store.status import Status
from playground.tokenizers import import_tokenizer, learn_bpe
from playground.train.events import Evaluated, Event, Finished, Sampled, Started, StepDone, event_to_dict
from tests.runs.conftest import MODEL, TRAIN, MakeRun

HEAD = {
    "documents",
    "imported",
    "tokenizer_id",
    "tokenizer",
    "name",
    "state",
    "message",
    "role",
    "reference",
    "model",
    "corpus",
    "steps",
    "bits_per_nat",
    "no_bits",
    "baselines",
    "vocabulary",
    "tokens",
    "text",
}
ALWAYS = {"id", "cursor", "reset", "step", "tokens_per_second", "eta_seconds"}
DATA = {"train", "validation", "samples"}


def started(run: Run, step: int = 0) -> Started:
    return Started(step, run.train.steps, 1000, 3000, 300, 1.442695)


def steps(first: int, last: int) -> list[Event]:
    rng = random.Random(first)
    return [
        StepDone(step, step * 2048, step * 0.0501234, 2 + rng.random(), rng.random(), 1e-3 * rng.random())
        for step in range(first, last + 1)
    ]


def log(run: Run, *events: Event) -> None:
    with LogWriter(run.log) as writer:
        for event in events:
            writer.append(event)


class Client:
    """What the page does: keeps a cursor, merges what comes, drops its points when told to."""

    def __init__(self, curves: Curves) -> None:
        self.curves = curves
        self.cursor: object = None
        self.state: dict[str, Any] = {}

    def poll(self, run: Run) -> dict[str, Any]:
        answer = json.loads(json.dumps(self.curves.since(run, self.cursor), allow_nan=False))
        self.cursor = answer["cursor"]
        if answer["reset"]:
            self.state = {}
        for name in ("train", "validation"):
            for column, values in answer.get(name, {}).items():
                self.state.setdefault(name, {}).setdefault(column, []).extend(values)
        self.state.setdefault("samples", []).extend(answer.get("samples", []))
        self.state |= {key: value for key, value in answer.items() if key not in DATA | {"reset"}}
        return answer


@pytest.fixture
def curves(store: RunStore, monkeypatch: pytest.MonkeyPatch) -> Curves:
    monkeypatch.setattr("playground.runs.curves.STATUS_SECONDS", 0.0)
    return Curves(store)


def test_the_first_answer_has_everything(curves: Curves, make_run: MakeRun) -> None:
    run = make_run(name="mine", steps=800)
    log(run, started(run), Evaluated(0, 0, 0.0, 5.5, 0.01, loss_se=0.01234567), Sampled(0, "p", "text"), *steps(1, 4))
    answer = curves.since(run)
    assert set(answer) == ALWAYS | HEAD | DATA
    assert answer["reset"] is True
    assert (answer["name"], answer["state"], answer["role"]) == ("mine", "stopped", "modern")
    assert (answer["model"], answer["corpus"], answer["steps"]) == ("Modern", "Your own text", 800)
    assert answer["train"]["step"] == [2, 4]  # 800 steps on 400 points
    assert answer["validation"] == {
        "step": [0], "tokens": [0], "seconds": [0.0], "loss": [5.5], "loss_se": [0.0123], "bits_per_byte": [7.9348],
        "bits_per_byte_se": [0.0178], "accuracy": [0.01], "exact_match": [None],
    }  # fmt: skip
    assert answer["samples"] == [{"step": 0, "prompt": "p", "text": "text"}]


def test_an_empty_run_has_an_answer_too(curves: Curves, make_run: MakeRun) -> None:
    answer = curves.since(make_run())
    assert (answer["step"], answer["bits_per_nat"], answer["train"]["step"]) == (0, None, [])
    assert answer["tokens_per_second"] is answer["eta_seconds"] is None


def test_nothing_new_is_a_short_answer(curves: Curves, make_run: MakeRun) -> None:
    run, client = make_run(), Client(curves)
    log(run, started(run), *steps(1, 4))
    client.poll(run)
    assert set(client.poll(run)) == ALWAYS
    run = curves.store.rename(run.id, "another name")
    answer = client.poll(run)
    assert set(answer) == ALWAYS | HEAD
    assert (answer["reset"], client.state["name"]) == (False, "another name")


@pytest.mark.parametrize("n_steps", [30, 400, 799, 800, 1000, 4_001])
def test_polling_gives_the_same_points_as_asking_once(curves: Curves, make_run: MakeRun, n_steps: int) -> None:
    run, client = make_run(steps=n_steps), Client(curves)
    log(run, started(run))
    rng, step = random.Random(n_steps), 0
    while step < n_steps:
        last = min(n_steps, step + rng.randrange(1, 200))
        log(run, *steps(step + 1, last), Evaluated(last, last * 2048, last * 0.05, 2.0, 0.3))
        step = last
        client.poll(run)
    log(run, Finished(n_steps, n_steps * 2048, n_steps * 0.05))
    client.poll(run)
    fresh = Client(Curves(curves.store))
    fresh.poll(run)
    assert client.state == fresh.state
    assert client.state["train"]["step"][-1] == n_steps
    assert len(client.state["train"]["step"]) <= 2 * POINTS


def test_a_client_drops_what_a_crash_superseded(curves: Curves, make_run: MakeRun) -> None:
    run, client = make_run(steps=30), Client(curves)
    log(run, started(run), *steps(1, 17), Evaluated(15, 15, 15.0, 2.0, 0.1))
    client.poll(run)
    log(run, started(run, 10))
    answer = client.poll(run)
    assert answer["reset"] is True
    assert client.state["train"]["step"] == list(range(1, 11))
    assert client.state["validation"]["step"] == []
    log(run, *steps(11, 20))
    assert client.poll(run)["reset"] is False
    assert client.state["train"]["step"] == list(range(1, 21))


def test_going_on_after_a_pause_drops_nothing(curves: Curves, make_run: MakeRun) -> None:
    run, client = make_run(steps=30), Client(curves)
    log(run, started(run), *steps(1, 17))
    client.poll(run)
    log(run, started(run, 17), *steps(18, 20))
    assert client.poll(run)["reset"] is False
    assert client.state["train"]["step"] == list(range(1, 21))


def test_more_steps_mean_another_thinning(curves: Curves, make_run: MakeRun) -> None:
    run, client = make_run(steps=400), Client(curves)
    log(run, started(run), *steps(1, 400), Finished(400, 1, 1.0))
    client.poll(run)
    assert len(client.state["train"]["step"]) == 400
    run = curves.store.extend(run.id, 400)
    assert client.poll(run)["reset"] is True
    assert client.state["train"]["step"] == list(range(2, 401, 2))


def hostile_cursors(good: str) -> list[object]:
    life, *rest = good.split(":")
    counts = ["-1", "999999999", "9" * 5000, "1e5", "٣", "1_0", "", " 1", "0x1"]
    return [
        None, "", 0, -1, True, 1e400, float("nan"), [], {}, [good], {"cursor": good}, b"x", "x" * 1_000_000, good + "\n",
        good[:-1], good + ":0", *(":".join([life, count, *rest[1:]]) for count in counts), ":".join(["", *rest]),
        ":".join(["../../etc/passwd", *rest]), "<script>", "\x00", "'; DROP TABLE runs;--",
    ]  # fmt: skip


def test_hostile_cursors_cost_a_full_answer(curves: Curves, make_run: MakeRun) -> None:
    run = make_run()
    log(run, started(run), *steps(1, 20), Sampled(0, "p", "t"))
    full = curves.since(run)
    for cursor in hostile_cursors(full["cursor"]):
        assert curves.since(run, cursor) == full, cursor
    life, _, *rest = full["cursor"].split(":")
    answer = curves.since(run, ":".join([life, "5", *rest]))  # forged but sensible: it gets what it asks for
    assert answer["train"]["step"] == list(range(6, 21))
    other = make_run()
    log(other, started(other), *steps(1, 3))
    assert curves.since(other, full["cursor"])["reset"] is True


def test_speed_and_time_left(curves: Curves, make_run: MakeRun) -> None:
    import os

    run = make_run(steps=800)
    status.declare(run.path, status.running(os.getpid()))
    log(run, started(run), *steps(1, 100))
    answer = curves.since(run)
    assert answer["state"] == "running"
    assert answer["tokens_per_second"] == pytest.approx(2048 / 0.0501234, rel=0.01)
    assert answer["eta_seconds"] == pytest.approx(700 * 0.0501234, rel=0.05)
    status.declare(run.path, Status("paused"))
    assert curves.since(run)["eta_seconds"] is None


def test_damage_is_told(curves: Curves, make_run: MakeRun) -> None:
    run = make_run()
    log(run, started(run), *steps(1, 4))
    data = bytearray(run.log.read_bytes())
    data[300] ^= 1
    run.log.write_bytes(data)
    assert "1 damaged row of the log skipped." in curves.since(run)["message"]


def test_the_reader_follows_a_run_through_delete_and_time(store: RunStore, make_run: MakeRun) -> None:
    curves = Curves(store, capacity=2)
    runs = [make_run() for _ in range(4)]
    for run in runs:
        log(run, started(run), *steps(1, 5))
    clients = [Client(curves) for _ in runs]
    for _ in range(2):
        for client, run in zip(clients, runs, strict=True):
            client.poll(run)
            assert client.state["train"]["step"] == [1, 2, 3, 4, 5]
    store.delete(runs[0].id)
    assert curves.since(runs[0])["step"] == 0


def test_many_viewers_of_one_growing_run(curves: Curves, make_run: MakeRun) -> None:
    run = make_run(steps=400)
    log(run, started(run))
    failures: list[BaseException] = []

    def view() -> None:
        try:
            client = Client(curves)
            while client.state.get("step") != 400:
                client.poll(run)
            client.poll(run)
            assert client.state["train"]["step"] == list(range(1, 401))
        except BaseException as error:  # noqa: BLE001
            failures.append(error)

    threads = [threading.Thread(target=view) for _ in range(4)]
    for thread in threads:
        thread.start()
    for step in range(1, 401):
        log(run, *steps(step, step))
    for thread in threads:
        thread.join(60)
    assert failures == []


def test_tables(curves: Curves, make_run: MakeRun) -> None:
    run = make_run(steps=1000)
    assert len(curves.dataframe(run)) == len(curves.evaluations(run)) == 0
    events = steps(1, 900)
    log(run, started(run), Evaluated(0, 0, 0.0, 5.0, 0.1), *events, Evaluated(900, 9, 9.0, 2.0, 0.5, 0.25))
    frame = curves.dataframe(run)
    assert list(frame["step"]) == list(range(1, 901))  # every one, nothing thinned
    assert list(frame["loss"]) == [event.loss for event in events if isinstance(event, StepDone)]
    assert frame["bits_per_byte"].iloc[3] == pytest.approx(frame["loss"].iloc[3] * 1.442695)
    table = curves.evaluations(run)
    assert list(table["step"]) == [0, 900]
    assert table["bits_per_byte"].iloc[1] == pytest.approx(2 * 1.442695, rel=1e-4)
    assert table["exact_match"].iloc[1] == 0.25


def run_of_an_imported_tokenizer(store: RunStore, normalizer: str) -> Run:
    values = json.loads(learn_bpe("the fox saw an owl. " * 50, 280).json_text) | {"normalizer": {"type": normalizer}}
    tokenizer = import_tokenizer(json.dumps(values))
    model, train = MODEL.replace(vocab_size=tokenizer.vocab_size), TRAIN.replace(tokenizer="imported")
    return store.create(model, train, tokenizer, name="imported", preset="modern")


def test_where_the_text_does_not_come_back_there_are_no_bits_per_byte(curves: Curves, make_run: MakeRun) -> None:
    run = make_run()
    log(run, Started(0, 30, 1000, 3000, 300, None, 0.38, compared=True), *steps(1, 3), Evaluated(3, 9, 9.0, 2.0, 0.5))
    answer = json.loads(json.dumps(curves.since(run)))
    assert answer["bits_per_nat"] is None
    assert answer["no_bits"].startswith("38\u00a0% of the characters of the validation text do not come back")
    assert answer["validation"]["bits_per_byte"] == answer["validation"]["bits_per_byte_se"] == [None]
    assert curves.dataframe(run)["bits_per_byte"].isna().all()
    assert results([run], curves)["bits per byte"].isna().all()


@pytest.mark.parametrize(("normalizer", "known"), [("Lowercase", False), ("NFKC", False), ("NFC", False), (None, True)])
def test_an_old_log_is_not_believed_where_the_tokenizer_changes_texts(
    curves: Curves, store: RunStore, make_run: MakeRun, normalizer: str | None, known: bool
) -> None:
    run = run_of_an_imported_tokenizer(store, normalizer) if normalizer else make_run()
    old = event_to_dict(started(run))
    for name in ("lost", "compared"):  # earlier versions did not have them
        del old[name]
    run.log.write_bytes(frame(old))
    assert (curves.since(run)["bits_per_nat"] is not None) == known
    assert curves.since(run)["no_bits"] == ("" if known else NOT_COMPARED)


def poll_bytes_per_second(curves: Curves, make_run: MakeRun, n_runs: int = 4) -> tuple[float, float]:
    """Bytes a second, plain and gzipped, that polling every 400 ms costs while runs of 800 steps train for a minute."""
    import os

    runs = [make_run(steps=800) for _ in range(n_runs)]
    clients = [Client(curves) for _ in runs]
    for run in runs:
        status.declare(run.path, status.running(os.getpid()))
        log(run, started(run))
    plain = packed = 0
    for poll in range(150):
        answers = []
        for run, client in zip(runs, clients, strict=True):
            log(run, *steps(poll * 800 // 150 + 1, (poll + 1) * 800 // 150))
            answers.append(client.poll(run))
        if poll:  # the first one says everything
            body = json.dumps(answers, separators=(",", ":")).encode()
            plain, packed = plain + len(body), packed + len(gzip.compress(body))
    return plain / 60, packed / 60


def test_polling_is_cheap(curves: Curves, make_run: MakeRun) -> None:
    plain, packed = poll_bytes_per_second(curves, make_run)
    print(f"four runs of a minute each: {plain:.0f} bytes/s, {packed:.0f} gzipped")
    assert plain < 3_600
    assert packed < 1_000
