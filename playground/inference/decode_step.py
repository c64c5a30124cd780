"""The decode step as machine code: one new token through a model without an interpreter between its operations.

A small model's step is some eighty tiny operations, and Python and torch spend more time between them than in them. So
`decode_step.c` computes the whole step in one call. It is compiled when the app starts, in the background, by the machine's
own C compiler, into a folder of its own that is gone once the code is loaded. Without a compiler, for models that it does
not cover (mixtures of experts, norms after the sum, other types than float32), and until it is ready, `Reader` goes the
plain way through `Transformer`. Both give the same text: a test compares them, weight for weight and variant for variant.
"""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import torch

from playground.models.kv_cache import KVCache
from playground.models.positional import rotate
from playground.models.transformer import Transformer

SOURCE = Path(__file__).with_suffix(".c")
AHEAD = 1024  # positions whose rotations are computed at once
COMPILERS = ("cc", "gcc", "clang")
MLP_CODES = {"gelu": 0, "relu2": 1, "swiglu": 2, "geglu": 3, "clamped_swiglu": 4}

_FLOATS = ctypes.c_void_p
_POINTERS = [
    "norm1",
    "norm1_bias",
    "query",
    "query_bias",
    "key",
    "key_bias",
    "value",
    "value_bias",
    "query_norm",
    "key_norm",
    "sinks",
    "out",
    "out_bias",
    "norm2",
    "norm2_bias",
    "gate",
    "gate_bias",
    "up",
    "up_bias",
    "down",
    "down_bias",
]


class _Shape(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_int) for name in (
            "width", "n_layer", "n_head", "n_kv_head", "head_dim", "hidden", "vocab_size", "rope_dims", "mlp", "layer_norm",
            "n_threads",
        )),
        *((name, ctypes.c_float) for name in ("eps", "qk_eps", "softcap")),
    )  # fmt: skip


class _Layer(ctypes.Structure):
    _fields_ = (
        *((name, _FLOATS) for name in (*_POINTERS, "keys", "values")),
        ("slot", ctypes.c_int),
        ("n_slots", ctypes.c_int),
        ("bias", _FLOATS),
    )


_step: Any = None
_warming: threading.Thread | None = None


def warm(wait: bool = False) -> bool:
    """Compile the step in the background, once a process; with `wait`, until it is done. Tells whether it is ready."""
    global _warming
    if _warming is None:
        _warming = threading.Thread(target=_load, name="decode-step", daemon=True)
        _warming.start()
    if wait:
        _warming.join()
    return _step is not None


def _load() -> None:
    global _step
    compiler = next((path for path in map(shutil.which, COMPILERS) if path), None)
    if compiler is None:
        return
    tuned = ["-march=native"] if platform.machine() in ("x86_64", "AMD64", "aarch64") else []
    with tempfile.TemporaryDirectory(prefix="decode-step-") as folder:
        library = Path(folder) / "decode_step.so"
        for flags in ((*tuned, "-fopenmp"), tuned, ()):
            command = [
                compiler,
                "-O3",
                "-ffast-math",
                "-shared",
                "-fPIC",
                *flags,
                "-o",
                str(library),
                str(SOURCE),
                "-lm",
            ]
            try:
                done = subprocess.run(command, capture_output=True, timeout=120, check=False)  # noqa: S603  ours, whole
                if done.returncode == 0:
                    step = ctypes.CDLL(str(library)).decode_step
                    break
            except (OSError, subprocess.TimeoutExpired):
                continue
        else:
            return
    step.restype = None
    step.argtypes = [ctypes.c_void_p] * 10
    _step = step


def covers(model: Transformer, cache: KVCache) -> bool:
    """Whether the compiled step is ready and computes this model with such a cache."""
    config = model.config
    plain = config.n_expert == 1 and config.norm_placement == "pre" and not cache.streams
    return (
        _step is not None
        and plain
        and not model.training
        and all(p.dtype == torch.float32 and p.device.type == "cpu" and p.is_contiguous() for p in model.parameters())
    )


class DecodeStep:
    """The compiled step for one text: it takes over from a `KVCache` that has read the beginning, and goes on alone."""

    def __init__(self, model: Transformer, cache: KVCache, row: int = 0) -> None:
        """Take over row `row` of a cache. Only where `covers` says so."""
        assert _step is not None
        self.model, config = model, model.config
        self.position = int(cache.lengths[row])
        self._shape = _shape(model)
        self._keys, self._values = _taken_over(model, cache, row)
        self._held = {window: cache.rings[window].held[row].clone() for window in cache.rings}
        self._rings = [
            (ring.capacity, ring.n_sink, window) for ring, window in zip(cache.layers, config.windows, strict=True)
        ]
        self._turns: torch.Tensor | None = None  # cosines and sines of the positions ahead
        self._turned_from = self._turns_at = 0
        self._point()

    def _point(self) -> None:
        """Tell the C code where everything lies."""
        model, config = self.model, self.model.config
        self._layers = (_Layer * config.n_layer)()
        for layer, block, keys, values in zip(self._layers, model.blocks, self._keys, self._values, strict=True):
            for name, tensor in _tensors(block).items():
                setattr(layer, name, _pointer(tensor))
            layer.keys, layer.values = keys.data_ptr(), values.data_ptr()
        slots = max(capacity for capacity, _, _ in self._rings)
        q_width = config.n_head * config.head_dim
        self._work = torch.empty(2 * config.n_embd + 2 * q_width + 2 * config.mlp_hidden + slots)
        self._logits = np.empty(config.vocab_size, dtype=np.float32)
        self._x = np.empty(config.n_embd, dtype=np.float32)
        self._table = model.embed.weight.detach().numpy()
        self._first = [ctypes.addressof(self._shape), ctypes.addressof(self._layers), self._x.ctypes.data]
        head = model.embed.weight if model.head is None else model.head.weight
        self._fixed = [
            _pointer(getattr(model.norm, "weight", None)), _pointer(getattr(model.norm, "bias", None)), _pointer(head),
            self._logits.ctypes.data, self._work.data_ptr(),
        ]  # fmt: skip

    def copy(self) -> DecodeStep:
        """Another text with the same beginning, which goes its own way."""
        other = copy(self)
        other._keys, other._values = ([part.clone() for part in kept] for kept in (self._keys, self._values))
        other._held = {window: held.clone() for window, held in self._held.items()}
        other._point()
        return other

    def feed(self, token: int) -> np.ndarray:
        """Logits (V,) float32 after this token and all before."""
        position = self.position
        biases, alibi = [], self.model.config.position == "alibi"
        for layer, (capacity, n_sink, window) in zip(self._layers, self._rings, strict=True):
            layer.slot = position if position < n_sink else n_sink + (position - n_sink) % (capacity - n_sink)
            layer.n_slots = min(position + 1, capacity)
            if alibi:
                self._held[window][layer.slot] = position
                biases.append(self._bias(window, layer.n_slots))
                layer.bias = biases[-1].data_ptr()
        self._embed(token, position)
        cosine, sine = self._rotation(position)
        _step(*self._first, cosine, sine, *self._fixed)
        self.position += 1
        return self._logits.copy()

    def _embed(self, token: int, position: int) -> None:
        """Put the embedded token where the C code works on it."""
        if self.model.config.position in ("learned", "sinusoidal"):
            with torch.inference_mode():
                weight = self.model.embed.weight
                x = self.model.positions.add(weight[token][None, None], torch.tensor([[position]]))[0, 0].numpy()
        else:
            x = self._table[token]
        np.copyto(self._x, x)

    def _rotation(self, position: int) -> tuple[int | None, int | None]:
        """Pointers to the cosines and sines of a position, from a table that is made anew now and then."""
        if self.model.config.position != "rope":
            return None, None
        if self._turns is None or position >= self._turned_from + AHEAD:
            self._turned_from = position
            turns = self.model.positions.rotation(torch.arange(position, position + AHEAD))
            assert turns is not None
            self._turns = torch.stack(turns).contiguous()  # (2, AHEAD, R / 2)
            self._turns_at = self._turns.data_ptr()
        row = 2 * self.model.config.rope_dims  # bytes: R / 2 numbers
        at = self._turns_at + row * (position - self._turned_from)
        return at, at + row * AHEAD

    def _bias(self, window: int, n_slots: int) -> torch.Tensor:
        held = self._held[window][:n_slots]
        bias = self.model.positions.bias(torch.tensor([self.position]), held)
        assert bias is not None
        return bias[..., 0, :].contiguous()


def _pointer(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _shape(model: Transformer) -> _Shape:
    config = model.config
    return _Shape(
        config.n_embd, config.n_layer, config.n_head, config.n_kv_head, config.head_dim, config.mlp_hidden,
        config.vocab_size, config.rope_dims, MLP_CODES[config.mlp], config.norm == "layernorm", torch.get_num_threads(),
        config.norm_eps, config.norm_eps, config.logit_softcap,
    )  # fmt: skip


def _tensors(block: Any) -> dict[str, torch.Tensor | None]:
    """A block's weights by the names of the C structure."""
    attention, mlp = block.attn, block.mlp
    parts = {
        "norm1": block.attn_norm, "query": attention.query, "key": attention.key, "value": attention.value,
        "query_norm": attention.query_norm, "key_norm": attention.key_norm, "out": attention.out, "norm2": block.mlp_norm,
        "gate": mlp.gate, "up": mlp.up, "down": mlp.down,
    }  # fmt: skip
    found = {name: getattr(part, "weight", None) for name, part in parts.items()}
    found |= {f"{name}_bias": getattr(part, "bias", None) for name, part in parts.items()}
    found["sinks"] = attention.sinks
    return {name: found.get(name) for name in _POINTERS}


def _taken_over(model: Transformer, cache: KVCache, row: int) -> tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]:
    """Keys, turned, and values of all layers, (slots, K, D) each, from a cache's row."""
    keys, values = [], []
    for layer, ring in enumerate(cache.layers):
        kept = cache.keys[layer][row]
        if model.config.position == "rope":
            kept = rotate(kept[None], model.positions.rotation(ring.held[row].clamp(min=0)))[0]
        keys.append(kept.transpose(0, 1).contiguous())
        values.append(cache.values[layer][row].transpose(0, 1).contiguous())
    return keys, values
