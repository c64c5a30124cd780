"""What the page's handlers say is true of none, one, equal and rounded numbers, and of every kind of run."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from playground.analysis.streaming import Reading
from playground.config import ModelConfig, TrainConfig
from playground.interp.sinks import SinkPoint
from playground.reference.make_sinks import KEPT, Measured
from playground.tokenizers import build_tokenizer
from playground.ui import links
from playground.ui.compare import compare_tab, race_form
from playground.ui.data import tokenizer_endpoints
from playground.ui.sample import sample_tab, streaming_view, writing
from playground.ui.train import train_tab


def readings(dense: list[float], window: float, sinks: float, again: list[float] | None = None) -> list[Reading]:
    """Of two texts, the second of which is a little easier."""

    def of_two(nll: list[float] | np.ndarray) -> np.ndarray:
        return np.array(nll) - np.array([[0.0], [0.001]])

    flat = np.full(len(dense), 1.0)
    return [
        Reading("dense", of_two(dense), 0, 1.0),
        Reading("sliding window", of_two(flat * window), 64, 1.0),
        Reading("window + 1 sink", of_two(flat * sinks), 64, 1.0),
        Reading("window, recomputed", of_two(flat if again is None else again), 0, 1.0),
    ]


def test_beyond_the_context_is_measured_beyond_the_context() -> None:
    """A text that is hardly longer than the context: its last half lies mostly within."""
    found = readings([1.0] * 10 + [3.0] * 2, 2.0, 2.0)
    words = streaming_view.seen(found, 10, 4)
    assert words.startswith(
        "**Beyond its context this run is worse with full attention than when it reads the last 4 tokens afresh** "
        "(perplexity 20.1 against 2.72, +2.000 ± 0.000 nats per token)."
    )
    assert "window + 1 sink makes no clear difference (perplexity 7.39 against 7.39, +0.000 ± 0.000 nats" in words
    assert words.endswith("a 95 % interval over stretches of 10 tokens.")
    assert "is itself longer than the context of 10." in streaming_view.seen(found, 10, 12)
    assert "| dense | 20.1 | none |" in streaming_view.table(found, 10)
    assert "| dense | 20.1 | none |" in streaming_view.table(found[:1], 100), "the last token of a shorter text"


def test_a_harder_end_of_a_text_is_not_put_down_to_the_context() -> None:
    """Reading the last tokens afresh never leaves the context: where it gets as much worse, the text is the reason."""
    harder = [2.4] * 10 + [2.7] * 30
    words = streaming_view.seen(readings(harder, 2.7, 2.6, again=harder), 10, 4)
    assert "shows no clear difference between full attention and reading the last 4 tokens afresh" in words
    assert "window + 1 sink is better (perplexity 13.5 against 14.9, −0.100 ± 0.000 nats per token)" in words


def test_a_difference_within_the_spread_of_a_text_is_not_claimed() -> None:
    noise = np.random.default_rng(0).normal(0, 1, (4, 400))
    flat = Reading("a", np.full((4, 400), 2.0), 0, 1.0)
    found = [streaming_view.difference_beyond(Reading("b", flat.by_text + noise + gain, 0, 1.0), flat, 20)
             for gain in (0.02, 1.0, -1.0)]  # fmt: skip
    assert [each.outcome for each in found] == ["unclear", "worse", "better"]
    assert found[0].n == 4 * 10 and found[0].half == pytest.approx(2.02 / np.sqrt(4 * 200), rel=0.2)


@pytest.mark.parametrize(("value", "words"), [(1.234, "1.23"), (45.67, "45.7"), (1234.5, "1,234"), (999.4, "999")])
def test_perplexities_have_no_exponents(value: float, words: str) -> None:
    assert streaming_view.in_digits(value) == words


def measured(mass: float, nothing: float, saved: float) -> Measured:
    texts = np.linspace(1.99, 2.01, 16)
    beyond = {n: texts - saved * (n > 0) + np.linspace(-1e-4, 1e-4, 16) * n for n in KEPT}
    return Measured(texts, beyond, [SinkPoint(10, np.array([[mass]]), np.array([[nothing]]))])


def test_the_three_runs_in_words_leave_out_what_there_is_none_of() -> None:
    words = streaming_view.three_words({"Vanilla softmax": measured(0.1, 0.0, 0.0)})
    assert words.startswith(
        "**No head of 1 small run became a sink; keeping the first tokens makes no significant diff"
    )
    assert "sink logit" not in words and words.endswith("Vanilla softmax 10 %.")
    words = streaming_view.three_words({name: measured(0.5, 0.2, 0.1) for name in "ABC"})
    assert words.startswith("**Sinks have formed in A, B and C; keeping the first tokens helps A, B and C.**")
    mixed = streaming_view.three_words({"A": measured(0.5, 0.0, 0.1), "B": measured(0.1, 0.0, -0.1)})
    assert "Sinks have formed in A; keeping the first tokens helps A and hurts B.**" in mixed and "B −10." in mixed
    assert "Attention on the sink logit: A 20 % of all attention, 20 % in its strongest head" in words


def test_the_last_tokens_are_called_so_when_there_were_others() -> None:
    tokens = [{"id": 1, "text": "a", "p": 1.0, "alternatives": []}] * streaming_view.TAIL
    assert streaming_view.tail(tokens, "done")["note"] == f"the last {streaming_view.TAIL} tokens"
    assert streaming_view.tail(tokens[:-1], "done")["note"] == ""


def test_the_likelihood_of_a_text_says_what_it_is() -> None:
    tokens = [{"p": np.exp(-1.0)}, {"p": np.exp(-3.0)}]
    assert writing.likelihood(tokens) == "log probability −2.00 nats per token, −4.0 in total"
    assert writing.likelihood([]) == ""


@pytest.mark.parametrize(
    ("n", "words"),
    [(1, "1 parameter"), (7_000, "7,000 parameters"), (853_504, "0.85 M parameters")],
)
def test_sizes_are_never_zero_million(n: int, words: str) -> None:
    assert train_tab._size(n).startswith(words)


@pytest.mark.parametrize(
    ("amount", "unit", "words"),
    [(1, "steps", "1 step"), (300, "steps", "300 steps"), (1, "seconds", "1 second of training"), (2.5, "tokens", "2.5 t")],
)  # fmt: skip
def test_a_budget_of_one_is_one(amount: float, unit: str, words: str) -> None:
    assert race_form._budget_in_words(amount, unit).startswith(words)


def test_what_an_empty_prompt_starts_from_is_named() -> None:
    byte = SimpleNamespace(tokenizer=build_tokenizer("byte", ""))
    letters = SimpleNamespace(tokenizer=build_tokenizer("char", "abc"))
    assert sample_tab._start(byte, [10]) == "a line break"
    assert sample_tab._start(letters, [0]) == "“a”"


def test_a_private_race_is_not_called_a_run() -> None:
    private = SimpleNamespace(shared=False, reference=False)
    services = SimpleNamespace(public=True, race=lambda *_: private, run=lambda *_: private)
    where = {name: links.Place(**{kind: SimpleNamespace()}) for name, kind in (("train", "run"), ("compare", "race"))}
    assert links.view_link(services, where, "compare", "", "a", "b")["note"] == links.PRIVATE_RACE
    assert links.view_link(services, where, "train", "", "a", "b")["note"] == links.PRIVATE
    assert "share the race" in links.PRIVATE_RACE and "share the run" in links.PRIVATE


def test_a_vocabulary_learned_from_the_text_itself_was_trained_on_it() -> None:
    chinese = "米拉把钥匙给了奥伦。"
    asked = {"text": chinese, "tokenizers": ["bpe:512"], "width": 64}
    assert (
        "was hardly trained on this script"
        in tokenizer_endpoints.tokenize(None, {**asked, "learned": "tales"})["notice"]
    )
    assert "was hardly trained" not in tokenizer_endpoints.tokenize(None, {**asked, "learned": "text"})["notice"]


def test_text_without_words_has_no_tokens_per_word() -> None:
    (row,) = tokenizer_endpoints.tokenize(
        None, {"text": " \n ", "tokenizers": ["byte"], "learned": "tales", "width": 64}
    )["rows"]
    assert row["tokens_per_word"] is None and row["tokens"] == 3


def test_merges_learned_from_a_part_of_a_corpus_say_so() -> None:
    assert (
        tokenizer_endpoints.replay(None, {"text": "abab", "learned": "tales"})["learned"] == "the first 20 kB of Tales"
    )
    assert tokenizer_endpoints.replay(None, {"text": "abab", "learned": "text"})["learned"] == "this text"


def test_bytes_that_are_left_over_are_no_certain_token(monkeypatch: pytest.MonkeyPatch) -> None:
    """The euro sign's first two bytes: what the decoder holds back at the end belongs to the last token."""
    drawn = [SimpleNamespace(id=byte, probability=0.25) for byte in "€".encode()[:2]]
    monkeypatch.setattr(compare_tab, "generate", lambda *_: iter(drawn))
    run = SimpleNamespace(tokenizer=build_tokenizer("byte", ""))
    services = SimpleNamespace(models=SimpleNamespace(get=lambda _run: None))
    *_, last = compare_tab._texts(services, run, "a", compare_tab.GenerationConfig())
    assert len(last) == 2 and [p for _, p in last] == [0.25, 0.25]
    assert last[-1][0] == "\ufffd" or "\ufffd" in last[-1][0]


def test_an_estimate_that_depends_on_the_text_says_about() -> None:
    """Of a character or BPE tokenizer the vocabulary is known only when the text has been read."""
    model = ModelConfig()
    for tokenizer, starts in (("byte", "0."), ("char", "about "), ("bpe", "about ")):
        values = TrainConfig(tokenizer=tokenizer)
        words = train_tab.show_estimate(*form_of(model, values))[0]
        assert words.startswith(starts), words


def form_of(model: ModelConfig, values: TrainConfig) -> tuple[object, object, dict[object, object]]:
    """A form's services, tab and data, as `show_estimate` takes them."""
    forms = {"model": dict.fromkeys(model.to_dict()), "train": dict.fromkeys(values.to_dict())}
    data: dict[object, object] = {}
    for name, config in (("model", model), ("train", values)):
        for key, value in config.to_dict().items():
            forms[name][key] = (name, key)
            data[name, key] = value
    data |= {"preset": "modern", "file": None}
    limits = SimpleNamespace(check_run=lambda *_: None, run_minutes=None)
    tab = SimpleNamespace(model=forms["model"], train=forms["train"], preset="preset", token_file="file")
    return SimpleNamespace(limits=limits), tab, data
