"""The optimizers, with weight decay on matrices only, and their state as named tensors.

* ``adamw``: torch's fused AdamW (Loshchilov & Hutter 2019) for everything.
* ``muon``: Muon (Jordan 2024) for the matrices inside the blocks, AdamW for embeddings, head, router and
  vectors. Muon's steps are scaled to the size of AdamW's (Liu et al. 2025), so that one learning rate serves both.
* ``sgd``: plain gradient descent with momentum `beta1`.

On a CPU every core updates some of the parameters, independently of the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from playground.config import TrainConfig
from playground.train.muon import Muon
from playground.train.thread_pool import thread_pool

Named = list[tuple[str, nn.Parameter]]


class Optimizers:
    """Torch optimizers that share a model's parameters among them and step together, `at_once` at a time."""

    def __init__(self, parts: list[Optimizer], at_once: int = 1) -> None:
        self.parts, self._at_once = parts, at_once

    @property
    def param_groups(self) -> list[dict[str, Any]]:
        """All groups, for setting the learning rate."""
        return [group for part in self.parts for group in part.param_groups]

    def zero_grad(self) -> None:
        """Clear the gradients."""
        for part in self.parts:
            part.zero_grad(set_to_none=True)

    def step(self) -> None:
        """One step of each."""
        each = map if self._at_once == 1 else thread_pool(self._at_once, 1).map
        for _ in each(lambda part: part.step(), self.parts):
            pass

    def states(self, model: nn.Module) -> Iterator[tuple[str, nn.Parameter, dict[str, Tensor]]]:
        """Every parameter by name with its optimizer state, which may be modified."""
        owner = {parameter: part for part in self.parts for group in part.param_groups for parameter in group["params"]}
        for name, parameter in model.named_parameters():
            yield name, parameter, owner[parameter].state[parameter]


def build_optimizer(model: nn.Module, config: TrainConfig) -> Optimizers:
    """The config's optimizer for a model, split over torch's threads. Norm scales and biases have no weight decay."""
    # Distributed round-robin from large to small: matrices of one shape cost the same.
    named = sorted(model.named_parameters(), key=lambda item: -item[1].numel())
    at_once = torch.get_num_threads() if all(p.device.type == "cpu" for _, p in named) else 1
    shares = (named[index::at_once] for index in range(at_once))
    return Optimizers([part for share in shares for part in _BUILDERS[config.optimizer](share, config)], at_once)


def _adamw(parameters: Named, config: TrainConfig) -> list[Optimizer]:
    betas = config.beta1, config.beta2
    return [AdamW(groups, lr=config.learning_rate, betas=betas, fused=True) for groups in _groups(parameters, config)]


def _sgd(parameters: Named, config: TrainConfig) -> list[Optimizer]:
    return [SGD(groups, lr=config.learning_rate, momentum=config.beta1) for groups in _groups(parameters, config)]


def _muon(parameters: Named, config: TrainConfig) -> list[Optimizer]:
    hidden = [parameter for name, parameter in parameters if is_hidden_matrix(name, parameter)]
    rest = [(name, parameter) for name, parameter in parameters if not is_hidden_matrix(name, parameter)]
    options = {"lr": config.learning_rate, "weight_decay": config.weight_decay, "momentum": MUON_MOMENTUM}
    return [*([Muon(hidden, **options)] if hidden else []), *_adamw(rest, config)]


MUON_MOMENTUM = 0.95  # Jordan's
_BUILDERS: dict[str, Callable[[Named, TrainConfig], list[Optimizer]]] = {"adamw": _adamw, "muon": _muon, "sgd": _sgd}


def is_hidden_matrix(name: str, parameter: Tensor) -> bool:
    """Whether Muon updates it: a matrix inside a block, except routers. Stacked experts, (E, out, in), use AdamW."""
    return name.startswith("blocks.") and parameter.ndim == 2 and not name.endswith(("router.weight", "bias"))


def _groups(parameters: Named, config: TrainConfig) -> list[list[dict[str, Any]]]:
    """Parameter groups of one optimizer; empty if there are no parameters, which torch does not accept."""
    matrices = [parameter for name, parameter in parameters if is_matrix(name, parameter)]
    vectors = [parameter for name, parameter in parameters if not is_matrix(name, parameter)]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    filled = [group for group in groups if group["params"]]
    return [filled] if filled else []


def is_matrix(name: str, parameter: Tensor) -> bool:
    """Whether a parameter has weight decay. Stacked biases of experts have two dimensions but are still biases."""
    return parameter.ndim >= 2 and not name.endswith("bias")


def optimizer_tensors(optimizer: Optimizers, model: nn.Module) -> dict[str, Tensor]:
    """The moments and step count of every parameter, named ``{parameter}/{state}``; empty before the first step."""
    return {
        f"{name}/{key}": value
        for name, _, state in optimizer.states(model)
        for key, value in state.items()
        if value is not None
    }


def load_optimizer_tensors(optimizer: Optimizers, model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Restore what `optimizer_tensors` returned, exactly. Raises KeyError for a name that the model does not have."""
    states = {name: (parameter, state) for name, parameter, state in optimizer.states(model)}
    for full_name, value in tensors.items():
        name, key = full_name.rsplit("/", 1)
        parameter, state = states[name]
        state[key] = value.to(parameter.device).clone()  # the step count too: fused AdamW expects it on the device


def clip_gradients(model: nn.Module, limit: float) -> float:
    """Clip the gradient norm to `limit` (0: no clipping) and return the norm before clipping."""
    parameters = [parameter for parameter in model.parameters() if parameter.grad is not None]
    length = torch.nn.utils.get_total_norm([parameter.grad for parameter in parameters if parameter.grad is not None])
    if limit and limit / (length + 1e-6) < 1:  # as in torch's clipping, which otherwise multiplies by one
        torch.nn.utils.clip_grads_with_norm_(parameters, limit, length)
    return length.item()
