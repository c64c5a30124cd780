"""How a model is trained, and on what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, Self

from playground.config.phrases import counted
from playground.config.settings import Settings, setting

TokenizerName = Literal["byte", "char", "bpe", "imported"]
OptimizerName = Literal["adamw", "muon", "sgd"]
ScheduleName = Literal["cosine", "linear", "wsd", "constant"]
Precision = Literal["fp32", "bf16", "fp16"]
Compile = Literal["off", "auto", "on"]
Documents = Literal["joined", "separated", "isolated"]
# Tasks that runs were trained on before there was a `task_version`.
_UNVERSIONED_TASKS = ("repeat", "copy", "reverse", "sort", "addition", "brackets")


@dataclass(frozen=True)
class TrainConfig(Settings):
    """How a model is trained and on what. Together with a `ModelConfig` it determines a run completely."""

    corpus: str = setting("tales", "Text", "What the model reads.")
    corpus_bytes: int = setting(
        4_000_000, "Text size", "How much text to prepare, in bytes.", low=1_000, high=1_000_000_000, step=1_000
    )
    task_version: int = setting(
        2,
        "Task version",
        "Rules for the text and the targets of algorithmic tasks. 2: no validation problem occurs in the training part, and "
        "an answer counts only in windows that hold its whole prompt. 1, of older runs: neither.",
        low=1,
        high=2,
        step=1,
    )
    tokenizer: TokenizerName = setting(
        "byte",
        "Tokenizer",
        "What a token is: one byte of UTF-8, one character of this text, a piece of a word learned from this text "
        "(byte pair encoding), or what an imported tokenizer.json says.",
    )
    bpe_vocab: int = setting(
        1_000, "BPE vocabulary", "How many tokens byte pair encoding learns, the 256 bytes included. Only for BPE.",
        low=256, high=32_000, step=1,
    )  # fmt: skip
    documents: Documents = setting(
        "joined", "Documents",
        "Of a text of several documents (stories, files, JSON rows). joined: one after the other, an empty line between "
        "them; separated: an end-of-text token between them, as GPT-2 was trained, and attention may look back across it; "
        "isolated: the same, but no training window reaches into another document. Usual: separated for tokens of "
        "several characters, joined for bytes and characters.",
    )  # fmt: skip
    steps: int = setting(1000, "Steps", "Optimizer steps.", low=1, high=1_000_000, step=50)
    batch_size: int = setting(6, "Batch", "Sequences per micro-batch.", low=1, high=512, step=1)
    grad_accum: int = setting(
        1, "Accumulation", "Micro-batches whose gradients are averaged into one step.", low=1, high=64, step=1
    )
    optimizer: OptimizerName = setting(
        "adamw",
        "Optimizer",
        "AdamW; Muon (Jordan 2024) for the matrices inside the blocks with AdamW for the rest; or SGD with momentum.",
    )
    schedule: ScheduleName = setting(
        "cosine",
        "Schedule",
        "How the learning rate falls after the warm-up: half a cosine, a line, late in a line (warm-up, stable, decay), "
        "or not at all.",
    )
    learning_rate: float = setting(
        3e-3,
        "Learning rate",
        "Size of a step at its highest, after the warm-up. A usual one follows optimizer and width.",
        low=1e-6,
        high=1.0,
        step=1e-4,
    )
    min_lr_ratio: float = setting(
        0.1, "Final rate", "Learning rate at the end, as a share of the highest.", low=0.0, high=1.0, step=0.05
    )
    warmup_steps: int = setting(
        50, "Warm-up", "Steps over which the learning rate rises from zero.", low=0, high=100_000, step=10
    )
    weight_decay: float = setting(0.1, "Weight decay", "Pull of matrices towards zero.", low=0.0, high=10.0, step=0.01)
    beta1: float = setting(
        0.9,
        "Beta 1",
        "AdamW's memory of the gradient, and SGD's momentum. Muon's is always 0.95.",
        low=0.0,
        high=0.9999,
        step=0.01,
    )
    beta2: float = setting(0.99, "Beta 2", "AdamW's memory of the gradient's square.", low=0.0, high=0.9999, step=0.001)
    grad_clip: float = setting(
        1.0, "Clipping", "Gradients longer than this are shortened to it. 0 is off.", low=0.0, high=1000.0, step=0.1
    )
    eval_interval: int = setting(
        50, "Evaluate every", "Steps between measurements on the validation text.", low=1, high=100_000, step=10
    )
    eval_tokens: int = setting(
        8_192, "Evaluation tokens", "Validation tokens per measurement, the same ones each time.",
        low=64, high=10_000_000, step=1024,
    )  # fmt: skip
    validation_fraction: float = setting(
        0.1, "Validation share", "Share of the text, at its end, kept for validation.", low=0.001, high=0.5, step=0.01
    )
    sample_interval: int = setting(
        100, "Sample every", "Steps between samples of the model's writing. 0 is never.", low=0, high=100_000, step=10
    )
    prompt: str = setting("", "Prompt", "What the samples begin with. Empty takes the text's own.")
    checkpoint_interval: int = setting(
        200,
        "Checkpoint every",
        "Steps between full checkpoints from which a run can resume.",
        low=1,
        high=100_000,
        step=10,
    )
    snapshots: int = setting(
        12,
        "Snapshots",
        "Weights kept at this many log-spaced steps, at half precision, to watch attention form.",
        low=0,
        high=64,
        step=1,
    )
    balance_loss: float = setting(
        0.01, "Balance loss",
        "Weight of the loss that keeps a router from favouring few experts (Fedus et al. 2021). Needs experts.",
        low=0.0, high=1.0, step=0.005,
    )  # fmt: skip
    router_z_loss: float = setting(
        0.0, "Router z-loss", "Weight of the loss that keeps router logits small (Zoph et al. 2022). Needs experts.",
        low=0.0, high=1.0, step=0.001,
    )  # fmt: skip
    z_loss: float = setting(
        0.0, "Logit z-loss",
        "Weight of the loss that keeps the output logits' normaliser near one: the mean of (log Z)² (PaLM 2022 takes 1e-4).",
        low=0.0, high=1.0, step=0.0001, group="Numerics and speed",
    )  # fmt: skip
    ema: float = setting(
        0.0, "Weight average",
        "Share that a running average of the weights keeps at each step (0.99 remembers about 100 steps). With one, the "
        "average is what is evaluated, sampled, looked at and exported. 0 is off.",
        low=0.0, high=0.9999, step=0.001, group="Numerics and speed",
    )  # fmt: skip
    precision: Precision = setting(
        "fp32", "Precision",
        "Of the matrix products of training; weights and optimizer stay in fp32. bf16 is faster on new processors, fp16 "
        "needs loss scaling and is for GPUs.",
        group="Numerics and speed",
    )  # fmt: skip
    recompute: bool = setting(
        False, "Recompute activations",
        "Keep only what enters a block and compute the rest again for the backward pass (Chen et al. 2016): less memory, "
        "about a third more time.",
        group="Numerics and speed",
    )  # fmt: skip
    compile: Compile = setting(
        "off", "Compile",
        "Fuse a step's forward and backward pass into machine code. auto: build it beside the first steps if the run is "
        "long enough to gain; on: build it before the first step. The same numbers but for rounding.",
        group="Numerics and speed",
    )  # fmt: skip
    seed: int = setting(
        0, "Seed", "Fixes the initial weights, the order of batches and dropout.", low=0, high=4_294_967_295, step=1
    )

    @classmethod
    def from_stored(cls, values: Mapping[str, Any]) -> Self:
        """Build from the values in a run's file. A field that the file is too old to have means what held at that time."""
        older = values.get("corpus") in _UNVERSIONED_TASKS and "task_version" not in values
        return cls.from_dict({**values, "task_version": 1} if older else values)

    def _check_together(self) -> None:
        if self.warmup_steps > self.steps:
            raise ValueError(
                f"Warm-up ({self.warmup_steps}) is longer than the run ({counted(self.steps, 'step')}). Shorten the warm-up."
            )
        if len(self.prompt) > 2_000:
            raise ValueError(f"Prompt has {counted(len(self.prompt), 'character')}; the limit is 2,000. Shorten it.")
