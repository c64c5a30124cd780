"""Generating text with a run's model."""

from __future__ import annotations

import argparse
from collections.abc import Iterable

from playground.cli.command import Command, add_run, find_run
from playground.config import (
    GenerationConfig,
    label,
    parsed,
)
from playground.inference.generation import GeneratedText, StopStringMatcher, encode_prompt, generate_text_batch
from playground.inference.native import decode_step
from playground.runs.loading import ModelCache
from playground.runs.store.run_store import RunStore

_SAMPLING = {
    "--temperature": "temperature",
    "--top-k": "top_k",
    "--top-p": "top_p",
    "--min-p": "min_p",
    "--repetition-penalty": "repetition_penalty",
    "--samples": "n_sample",
    "--seed": "seed",
    "--tokens": "max_new_tokens",
    "--special-tokens": "special_tokens",
}


def _sample_options(parser: argparse.ArgumentParser) -> None:
    add_run(parser)
    parser.add_argument("--prompt", default="", help="prompt of the generated text")
    parser.add_argument("--step", type=int, help="weights of this step (default: the newest)")
    for option, name in _SAMPLING.items():
        parser.add_argument(option, dest=name, help=label(GenerationConfig, name).lower())
    parser.add_argument(
        "--stop",
        action="append",
        metavar="TEXT",
        help=r"stop before this text (\n: a line break); can be given several times",
    )


def _sample(options: argparse.Namespace, store: RunStore) -> int:
    run = find_run(store, options.run)
    given = {name: getattr(options, name) for name in _SAMPLING.values() if getattr(options, name) is not None}
    config = GenerationConfig.from_dict({name: parsed(GenerationConfig, name, text) for name, text in given.items()})
    config = config.replace(stop="\n".join(options.stop or ()))
    ids = encode_prompt(run.tokenizer, options.prompt, config.special_tokens)
    model = ModelCache().get(run, options.step)
    decode_step.warm()
    rows = generate_text_batch(model, run.tokenizer, ids, config)
    if config.n_sample == 1:
        _print_streaming(options.prompt, (row[0] for row in rows), config)
    else:
        for text in _whole(rows, config.n_sample):
            print(f"{options.prompt}{text}\n---")
    return 0


def _print_streaming(prompt: str, pieces: Iterable[GeneratedText | None], config: GenerationConfig) -> None:
    """Print a text while it is generated, holding back characters that may begin a stop string."""
    print(prompt, end="", flush=True)
    held, text = StopStringMatcher(config.stops).reach, ""
    for piece in pieces:
        assert piece is not None
        text += piece.text
        if piece.cut is not None:
            text, held = text[: len(text) - piece.cut], 0
        ready = max(0, len(text) - held)
        print(text[:ready], end="", flush=True)
        text = text[ready:]
    print(text)


def _whole(rows: Iterable[list[GeneratedText | None]], n: int) -> list[str]:
    """The finished texts of several samples."""
    texts = [""] * n
    for row in rows:
        for at, piece in enumerate(row):
            if piece is not None:
                texts[at] += piece.text
                texts[at] = texts[at][: len(texts[at]) - (piece.cut or 0)]
    return texts


SAMPLE = Command("sample", "generate text with a run's model", _sample_options, _sample)
