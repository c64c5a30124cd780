"""Every setting of the playground, in three frozen dataclasses: what the model is, how it is trained, how it is sampled.

A field carries its own label, one-line explanation and allowed values (`setting`), so that validation, the forms of the
user interface and the command line's ``--help`` are all generated from this file and cannot disagree. Construction is the
validation: an instance that exists is valid. Presets are data.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, Self, get_args, get_type_hints

Position = Literal["learned", "sinusoidal", "rope", "alibi", "none"]
Norm = Literal["layernorm", "rmsnorm"]
Placement = Literal["pre", "post"]
MLPKind = Literal["gelu", "relu2", "swiglu", "geglu", "clamped_swiglu"]
SinkLogit = Literal["none", "zero", "learned"]
Init = Literal["gpt2", "depth_scaled", "zero"]
TokenizerName = Literal["byte", "char", "bpe", "imported"]
OptimizerName = Literal["adamw", "muon", "sgd"]
ScheduleName = Literal["cosine", "linear", "wsd", "constant"]

GATED: frozenset[str] = frozenset({"swiglu", "geglu", "clamped_swiglu"})  # MLPs of three matrices instead of two


def setting(
    default: Any,
    label: str,
    help: str,
    *,
    low: float | None = None,
    high: float | None = None,
    step: float | None = None,
    group: str = "",
) -> Any:
    """Declare a dataclass field with its label, one-line explanation, inclusive bounds, and the heading it stands under."""
    return field(
        default=default,
        metadata={"label": label, "help": help, "low": low, "high": high, "step": step, "group": group},
    )


class Settings:
    """What the three dataclasses share: checking on construction, and a round trip through plain dictionaries."""

    def __post_init__(self) -> None:
        hints = get_type_hints(type(self))
        for item in fields(self):  # type: ignore[arg-type]
            object.__setattr__(self, item.name, _checked(item, hints[item.name], getattr(self, item.name)))
        self._check_together()

    def _check_together(self) -> None:
        """Rules between fields; a subclass raises ValueError naming the fields, their values and a remedy."""

    def to_dict(self) -> dict[str, Any]:
        """All fields as JSON-able values, in their order of declaration."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Self:
        """Build from a mapping; missing fields take their defaults, unknown ones raise ValueError."""
        known = {item.name for item in fields(cls)}  # type: ignore[arg-type]
        for name in values:
            if name not in known:
                raise ValueError(f"Unknown setting {str(name)[:40]!r}. Known settings: {', '.join(sorted(known))}.")
        return cls(**values)

    def replace(self, **changes: Any) -> Self:
        """A copy with some fields changed, validated again."""
        return type(self).from_dict({**self.to_dict(), **changes})


def _checked(item: dataclasses.Field[Any], kind: Any, value: Any) -> Any:
    """Type, then finite, then whole, then range or choice: the value to store, or ValueError with a remedy."""
    label = item.metadata["label"]
    choices = get_args(kind)
    if choices:
        if not isinstance(value, str) or value not in choices:
            raise ValueError(f"{label} must be one of {', '.join(choices)}. You sent {_shown(value)}.")
        return value
    if kind is bool:
        if not isinstance(value, bool):
            raise ValueError(f"{label} must be true or false. You sent {_shown(value)}.")
        return value
    if kind is str:
        if not isinstance(value, str):
            raise ValueError(f"{label} must be text. You sent {_shown(value)}.")
        return value
    return _checked_number(item, kind, value)


def _checked_number(item: dataclasses.Field[Any], kind: type[int] | type[float], value: Any) -> int | float:
    label, low, high = item.metadata["label"], item.metadata["low"], item.metadata["high"]
    if (
        isinstance(value, bool)
        or not isinstance(value, (int, float))
        or (isinstance(value, float) and math.isnan(value))
    ):
        raise ValueError(f"{label} must be a number. You sent {_shown(value)}.")
    if isinstance(value, float) and math.isinf(value):
        raise ValueError(f"{label} must be a finite number. You sent {_shown(value)}.")
    if kind is int and value != int(value):
        raise ValueError(f"{label} must be a whole number; {_shown(value)} is not.")
    if not low <= value <= high:
        raise ValueError(f"{label} must be {low:.10g} to {high:.10g}; {_shown(value)} is not.")
    return kind(value)


def _shown(value: Any) -> str:
    """A value as an error message repeats it: short, and on one line."""
    text = "NaN" if isinstance(value, float) and math.isnan(value) else repr(value)
    return text if len(text) <= 40 else text[:39] + "…"


@dataclass(frozen=True)
class ModelConfig(Settings):
    """The architecture. One field is one axis; the module that owns the axis resolves it once, in a constructor.

    Raises ValueError when a field is out of range or two fields contradict each other.
    """

    vocab_size: int = setting(256, "Vocabulary", "Number of different tokens.", low=2, high=65_536, step=1)
    block_size: int = setting(
        128, "Context", "How many tokens the model can look back over, itself included.", low=8, high=2048, step=8
    )
    n_layer: int = setting(4, "Layers", "Transformer blocks on top of each other.", low=1, high=24, step=1)
    n_embd: int = setting(
        128,
        "Width",
        "Numbers that describe one token inside the model (the residual stream).",
        low=8,
        high=1024,
        step=8,
    )
    n_head: int = setting(
        4, "Heads", "Attention heads per layer: independent ways of looking back.", low=1, high=32, step=1
    )
    position: Position = setting(
        "learned", "Positions",
        "How a token knows where it stands: a learned table, fixed sines (Vaswani et al. 2017), rotated queries and keys "
        "(RoPE, Su et al. 2021), a penalty on distance (ALiBi, Press et al. 2022), or not at all.",
        group="Positions",
    )  # fmt: skip
    rope_theta: float = setting(
        10_000.0, "RoPE base", "Larger turns the slow RoPE frequencies even slower (Su et al. 2021).",
        low=10, high=1e7, step=10, group="Positions",
    )  # fmt: skip
    rope_fraction: float = setting(
        1.0, "RoPE share",
        "Share of each head's numbers that RoPE turns; the rest ignores positions (partial RoPE, GPT-NeoX 2022).",
        low=0.0, high=1.0, step=0.05, group="Positions",
    )  # fmt: skip
    norm: Norm = setting(
        "layernorm", "Norm",
        "LayerNorm centres and scales (Ba et al. 2016); RMSNorm only scales (Zhang & Sennrich 2019).", group="Norms",
    )  # fmt: skip
    norm_eps: float = setting(
        1e-5, "Norm epsilon", "Added under the norm's square root, against division by zero.",
        low=1e-12, high=0.1, step=1e-6, group="Norms",
    )  # fmt: skip
    norm_placement: Placement = setting(
        "pre", "Norm placement",
        "Before each sublayer (pre, GPT-2) or after its sum with the stream (post, Vaswani et al. 2017; harder to train).",
        group="Norms",
    )  # fmt: skip
    qk_norm: bool = setting(
        False, "QK-norm", "RMSNorm on every query and key, so that scores cannot explode (Henry et al. 2020; Qwen3).",
        group="Norms",
    )  # fmt: skip
    n_kv_head: int = setting(
        4, "KV heads",
        "Key/value heads. Fewer than heads is grouped-query attention (Ainslie et al. 2023), one is multi-query "
        "(Shazeer 2019).",
        low=1, high=32, step=1, group="Attention",
    )  # fmt: skip
    window: int = setting(
        0, "Window", "Sliding window: each token sees so many tokens, itself included (Mistral 2023). 0 is full attention.",
        low=0, high=2048, step=8, group="Attention",
    )  # fmt: skip
    global_every: int = setting(
        0, "Global layers",
        "With a window, every n-th layer sees everything (Gemma 2, 2024; gpt-oss takes 2). 0: none does.",
        low=0, high=24, step=1, group="Attention",
    )  # fmt: skip
    n_sink: int = setting(
        0, "Sinks", "First tokens that stay visible beyond the window (Xiao et al. 2023). Needs a window.",
        low=0, high=64, step=1, group="Attention",
    )  # fmt: skip
    sink_logit: SinkLogit = setting(
        "none", "Sink logit",
        "Lets a head attend to nothing: one more score in the softmax, zero (softmax-off-by-one, Miller 2023) or learned "
        "per head (gpt-oss 2025).",
        group="Attention",
    )  # fmt: skip
    mlp: MLPKind = setting(
        "gelu", "MLP",
        "Two matrices with GELU or squared ReLU between (So et al. 2021), or three with a gate: SwiGLU, GeGLU "
        "(Shazeer 2020), SwiGLU with clamped inputs (gpt-oss 2025).",
        group="MLP and experts",
    )  # fmt: skip
    match_parameters: bool = setting(
        True, "Match parameters",
        "Give gated MLPs a hidden width of 8/3 so that they have the weights of an ungated one of width 4 (Shazeer 2020).",
        group="MLP and experts",
    )  # fmt: skip
    mlp_width: int = setting(
        0, "MLP size",
        "Hidden width of the MLP. 0 follows from the width; a race solves it to match parameters or FLOPs.",
        low=0, high=16_384, step=8, group="MLP and experts",
    )  # fmt: skip
    n_expert: int = setting(
        1, "Experts",
        "MLPs per layer between which a router chooses for each token (mixture of experts, Shazeer et al. 2017). "
        "1 is an ordinary MLP.",
        low=1, high=64, step=1, group="MLP and experts",
    )  # fmt: skip
    n_expert_active: int = setting(
        1, "Active experts", "How many experts each token passes through (Fedus et al. 2021: 1; Mixtral 2024: 2).",
        low=1, high=64, step=1, group="MLP and experts",
    )  # fmt: skip
    router_norm: bool = setting(
        True, "Normalised router",
        "Chosen experts' weights sum to one (Mixtral 2024). Turn it off with one active expert, as Switch (Fedus et al. "
        "2021) does: a weight that is always one teaches the router nothing.",
        group="MLP and experts",
    )  # fmt: skip
    shared_expert: bool = setting(
        False, "Shared expert", "One more expert that every token passes through (DeepSeekMoE, Dai et al. 2024).",
        group="MLP and experts",
    )  # fmt: skip
    bias: bool = setting(
        True, "Biases", "Bias vectors in linear layers and LayerNorm, as in GPT-2.", group="Head and start"
    )
    tie_embeddings: bool = setting(
        True, "Tied head", "Use the token embedding matrix again to predict the next token (Press & Wolf 2017).",
        group="Head and start",
    )  # fmt: skip
    logit_softcap: float = setting(
        0.0, "Logit cap", "Squash final logits smoothly below this: cap * tanh(logits / cap) (Gemma 2, 2024). 0 is off.",
        low=0.0, high=1000.0, step=1, group="Head and start",
    )  # fmt: skip
    init: Init = setting(
        "gpt2", "Initial weights",
        "What a block writes starts small: alike in all layers (GPT-2), smaller the deeper the layer (Zhang et al. 2019), "
        "or at zero, so that each block begins as the identity (Zhang et al. 2019, Fixup).",
        group="Head and start",
    )  # fmt: skip
    dropout: float = setting(
        0.0, "Dropout", "Share of activations zeroed at random while training (Srivastava et al. 2014).",
        low=0.0, high=0.9, step=0.05, group="Head and start",
    )  # fmt: skip

    @property
    def head_dim(self) -> int:
        """Size D of one attention head."""
        return self.n_embd // self.n_head

    @property
    def rope_dims(self) -> int:
        """How many of a head's dimensions RoPE turns, the first ones: `rope_fraction` of them."""
        return round(self.rope_fraction * self.head_dim)

    @property
    def mlp_hidden(self) -> int:
        """Hidden width of an MLP or expert: `mlp_width` if given, else 4 C, or 8/3 C (rounded to a multiple of 8) if gated
        with matched parameters."""
        if self.mlp_width:
            return self.mlp_width
        if self.mlp in GATED and self.match_parameters:
            return 8 * round(8 * self.n_embd / 3 / 8)
        return 4 * self.n_embd

    @property
    def windows(self) -> tuple[int, ...]:
        """The window of each layer, 0 where it attends fully: every `global_every`-th does, counted from 1."""
        n = self.global_every
        return tuple(0 if n and layer % n == 0 else self.window for layer in range(1, self.n_layer + 1))

    def _check_together(self) -> None:
        self._check_heads()
        self._check_positions()
        self._check_window()
        self._check_experts()

    def _check_heads(self) -> None:
        if self.n_embd % self.n_head:
            lower, upper = self.n_embd // self.n_head * self.n_head, -(-self.n_embd // self.n_head) * self.n_head
            advice = " or ".join(str(width) for width in (lower, upper) if 8 <= width <= 1024)
            raise ValueError(f"Width {self.n_embd} is not divisible by {self.n_head} heads. Try width {advice}.")
        if self.n_head % self.n_kv_head:
            divisors = ", ".join(str(n) for n in range(1, self.n_head + 1) if self.n_head % n == 0)
            raise ValueError(f"KV heads ({self.n_kv_head}) must divide heads ({self.n_head}): use one of {divisors}.")

    def _check_positions(self) -> None:
        if self.position == "rope" and self.head_dim % 2 and self.rope_fraction == 1:
            raise ValueError(
                f"RoPE needs an even head size; width {self.n_embd} / {self.n_head} heads = {self.head_dim}. "
                "Change width or heads."
            )
        if self.position == "rope" and (self.rope_dims < 2 or self.rope_dims % 2):
            near = [n for n in (self.rope_dims - 1, self.rope_dims + 1) if 2 <= n <= self.head_dim and n % 2 == 0] or [
                2
            ]
            advice = " or ".join(f"{n / self.head_dim:.4g}" for n in near)
            raise ValueError(
                f"RoPE share {self.rope_fraction:g} of a head of {self.head_dim} is {self.rope_dims} dimensions; it must be "
                f"an even number, at least 2. Try {advice}."
            )
        if self.position == "sinusoidal" and self.n_embd % 2:
            raise ValueError(f"Sinusoidal positions need an even width; {self.n_embd} is odd.")

    def _check_window(self) -> None:
        if self.n_sink and not self.window:
            raise ValueError(f"Sinks ({self.n_sink}) need a sliding window: set a window, or sinks to 0.")
        if self.n_sink and self.n_sink >= self.block_size:
            raise ValueError(f"Sinks ({self.n_sink}) must be fewer than the context ({self.block_size}).")
        if self.global_every and not self.window:
            raise ValueError(
                f"Global layers ({self.global_every}) need a sliding window for the others: set a window, or this to 0."
            )
        if self.global_every == 1:
            raise ValueError(
                "Global layers 1 makes every layer global, so the window does nothing: use 2 or more, or 0."
            )
        if self.global_every > self.n_layer:
            advice = f"use 2 to {self.n_layer}, or 0" if self.n_layer > 1 else "use 0"
            raise ValueError(f"Global layers {self.global_every} means none of {self.n_layer} layers: {advice}.")

    def _check_experts(self) -> None:
        if self.n_expert_active > self.n_expert:
            raise ValueError(
                f"Active experts ({self.n_expert_active}) cannot exceed experts ({self.n_expert}). "
                "Lower the active ones or raise experts."
            )
        if self.shared_expert and self.n_expert == 1:
            raise ValueError("A shared expert needs others beside it: set experts to 2 or more, or turn it off.")


@dataclass(frozen=True)
class TrainConfig(Settings):
    """How a model is trained and on what. Together with a `ModelConfig` it determines a run completely."""

    corpus: str = setting("tales", "Text", "What the model reads.")
    corpus_bytes: int = setting(
        4_000_000, "Text size", "How much text to prepare, in bytes.", low=1_000, high=1_000_000_000, step=1_000
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
        3e-3, "Learning rate", "Size of a step at its highest, after the warm-up.", low=1e-6, high=1.0, step=1e-4
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
    seed: int = setting(
        0, "Seed", "Fixes the initial weights, the order of batches and dropout.", low=0, high=4_294_967_295, step=1
    )

    def _check_together(self) -> None:
        if self.warmup_steps > self.steps:
            raise ValueError(
                f"Warm-up ({self.warmup_steps}) is longer than the run ({self.steps} steps). Shorten the warm-up."
            )
        if len(self.prompt) > 2_000:
            raise ValueError(f"Prompt has {len(self.prompt)} characters; the limit is 2,000. Shorten it.")


@dataclass(frozen=True)
class SampleConfig(Settings):
    """How the next token is chosen from the model's logits, and how many are written."""

    temperature: float = setting(
        0.8, "Temperature", "Below 1 sharpens the distribution, above 1 flattens it; 0 always takes the likeliest.",
        low=0.0, high=5.0, step=0.05,
    )  # fmt: skip
    top_k: int = setting(0, "Top-k", "Keep only the k likeliest tokens. 0 is off.", low=0, high=65_536, step=1)
    top_p: float = setting(
        1.0, "Top-p", "Keep the fewest tokens whose probabilities reach p (nucleus). 1 is off.",
        low=0.0, high=1.0, step=0.01,
    )  # fmt: skip
    min_p: float = setting(
        0.0, "Min-p", "Remove tokens below this share of the likeliest one's probability (Nguyen et al. 2024). 0 is off.",
        low=0.0, high=1.0, step=0.01,
    )  # fmt: skip
    repetition_penalty: float = setting(
        1.0, "Repetition penalty",
        "Divide positive logits of tokens that were there already by this, multiply negative ones (CTRL, Keskar et al. "
        "2019). 1 is off.",
        low=0.1, high=10.0, step=0.01,
    )  # fmt: skip
    max_new_tokens: int = setting(200, "New tokens", "How many tokens to write.", low=1, high=8_192, step=1)
    seed: int = setting(0, "Seed", "The same seed writes the same text.", low=0, high=4_294_967_295, step=1)
    n_sample: int = setting(
        1, "Samples", "How many texts to write at once; they share the reading of the prompt.", low=1, high=16, step=1
    )
    stop: str = setting(
        "", "Stop strings", r"Writing ends before the first of these, one a line; \n is a line break.",
    )  # fmt: skip

    @property
    def stops(self) -> list[str]:
        """The stop strings, line breaks spelled out."""
        return [line.replace("\\n", "\n") for line in self.stop.splitlines() if line]

    def _check_together(self) -> None:
        if len(self.stop) > 1_000:
            raise ValueError(f"Stop strings have {len(self.stop):,} characters; the limit is 1,000. Shorten them.")


CLASSIC: dict[str, Any] = {
    "position": "learned",
    "norm": "layernorm",
    "mlp": "gelu",
    "bias": True,
    "n_head": 4,
    "n_kv_head": 4,
}
MODERN: dict[str, Any] = {
    "position": "rope",
    "norm": "rmsnorm",
    "norm_eps": 1e-6,
    "mlp": "swiglu",
    "bias": False,
    "n_head": 4,
    "n_kv_head": 2,
}
MIXTURE: dict[str, Any] = {**MODERN, "n_expert": 4, "n_expert_active": 2}  # as Mixtral (Jiang et al. 2024)
GPT_OSS: dict[str, Any] = {  # as OpenAI's gpt-oss (2025), at our size
    **MODERN,
    "norm_eps": 1e-5,
    "rope_theta": 150_000.0,
    "mlp": "clamped_swiglu",
    "n_expert": 4,
    "n_expert_active": 2,
    "window": 32,
    "global_every": 2,
    "sink_logit": "learned",
    "bias": True,
    "tie_embeddings": False,
}
PRESETS: dict[str, dict[str, Any]] = {"classic": CLASSIC, "modern": MODERN, "mixture": MIXTURE, "gpt-oss": GPT_OSS}


def preset(name: str, **changes: Any) -> ModelConfig:
    """The `ModelConfig` of a preset with some fields changed.

    `n_kv_head` follows `n_head` in the preset's proportion unless it is given. Raises ValueError for an unknown preset.
    """
    if name not in PRESETS:
        raise ValueError(f"Preset must be one of {', '.join(PRESETS)}. You sent {_shown(name)}.")
    values = {**PRESETS[name], **changes}
    n_head = values["n_head"]
    if "n_kv_head" not in changes and isinstance(n_head, int) and n_head > 0:
        group = PRESETS[name]["n_head"] // PRESETS[name]["n_kv_head"]
        values["n_kv_head"] = n_head // group if n_head % group == 0 else n_head
    return ModelConfig.from_dict(values)


def config_diff(a: Settings, b: Settings) -> dict[str, tuple[Any, Any]]:
    """The fields in which two configs of one kind differ, as ``{name: (a's value, b's value)}``."""
    left, right = a.to_dict(), b.to_dict()
    return {name: (left[name], right[name]) for name in left if left[name] != right[name]}


_WORDS = {
    "pre": "before (pre)", "post": "after (post)",
    "learned": "learned", "sinusoidal": "sinusoidal", "rope": "RoPE", "alibi": "ALiBi", "none": "none",
    "layernorm": "LayerNorm", "rmsnorm": "RMSNorm", "gelu": "GELU", "relu2": "ReLU²", "swiglu": "SwiGLU", "geglu": "GeGLU",
    "clamped_swiglu": "clamped SwiGLU", "gpt2": "GPT-2", "depth_scaled": "depth-scaled", "byte": "bytes",
    "char": "characters", "bpe": "BPE", "imported": "imported file",
    "classic": "Classic", "modern": "Modern", "mixture": "Mixture", "gpt-oss": "gpt-oss",
    "adamw": "AdamW", "muon": "Muon", "sgd": "SGD", "wsd": "warm-up, stable, decay",
}  # fmt: skip


def spelled(value: Any) -> str:
    """A setting's value as people write it: "RoPE" for "rope", "yes" for True, 0.002 without a tail of zeros."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:g}" if isinstance(value, float) else _WORDS.get(value, str(value))


def setting_kinds() -> dict[str, type[Settings]]:
    """Every setting of a run with the class that it belongs to. The vocabulary is none: it follows from the tokenizer."""
    return {
        item.name: kind for kind in (ModelConfig, TrainConfig) for item in fields(kind) if item.name != "vocab_size"
    }


def parsed(kind: type[Settings], name: str, text: str) -> Any:
    """A setting's value from text, as its field's type; what does not fit stays text, for the config to complain about."""
    wanted = get_type_hints(kind)[name]
    if wanted is bool:
        return {"true": True, "false": False, "yes": True, "no": False}.get(text.lower(), text)
    try:
        return (float(text) if "." in text or "e" in text.lower() else int(text)) if wanted in (int, float) else text
    except ValueError:
        return text


def label(kind: type[Settings], name: str) -> str:
    """A field's label, as forms, tables and messages show it."""
    return str(next(item.metadata["label"] for item in fields(kind) if item.name == name))  # type: ignore[arg-type]
