"""What the model is: one field for each axis of the architecture."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, Literal

from playground.config.phrases import counted
from playground.config.settings import Settings, setting

Position = Literal["learned", "sinusoidal", "rope", "alibi", "none"]
Norm = Literal["layernorm", "rmsnorm"]
Placement = Literal["pre", "post"]
MLPKind = Literal["gelu", "gelu_exact", "relu2", "swiglu", "geglu", "clamped_swiglu"]
SinkLogit = Literal["none", "zero", "learned"]
Init = Literal["gpt2", "depth_scaled", "zero"]

GATED: frozenset[str] = frozenset({"swiglu", "geglu", "clamped_swiglu"})  # MLPs of three matrices instead of two
ADDED: frozenset[str] = frozenset({"learned", "sinusoidal"})  # positions that become part of a token's vector


# The largest size of a model that is imported, of anything but its context: such a model is limited by memory, which
# `interchange.sizes` computes from its config, and a single size only by what a tensor's dimension may be.
MOST_SIZE = 1_000_000


@dataclass(frozen=True)
class ModelConfig(Settings):
    """The architecture. One field is one axis; the module that owns the axis resolves it once, in a constructor.

    Raises ValueError when a field is out of range or two fields contradict each other.
    """

    vocab_size: int = setting(
        256, "Vocabulary size", "Number of distinct tokens.", low=2, high=65_536, most=MOST_SIZE, step=1
    )
    block_size: int = setting(
        128,
        "Context length",
        "Maximum number of tokens the model can attend to, including the current one.",
        low=8,
        high=2048,
        most=131_072,
        step=8,
    )
    n_layer: int = setting(4, "Layers", "Number of transformer blocks.", low=1, high=24, most=MOST_SIZE, step=1)
    n_embd: int = setting(
        128,
        "Embedding size (d_model)",
        "Dimension of the token embeddings and of the residual stream.",
        low=8,
        high=1024,
        most=MOST_SIZE,
        step=8,
    )
    n_head: int = setting(4, "Heads", "Attention heads per layer.", low=1, high=32, most=MOST_SIZE, step=1)
    position: Position = setting(
        "learned", "Positional encoding",
        "How the model encodes token positions: learned embeddings (GPT-2, 2019), sinusoidal (Vaswani et al. 2017), "
        "rotary (RoPE, Su et al. 2021), a linear bias on distance (ALiBi, Press et al. 2022), or none (NoPE, Haviv et al. "
        "2022).",
        group="Positional encoding",
    )  # fmt: skip
    rope_theta: float = setting(
        10_000.0, "RoPE base", "Base of the RoPE frequencies (theta): a larger base lowers the low frequencies (Su et "
                               "al. 2021).",
        low=10, high=1e7, most=1e12, step=10, group="Positional encoding",
    )  # fmt: skip
    rope_fraction: float = setting(
        1.0, "RoPE fraction",
        "Fraction of each head's dimensions that RoPE rotates; the others carry no position (partial RoPE, GPT-NeoX 2022).",
        low=0.0, high=1.0, step=0.05, group="Positional encoding",
    )  # fmt: skip
    norm: Norm = setting(
        "layernorm", "Norm",
        "LayerNorm centres and scales (Ba et al. 2016); RMSNorm only scales (Zhang & Sennrich 2019).",
        group="Normalization",
    )  # fmt: skip
    norm_eps: float = setting(
        1e-5, "Norm epsilon", "Added to the variance (or mean square) before the square root, to avoid division by zero.",
        low=1e-12, high=0.1, step=1e-6, group="Normalization",
    )  # fmt: skip
    norm_placement: Placement = setting(
        "pre", "Norm placement",
        "Before each sublayer (pre-norm, GPT-2, 2019) or after the residual addition (post-norm, Vaswani et al. 2017; "
        "harder to train).",
        group="Normalization",
    )  # fmt: skip
    qk_norm: bool = setting(
        False, "QK-norm", "RMSNorm on queries and keys, which bounds the attention scores (Henry et al. 2020; Qwen3).",
        group="Normalization",
    )  # fmt: skip
    n_kv_head: int = setting(
        4, "KV heads",
        "Key/value heads. Fewer KV heads than heads is grouped-query attention (Ainslie et al. 2023); one KV head is "
        "multi-query attention (Shazeer 2019).",
        low=1, high=32, most=MOST_SIZE, step=1, group="Attention",
    )  # fmt: skip
    head_size: int = setting(
        0, "Head size",
        "Dimension of each head's queries, keys and values. 0: embedding size / heads. Qwen3 and gpt-oss set it separately.",
        low=0, high=256, most=MOST_SIZE, step=8, group="Attention",
    )  # fmt: skip
    window: int = setting(
        0, "Window",
        "Sliding-window attention: each token attends to this many tokens, including itself (Mistral 2023). 0: full "
        "attention.",
        low=0, high=2048, most=131_072, step=8, group="Attention",
    )  # fmt: skip
    global_every: int = setting(
        0, "Full-attention interval",
        "With a window, every n-th layer uses full attention (Gemma 2, 2024; 2 in gpt-oss). 0: no layer does.",
        low=0, high=24, most=MOST_SIZE, step=1, group="Attention",
    )  # fmt: skip
    n_sink: int = setting(
        0, "Sinks", "Attention sinks: initial tokens that stay visible outside the window (Xiao et al. 2023). Requires a "
                    "window.",
        low=0, high=64, step=1, group="Attention",
    )  # fmt: skip
    sink_logit: SinkLogit = setting(
        "none", "Sink logit",
        "Lets a head attend to nothing: an additional logit in the softmax, fixed at zero (softmax-off-by-one, Miller 2023) "
        "or learned per head (gpt-oss 2025).",
        group="Attention",
    )  # fmt: skip
    mlp: MLPKind = setting(
        "gelu", "MLP",
        "Two matrices with GELU (Hendrycks & Gimpel 2016; the tanh approximation as in GPT-2, or exact, with erf, as in "
        "nanoGPT) or squared ReLU (So et al. 2021) between them, or three matrices with a gate: SwiGLU, GeGLU (Shazeer "
        "2020), SwiGLU with clamped inputs (gpt-oss 2025).",
        group="MLP and experts",
    )  # fmt: skip
    match_parameters: bool = setting(
        True, "Match parameters",
        "Hidden size of gated MLPs: 8/3 of the embedding size, so that they have about as many parameters as an ungated MLP "
        "with 4 times the embedding size (Shazeer 2020).",
        group="MLP and experts",
    )  # fmt: skip
    mlp_width: int = setting(
        0, "MLP hidden size",
        "Intermediate size of the MLP. 0: derived from the embedding size; a race can solve for it to match parameters or "
        "FLOPs.",
        low=0, high=16_384, most=MOST_SIZE, step=8, group="MLP and experts",
    )  # fmt: skip
    n_expert: int = setting(
        1, "Experts",
        "MLPs per layer; a router selects among them for each token (mixture of experts, Shazeer et al. 2017). 1: a dense "
        "MLP.",
        low=1, high=64, most=MOST_SIZE, step=1, group="MLP and experts",
    )  # fmt: skip
    n_expert_active: int = setting(
        1, "Active experts", "Experts per token (top-k of the router; Switch, Fedus et al. 2021: 1; Mixtral 2024: 2).",
        low=1, high=64, most=MOST_SIZE, step=1, group="MLP and experts",
    )  # fmt: skip
    router_norm: bool = setting(
        True, "Normalize router weights",
        "Rescale the selected experts' weights to sum to 1 (Mixtral 2024). Turn it off with one active expert, as Switch "
        "(Fedus et al. 2021) does: a weight that is always 1 gives the router no gradient.",
        group="MLP and experts",
    )  # fmt: skip
    shared_expert: bool = setting(
        False, "Shared expert", "An additional expert that processes every token (DeepSeekMoE, Dai et al. 2024).",
        group="MLP and experts",
    )  # fmt: skip
    bias: bool = setting(
        True, "Biases", "Bias vectors in linear layers and LayerNorm, as in GPT-2 (2019).", group="Output head and init"
    )
    tie_embeddings: bool = setting(
        True, "Tie embeddings", "Share the weights of the token embedding and the output head (Press & Wolf 2017).",
        group="Output head and init",
    )  # fmt: skip
    logit_softcap: float = setting(
        0.0, "Logit soft-cap", "Soft-cap the output logits: cap * tanh(logits / cap) (Gemma 2, 2024). 0: off.",
        low=0.0, high=1000.0, step=1, group="Output head and init",
    )  # fmt: skip
    init: Init = setting(
        "gpt2", "Initialization",
        "Standard deviation of the residual projections: the same in all layers (GPT-2, 2019), smaller in deeper layers "
        "(Zhang et al. 2019), or zero, so that each block starts as the identity (Zhang et al. 2019, Fixup).",
        group="Output head and init",
    )  # fmt: skip
    dropout: float = setting(
        0.0, "Dropout", "Probability of zeroing an activation during training (Srivastava et al. 2014).",
        low=0.0, high=0.9, step=0.05, group="Output head and init",
    )  # fmt: skip

    @property
    def head_dim(self) -> int:
        """Size D of one attention head: `head_size` if given, else an equal share of the width."""
        return self.head_size or self.n_embd // self.n_head

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

    @cached_property
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
        if not self.head_size and self.n_embd % self.n_head:
            turned = self.position == "rope" and self.rope_fraction == 1
            unit = math.lcm(self.n_head, 2) if self.position == "sinusoidal" else self.n_head * (2 if turned else 1)
            raise ValueError(
                f"Embedding size {self.n_embd} is not divisible by {counted(self.n_head, 'head')}. "
                f"Try {self._near('n_embd', unit)}."
            )
        if self.n_head % self.n_kv_head:
            divisors = ", ".join(str(n) for n in range(1, self.n_head + 1) if self.n_head % n == 0)
            raise ValueError(f"KV heads ({self.n_kv_head}) must divide Heads ({self.n_head}): use one of {divisors}.")

    def _near(self, name: str, unit: int) -> str:
        """The multiples of `unit` next to a field's value, below and above, within its bounds: "96 or 104"."""
        bounds = next(item.metadata for item in fields(self) if item.name == name)
        below, high = getattr(self, name) // unit * unit, bounds["high" if self.trained else "most"]
        return " or ".join(str(n) for n in (below, below + unit) if max(1, bounds["low"]) <= n <= high)

    def _check_positions(self) -> None:
        if self.position == "rope":
            self._check_rope()
        if self.position == "sinusoidal" and self.n_embd % 2:
            unit = 2 if self.head_size else math.lcm(self.n_head, 2)
            raise ValueError(
                f"Sinusoidal positions need an even embedding size; {self.n_embd} is odd. Try {self._near('n_embd', unit)}."
            )

    def _check_rope(self) -> None:
        size = self.head_dim
        if size < 2 or (size % 2 and self.rope_fraction == 1):
            if self.head_size:
                found, advice = f"{size} is odd", f"Head size {self._near('head_size', 2)}"
            else:
                found = f"embedding size {self.n_embd} / {counted(self.n_head, 'head')} = {size}"
                advice = f"embedding size {self._near('n_embd', 2 * self.n_head)}"
            raise ValueError(f"RoPE needs an even head size; {found}. Try {advice}.")
        if self.rope_dims < 2 or self.rope_dims % 2:
            near = [n for n in (self.rope_dims - 1, self.rope_dims + 1) if 2 <= n <= size and n % 2 == 0] or [2]
            advice = " or ".join(f"{n / size:.4g}" for n in near)
            raise ValueError(
                f"RoPE fraction {self.rope_fraction:g} of a head of {size} is {counted(self.rope_dims, 'dimension')}; it "
                f"must be an even number, at least 2. Try {advice}."
            )

    def _check_window(self) -> None:
        if self.n_sink and not self.window:
            raise ValueError(f"Sinks ({self.n_sink}) require a sliding window: set Window above 0, or Sinks to 0.")
        if self.n_sink and self.n_sink >= self.block_size:
            raise ValueError(
                f"Sinks ({self.n_sink}) must be less than the context length ({self.block_size}). Lower Sinks."
            )
        if self.global_every and not self.window:
            raise ValueError(
                f"Full-attention interval ({self.global_every}) requires a sliding window for the other layers: set "
                f"Window above "
                "0, or the interval to 0."
            )
        most = self.n_layer
        advice = "use 0" if most < 2 else "use 2 or 0" if most == 2 else f"use 2 to {most}, or 0"
        if self.global_every == 1:
            raise ValueError(
                f"Full-attention interval 1 gives every layer full attention, so the window has no effect: {advice}."
            )
        if self.global_every > most:
            raise ValueError(f"Full-attention interval {self.global_every} selects no layer of {most}: {advice}.")

    def _check_experts(self) -> None:
        if self.n_expert_active > self.n_expert:
            raise ValueError(
                f"Active experts ({self.n_expert_active}) must not exceed Experts ({self.n_expert}). "
                "Lower Active experts or raise Experts."
            )
        if self.shared_expert and self.n_expert == 1:
            raise ValueError("Shared expert requires a mixture of experts: set Experts to 2 or more, or turn it off.")


class ImportedModelConfig(ModelConfig):
    """A model that was made elsewhere: its sizes end where memory does, not where the form for training does."""

    trained = False


def model_config(values: Mapping[str, Any]) -> ModelConfig:
    """A model's config from a run's or an untrusted file: a `ModelConfig` if it could be trained here, or else imported.

    Raises ValueError as both do.
    """
    try:
        return ModelConfig.from_dict(values)
    except ValueError:
        return ImportedModelConfig.from_dict(values)
