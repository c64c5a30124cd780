"""Tokenizer files from strangers: what they can cost the process that uses them."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import threading
import time
from typing import Any

import psutil
import pytest

from playground.runs.worker.worker import NICE
from playground.tokenizers import BPETokenizer, ImportedTokenizer, import_tokenizer, limited, limited_process
from playground.tokenizers import imported as module
from playground.tokenizers.cost import bounded_cost
from tests.tokenizers.hostile import (
    BYTES,
    DOUBLING,
    FILES,
    GROWING,
    PARTS,
    random_file,
    replace,
    sequence,
    template,
    words,
)
from tests.tokenizers.zoo import KINDS, TEXT, file_of

MOST_MB = 250  # Python with numpy and the library takes 50


@pytest.mark.slow
@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="needs Linux")
@pytest.mark.parametrize(("part", "seed"), [*(("fixed", n) for n in range(PARTS)), *(("random", n) for n in range(6))])
def test_hostile_files_take_little_memory_of_the_process_that_uses_them(part: str, seed: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.tokenizers.hostile", part, str(seed)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2_000:]
    assert float(done.stdout) < MOST_MB


def test_bounds_are_bounds() -> None:
    """Of random files whose parts are all known, on short texts."""
    chance, n_checked = random.Random(1), 0
    for _ in range(400):
        values = random_file(chance)
        for part in ("normalizer", "pre_tokenizer", "decoder"):
            inside = next(name for name in values[part] if name != "type")
            values[part][inside] = values[part][inside][: chance.randint(0, 2)]
        cost = bounded_cost(values)
        if cost is None or max(cost.per_byte, cost.decoded) > 1e4:
            continue
        library = limited.load(json.dumps(values))
        for text in ("q", "qa qa", "é ﷺ½q", "a" * 9):
            assert len(limited.encode(library, [text])[0]) <= cost.tokens(text), (values, text)
        assert len(limited.decode(library, [[0, 1, 0, 0]])[0].encode()) <= cost.decoded * 4 * (1 + 16)
        n_checked += 1
    assert n_checked > 100


@pytest.mark.parametrize("kind", KINDS)
def test_which_kinds_of_files_are_bounded(kind: str) -> None:
    assert (bounded_cost(json.loads(file_of(kind))) is None) == (kind in ("own pattern", "gpt2 replaced, added"))


@pytest.mark.parametrize(
    "change",
    [
        {"unknown": 1},
        {"normalizer": {"type": "Precompiled", "precompiled_charsmap": ""}},
        {"normalizer": {"type": "Lowercase", "new": 1}},
        {"normalizer": {"type": "New"}},
        {"normalizer": replace({"Regex": "a"}, "b")},
        {"normalizer": {**GROWING, "decoders": []}},
        {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "a"}, "behavior": "Isolated", "invert": False}},
        {"pre_tokenizer": {"type": "Split", "pattern": {"String": ""}, "behavior": "Isolated", "invert": False}},
        {"pre_tokenizer": sequence("pretokenizers", *[BYTES] * 17)},
        {"post_processor": template(1, 65)},
        {"decoder": {"type": "BPEDecoder", "suffix": ""}},
        {"decoder": {"type": "Strip", "content": " ", "start": 0, "stop": 1}},
        {"model": {**words()["model"], "unk_token": "a" * 65}},
        {"model": {**words()["model"], "vocab": {"a" * 513: 0}}},
        {"model": {"type": "New", "vocab": {"a": 0}}},
        {"model": {"type": "WordPiece", "vocab": {"a": 0}, "unk_token": "a", "max_input_chars_per_word": 101}},
        {"added_tokens": [{"content": ""}]},
    ],
)
def test_a_part_or_parameter_that_is_not_known_is_not_bounded(change: dict[str, Any]) -> None:
    assert bounded_cost(words()) is not None
    assert bounded_cost({**words(), **change}) is None


def test_long_inputs_of_bounded_files_are_left_to_the_limited_process(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer = import_tokenizer(json.dumps(words(normalizer=sequence("normalizers", *[replace("q", "q" * 8)] * 2))))
    assert isinstance(tokenizer, ImportedTokenizer)
    monkeypatch.setattr(module, "ENCODED", 6_400)
    monkeypatch.setattr(module, "DECODED", 17_000)
    there: list[int] = []
    monkeypatch.setattr(limited, "encode_limited", lambda _, texts, **__: there.extend(map(len, texts)) or [])
    monkeypatch.setattr(limited, "decode_limited", lambda _, sequences: there.extend(map(len, sequences)) or [""])
    tokenizer.encode_batch(["q", "q" * 100, "q" * 101])
    tokenizer.decode([0] * 1_000)
    assert there == [101]
    tokenizer.decode([0] * 1_001)
    assert there == [101, 1_001]


def test_groups_keep_the_order_of_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENCODED", 40)
    tokenizer = import_tokenizer(file_of("gpt2"))
    assert isinstance(tokenizer, ImportedTokenizer)
    texts = ["a fox", TEXT[:60], "", "an owl", "the key of the house", "the other key", TEXT[60:150]]
    library = limited.load(file_of("gpt2"))
    assert [ids.tolist() for ids in tokenizer.encode_batch(texts)] == [library.encode(text).ids for text in texts]


def test_a_token_of_a_terabyte_is_not_made() -> None:
    with pytest.raises(ValueError, match=r"^Token 264 is longer than 264 bytes; no piece of a text is\.$"):
        BPETokenizer([(97, 97), *((256 + n, 256 + n) for n in range(40))])
    with pytest.raises(ValueError, match="does not work"):
        import_tokenizer(json.dumps(words(model=DOUBLING)))


def test_a_template_that_adds_very_many_tokens_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"adds 1,001 tokens to every text; the limit is 1,000\. Shorten its template\.$"
    ):
        ImportedTokenizer(words(post_processor=template(7, 143)))
    assert len(ImportedTokenizer(words(post_processor=template(7, 142))).encode_prompt("a")) == 995


def test_a_file_with_too_many_values_is_not_parsed() -> None:
    with pytest.raises(ValueError, match="more values than the limit of 4,000,000"):
        import_tokenizer("[" + "{}," * 2_100_000 + "{}]")


def test_an_answer_that_is_too_long_is_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited, "MOST_TEXT", 100)
    file = json.dumps(words())
    assert limited.decode_limited(file, [[0, 1]]) == ["a b"]
    with pytest.raises(ValueError, match="makes too much of this input"):
        limited.decode_limited(file, [[0] * 100])


# The processes


def test_only_what_python_needs_is_passed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HF_TOKEN", "PLAYGROUND_SECRET", "PYTHONSTARTUP", "LD_PRELOAD"):
        monkeypatch.setenv(name, "secret")
    assert "secret" not in limited_process.environment().values()
    limited_process.end_all()
    limited.vocabulary_limited(json.dumps(words()))
    (process,) = limited_process._POOL._idle.values()
    with open(f"/proc/{process._popen.pid}/environ", "rb") as file:
        assert b"secret" not in file.read()


def test_a_process_is_used_again_and_replaced_when_it_has_ended() -> None:
    file = json.dumps(words())
    limited.vocabulary_limited(file)
    first = limited_process._POOL._idle[file]
    assert limited.vocabulary_limited(file) == {"a": 0, "b": 1}
    assert limited_process._POOL._idle[file] is first
    first._popen.kill()
    first._popen.wait()
    assert limited.vocabulary_limited(file) == {"a": 0, "b": 1}
    assert limited_process._POOL._idle[file] is not first


def test_a_process_does_not_go_before_training() -> None:
    file = json.dumps(words())
    limited.vocabulary_limited(file)
    pid = limited_process._POOL._idle[file]._popen.pid
    assert psutil.Process(pid).nice() == min(19, psutil.Process().nice() + NICE)
    assert NICE == limited_process.NICE


def test_there_are_never_more_than_the_limit() -> None:
    files = [json.dumps(words(model={**words()["model"], "vocab": {"a": 0, str(n): 1}})) for n in range(4)]
    most, errors = [0], []

    def work(n: int) -> None:
        try:
            assert limited.vocabulary_limited(files[n]) == {"a": 0, str(n): 1}
        except BaseException as error:  # noqa: BLE001 - reported by the test
            errors.append(error)
        pool = limited_process._POOL
        with pool._free:
            most.append(pool._busy + len(pool._idle))

    threads = [threading.Thread(target=work, args=(n % 4,)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert max(most) <= limited_process.PROCESSES
    assert limited_process._POOL._busy == 0


def test_when_all_are_busy_one_waits_for_a_limited_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limited_process, "WAIT", 0.05)
    monkeypatch.setattr(limited_process._POOL, "_busy", limited_process.PROCESSES)
    with pytest.raises(ValueError, match=r"^Other tokenizers are being tried at the moment\. Try again in a minute\.$"):
        limited.vocabulary_limited(json.dumps(words()))


def test_few_wait_for_a_process_and_others_are_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    pool, told = limited_process._Pool(), list[str]()
    pool._busy = limited_process.PROCESSES
    monkeypatch.setattr(limited_process, "WAIT", 0.5)

    def wait() -> None:
        with pytest.raises(ValueError, match=r"^Other tokenizers") as error:
            pool.take("")
        told.append(str(error.value))

    threads = [threading.Thread(target=wait) for _ in range(3 * limited_process.MOST_WAITING)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    assert len(told) == 2 * limited_process.MOST_WAITING
    for thread in threads:
        thread.join()
    assert len(told) == 3 * limited_process.MOST_WAITING
    assert pool._waiting == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_starts_its_own() -> None:
    pool = limited_process._Pool()
    file = json.dumps(words())
    pool.put_back(pool.take(file))
    theirs = pool._idle[file]
    pool.forget()  # what the child does
    assert not pool._idle
    assert theirs.usable
    theirs.end()


def test_all_fixed_files_are_refused_or_left_to_the_limited_process() -> None:
    for values in FILES:
        cost = bounded_cost(values)
        assert cost is None or values["model"] is DOUBLING, values
