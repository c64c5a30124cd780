"""The whole model family written out once more, slowly: the answer that `playground.models` is held to.

Nothing is shared with the code under test but parameter names. Everything is a formula over the full T x T square in
float64: who sees whom and at which distance are two matrices that a test may replace, which is how the closed form of a
streaming cache is stated. Experts are a loop over all of them, each applied to every token.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from playground.config import ModelConfig

Square = tuple[Tensor, Tensor]  # who sees whom (T, T) bool, and at which distance (T, T)


def oracle(model, tokens: Tensor, squares: list[Square] | None = None) -> Tensor:
    """Logits (B, T, V) float64 of a model's weights. `squares`, one a layer, override what the config says."""
    weights = {name: parameter.double() for name, parameter in model.named_parameters()}
    return Oracle(model.config, weights, squares).logits(tokens)


class Oracle:
    def __init__(self, config: ModelConfig, weights: dict[str, Tensor], squares: list[Square] | None = None) -> None:
        self.config, self.w, self.squares = config, weights, squares

    def logits(self, tokens: Tensor) -> Tensor:
        c = self.config
        x = self.w["embed.weight"][tokens] + self.added(tokens.size(1))
        for layer in range(c.n_layer):
            name = f"blocks.{layer}"
            if c.norm_placement == "pre":
                x = x + self.attention(self.norm(x, f"{name}.attn_norm"), layer)
                x = x + self.feed(self.norm(x, f"{name}.mlp_norm"), f"{name}.mlp")
            else:
                x = self.norm(x + self.attention(x, layer), f"{name}.attn_norm")
                x = self.norm(x + self.feed(x, f"{name}.mlp"), f"{name}.mlp_norm")
        if c.norm_placement == "pre":
            x = self.norm(x, "norm")
        logits = x @ self.w["embed.weight" if c.tie_embeddings else "head.weight"].T
        return c.logit_softcap * torch.tanh(logits / c.logit_softcap) if c.logit_softcap else logits

    def added(self, n: int) -> Tensor | float:
        c = self.config
        if c.position == "learned":
            return self.w["positions.table.weight"][:n]
        if c.position != "sinusoidal":
            return 0.0
        table = torch.zeros(n, c.n_embd, dtype=torch.float64)
        frequency = torch.exp(-math.log(10_000.0) * (torch.arange(0, c.n_embd, 2).float() / c.n_embd)).double()
        for i in range(
            c.n_embd // 2
        ):  # frequencies are single-precision numbers, as in Transformers; the rest is double
            table[:, 2 * i] = torch.sin(torch.arange(n).double() * frequency[i])
            table[:, 2 * i + 1] = torch.cos(torch.arange(n).double() * frequency[i])
        return table / math.sqrt(c.n_embd)

    def linear(self, x: Tensor, name: str) -> Tensor:
        return x @ self.w[f"{name}.weight"].T + self.w.get(f"{name}.bias", 0.0)

    def norm(self, x: Tensor, name: str) -> Tensor:
        if self.config.norm == "layernorm":
            centred = x - x.mean(-1, keepdim=True)
            scale = (centred.square().mean(-1, keepdim=True) + self.config.norm_eps).sqrt()
            return centred / scale * self.w[f"{name}.weight"] + self.w.get(f"{name}.bias", 0.0)
        return self.rms(x, name)

    def rms(self, x: Tensor, name: str) -> Tensor:
        return x / (x.square().mean(-1, keepdim=True) + self.config.norm_eps).sqrt() * self.w[f"{name}.weight"]

    def attention(self, x: Tensor, layer: int) -> Tensor:
        c, name = self.config, f"blocks.{layer}.attn"
        n, group = x.size(1), c.n_head // c.n_kv_head
        seen, distance = self.square(n, layer)
        heads = []
        for head in range(c.n_head):
            own, shared = (slice(h * c.head_dim, (h + 1) * c.head_dim) for h in (head, head // group))
            q = self.linear(x, f"{name}.query")[..., own]
            k, v = (self.linear(x, f"{name}.{part}")[..., shared] for part in ("key", "value"))
            if c.qk_norm:
                q, k = self.rms(q, f"{name}.query_norm"), self.rms(k, f"{name}.key_norm")
            scores = self.products(q, k, distance) / math.sqrt(c.head_dim)
            if c.position == "alibi":
                scores = scores - torch.tensor(slope(head, c.n_head)).double() * distance
            weights = scores.masked_fill(~seen, -math.inf).exp()
            rest = 0.0
            if c.sink_logit != "none":
                rest = torch.exp(self.w[f"{name}.sinks"][head]) if c.sink_logit == "learned" else 1.0
            heads.append(weights / (weights.sum(-1, keepdim=True) + rest) @ v)
        return self.linear(torch.cat(heads, -1), f"{name}.out")

    def square(self, n: int, layer: int) -> Square:
        c, t = self.config, torch.arange(n)
        if self.squares is not None:
            return self.squares[layer]
        window = c.window
        if c.global_every and (layer + 1) % c.global_every == 0:
            window = 0
        rows = [[j <= i and (not window or i - j < window or j < c.n_sink) for j in range(n)] for i in range(n)]
        return torch.tensor(rows), (t[:, None] - t[None, :]).double()

    def products(self, q: Tensor, k: Tensor, distance: Tensor) -> Tensor:
        """q kᵀ (B, T, T), with the turned dimensions as the real part of complex products."""
        c = self.config
        if c.position != "rope":
            return q @ k.transpose(-1, -2)
        r = round(c.head_dim * c.rope_fraction)
        frequency = (1 / c.rope_theta ** (torch.arange(0, r, 2).float() / r)).double()
        q_plane, k_plane = (torch.complex(x[..., : r // 2], x[..., r // 2 : r]) for x in (q, k))
        turn = torch.polar(torch.ones(()).double(), distance[..., None] * frequency)  # (T, T, R / 2)
        turned = torch.einsum("btf,bsf,tsf->bts", q_plane, k_plane.conj(), turn).real
        return turned + q[..., r:] @ k[..., r:].transpose(-1, -2)

    def feed(self, x: Tensor, name: str) -> Tensor:
        c = self.config
        if c.n_expert == 1:
            return self.mlp(x, lambda part, y: self.linear(y, f"{name}.{part}"))
        probabilities = self.linear(x, f"{name}.router").softmax(-1)
        rank = probabilities.argsort(-1, descending=True).argsort(-1)
        weights = probabilities * (rank < c.n_expert_active)
        if c.router_norm:
            weights = weights / weights.sum(-1, keepdim=True)
        out = self.mlp(x, lambda part, y: self.linear(y, f"{name}.shared.{part}")) if c.shared_expert else 0.0
        for e in range(c.n_expert):
            out = out + weights[..., e, None] * self.mlp(
                x, lambda part, y, e=e: self.expert(y, f"{name}.experts.{part}", e)
            )
        return out

    def expert(self, x: Tensor, name: str, e: int) -> Tensor:
        bias = self.w.get(f"{name}_bias")
        return x @ self.w[name][e].T + (0.0 if bias is None else bias[e])

    def mlp(self, x: Tensor, part) -> Tensor:
        up = part("up", x)
        if self.config.mlp == "gelu":
            return part("down", gelu(up))
        if self.config.mlp == "gelu_exact":
            return part("down", 0.5 * up * torch.special.erfc(-up / math.sqrt(2)))
        if self.config.mlp == "relu2":
            return part("down", torch.where(up > 0, up * up, torch.zeros_like(up)))
        gate = part("gate", x)
        if self.config.mlp == "swiglu":
            return part("down", gate / (1 + torch.exp(-gate)) * up)
        if self.config.mlp == "geglu":
            return part("down", gelu(gate) * up)
        gate, up = torch.where(gate > 7, 7.0, gate), torch.where(up > 7, 7.0, torch.where(up < -7, -7.0, up))
        return part("down", gate / (1 + torch.exp(-1.702 * gate)) * (up + 1))


def gelu(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def slope(head: int, n_head: int) -> float:
    """ALiBi's slopes: a geometric series from 2^(-8/n); for n no power of two, every other of the next larger fill up."""
    below = 2 ** int(math.log2(n_head))
    return 2 ** (-8 * (head + 1) / below) if head < below else 2 ** (-4 * (2 * (head - below) + 1) / below)


def streamed(n: int, n_sink: int, window: int) -> Square:
    """Who sees whom in StreamingLLM, and at which distance: the closed form. Both (T, T).

    Token t sees the sinks j < S and the recent t - R < j <= t. Recent tokens are t - j away; in a cache of C = S + R that
    has forgotten the middle, sinks are min(t, C - 1) - j away.
    """
    t, j = torch.arange(n)[:, None], torch.arange(n)[None, :]
    recent, sink = (j <= t) & (t - j < window), (j <= t) & (j < n_sink)
    last = t.clamp(max=n_sink + window - 1)
    return recent | sink, torch.where(sink, last - j, t - j).double()
