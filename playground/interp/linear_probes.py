"""Linear probes of each layer (Alain & Bengio 2016), with baselines.

A probe is a multinomial logistic regression from the residual stream of one token to a label of that token. Its
success shows that the label can be read linearly, not that the model uses it. The baselines are the most common label and
the same probe on shuffled labels (which can only memorize).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from playground.config import apart, counted
from playground.data.tale_plots import BOYS, FAMILY, GIRLS
from playground.interp.activations import KINDS, kind_of, streams, text_of
from playground.models.transformer import Transformer
from playground.tokenizers import Tokenizer, pieces

N_TOKENS = 32_000
LABELLED = 400_000  # tokens of a text among which windows are chosen
FEWEST = 200  # minimum number of labelled tokens for training and for testing
MOST = 6_000  # maximum number of training tokens of a probe
PENALTY = 1e-3
TEST = 3  # every n-th window, counted from the end of the text, is for testing

_SPEAKERS = tuple(name.split()[0] for name in (*GIRLS, *BOYS, *FAMILY))
_VERB = r"(?:often )?(?:said|asked|cried|called|shouted|whispered|told|promised|answered|thought|wrote)"
_NAME = f"({'|'.join(_SPEAKERS)})"
# The words just before an opening quotation mark that name the speaker: 'said Mia, ' or 'Mia often said, '.
_NAMED = re.compile(rf"(?:\b{_VERB} {_NAME}(?: \w+)?|\b{_NAME} {_VERB})(?: to \w+)?[,.:] ?$")
_PRONOUN = re.compile(rf"(?:\b{_VERB} (she|he)|\b(she|he) {_VERB})(?: to \w+)?[,.:] ?$", re.IGNORECASE)
_SHE = {*GIRLS, "Grandma", "Mother", "Aunt"}


@dataclass(frozen=True)
class Label:
    """A label of tokens. `values` (N,) are indices of `classes`, -1 where the label does not apply."""

    id: str
    name: str
    question: str
    classes: tuple[str, ...]
    values: np.ndarray


def labels_of(tokenizer: Tokenizer, ids: np.ndarray, tales: bool) -> list[Label]:
    """All labels of the tokens (N,) of a text; the speaker is known for Tales only."""
    raw, ends = text_of(tokenizer, ids)
    text = _with_line_ends(raw, ends, ids == tokenizer.eos)
    last = np.maximum(
        ends - 1, 0
    )  # the last byte of each token; of the first ones, if they stand for nothing, the first
    names = pieces(tokenizer, ids.tolist())
    found = [
        Label("kind", "Kind of token", "What kind of token is this?", KINDS,
              np.array([KINDS.index(kind_of(name)) for name in names])),
        Label("word", "Word ends here", "This token ends in a letter: does the word end with it?", ("goes on", "ends"),
              _word_ends(text, ends)),
        Label("quote", "Quotation open", "After this token, is a quotation open?", ("no", "yes"), _quoted(text)[last]),
    ]  # fmt: skip
    if tales:
        who, gender = _speakers(text)
        found += [
            Label("gender", "She or he is speaking", "Inside a quotation whose speaker was just named: she or he?",
                  ("she", "he"), gender[last]),
            Label("speaker", "Who is speaking", "Inside a quotation whose speaker was just named: what is the name?",
                  _SPEAKERS, who[last]),
        ]  # fmt: skip
    return found


def _with_line_ends(raw: bytes, ends: np.ndarray, is_eos: np.ndarray) -> str:
    """The text with one character per byte, so that offsets agree; end-of-text tokens (N,) become line ends, because
    words and quotations end with their document."""
    found = bytearray(raw)
    for i in np.flatnonzero(is_eos):
        start = int(ends[i - 1]) if i else 0
        found[start : int(ends[i])] = b"\n" * (int(ends[i]) - start)
    return found.decode("latin-1")


def _word_ends(text: str, ends: np.ndarray) -> np.ndarray:
    values = np.full(len(ends), -1)
    for i, end in enumerate(ends):
        if end < len(text) and text[end - 1].isalpha():
            values[i] = 0 if text[end].isalpha() else 1
    return values


def _quoted(text: str) -> np.ndarray:
    """For each character, 1 if a quotation is open after it. A line end closes all quotations."""
    is_quote = np.array([character == '"' for character in text])
    before = np.cumsum(is_quote)
    line = np.cumsum([character == "\n" for character in text])
    starts = np.concatenate(([0], np.flatnonzero(np.diff(line)) + 1))
    opened = np.concatenate(([0], before))[starts][line - line[0]]
    return ((before - opened) % 2).astype(int)


def _speakers(text: str) -> tuple[np.ndarray, np.ndarray]:
    """For each character of a quotation whose speaker is named just before it, the speaker's index, and 0 for she and 1
    for he; otherwise -1. A pronoun gives only the latter."""
    who, gender, start = np.full(len(text), -1), np.full(len(text), -1), 0
    for line in text.splitlines(keepends=True):
        marks = [start + i for i, character in enumerate(line) if character == '"']
        for n in range(0, len(marks) - 1, 2):
            inside = slice(marks[n] + 1, marks[n + 1])
            since = marks[n - 1] + 1 if n else start
            before = text[max(since, marks[n] - 60) : marks[n]]
            if named := _NAMED.search(before):
                name = named[1] or named[2]
                who[inside], gender[inside] = _SPEAKERS.index(name), int(name not in _SHE)
            elif pronoun := _PRONOUN.search(before):
                gender[inside] = int((pronoun[1] or pronoun[2]).lower() == "he")
        start += len(line)
    return who, gender


@dataclass(frozen=True)
class Fit:
    """Accuracy on test windows, with its standard error over windows."""

    accuracy: float
    error: float


@dataclass(frozen=True)
class Measured:
    """Results for one label: the most common label, the probe at each depth, and the probe on shuffled labels."""

    majority: Fit
    real: tuple[Fit, ...]
    shuffled: tuple[Fit, ...]
    n_train: int
    n_test: int


def probe_label(hidden: Tensor, values: np.ndarray, seed: int = 0) -> Measured | None:
    """Probe residual streams (D, N, T, C) for labels (N, T), -1 for none; None if too few tokens have one.

    Training and test windows are disjoint. The first quarter of each is left out, because the model may not have read the
    context that determines the label.
    """
    known = values >= 0
    known[:, : values.shape[1] // 4] = False
    testing = np.zeros_like(known)
    testing[TEST - 1 :: TEST] = True
    rng = np.random.default_rng(seed)
    train, test = np.flatnonzero(known & ~testing), np.flatnonzero(known & testing)
    if min(len(train), len(test)) < FEWEST or len(np.unique(values[known])) < 2:
        return None
    if len(train) > MOST:
        train = np.sort(rng.choice(train, MOST, replace=False))
    flat, window = values.ravel(), np.repeat(np.arange(len(values)), values.shape[1])
    right, wrong = flat[train], flat[test]
    noise, tested = rng.permutation(right), rng.permutation(wrong)
    commonest = np.bincount(right).argmax()
    groups = window[test]
    real, shuffled = [], []
    for stream in hidden:
        x = stream.flatten(0, 1)
        scaled = standardised(x[train], x[test])
        real.append(_share(predicted(*scaled, right) == wrong, groups))
        shuffled.append(_share(predicted(*scaled, noise) == tested, groups))
    return Measured(_share(wrong == commonest, groups), tuple(real), tuple(shuffled), len(train), len(test))


def standardised(train: Tensor, test: Tensor) -> tuple[Tensor, Tensor]:
    """Both (N, C), standardized with the column means and scales of the first."""
    mean, scale = train.mean(0), train.std(0).clamp(min=1e-6)
    return (train - mean) / scale, (test - mean) / scale


def predicted(train: Tensor, test: Tensor, labels: np.ndarray) -> np.ndarray:
    """Predictions for test (M, C) of a logistic regression fitted on train (N, C) and labels (N,)."""
    classes, y = np.unique(labels, return_inverse=True)
    target, inputs = torch.from_numpy(y), train.float()
    weight = torch.zeros(len(classes), inputs.size(1), requires_grad=True)
    bias = torch.zeros(len(classes), requires_grad=True)
    solver = torch.optim.LBFGS([weight, bias], max_iter=60, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        solver.zero_grad()
        loss = F.cross_entropy(inputs @ weight.T + bias, target) + PENALTY * weight.square().sum()
        loss.backward()
        return loss

    with torch.enable_grad():
        solver.step(closure)
    answer = (test.float() @ weight.detach().T + bias.detach()).argmax(1).numpy()
    return np.asarray(classes[answer])


def _share(hits: np.ndarray, groups: np.ndarray) -> Fit:
    """Accuracy with its standard error over windows, because tokens of one window are not independent."""
    count = np.bincount(groups, minlength=int(groups.max()) + 1).astype(float)
    good = np.bincount(groups, weights=hits, minlength=len(count))
    good, count = good[count > 0], count[count > 0]
    share, n = float(good.sum() / count.sum()), len(count)
    if n < 2:
        return Fit(share, math.nan)
    spread = ((good - share * count) ** 2).sum() * n / (n - 1)
    return Fit(share, float(math.sqrt(spread) / count.sum()))


@dataclass(frozen=True)
class ProbeText:
    """The text that probes are fitted and tested on: windows (N, T) in the order of the text, and their labels."""

    sequences: np.ndarray
    labels: tuple[Label, ...]


def probe_text(tokenizer: Tokenizer, tokens: np.ndarray, block_size: int, tales: bool) -> ProbeText:
    """About `N_TOKENS` tokens of a text. Raises ValueError if it is too short for probes.

    The windows are evenly spaced; for Tales those with the most speech by a named speaker are used, because otherwise too
    few tokens would have that label.
    """
    available, size = min(len(tokens), LABELLED) // block_size, N_TOKENS // block_size
    if available < 2 * TEST:
        raise ValueError(
            f"Probes need at least {2 * TEST} windows of {counted(block_size, 'token')}; the validation text has "
            f"{available}. "
            "Train on a longer text."
        )
    ids = np.asarray(tokens[: available * block_size]).astype(np.int64)
    labels = labels_of(tokenizer, ids, tales)
    chosen = np.unique(np.linspace(0, available - 1, min(available, size)).astype(int))
    if tales and available > size:
        named = (labels[-1].values.reshape(available, block_size) >= 0).sum(1)
        chosen = np.sort(np.argsort(-named, kind="stable")[:size])
    picked = [replace(label, values=label.values.reshape(available, block_size)[chosen].ravel()) for label in labels]
    return ProbeText(ids.reshape(available, block_size)[chosen], tuple(picked))


def probe_model(model: Transformer, text: ProbeText) -> dict[str, Measured]:
    """Every label that has enough tokens, by id, at every depth from the embedding to the last layer."""
    hidden = streams(model, text.sequences, range(model.config.n_layer + 1))
    found: dict[str, Measured] = {}
    for label in text.labels:
        measured = probe_label(hidden, label.values.reshape(text.sequences.shape).copy())
        if measured is not None:
            found[label.id] = measured
    return found


def in_words(label: Label, measured: Measured, depth_names: Sequence[str]) -> str:
    """Describe the results of one label in a sentence."""
    best = max(range(len(measured.real)), key=lambda depth: measured.real[depth].accuracy)
    fit, base = measured.real[best], measured.majority
    gain = fit.accuracy - base.accuracy
    error = math.hypot(fit.error, base.error)
    reached, common = apart(100 * fit.accuracy, 100 * base.accuracy)
    numbers = (
        f"{label.name}: accuracy {reached} % at best ({depth_names[best]}), {common} % for always predicting the most "
        "common class"
    )
    if not gain > 2 * error:
        return f"{numbers}: no clear difference."
    first = measured.real[0].accuracy
    rise = fit.accuracy - first
    if rise > 2 * math.hypot(fit.error, measured.real[0].error):
        return f"{numbers}; the token embedding alone gives {100 * first:.1f} %, so the layers add information from context."
    return f"{numbers}; the token embedding alone already gives {100 * first:.1f} %."
