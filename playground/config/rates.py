"""The learning rate that suits an optimizer and the width of a model.

The best rate falls as a model grows wider, about as one over its width (Yang et al. 2022), and depends little on its depth.
The numbers come from ``python -m tests.benchmarks transfer``; docs/benchmarks.md has the table.
"""

from __future__ import annotations

import math

WIDTH = 128  # for which these suit
RATES = {"adamw": 3e-3, "muon": 12e-3, "sgd": 0.05}
OCTAVES = range(4)  # of width, up to 1,024; narrower models than `WIDTH` bear no more than it


def usual_rate(optimizer: str, n_embd: int) -> float:
    """Halved for each doubling of the width, in whole octaves: models of nearly one size, as in a race, get the same."""
    octave = round(math.log2(max(1, n_embd) / WIDTH))
    return RATES[optimizer] * 2.0 ** -min(max(octave, OCTAVES[0]), OCTAVES[-1])


def followed_rate(rate: float, optimizer: str, n_embd: int) -> float:
    """The usual rate in place of one that is usual for some width and optimizer; any other `rate` is somebody's own."""
    usual = (known * 2.0**-octave for known in RATES.values() for octave in OCTAVES)
    return usual_rate(optimizer, n_embd) if any(math.isclose(rate, one) for one in usual) else rate
