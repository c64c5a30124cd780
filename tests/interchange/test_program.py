"""The exported program runs by itself, without this package, and goes through the very losses of the app."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from playground.config import ModelConfig, TrainConfig, preset
from playground.data.corpora import training_text
from playground.data.documents import Text
from playground.interchange.program import write_program
from playground.tokenizers import build_tokenizer, import_tokenizer
from playground.train.dataset import prepare
from playground.train.events import Evaluated, StepDone
from playground.train.trainer import TrainState, train
from tests.forks import Forks
from tests.tokenizers.zoo import file_of, library_of

SMALL = dict(block_size=16, n_layer=2, n_embd=32)
TEXT = "".join(f"{word} saw the {other} ö.\n" for word in ("fox", "cat", "hen") for other in ("sea", "sun", "owl")) * 40
CASES: dict[str, tuple[ModelConfig, dict]] = {
    "classic": (preset("classic", **SMALL, dropout=0.1), {"grad_accum": 2, "schedule": "linear", "ema": 0.7, "z_loss": 0.2}),
    "modern": (preset("modern", **SMALL), {"tokenizer": "char", "weight_decay": 0.3, "optimizer": "muon"}),
    "mixture": (preset("mixture", **SMALL, shared_expert=True),
                {"router_z_loss": 0.01, "tokenizer": "bpe", "z_loss": 0.1, "gradient_checkpointing": True}),
    "gpt-oss": (preset("gpt-oss", **SMALL | {"n_layer": 3}, window=8), {"grad_clip": 0.0}),
    "alibi": (preset("classic", **SMALL, position="alibi", mlp="relu2", norm_placement="post", logit_softcap=10.0,
                     tie_embeddings=False, init="zero", window=8, n_sink=2), {}),
    "partial": (preset("modern", **SMALL | {"block_size": 26}, rope_fraction=0.5, qk_norm=True, mlp="geglu",
                       sink_logit="zero", init="depth_scaled", n_expert=3, n_expert_active=1, router_norm=False),
                {"corpus": "repeat", "batch_size": 2}),
    "an older task": (preset("classic", **SMALL), {"corpus": "copy", "task_version": 1, "tokenizer": "char"}),
    "wide heads": (preset("modern", **SMALL, n_head=3, n_kv_head=1, head_size=24), {}),
    "sines": (preset("classic", **SMALL, position="sinusoidal", bias=False, dropout=0.2, norm="rmsnorm",
                     mlp="gelu_exact"), {}),
    "half precision": (preset("modern", **SMALL), {"precision": "bf16", "optimizer": "muon", "ema": 0.9}),
    "separated": (preset("classic", **SMALL), {"documents": "separated", "tokenizer": "bpe"}),
    "isolated": (preset("modern", **SMALL), {"documents": "isolated"}),
    "none": (preset("modern", **SMALL, position="none", n_kv_head=4, window=500),
             {"warmup_steps": 0, "optimizer": "sgd", "schedule": "wsd", "learning_rate": 0.1}),
}  # fmt: skip


ONE_THREAD = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
Runs = Callable[[Path, Sequence[str]], tuple[int, str]]  # exit code and words of train.py in a folder, with arguments


@pytest.fixture(scope="module")
def forks() -> Iterator[Runs]:
    """Runs forked from a Python that cannot import the playground."""
    # The first step of an optimizer imports torch._dynamo.
    server = Forks("torch", "torch._dynamo", environment={**os.environ, **ONE_THREAD}, options=("-I",))

    def run_forked(folder: Path, arguments: Sequence[str]) -> tuple[int, str]:
        process = server.start("train.py", *arguments, folder=folder, output=folder / "said.txt")
        return process.wait(240), process.said()

    yield run_forked
    server.close()


def losses(name: str, folder: Path, runs: Runs) -> tuple[list[float], list[float], list[tuple[float, float]]]:
    """Of twenty steps of a case, by the app and by the program that it exports; and what both measured, in pairs."""
    model, changes = CASES[name]
    config = TrainConfig(
        **{"corpus": "own", "steps": 30, "batch_size": 3, "warmup_steps": 5, "eval_interval": 10, "eval_tokens": 200,
           "sample_interval": 0, "seed": 7, **changes}
    )  # fmt: skip
    text = TEXT if config.corpus == "own" else training_text(config.replace(corpus_bytes=8_000))
    apart = config.documents != "joined"
    text = Text.joined(TEXT.splitlines()) if apart else text
    tokenizer = build_tokenizer(config.tokenizer, text, eos=apart)
    model = model.replace(vocab_size=tokenizer.vocab_size)
    data = prepare(text, tokenizer, model, config)
    streams = {"train": data.train, "validation": data.validation}
    program = write_program(f'{name} \\ """', model, config, tokenizer, text, streams)
    theirs, measured = run(program.source, program.data_name, program.data, folder, runs)
    events = list(train(TrainState.new(model, config), data, config, tokenizer))
    ours = [event.loss for event in events if isinstance(event, StepDone)][:20]
    evaluated = {event.step: event.loss for event in events if isinstance(event, Evaluated)}
    return ours, theirs, [(evaluated[step], loss) for step, loss in measured.items()]


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_twenty_steps_reproduce_the_losses_of_the_app(name: str, tmp_path: Path, forks: Runs) -> None:
    alone = name == "classic" or not hasattr(os, "fork")
    ours, theirs, measured = losses(name, tmp_path, run_alone if alone else forks)
    assert ours[0] - ours[-1] > 0.02, "it learns, so that equal losses mean something"
    close = 5e-3 if name == "half precision" else 1e-5
    np.testing.assert_allclose(theirs, ours, rtol=0, atol=close)
    assert len(measured) >= 2
    for in_app, in_program in measured:
        assert abs(in_app - in_program) < close


def test_loss_scaling_is_what_stands_in_the_way_of_a_program() -> None:
    tokenizer = build_tokenizer("byte", TEXT)
    with pytest.raises(ValueError, match=r"^Precision \(fp16\) cannot be written as code: export as safetensors\.$"):
        write_program("x", preset("modern", **SMALL), TrainConfig(precision="fp16"), tokenizer, TEXT, {})


def run_alone(folder: Path, arguments: Sequence[str]) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-I", "train.py", *arguments], cwd=folder, text=True, capture_output=True, timeout=240,
        env={**os.environ, **ONE_THREAD}, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def run(source: str, data_name: str, data: str, folder: Path, runs: Runs) -> tuple[list[float], dict[int, float]]:
    """Run a program for 20 steps in an empty folder, by a Python that cannot import the playground."""
    (folder / "train.py").write_text(source, "utf-8")
    (folder / data_name).write_text(data, "utf-8", newline="")
    code, words = runs(folder, ["-f", "/a/notebook's/kernel.json", "--steps", "20"])
    assert code == 0, words
    losses = [float(found) for found in re.findall(r"^step \d+  loss ([\d.]+)", words, re.MULTILINE)]
    measured = {
        int(step): float(loss) for step, loss in re.findall(r"^step (\d+)  validation loss ([\d.]+)", words, re.M)
    }
    return losses, measured


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs os.fork")
@pytest.mark.parametrize(
    ("source", "code", "said"),
    [
        ("import sys; print(*sys.argv, __name__)", 0, "train.py --steps 20 __main__\n"),
        ("raise SystemExit(3)", 3, ""),
        ("import os; os.kill(os.getpid(), 9)", -9, ""),
        ("import playground", 1, "ModuleNotFoundError: No module named 'playground'"),
    ],
)
def test_a_forked_script_ends_as_one_that_runs_alone(
    source: str, code: int, said: str, tmp_path: Path, forks: Runs
) -> None:
    (tmp_path / "train.py").write_text(source)
    found, words = forks(tmp_path, ["--steps", "20"])
    assert found == code
    assert said in words


@pytest.mark.parametrize("kind", ["gpt2", "llama", "bert", "unigram", "word level"])
def test_the_program_decodes_as_the_tokenizers_library(kind: str) -> None:
    tokenizer = import_tokenizer(file_of(kind))
    ids = tokenizer.encode("The fox was a fox, and said: don't.\n").tolist()
    model, config = preset("modern", **SMALL, vocab_size=tokenizer.vocab_size), TrainConfig(tokenizer="imported")
    program = write_program("x", model, config, tokenizer, "", {"train": ids, "validation": ids})
    stored = json.loads(program.data)
    source = program.source[program.source.index("def decode(ids):") :].split("\n\n\n")[0]
    names: dict[str, Any] = {"pieces": stored["pieces"], "first": stored.get("first", stored["pieces"])}
    exec(source, names)
    for some in (ids, ids[3:], ids[:1], []):
        assert names["decode"](some) == library_of(kind).decode(some, skip_special_tokens=False)


def test_a_decoder_of_whole_texts_is_no_program() -> None:
    tokenizer = import_tokenizer(file_of("joined, then replaced"))
    model, config = preset("modern", **SMALL, vocab_size=tokenizer.vocab_size), TrainConfig(tokenizer="imported")
    with pytest.raises(ValueError, match="works on whole texts, which cannot be written as code"):
        write_program("x", model, config, tokenizer, "", {"train": [1], "validation": [1]})
