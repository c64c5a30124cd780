"""The optimizer: torch's fused AdamW, with weight decay on matrices only, and its state as named tensors."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import AdamW

from playground.config import TrainConfig


def build_optimizer(model: nn.Module, config: TrainConfig) -> AdamW:
    """AdamW (Loshchilov & Hutter 2019). Norm scales and biases are not decayed: pulling them to zero helps nothing."""
    named = list(model.named_parameters())
    matrices = [parameter for name, parameter in named if is_matrix(name, parameter)]
    vectors = [parameter for name, parameter in named if not is_matrix(name, parameter)]
    groups = [{"params": matrices, "weight_decay": config.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    return AdamW(groups, lr=config.learning_rate, betas=(config.beta1, config.beta2), fused=True)


def is_matrix(name: str, parameter: Tensor) -> bool:
    """Whether a parameter is decayed. The biases of experts are stacked to two dimensions, and are biases still."""
    return parameter.ndim >= 2 and not name.endswith("bias")


def optimizer_tensors(optimizer: AdamW, model: nn.Module) -> dict[str, Tensor]:
    """Both moments and the step count of every parameter, named ``{parameter}/{state}``; empty before the first step."""
    return {
        f"{name}/{key}": value
        for name, parameter in model.named_parameters()
        for key, value in optimizer.state.get(parameter, {}).items()
    }


def load_optimizer_tensors(optimizer: AdamW, model: nn.Module, tensors: dict[str, Tensor]) -> None:
    """Put back what `optimizer_tensors` gave, exactly. Raises KeyError for a name that the model does not have."""
    parameters = dict(model.named_parameters())
    for full_name, value in tensors.items():
        name, key = full_name.rsplit("/", 1)
        parameter = parameters[name]
        value = value.clone() if key == "step" else value.to(parameter.device).clone()
        optimizer.state[parameter][key] = value


def clip_gradients(model: nn.Module, limit: float) -> Tensor:
    """Shorten the gradient to length `limit` (0: leave it) and return the length it had."""
    return torch.nn.utils.clip_grad_norm_(model.parameters(), limit or float("inf"))
