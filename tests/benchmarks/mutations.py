"""Mutation testing: fourteen known mistakes, each made in a copy of the source, must make a test fail.

The mistakes are those that public code of this kind has had. A mutation is text for text, found exactly once, so one that no
longer fits the source stops the run instead of passing for caught. First the tests must pass on an unchanged copy.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from tests.benchmarks._report import figure, machine

ROOT = Path(__file__).parents[2]
PARITY = "tests/models/test_transformers_parity.py::test_logits_and_every_layer_equal_transformers"
STREAMING = "tests/models/test_streaming.py::test_streaming_equals_the_closed_form"


@dataclass(frozen=True)
class Mutation:
    """A mistake: what to change in which file, and the test that must notice."""

    name: str
    path: str
    edits: tuple[tuple[str, str], ...]
    test: str


def one(name: str, path: str, old: str, new: str, test: str) -> Mutation:
    return Mutation(name, f"playground/{path}", ((old, new),), test)


MUTATIONS = (
    one("a window of one more", "models/attention.py", "age < window", "age <= window", f"{PARITY}[Mistral, grouped-cpu]"),
    one(
        "RoPE base 10 % larger", "models/positional.py",
        "RotaryPositions(config.rope_dims, config.rope_theta)", "RotaryPositions(config.rope_dims, config.rope_theta * 1.1)",
        f"{PARITY}[Llama, grouped-cpu]",
    ),
    one(
        "RoPE planes interleaved instead of halves", "models/positional.py",
        "a, b, rest = x.split((half, half, x.size(-1) - 2 * half), dim=-1)",
        "a, b, rest = x[..., : 2 * half : 2], x[..., 1 : 2 * half : 2], x[..., 2 * half :]",
        f"{PARITY}[Llama, grouped-cpu]",
    ),
    Mutation(
        "key/value heads in the wrong order", "playground/models/attention.py",
        (("self._heads(self.key(x))", "self._heads(self.key(x)).flip(1)"),
         ("self._heads(self.value(x))", "self._heads(self.value(x)).flip(1)")),
        f"{PARITY}[Llama, grouped-cpu]",
    ),
    one(
        "RMSNorm's epsilon ten times too large", "models/normalization.py", "nn.RMSNorm(width, eps=eps)",
        "nn.RMSNorm(width, eps=10 * eps)", f"{PARITY}[Llama, grouped-cpu]",
    ),
    one("GELU by erf", "models/mlp.py", 'approximate="tanh"', 'approximate="none"', f"{PARITY}[GPT2-cpu]"),
    one(
        "LayerNorm's epsilon ten times too small", "models/normalization.py", "nn.LayerNorm(width, eps=eps,",
        "nn.LayerNorm(width, eps=eps / 10,", f"{PARITY}[GPT2-cpu]",
    ),
    one(
        "scores not divided by sqrt(D)", "models/attention.py", "dropout_p=dropout, is_causal=mask is None",
        "scale=1.0, dropout_p=dropout, is_causal=mask is None", f"{PARITY}[GPT2-cpu]",
    ),
    one(
        "one expert instead of two", "models/moe.py", "config.n_expert, config.n_expert_active, config.router_norm",
        "config.n_expert, 1, config.router_norm", f"{PARITY}[Mixtral, 2 of 4-cpu]",
    ),
    one(
        "streaming with the text's positions", "models/kv_cache.py", "if not self.streams:\n            return positions",
        "if True:\n            return positions", f"{STREAMING}[modern-torch.float32-cpu]",
    ),
    Mutation(
        "streaming that forgets after it appends", "playground/models/kv_cache.py",
        (("sizes = {own: seen + n_sink for own, seen in windows.items()}",
          "windows = {own: seen + 1 for own, seen in windows.items()}\n"
          "        sizes = {own: seen + n_sink for own, seen in windows.items()}"),),
        f"{STREAMING}[modern-torch.float32-cpu]",
    ),
    one(
        "a mean of the micro-batches' means", "train/gradients.py",
        "(lm_loss + aux_loss.z_loss) / targets + aux_loss.router",
        "(lm_loss + aux_loss.z_loss) / max(1, int((wanted != IGNORED).sum())) * len(inputs) / count + aux_loss.router",
        "tests/train/test_trainer.py::test_accumulation_equals_one_batch[ragged]",
    ),
    one(
        "RMSNorm without the square root", "models/normalization.py", "    return nn.RMSNorm(width, eps=eps)",
        "    norm = nn.RMSNorm(width, eps=eps)\n    norm.register_forward_hook("
        "lambda _, x, y: y / (x[0].square().mean(-1, keepdim=True) + eps).sqrt())\n    return norm",
        f"{PARITY}[Llama, grouped-cpu]",
    ),
    one(
        "targets one token too far", "data/batches.py", "targets = chunk[:, 1:]",
        "targets = np.roll(chunk, -2, axis=1)[:, :-1]",
        "tests/train/test_trainer.py::test_targets_are_the_inputs_shifted_by_one",
    ),
)  # fmt: skip
TINY = ["--only", "GELU"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="mutations", description=__doc__)
    parser.add_argument("--only", metavar="WORDS", default="", help="mutations whose name contains this")
    options = parser.parse_args(arguments)
    machine()
    chosen = [mutation for mutation in MUTATIONS if options.only in mutation.name]
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / "copy"
        for part in ("playground", "tests"):
            shutil.copytree(ROOT / part, copy / part, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", copy)
        if _pytest(copy, sorted({mutation.test for mutation in chosen})) != 0:
            raise SystemExit("The tests fail on the unchanged source: nothing can be said about changes.")
        killed = sum(_is_caught(copy, mutation) for mutation in chosen)
    figure("mutants_killed", killed, str(len(chosen)))


def _is_caught(copy: Path, mutation: Mutation) -> bool:
    """Make the mistake, run the test, undo the mistake."""
    path, began = copy / mutation.path, time.monotonic()
    original = text = path.read_text("utf-8")
    for old, new in mutation.edits:
        if text.count(old) != 1:
            raise SystemExit(f"{mutation.name}: {old!r} stands {text.count(old)} times in {mutation.path}, not once.")
        text = text.replace(old, new)
    path.write_text(text, "utf-8")
    code = _pytest(copy, [mutation.test])
    path.write_text(original, "utf-8")
    if code not in (0, 1):
        raise SystemExit(f"{mutation.name}: pytest ended with {code}, so the test did not run.")
    print(f"{mutation.name:48} {'caught' if code else 'SURVIVED':9} {time.monotonic() - began:5.1f} s", flush=True)
    return code == 1


def _pytest(copy: Path, tests: list[str]) -> int:
    """The exit code of pytest on a copy: 0 all passed, 1 some failed, else it could not run them."""
    command = [sys.executable, "-B", "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *tests]
    return subprocess.run(command, cwd=copy, stdout=subprocess.DEVNULL, stderr=subprocess.STDOUT).returncode
