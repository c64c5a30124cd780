"""The compiled decode step: generates tokens without Python between the operations.

A small model's decode step is about eighty tiny operations, and most of the time is overhead of Python and PyTorch. So
`decode_step.c` computes the whole step, including sampling (`sampling.h`), in one call. It is compiled when the app starts,
in the background, by the machine's own C compiler, into a private folder that is removed once the library is loaded.
Without a compiler, for models that it does not support (mixtures of experts, post-norm, dtypes other than float32), and
until it is ready, `DecodingSession` uses `Transformer`. Both give the same text: a test compares them for every variant.

Larger models are limited by reading the weights: `packed_weights.py` defines their layout.
"""

from __future__ import annotations

import ctypes
import platform
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Container, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from playground.config import ANY, GenerationConfig, unsupported
from playground.inference.native.packed_weights import PANEL, packed_weights
from playground.models.kv_cache import KVCache
from playground.models.positional import apply_rotary_emb
from playground.models.transformer import Transformer

SOURCE = Path(__file__).with_suffix(".c")
AHEAD = 1024  # positions for which rotations are computed at once
COMPILERS = ("cc", "gcc", "clang")
MLP_CODES = {"gelu": 0, "gelu_exact": 1, "relu2": 2, "swiglu": 3, "geglu": 4, "clamped_swiglu": 5}
# The values that the C code supports, for every setting of a model. A setting that is not listed here, for example a new
# one, or a value that is not listed, falls back to `Transformer`.
SUPPORTED: dict[str, Container[Any]] = {
    "position": ("none", "learned", "sinusoidal", "rope", "alibi"), "norm": ("layernorm", "rmsnorm"),
    "norm_placement": ("pre",), "mlp": MLP_CODES, "sink_logit": ("none", "zero", "learned"), "n_expert": (1,),
    "shared_expert": (False,),
    **dict.fromkeys((
        "vocab_size", "block_size", "n_layer", "n_embd", "n_head", "rope_theta", "rope_fraction", "norm_eps", "qk_norm",
        "n_kv_head", "head_size", "window", "global_every", "n_sink", "match_parameters", "mlp_width", "bias",
        "tie_embeddings", "logit_softcap",
    ), ANY),
    # These have no effect with one expert, after initialization, and outside training.
    **dict.fromkeys(("n_expert_active", "router_norm", "init", "dropout"), ANY),
}  # fmt: skip

_MATRICES = ("qkv", "out", "up", "down")
_VECTORS = ("norm1", "norm1_bias", "query_norm", "key_norm", "sinks", "norm2", "norm2_bias")
_BUFFERS = ("x", "qkv", "z", "gated", "up", "scores", "logits")


def _fields(kind: Any, names: str | Sequence[str]) -> tuple[tuple[str, Any], ...]:
    return tuple((name, kind) for name in (names.split() if isinstance(names, str) else names))


class _Layer(ctypes.Structure):
    _fields_ = (
        *_fields(ctypes.c_void_p, (*_MATRICES, *(f"{name}_bias" for name in _MATRICES), *_VECTORS)),
        *_fields(ctypes.c_void_p, "keys values held"),
        *_fields(ctypes.c_int, "capacity n_sink"),
    )


class _Session(ctypes.Structure):
    _fields_ = (
        *_fields(
            ctypes.c_int,
            "width n_layer n_head n_kv_head head_dim hidden n_tokens vocab_size rope_dims mlp layer_norm half n_threads",
        ),
        *_fields(ctypes.c_float, "eps qk_eps softcap"),
        *_fields(ctypes.c_void_p, "embed head norm norm_bias slopes added cosine sine"),
        *_fields(ctypes.c_int64, "start position"),
        *_fields(ctypes.c_void_p, ("layers", *_BUFFERS)),
    )


class _Sampling(ctypes.Structure):
    _fields_ = (
        *_fields(ctypes.c_double, "temperature top_p min_p penalty"),
        *_fields(ctypes.c_int, "top_k n_alternatives"),
    )


Floats = npt.NDArray[np.float64]
Marks = npt.NDArray[np.uint8]
CANDIDATE = np.dtype([("id", np.int32), ("probability", np.float64)], align=True)  # a token and what the model gave it

_library: Any = None
_warming: threading.Thread | None = None


def warm(wait: bool = False) -> bool:
    """Compile the step in the background, once per process; with `wait`, block until done. Returns whether it is ready."""
    global _warming
    if _warming is None:
        _warming = threading.Thread(target=_load, name="decode-step", daemon=True)
        _warming.start()
    if wait:
        _warming.join()
    return _library is not None


def _load() -> None:
    global _library
    compiler = next((path for path in map(shutil.which, COMPILERS) if path), None)
    if compiler is None:
        return
    tuned = ["-march=native"] if platform.machine() in ("x86_64", "AMD64", "aarch64") else []
    with tempfile.TemporaryDirectory(prefix="decode-step-") as folder:
        path = str(Path(folder) / "decode_step.so")
        for flags in ((*tuned, "-fopenmp"), tuned, ()):
            command = [compiler, "-O3", "-ffast-math", "-shared", "-fPIC", *flags, "-o", path, str(SOURCE), "-lm"]
            try:
                done = subprocess.run(command, capture_output=True, timeout=120, check=False)  # noqa: S603  ours, whole
                if done.returncode == 0:
                    library = ctypes.CDLL(path)
                    break
            except (OSError, subprocess.TimeoutExpired):
                continue
        else:
            return
    library.decode_feed.argtypes = [ctypes.c_void_p, ctypes.c_int]
    library.decode_write.argtypes = [*[ctypes.c_void_p] * 2, *[ctypes.c_int] * 2, *[ctypes.c_void_p] * 5]
    library.decode_feed.restype = library.decode_write.restype = None
    _library = library


def covers(model: Transformer, cache: KVCache) -> bool:
    """Whether the compiled step is ready and supports this model and cache."""
    return (
        _library is not None
        and not unsupported(model.config.to_dict(), SUPPORTED)
        and not cache.streams
        and not model.training
        and all(p.dtype == torch.float32 and p.device.type == "cpu" and p.is_contiguous() for p in model.parameters())
    )


class DecodeStep:
    """The compiled step for one text: it takes over the contents of a `KVCache` and continues from there."""

    def __init__(self, model: Transformer, cache: KVCache, row: int = 0) -> None:
        """Take over row `row` of a cache. Requires `covers`."""
        assert _library is not None
        self.model, self.position = model, int(cache.lengths[row])
        self._keys, self._values = _taken_over(model, cache, row)
        self._held = [ring.slot_positions[row].clone() for ring in cache.layers]
        self._rings = [(ring.capacity, ring.n_sink) for ring in cache.layers]
        self._panels = packed_weights(model)
        self._point()

    def _point(self) -> None:
        """Set the pointers of the C structures."""
        model, config = self.model, self.model.config
        self._layers = (_Layer * config.n_layer)()
        parts = zip(self._layers, model.blocks, self._keys, self._values, self._held, self._rings, strict=True)
        for number, (layer, block, keys, values, held, (capacity, n_sink)) in enumerate(parts):
            for name, tensor in _vectors(block).items():
                setattr(layer, name, _pointer(tensor))
            for name in _MATRICES:
                setattr(layer, name, _pointer(self._panels.matrices[f"{number}.{name}"]))
                setattr(layer, f"{name}_bias", _pointer(self._panels.biases.get(f"{number}.{name}")))
            layer.keys, layer.values, layer.held = keys.data_ptr(), values.data_ptr(), held.data_ptr()
            layer.capacity, layer.n_sink = capacity, n_sink
        slots, width, heads = (
            max(capacity for capacity, _ in self._rings),
            config.n_head * config.head_dim,
            config.n_head,
        )
        rows = (
            config.n_embd, width + 2 * config.n_kv_head * config.head_dim, width, 2 * config.mlp_hidden + PANEL,
            config.mlp_hidden, heads * slots, config.vocab_size,
        )  # fmt: skip
        self._room = {name: torch.zeros(n + PANEL) for name, n in zip(_BUFFERS, rows, strict=True)}
        self._tables: list[torch.Tensor] = []  # what positions add or turn, a row for each of those ahead
        self._ends = -1  # the first position that they do not have
        self._session = _Session(
            config.n_embd, config.n_layer, config.n_head, config.n_kv_head, config.head_dim, config.mlp_hidden,
            model.n_tokens, config.vocab_size, config.rope_dims, MLP_CODES[config.mlp], config.norm == "layernorm",
            self._panels.half, torch.get_num_threads(), config.norm_eps, config.norm_eps, config.logit_softcap,
            embed=model.embed.weight.data_ptr(), head=self._panels.matrices["head"].data_ptr(),
            norm=_pointer(getattr(model.norm, "weight", None)), norm_bias=_pointer(getattr(model.norm, "bias", None)),
            slopes=_pointer(getattr(model.positions, "slopes", None)), layers=ctypes.addressof(self._layers),
            **{name: tensor.data_ptr() for name, tensor in self._room.items()},
        )  # fmt: skip
        self._at = ctypes.addressof(self._session)

    def copy(self) -> DecodeStep:
        """A copy of the state, to continue the same text independently."""
        other = copy(self)
        other._keys, other._values, other._held = (
            [part.clone() for part in kept] for kept in (self._keys, self._values, self._held)
        )
        other._point()
        return other

    def feed(self, token: int) -> np.ndarray:
        """Logits (V,) float32 after this token and all before, of the whole vocabulary."""
        self._look_ahead(1)
        with _at_work(self._session):
            _library.decode_feed(self._at, token)
        self.position += 1
        return self._room["logits"][: self.model.config.vocab_size].numpy().copy()

    def write(
        self, token: int, uniforms: Floats, config: GenerationConfig, seen: Marks, n_alternatives: int = 0
    ) -> np.ndarray:
        """The tokens that follow `token`, one for each of `uniforms` (n,) float64 from 0 to 1, and as many are fed.

        `seen` (`n_tokens`,) uint8 marks the ids of the text so far, `token` included, and is kept up to date. Only ids below
        `n_tokens` are drawn; probabilities are those of the softmax over the whole vocabulary. Returns (n, 1 + A) of
        `CANDIDATE`: the token first, then the A likeliest. At most `AHEAD` at once.
        """
        n, size = len(uniforms), self.model.n_tokens
        assert n <= AHEAD
        self._look_ahead(n)
        n_alternatives = min(n_alternatives, size)
        choice = _Sampling(
            config.temperature, config.top_p, config.min_p, config.repetition_penalty, config.top_k, n_alternatives
        )
        room, ids = np.empty(2 * size + 4 * -(-size // PANEL)), np.empty(size, dtype=np.int32)
        drawn = np.empty((n, 1 + n_alternatives), dtype=CANDIDATE)
        with _at_work(self._session):
            _library.decode_write(
                self._at, ctypes.addressof(choice), token, n,
                *(array.ctypes.data for array in (uniforms, seen, room, ids, drawn)),
            )  # fmt: skip
        self.position += n
        return drawn

    def _look_ahead(self, n: int) -> None:
        """Compute the tables of the next n positions."""
        session, positions, start = self._session, self.model.positions, self.position
        session.position = start
        if start + n <= self._ends:
            return
        config = self.model.config
        self._ends = min(start + AHEAD, config.block_size if config.position == "learned" else start + AHEAD)
        ahead = torch.arange(start, self._ends)
        with torch.inference_mode():
            if config.position in ("learned", "sinusoidal"):
                self._tables = [positions.add(torch.zeros(1, len(ahead), config.n_embd), ahead)[0]]
                session.added = self._tables[0].data_ptr()
            elif (turns := positions.rotation(ahead)) is not None:
                self._tables = [part.contiguous() for part in turns]  # (AHEAD, R / 2) each
                session.cosine, session.sine = (table.data_ptr() for table in self._tables)
        session.start = start


_counting = threading.Lock()
_working = 0


@contextmanager
def _at_work(session: _Session) -> Iterator[None]:
    """Divide the threads among concurrent generations: more threads than cores would wait for each other."""
    global _working
    with _counting:
        _working += 1
        session.n_threads = max(1, torch.get_num_threads() // _working)
    try:
        yield
    finally:
        with _counting:
            _working -= 1


def _pointer(tensor: torch.Tensor | None) -> int | None:
    return None if tensor is None else tensor.data_ptr()


def _vectors(block: Any) -> dict[str, torch.Tensor | None]:
    """Vectors of a block (norms, biases, sinks), by the names of the C structure."""
    attention = block.attn
    norms = {
        "norm1": block.attn_norm, "query_norm": attention.query_norm, "key_norm": attention.key_norm,
        "norm2": block.mlp_norm,
    }  # fmt: skip
    found = {name: getattr(part, "weight", None) for name, part in norms.items()}
    found |= {f"{name}_bias": getattr(part, "bias", None) for name, part in norms.items()}
    return {name: attention.sinks if name == "sinks" else found[name] for name in _VECTORS}


def _taken_over(model: Transformer, cache: KVCache, row: int) -> tuple[Sequence[torch.Tensor], Sequence[torch.Tensor]]:
    """Keys (K, D, slots), turned, and values (slots, K, D) of all layers, from a cache's row."""
    keys, values = [], []
    for layer, ring in enumerate(cache.layers):
        kept = cache.keys[layer][row]
        if model.config.position == "rope":
            kept = apply_rotary_emb(kept[None], model.positions.rotation(ring.slot_positions[row].clamp(min=0)))[0]
        keys.append(kept.transpose(1, 2).contiguous())
        values.append(cache.values[layer][row].transpose(0, 1).contiguous())
    return keys, values
