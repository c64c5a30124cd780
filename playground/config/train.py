"""How a model is trained, and on what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

from playground.config.phrases import counted
from playground.config.settings import Settings, setting

TokenizerName = Literal["byte", "char", "bpe", "imported"]
OptimizerName = Literal["adamw", "muon", "sgd"]
ScheduleName = Literal["cosine", "linear", "wsd", "constant"]
Precision = Literal["fp32", "bf16", "fp16"]
Compile = Literal["off", "auto", "on"]
Documents = Literal["joined", "separated", "isolated"]
# The algorithmic tasks of `data.tasks`, on which runs were trained before there was a `task_version`, too.
TASKS = ("repeat", "copy", "reverse", "sort", "addition", "brackets")


@dataclass(frozen=True)
class TrainConfig(Settings):
    """How a model is trained and on what. Together with a `ModelConfig` it determines a run completely."""

    renamed: ClassVar[Mapping[str, str]] = {"recompute": "gradient_checkpointing"}

    corpus: str = setting("tales", "Dataset", "Text to train on.")
    corpus_bytes: int = setting(
        4_000_000, "Dataset size", "Size of the text to prepare, in bytes.", low=1_000, high=1_000_000_000, step=1_000
    )
    task_version: int = setting(
        2,
        "Task version",
        "Rules for the text and targets of algorithmic tasks. 2: no validation problem occurs in the training text, and an "
        "answer counts only in windows that contain its whole prompt. 1 (older runs): neither.",
        low=1,
        high=2,
        step=1,
    )
    tokenizer: TokenizerName = setting(
        "byte",
        "Tokenizer",
        "How text is split into tokens: UTF-8 bytes, characters of this dataset, byte pair encoding trained on this "
        "dataset, "
        "or an imported tokenizer.json.",
    )
    bpe_vocab: int = setting(
        1_000, "BPE vocabulary size", "Number of BPE tokens, including the 256 bytes. Only used by BPE.",
        low=256, high=32_000, step=1,
    )  # fmt: skip
    documents: Documents = setting(
        "joined", "Documents",
        "How the documents of a dataset (stories, files, JSON rows) are combined. joined: concatenated with an empty line; "
        "separated: with an end-of-text token between them, as in GPT-2, and attention can cross it; isolated: the same, "
        "but each training window ends with its document. Default: separated for BPE and imported tokenizers, joined for "
        "bytes and characters.",
    )  # fmt: skip
    steps: int = setting(1000, "Steps", "Optimizer steps.", low=1, high=1_000_000, step=50)
    batch_size: int = setting(6, "Batch size", "Sequences per micro-batch.", low=1, high=512, step=1)
    grad_accum: int = setting(
        1,
        "Gradient accumulation",
        "Micro-batches per optimizer step; their gradients are averaged.",
        low=1,
        high=64,
        step=1,
    )
    optimizer: OptimizerName = setting(
        "adamw",
        "Optimizer",
        "AdamW; Muon (Jordan 2024) for the matrices in the blocks and AdamW for all other parameters; or SGD with momentum.",
    )
    schedule: ScheduleName = setting(
        "cosine",
        "LR schedule",
        "Learning rate decay after the warm-up: cosine, linear, warm-up/stable/decay (linear decay over the last fifth), or "
        "constant.",
    )
    learning_rate: float = setting(
        3e-3,
        "Learning rate",
        "Peak learning rate, reached after the warm-up. A default value follows the optimizer and the embedding size.",
        low=1e-6,
        high=1.0,
        step=1e-4,
    )
    min_lr_ratio: float = setting(
        0.1,
        "Min LR ratio",
        "Final learning rate as a fraction of the peak. Not used by the constant schedule.",
        low=0.0,
        high=1.0,
        step=0.05,
    )
    warmup_steps: int = setting(
        50,
        "Warm-up steps",
        "Steps over which the learning rate increases linearly from zero.",
        low=0,
        high=100_000,
        step=10,
    )
    weight_decay: float = setting(
        0.1, "Weight decay", "Decoupled weight decay, applied to matrices only.", low=0.0, high=10.0, step=0.01
    )
    beta1: float = setting(
        0.9,
        "Beta 1",
        "Exponential decay rate of AdamW's first moment, and the momentum coefficient of SGD. Muon's momentum is always "
        "0.95.",
        low=0.0,
        high=0.9999,
        step=0.01,
    )
    beta2: float = setting(
        0.99, "Beta 2", "Exponential decay rate of AdamW's second moment.", low=0.0, high=0.9999, step=0.001
    )
    grad_clip: float = setting(
        1.0,
        "Gradient clipping",
        "Rescale the gradient when its norm exceeds this. 0: off.",
        low=0.0,
        high=1000.0,
        step=0.1,
    )
    eval_interval: int = setting(
        50, "Evaluate every", "Steps between evaluations on the validation text.", low=1, high=100_000, step=10
    )
    eval_tokens: int = setting(
        8_192, "Evaluation tokens", "Validation tokens per evaluation; the same tokens every time.",
        low=64, high=10_000_000, step=1024,
    )  # fmt: skip
    validation_fraction: float = setting(
        0.1,
        "Validation fraction",
        "Fraction of the text, at its end, held out for validation.",
        low=0.001,
        high=0.5,
        step=0.01,
    )
    sample_interval: int = setting(
        100, "Sample every", "Steps between generated samples. 0: never.", low=0, high=100_000, step=10
    )
    prompt: str = setting(
        "",
        "Prompt",
        "Prompt of the samples. Empty: the default prompt of the dataset; of your own text “The ” or its first words.",
    )
    checkpoint_interval: int = setting(
        200,
        "Checkpoint every",
        "Steps between full checkpoints, from which a run can resume.",
        low=1,
        high=100_000,
        step=10,
    )
    snapshots: int = setting(
        12,
        "Snapshots",
        "Number of log-spaced steps at which the weights are saved in bf16, to see how attention develops.",
        low=0,
        high=64,
        step=1,
    )
    balance_loss: float = setting(
        0.01, "Load-balancing loss",
        "Coefficient of the loss that balances the load of the experts (Fedus et al. 2021). Only with 2 or more experts.",
        low=0.0, high=1.0, step=0.005,
    )  # fmt: skip
    router_z_loss: float = setting(
        0.0, "Router z-loss", "Coefficient of the loss that keeps router logits small (Zoph et al. 2022). Only with 2 or "
                              "more experts.",
        low=0.0, high=1.0, step=0.001,
    )  # fmt: skip
    z_loss: float = setting(
        0.0, "Logit z-loss",
        "Coefficient of the mean of (log Z)², which keeps the softmax normalizer Z of the output logits near 1 (PaLM 2022: "
        "1e-4).",
        low=0.0, high=1.0, step=0.0001, group="Numerics and speed",
    )  # fmt: skip
    ema: float = setting(
        0.0, "EMA decay",
        "Decay of an exponential moving average of the weights (0.99 averages over about 100 steps). If set, the averaged "
        "weights are evaluated, sampled, inspected and exported. 0: off.",
        low=0.0, high=0.9999, step=0.001, group="Numerics and speed",
    )  # fmt: skip
    precision: Precision = setting(
        "fp32", "Precision",
        "Precision of the matrix products in training (mixed precision); weights and optimizer state stay in fp32. bf16 is "
        "faster on recent CPUs and GPUs; fp16 uses loss scaling and is meant for GPUs.",
        group="Numerics and speed",
    )  # fmt: skip
    gradient_checkpointing: bool = setting(
        False, "Gradient checkpointing",
        "Store only the input of each block and recompute its activations in the backward pass (Chen et al. 2016): less "
        "memory, about a third more time.",
        group="Numerics and speed",
    )  # fmt: skip
    compile: Compile = setting(
        "off", "Compile",
        "Compile the forward and backward pass with TorchInductor (CPU). auto: in the background during the first steps, if "
        "the run is long enough to benefit; on: before the first step. Results are the same up to rounding.",
        group="Numerics and speed",
    )  # fmt: skip
    seed: int = setting(
        0,
        "Seed",
        "Random seed of the initial weights, the order of the batches and dropout.",
        low=0,
        high=4_294_967_295,
        step=1,
    )

    @classmethod
    def from_stored(cls, values: Mapping[str, Any]) -> Self:
        """Build from the values in a run's file. A field that the file is too old to have means what held at that time."""
        older = values.get("corpus") in TASKS and "task_version" not in values
        return cls.from_dict({**values, "task_version": 1} if older else values)

    def _check_together(self) -> None:
        if self.warmup_steps > self.steps:
            raise ValueError(
                f"Warm-up steps ({self.warmup_steps}) must not exceed Steps ({self.steps}). Lower Warm-up steps."
            )
        if len(self.prompt) > 2_000:
            raise ValueError(f"Prompt has {counted(len(self.prompt), 'character')}; the limit is 2,000. Shorten it.")
