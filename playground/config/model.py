"""What the model is: one field for each axis of the architecture."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
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


@dataclass(frozen=True)
class ModelConfig(Settings):
    """The architecture. One field is one axis; the module that owns the axis resolves it once, in a constructor.

    Raises ValueError when a field is out of range or two fields contradict each other.
    """

    vocab_size: int = setting(
        256, "Vocabulary", "Number of different tokens.", low=2, high=65_536, most=1_000_000, step=1
    )
    block_size: int = setting(
        128,
        "Context",
        "How many tokens the model can look back over, itself included.",
        low=8,
        high=2048,
        most=131_072,
        step=8,
    )
    n_layer: int = setting(4, "Layers", "Transformer blocks on top of each other.", low=1, high=24, most=256, step=1)
    n_embd: int = setting(
        128,
        "Width",
        "Numbers that describe one token inside the model (the residual stream).",
        low=8,
        high=1024,
        most=16_384,
        step=8,
    )
    n_head: int = setting(
        4, "Heads", "Attention heads per layer: independent ways of looking back.", low=1, high=32, most=256, step=1
    )
    position: Position = setting(
        "learned", "Positions",
        "How a token knows where it stands: a learned table (GPT-2, 2019), fixed sines (Vaswani et al. 2017), rotated "
        "queries and keys (RoPE, Su et al. 2021), a penalty on distance (ALiBi, Press et al. 2022), or not at all "
        "(Haviv et al. 2022).",
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
        "Before each sublayer (pre, GPT-2, 2019) or after its sum with the stream (post, Vaswani et al. 2017; harder to "
        "train).",
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
        low=1, high=32, most=256, step=1, group="Attention",
    )  # fmt: skip
    head_size: int = setting(
        0, "Head size",
        "Numbers in each head's queries, keys and values. 0 is width / heads; Qwen3 and gpt-oss have a size of their own.",
        low=0, high=256, most=1024, step=8, group="Attention",
    )  # fmt: skip
    window: int = setting(
        0, "Window", "Sliding window: each token sees so many tokens, itself included (Mistral 2023). 0 is full attention.",
        low=0, high=2048, most=131_072, step=8, group="Attention",
    )  # fmt: skip
    global_every: int = setting(
        0, "Global layers",
        "With a window, every n-th layer sees everything (Gemma 2, 2024; gpt-oss takes 2). 0: none does.",
        low=0, high=24, most=256, step=1, group="Attention",
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
        "Two matrices with GELU between (Hendrycks & Gimpel 2016; in the tanh form of GPT-2, or exact, with erf, as in "
        "nanoGPT) or squared ReLU (So et al. 2021), or three with a gate: SwiGLU, GeGLU (Shazeer 2020), SwiGLU with "
        "clamped inputs (gpt-oss 2025).",
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
        low=0, high=16_384, most=131_072, step=8, group="MLP and experts",
    )  # fmt: skip
    n_expert: int = setting(
        1, "Experts",
        "MLPs per layer between which a router chooses for each token (mixture of experts, Shazeer et al. 2017). "
        "1 is an ordinary MLP.",
        low=1, high=64, most=512, step=1, group="MLP and experts",
    )  # fmt: skip
    n_expert_active: int = setting(
        1, "Active experts", "How many experts each token passes through (Fedus et al. 2021: 1; Mixtral 2024: 2).",
        low=1, high=64, most=512, step=1, group="MLP and experts",
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
        True, "Biases", "Bias vectors in linear layers and LayerNorm, as in GPT-2 (2019).", group="Head and start"
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
        "What a block writes starts small: alike in all layers (GPT-2, 2019), smaller the deeper the layer "
        "(Zhang et al. 2019), or at zero, so that each block begins as the identity (Zhang et al. 2019, Fixup).",
        group="Head and start",
    )  # fmt: skip
    dropout: float = setting(
        0.0, "Dropout", "Share of activations zeroed at random while training (Srivastava et al. 2014).",
        low=0.0, high=0.9, step=0.05, group="Head and start",
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
        if not self.head_size and self.n_embd % self.n_head:
            lower, upper = self.n_embd // self.n_head * self.n_head, -(-self.n_embd // self.n_head) * self.n_head
            advice = " or ".join(str(width) for width in (lower, upper) if 8 <= width <= 1024)
            raise ValueError(
                f"Width {self.n_embd} is not divisible by {counted(self.n_head, 'head')}. Try width {advice}."
            )
        if self.n_head % self.n_kv_head:
            divisors = ", ".join(str(n) for n in range(1, self.n_head + 1) if self.n_head % n == 0)
            raise ValueError(f"KV heads ({self.n_kv_head}) must divide heads ({self.n_head}): use one of {divisors}.")

    def _check_positions(self) -> None:
        if self.position == "rope" and self.head_dim % 2 and self.rope_fraction == 1:
            share = f"width {self.n_embd} / {counted(self.n_head, 'head')} = {self.head_dim}. Change width or heads."
            raise ValueError(
                f"RoPE needs an even head size; {f'{self.head_size} is odd.' if self.head_size else share}"
            )
        if self.position == "rope" and (self.rope_dims < 2 or self.rope_dims % 2):
            near = [n for n in (self.rope_dims - 1, self.rope_dims + 1) if 2 <= n <= self.head_dim and n % 2 == 0] or [
                2
            ]
            advice = " or ".join(f"{n / self.head_dim:.4g}" for n in near)
            raise ValueError(
                f"RoPE share {self.rope_fraction:g} of a head of {self.head_dim} is "
                f"{counted(self.rope_dims, 'dimension')}; it must be "
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
            raise ValueError(
                f"Global layers {self.global_every} means none of {counted(self.n_layer, 'layer')}: {advice}."
            )

    def _check_experts(self) -> None:
        if self.n_expert_active > self.n_expert:
            raise ValueError(
                f"Active experts ({self.n_expert_active}) cannot exceed experts ({self.n_expert}). "
                "Lower the active ones or raise experts."
            )
        if self.shared_expert and self.n_expert == 1:
            raise ValueError("A shared expert needs others beside it: set experts to 2 or more, or turn it off.")


class ImportedModelConfig(ModelConfig):
    """A model that was made elsewhere: its sizes end where memory does, not where the form for training does."""

    trained = False


def model_config(values: Mapping[str, Any]) -> ModelConfig:
    """A model's config from a run's or a stranger's file: a `ModelConfig` if it could be trained here, or else imported.

    Raises ValueError as both do.
    """
    try:
        return ModelConfig.from_dict(values)
    except ValueError:
        return ImportedModelConfig.from_dict(values)
