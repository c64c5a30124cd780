"""Forward and backward pass of one micro-batch, compiled ahead of time by PyTorch's inductor.

    python -m playground.train.compiled CONFIG.json LIBRARY.so --threads 2        builds one, in a minute or less

The library is loaded in milliseconds, without tracing, and computes loss and gradients in one call: what
`gradients.compute_losses` computes, with operations fused, so sums round differently in the last digits. It is specific
to an architecture, batch size, precision, number of threads, CPU and version of torch: see `name_of`.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import json
import os
import platform
import shutil
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from playground.config import ModelConfig, TrainConfig
from playground.models.transformer import Transformer
from playground.train.data_parallel import DataParallelThreads, collect
from playground.train.gradients import compute_losses

FORMAT = 4  # counted up when what is compiled changes
# Training settings that a micro-batch's loss and gradients do not depend on. Any other setting, including future ones, is
# part of a library's name. So is the number of rows, which follows from batch size and threads.
ELSEWHERE = (
    "corpus", "corpus_bytes", "tokenizer", "bpe_vocab", "documents", "steps", "batch_size", "grad_accum", "optimizer",
    "schedule",
    "learning_rate", "min_lr_ratio", "warmup_steps", "weight_decay", "beta1", "beta2", "grad_clip", "eval_interval",
    "eval_tokens", "validation_fraction", "sample_interval", "prompt", "checkpoint_interval", "snapshots", "balance_loss",
    "router_z_loss", "ema", "compile", "seed", "task_version",
)  # fmt: skip
COMPILERS = ("c++", "g++", "clang++")


def obstacle(model: ModelConfig, train: TrainConfig) -> str:
    """The reason why such a run cannot use compiled passes, or an empty string if it can."""
    reasons = {
        "experts choose tokens while they run": model.n_expert > 1,
        "dropout draws random numbers": model.dropout > 0,
        "fp16 repeats steps at another scale": train.precision == "fp16",
        "activations are to be recomputed": train.gradient_checkpointing,
        "there is no C++ compiler here": not any(map(shutil.which, COMPILERS)),
        "it is built for Linux only": sys.platform != "linux",
    }
    return next((reason for reason, holds in reasons.items() if holds), "")


def name_of(model: ModelConfig, train: TrainConfig, threads: int) -> str:
    """The library's file name: equal for all runs that can share one."""
    lanes = DataParallelThreads.of(model, train, threads)
    training = {name: value for name, value in train.to_dict().items() if name not in ELSEWHERE}
    parts = {
        "format": FORMAT, "model": model.to_dict(), "rows": lanes.rows, "training": training,
        "threads": lanes.threads, "torch": torch.__version__,
        "processor": [platform.machine(), torch.backends.cpu.get_cpu_capability(), _flags()],
    }  # fmt: skip
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:32] + ".so"


def _flags() -> str:
    """The CPU's feature flags as reported by Linux: a library compiled for another CPU could crash."""
    try:
        lines = Path("/proc/cpuinfo").read_text("ascii", errors="replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith(("flags", "Features"))), "")


class CompiledForwardBackward:
    """A library compiled for a model. Call it instead of a forward and a backward pass."""

    def __init__(self, library: Path, model: Transformer, lanes: DataParallelThreads) -> None:
        """Raises OSError or RuntimeError if the file is not such a library."""
        self._parameters = list(model.parameters())
        self._library = _Library(library, lanes.count)
        self._lanes = lanes

    def __call__(self, x: Tensor, y: Tensor, targets: int) -> float:
        """Add the gradients of one micro-batch (B, T) to the parameters' and return its part of the loss in nats per target.

        `targets` are those of the whole step.
        """
        values, weight = [p.data for p in self._parameters], torch.tensor(1 / targets)

        def lane(x: Tensor, y: Tensor) -> list[Tensor]:
            # The library assumes the memory layout it was compiled for: views with other strides would be read wrongly.
            return self._library([*values, x.contiguous(), y.contiguous(), weight])

        loss, *gradients = self._lanes.sums(lane, x, y)
        collect(self._parameters, gradients)
        return float(loss) / targets


class _Library:
    """A compiled library, called through its C interface: torch's own runner holds the GIL, so threads would wait for each
    other. See `AOTInductorModelContainerRun` in torch's inductor/aoti_runtime/interface.h."""

    def __init__(self, path: Path, at_once: int) -> None:
        functions, self._container, outputs = ctypes.CDLL(str(path)), ctypes.c_void_p(), ctypes.c_size_t()
        try:
            create, self._call = (
                functions.AOTInductorModelContainerCreateWithDevice,
                functions.AOTInductorModelContainerRun,
            )
            count = functions.AOTInductorModelContainerGetNumOutputs
        except AttributeError as error:
            raise OSError(f"{path.name} is no compiled library") from error
        address, number = ctypes.c_void_p, ctypes.c_size_t
        self._call.argtypes = [address, address, number, address, number, address, address]
        self._checked(create(ctypes.byref(self._container), ctypes.c_size_t(at_once), b"cpu", None))
        self._checked(count(self._container, ctypes.byref(outputs)))
        self._outputs = ctypes.c_void_p * outputs.value

    def __call__(self, given: list[Tensor]) -> list[Tensor]:
        """Run the compiled graph on its inputs. At most as many threads as it was loaded for may call it concurrently."""
        handles = [_pointer(capsule, None) for capsule in torch._C._aoti.unsafe_alloc_void_ptrs_from_tensors(given)]
        found = self._outputs()
        inputs = (ctypes.c_void_p * len(handles))(*handles)  # the call frees the tensors
        self._checked(self._call(self._container, inputs, len(inputs), found, len(found), None, None))
        return torch._C._aoti.alloc_tensors_by_stealing_from_void_ptrs([_capsule(p, None, None) for p in found])

    @staticmethod
    def _checked(code: int) -> None:
        if code != 0:
            raise RuntimeError("The compiled library has failed.")


_pointer, _capsule = ctypes.pythonapi.PyCapsule_GetPointer, ctypes.pythonapi.PyCapsule_New
_pointer.restype, _pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
_capsule.restype, _capsule.argtypes = ctypes.py_object, [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]


def build(model: ModelConfig, train: TrainConfig, lanes: DataParallelThreads, library: Path) -> None:
    """Compile the passes of a run to the file `library`, which is created atomically. Compiled for torch's thread count."""
    with tempfile.TemporaryDirectory(prefix=".compiling-", dir=library.parent) as folder:
        os.environ["TORCHINDUCTOR_CACHE_DIR"] = folder  # private: the contents of a shared folder would be unpickled
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # from torch's own modules
            made = _compile(_graph(model, train, lanes.rows), Path(folder) / library.name)
        os.replace(made, library)


def _graph(model: ModelConfig, train: TrainConfig, rows: int) -> tuple[torch.fx.GraphModule, tuple[Tensor, ...]]:
    """Forward and backward pass as one graph without side effects, and inputs of the right shapes."""
    import torch._inductor.decomposition
    from torch.fx.experimental.proxy_tensor import make_fx

    transformer = Transformer(model).train()
    names, weights = zip(*transformer.named_parameters(), strict=True)
    shape = rows, model.block_size

    class Losses(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.inner = transformer

        def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            lm_loss, aux_loss = compute_losses(self.inner, x, y, train)
            return lm_loss, lm_loss + aux_loss.z_loss

    module = Losses()

    def passes(*given: Tensor) -> list[Tensor]:
        *values, x, y, weight = given
        leaves = [value.detach().requires_grad_() for value in values]
        named = {f"inner.{name}": leaf for name, leaf in zip(names, leaves, strict=True)}
        loss, total = torch.func.functional_call(module, named, (x, y))
        return [loss.detach(), *torch.autograd.grad(total * weight, leaves)]

    tokens = torch.zeros(shape, dtype=torch.int64)
    inputs = (*(weight.detach() for weight in weights), tokens, tokens.clone(), torch.tensor(1.0))
    table = torch._inductor.decomposition.select_decomp_table()
    graph = make_fx(passes, decomposition_table=table, tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs)
    return make_fx(torch.func.functionalize(graph), tracing_mode="fake", _allow_non_fake_inputs=True)(*inputs), inputs


def _compile(graph: tuple[torch.fx.GraphModule, tuple[Tensor, ...]], path: Path) -> str:
    module, inputs = graph
    # tanh computed with exp differs by rounding only and takes half as long: GELU was a quarter of a step.
    options: dict[str, Any] = {"aot_inductor.output_path": str(path), "cpp.use_decompose_tanh": True}
    made = torch._inductor.aot_compile(module, inputs, options=options)
    assert isinstance(made, str)
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line of the builder. It runs in a separate process, so that training does not wait or use more memory."""
    parser = argparse.ArgumentParser(prog="playground.train.compiled", description=__doc__)
    parser.add_argument("config", type=Path, help="JSON with model and train")
    parser.add_argument("library", type=Path)
    parser.add_argument("--threads", type=int, required=True)
    options = parser.parse_args(arguments)
    values = json.loads(options.config.read_text("utf-8"))
    model, train = ModelConfig.from_dict(values["model"]), TrainConfig.from_dict(values["train"])
    lanes = DataParallelThreads.of(model, train, options.threads)
    torch.set_num_threads(lanes.threads)
    build(model, train, lanes, options.library)
    return 0


if __name__ == "__main__":
    sys.exit(main())
