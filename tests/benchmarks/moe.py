"""Cost of a mixture of experts by the number of active and of all experts.

One layer, forward and backward, on the tokens of one default batch; every round times each kind once, in turn. The dense
loop is the textbook's way: every expert on every token, weighted by zero where it was not chosen.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable

import torch
from torch import Tensor

from playground.config import preset
from playground.models.attention import ForwardContext
from playground.models.moe import MoE
from tests.benchmarks._report import figure, machine, row

STEP = ForwardContext({})
TINY = ["--rounds", "2"]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="moe", description=__doc__)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args(arguments)
    machine()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    kinds = {
        "2 active of 2": _run(_layer(2, 2)),
        "2 active of 8": _run(_layer(8, 2)),
        "2 active of 32": _run(_layer(32, 2)),
        "4 active of 8": _run(_layer(8, 4)),
        "dense loop over 8": _run(_layer(8, 2), dense=True),
    }
    times: dict[str, list[float]] = {name: [] for name in kinds}
    for number in range(options.rounds + 3):
        for name, run in kinds.items():
            began = time.perf_counter()
            run()
            if number >= 3:
                times[name].append(1000 * (time.perf_counter() - began))
    middle = {name: row(name, values, "ms") for name, values in times.items()}
    figure("moe_8_experts_over_2", middle["2 active of 8"] / middle["2 active of 2"], "<= 1.2")
    figure("moe_4_active_over_2", middle["4 active of 8"] / middle["2 active of 8"], "about 2")
    figure("moe_over_dense_loop", middle["2 active of 8"] / middle["dense loop over 8"], "<= 0.4")


def _layer(n_expert: int, active: int) -> MoE:
    moe = MoE(preset("modern", n_expert=n_expert, n_expert_active=active))
    for parameter in moe.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    return moe


def _run(moe: MoE, dense: bool = False) -> Callable[[], None]:
    """One forward and backward pass over 6 x 128 tokens."""
    x = torch.randn(6, 128, 128, requires_grad=True)

    def run() -> None:
        moe.zero_grad()
        (_dense_loop(moe, x) if dense else moe(x, STEP)).sum().backward()

    return run


def _dense_loop(moe: MoE, x: Tensor) -> Tensor:
    weights, chosen = moe.router(x).softmax(-1).topk(moe.n_active)
    spread = torch.zeros(*x.shape[:-1], moe.n_expert).scatter(-1, chosen, weights / weights.sum(-1, keepdim=True))
    parts = moe.experts([x.flatten(0, 1)] * moe.n_expert)
    return torch.stack([spread[..., expert, None] * part.view_as(x) for expert, part in enumerate(parts)]).sum(0)
