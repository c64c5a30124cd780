"""A model and its training as one Python file that needs only PyTorch, generated from `program.py.txt`.

The template is the whole program with all variants. A line that ends in ``#: if FLAGS`` is kept if all flags hold
(``not FLAG`` negates one), and so is a block between ``#: begin FLAGS`` and ``#: end``; ``{{name}}`` is replaced by a
value. Only what this configuration needs is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from playground.config import ANY, GATED, ModelConfig, Settings, TrainConfig, counted, label, spelled, unsupported
from playground.data.corpora import holds_out_problems
from playground.data.tasks import TASKS
from playground.models.positional import alibi_slopes
from playground.tokenizers import ImportedTokenizer, Tokenizer

TEMPLATE = Path(__file__).with_name("program.py.txt")
_MARK = re.compile(r"  #: if ([a-z_ ]+)$")
_ACTIVATIONS = {
    "gelu": 'F.gelu(up, approximate="tanh")',
    "gelu_exact": "F.gelu(up)",
    "relu2": "F.relu(up).square()",
    "swiglu": "F.silu(gate) * up",
    "geglu": 'F.gelu(gate, approximate="tanh") * up',
    "clamped_swiglu": "(up + 1) * gate * torch.sigmoid(1.702 * gate)",
}
_INITS = {
    "gpt2": ("0.02 / math.sqrt(2 * n_layer)", "less"),
    "depth_scaled": ("0.02 / math.sqrt(2 * (layer + 1))", "less the deeper the layer"),
    "zero": ("0.0", "zero"),
}
_SCHEDULES = {
    "cosine": ("0.5 * (1 + math.cos(math.pi * progress))", "half a cosine down to a floor"),
    "linear": ("(1.0 - progress)", "a line down to a floor"),
    "wsd": ("min(1.0, (1.0 - progress) / 0.2)", "constant, and over the last fifth a line down to a floor"),
    "constant": ("1.0", "constant"),
}
_OPTIMIZERS = {
    "adamw": "AdamW (Loshchilov & Hutter 2019)",
    "muon": "Muon (Jordan 2024) for matrices inside blocks, AdamW for the rest",
    "sgd": "Gradient descent with momentum",
}
# The values that the file supports, for every setting of the model.
MODEL: dict[str, Container[Any]] = {
    "position": ("learned", "sinusoidal", "rope", "alibi", "none"), "norm": ("layernorm", "rmsnorm"),
    "norm_placement": ("pre", "post"), "mlp": _ACTIVATIONS, "sink_logit": ("none", "zero", "learned"), "init": _INITS,
    **dict.fromkeys((
        "vocab_size", "block_size", "n_layer", "n_embd", "n_head", "rope_theta", "rope_fraction", "norm_eps", "qk_norm",
        "n_kv_head", "head_size", "window", "global_every", "n_sink", "match_parameters", "mlp_width", "n_expert",
        "n_expert_active", "router_norm", "shared_expert", "bias", "tie_embeddings", "logit_softcap", "dropout",
    ), ANY),
}  # fmt: skip
# The same for training settings, including those without effect on the file.
TRAINING: dict[str, Container[Any]] = {
    "precision": ("fp32", "bf16"), "optimizer": _OPTIMIZERS, "schedule": _SCHEDULES,
    **dict.fromkeys((
        "corpus", "corpus_bytes", "task_version", "tokenizer", "steps", "batch_size", "grad_accum", "learning_rate",
        "min_lr_ratio", "warmup_steps", "weight_decay", "beta1", "beta2", "grad_clip", "eval_interval", "eval_tokens",
        "validation_fraction", "sample_interval", "prompt", "checkpoint_interval", "snapshots", "balance_loss",
        "router_z_loss", "seed", "bpe_vocab", "documents", "z_loss", "ema", "gradient_checkpointing", "compile",
    ), ANY),
}  # fmt: skip


@dataclass(frozen=True)
class Program:
    """The file's text, and the name and content of its data file."""

    source: str
    data_name: str
    data: str


def write_program(
    name: str, model: ModelConfig, train: TrainConfig, tokenizer: Tokenizer, text: str, streams: Mapping[str, Any]
) -> Program:
    """The program for a run. `streams` holds the token ids of its two parts, ``train`` and ``validation``.

    For bytes and characters the data is the text itself; for other tokenizers, whose rules would fill a file of their own,
    and where an end-of-text token separates documents, it is the ids and the bytes of each token. Raises ValueError for a
    setting that the program does not support.
    """
    _check_known(model, train)
    kind = tokenizer.name if tokenizer.name in ("byte", "char") and tokenizer.eos is None else "tokens"
    task = TASKS.get(train.corpus)
    if task and kind == "tokens":
        raise ValueError(
            f"Code for the task {task.label} needs the tokenizer byte or character, which spell out its marker."
        )
    data_name = "tokens.json" if kind == "tokens" else "text.txt"
    flags = (
        _flags(model)
        | {"constant": train.schedule == "constant"}
        | {name: train.optimizer == name for name in _OPTIMIZERS}
        | {"z_loss": train.z_loss > 0, "ema": train.ema > 0, "half": train.precision == "bf16"}
        | {"asks": train.z_loss > 0 or model.n_expert > 1}
        | {"lines": holds_out_problems(train)}
        | {"task": task is not None, "text": kind != "tokens", kind: True}
        | {"eos": tokenizer.eos is not None, "isolated": train.documents == "isolated"}
    )
    values = _values(model, train) | {
        "title": " ".join(name.split()).replace("\\", "/").replace('"', "'"),
        "about": _about(model, train),
        "file": "train.py",
        "data_file": data_name,
        "marker": repr(task.marker) if task else "",
        "eos": str(tokenizer.eos),
    }
    data = _tokens(tokenizer, streams) if kind == "tokens" else text
    return Program(render(TEMPLATE.read_text("utf-8"), flags, values), data_name, data)


def _check_known(model: ModelConfig, train: TrainConfig) -> None:
    for config, supported in ((model, MODEL), (train, TRAINING)):
        for name in unsupported(config.to_dict(), supported):
            raise ValueError(_not_written(type(config), name, getattr(config, name)))


def _not_written(kind: type[Settings], name: str, value: Any) -> str:
    return f"{label(kind, name)} ({spelled(value)}) cannot be written as code: export as safetensors."


def _tokens(tokenizer: Tokenizer, streams: Mapping[str, Any]) -> str:
    """The ids of both parts, and the bytes of each token. Raises ValueError for a decoder that works on whole texts."""
    every = range(tokenizer.vocab_size)
    data: dict[str, Any] = {"pieces": [tokenizer.token_bytes(token).hex() for token in every]}
    if isinstance(tokenizer, ImportedTokenizer) and not tokenizer.byte_level:
        if not tokenizer.in_pieces:
            raise ValueError(
                "The decoder of this tokenizer works on whole texts, which cannot be written as code: export as safetensors."
            )
        data["first"] = [tokenizer.decode([token]).encode("utf-8").hex() for token in every]
    ids = {part: [int(token) for token in streams[part]] for part in ("train", "validation")}
    return json.dumps({**data, **ids}, separators=(",", ":"))


def _flags(model: ModelConfig) -> dict[str, bool]:
    windowed = 0 < model.window < model.block_size
    sink = model.sink_logit != "none"
    return {
        **{position: model.position == position for position in ("rope", "learned", "sinusoidal", "alibi")},
        "partial": model.rope_dims < model.head_dim,
        "windowed": windowed,
        "global": windowed and model.global_every > 0,
        "sinks": windowed and model.n_sink > 0,
        "sink": sink,
        "sink_learned": model.sink_logit == "learned",
        "masked": windowed or sink or model.position == "alibi",
        "qk_norm": model.qk_norm,
        "pre": model.norm_placement == "pre",
        "gated": model.mlp in GATED,
        "clamped": model.mlp == "clamped_swiglu",
        "moe": model.n_expert > 1,
        "shared": model.shared_expert,
        "router_norm": model.router_norm,
        "bias": model.bias,
        "tied": model.tie_embeddings,
        "softcap": model.logit_softcap > 0,
        "dropout": model.dropout > 0,
        "depth_scaled": model.init == "depth_scaled",
        **dict.fromkeys(("byte", "char", "tokens"), False),
    }


def _values(model: ModelConfig, train: TrainConfig) -> dict[str, str]:
    flags = _flags(model)
    norm = f"nn.LayerNorm(n_embd, eps={model.norm_eps!r}, bias={model.bias})"
    std, words = _INITS[model.init]
    formula, schedule = _SCHEDULES[train.schedule]
    derived = {
        "mlp_hidden": model.mlp_hidden,
        "head_dim": model.head_dim,
        "rope_dims": model.rope_dims,
        "half_rope": model.rope_dims // 2,
        "slopes": alibi_slopes(model.n_head),
        "or_sink": " | (key < n_sink)" if flags["sinks"] else "",
        "norm": norm if model.norm == "layernorm" else f"nn.RMSNorm(n_embd, eps={model.norm_eps!r})",
        "attn_mask": "attn_mask=mask" if flags["masked"] else "is_causal=True",
        "dropout_share": ", dropout_p=share" if model.dropout else "",
        "gqa": model.n_kv_head != model.n_head,
        "sinks": "self.sinks" if model.sink_logit == "learned" else "torch.zeros(n_head, device=x.device)",
        "mlp_name": spelled(model.mlp),
        "act": _ACTIVATIONS[model.mlp],
        "softcap": model.logit_softcap,
        "schedule_formula": formula,
        "schedule_words": schedule,
        "rounding": " (to the last digits of bf16)" if train.precision == "bf16" else "",
        "optimizer_words": _OPTIMIZERS[train.optimizer],
        "init_std": std,
        "init_words": words,
        **{f"{part}_bias": f"self.{part}_bias[e]" if model.bias else "None" for part in ("gate", "up", "down")},
    }
    return {key: str(value) for key, value in {**train.to_dict(), **model.to_dict(), **derived}.items()}


def _about(model: ModelConfig, train: TrainConfig) -> str:
    words = [
        f"{counted(model.n_layer, 'layer')}, d_model {model.n_embd}",
        f"{spelled(model.position)} positions" if model.position != "none" else "no positions",
        spelled(model.norm),
        spelled(model.mlp)
        + (f", {model.n_expert_active} of {counted(model.n_expert, 'expert')}" if model.n_expert > 1 else ""),
        f"{counted(train.steps, 'step')} on {' '.join(train.corpus.split())}",
    ]
    return "A small language model and its training in one file: " + ", ".join(words) + "."


def render(template: str, flags: Mapping[str, bool], values: Mapping[str, str]) -> str:
    """The template with the lines whose flags hold, and its values filled in."""
    kept: list[str] = []
    open_blocks: list[bool] = []
    for line in template.splitlines():
        stripped = line.strip()
        if stripped.startswith("#: begin "):
            open_blocks.append(_holds(stripped.removeprefix("#: begin "), flags))
        elif stripped == "#: end":
            open_blocks.pop()
        elif all(open_blocks):
            mark = _MARK.search(line)
            if mark is None or _holds(mark[1], flags):
                kept.append(_MARK.sub("", line))
    text = re.sub(r"\{\{([a-z0-9_]+)\}\}", lambda match: values[match[1]], "\n".join(kept))
    return re.sub(r"\n{4,}", "\n\n\n", text) + "\n"


def _holds(words: str, flags: Mapping[str, bool]) -> bool:
    """Whether all flags of a mark hold: ``rope not partial``."""
    wanted, holds = True, True
    for word in words.split():
        if word == "not":
            wanted = False
        else:
            holds, wanted = holds and flags[word] == wanted, True
    return holds
