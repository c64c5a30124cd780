"""The check of an export: Transformers loads the folder, and its logits are compared with ours.

Transformers is an optional extra, and slow to import: it is imported only here, when it is needed.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from playground.config import counted
from playground.interchange.package import Package
from playground.tokenizers import ImportedTokenizer

TOKENS = 256  # compared in each of two texts
MOST = 1e-3  # difference of logits relative to the largest: a hundred times the rounding error
SPEECH = "Once there was a fox.\n\tÉté 😀 12345  x"


@dataclass(frozen=True)
class Check:
    """What was found: the largest absolute difference of any logit over `tokens` positions, and the class that loaded."""

    class_name: str
    version: str
    difference: float
    tokens: int

    def __str__(self) -> str:
        return (
            f"Loaded back with transformers {self.version} as {self.class_name}: the largest logit difference over "
            f"{counted(self.tokens, 'token')} is {self.difference:.1e}."
        )


NOT_INSTALLED = (
    "transformers is not installed here, so the folder was not loaded back. "
    "To have it checked: pip install transformers"
)


def installed() -> bool:
    """Whether the optional extra is installed."""
    return importlib.util.find_spec("transformers") is not None


def load_back(folder: Path, package: Package) -> Check:
    """Load a folder with Transformers, as its user would, and compare. Raises ImportError without transformers.

    An imported tokenizer that is used only in the limited process is not loaded: Transformers would run it in this one.
    Raises ValueError when the tokenizer gives other ids than ours, the model other logits, or Transformers refuses the
    config. Nothing is downloaded and no remote code is run.
    """
    transformers = _quiet()
    with _silent(transformers):
        theirs = transformers.AutoModelForCausalLM.from_pretrained(
            str(folder), local_files_only=True, dtype=torch.float32, attn_implementation="eager"
        ).eval()
        limited = isinstance(package.tokenizer, ImportedTokenizer) and not package.tokenizer.runs_here(2 * SPEECH)
        tokenizer = None if limited else transformers.AutoTokenizer.from_pretrained(str(folder), local_files_only=True)
    if tokenizer is not None:
        _compare_ids(tokenizer, package)
    length = min(TOKENS, package.config.block_size)
    generator = torch.Generator().manual_seed(0)
    tokens = torch.randint(0, package.config.vocab_size, (2, length), generator=generator)
    with torch.inference_mode():
        ours = package.build()(tokens)
        difference = (ours - theirs(tokens).logits).abs().max().item()
    if not difference <= MOST * max(1.0, ours.abs().max().item()):
        raise ValueError(
            f"Transformers computes different logits from the exported folder ({difference:.1e} apart), so it is not kept: "
            "export as safetensors or code."
        )
    return Check(type(theirs).__name__, transformers.__version__, difference, tokens.numel())


def _quiet() -> Any:
    import transformers

    return transformers


@contextlib.contextmanager
def _silent(transformers: Any) -> Iterator[None]:
    """Context manager: without progress bars and warnings."""
    logging = transformers.utils.logging
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()


def _compare_ids(tokenizer: Any, package: Package) -> None:
    ours, text = package.tokenizer, SPEECH
    try:
        ours.encode(text)
    except ValueError:  # a character tokenizer knows only its own characters
        known = (n for n in range(package.config.vocab_size) if n != ours.eos)
        text = "".join(ours.token_bytes(n).decode("utf-8", "ignore") for n in known)
    end = "" if ours.eos is None else tokenizer.convert_ids_to_tokens(ours.eos)
    for prompt in (text, f"{text}{end}{text}"):
        if tokenizer(prompt)["input_ids"] != ours.encode_prompt(prompt):
            raise ValueError(
                "The exported tokenizer gives other ids than the one of this run, so the folder is not "
                "kept: export as safetensors or code."
            )
