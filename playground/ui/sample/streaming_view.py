"""Charts, tables and sentences of the Streaming tab."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np

from playground.analysis import streaming as lab
from playground.config import counted, listed
from playground.interp import sinks
from playground.models.kv_cache import KVCache
from playground.races.statistics import Difference, paired_difference
from playground.reference.make_sinks import KEPT, TOKENS, TOTAL, Measured
from playground.reference.make_sinks import TEXTS as TEXTS_READ
from playground.runs.store.run_store import Run
from playground.ui.components.contracts.texts import ChartLine, LineChartValue, TextTree, WrittenToken
from playground.ui.sample import branches

TEXTS, TAIL = 4, 600  # texts that are averaged; tokens of an endless text that are shown


def verdict(proof: lab.Proof) -> str:
    """Whether the texts are the same, and how fast each was."""
    quick, slow = (float(np.median(times[-16:])) for times in (proof.cached_ms, proof.uncached_ms))
    same = (
        "**The identical text, token for token.**"
        if proof.same
        else "**The texts differ.** Rounding can change a close draw; if it happens often, please report it."
    )
    return (
        f"{same} At the end a token takes {quick:.2f} ms with the cache and {slow:.2f} ms without; as a whole "
        f"{1000 * len(proof.cached) / sum(proof.cached_ms):,.0f} against "
        f"{1000 * len(proof.uncached) / sum(proof.uncached_ms):,.0f} tokens/s."
    )


def pace(proof: lab.Proof, start: int) -> LineChartValue:
    """Time per token over its position."""

    def line(name: str, times: list[float]) -> ChartLine:
        parts = np.array_split(np.arange(len(times)), min(40, len(times)))
        middles = [float(np.median(np.array(times)[part])) for part in parts]
        return {"name": name, "x": [start + float(part.mean()) for part in parts], "y": middles}

    return {
        "title": "Time per token", "about": "by position; medians of neighbours", "x": "position (tokens)",
        "y": "time (ms per token)", "lines": [line("with cache", proof.cached_ms), line("without", proof.uncached_ms)],
        "note": "Without the cache, the whole text is read again for every token.", "nonce": time.monotonic_ns(),
    }  # fmt: skip


def memory(run: Run, window: int) -> LineChartValue:
    """The memory of other caches, by formula and as measured."""
    lines: list[ChartLine] = []
    contexts = [round(run.model.block_size * n / 8) for n in range(1, 17)]
    for name, variant in lab.cache_variants(run.model, window).items():
        lines.append({"name": name, "x": contexts, "y": [lab.cache_formula(variant, n) / 1024 for n in contexts]})
        some = contexts[::3]
        lines.append(
            {"name": name, "x": some, "y": [lab.cache_measured(variant, n) / 1024 for n in some], "dots": True}
        )
    return {
        "title": "Memory of the cache", "about": "lines: formula; dots: measured", "x": "tokens seen",
        "y": "keys and values (KiB)", "lines": lines, "nonce": time.monotonic_ns(),
        "note": "2 · layers · KV heads · head size · slots · 4 bytes. Fewer KV heads lower the slope; a rolling "
        "buffer has a constant size.",
    }  # fmt: skip


def twice(run: Run, prompt: str, proof: lab.Proof, state: str) -> TextTree:
    """The two texts, one below the other."""
    roots = []
    for name, ids in (("with cache", proof.cached), ("without", proof.uncached)):
        root = branches.branch(name)
        root["tokens"] = branches.spelled_out(run.tokenizer, ids, [1.0] * len(ids))
        roots.append(root)
    return {**branches.snapshot(branches.new_tree(prompt, roots), state), "plain": True}


def perplexity(run: Run, found: list[lab.Reading]) -> LineChartValue:
    """Perplexity over position with each strategy so far."""
    lines: list[ChartLine] = []
    for reading in found:
        x, y = lab.by_position(reading.nll)
        lines.append({"name": reading.name, "x": x, "y": y})
    return {
        "title": "Perplexity", "about": f"on held-out text, by position; mean of {TEXTS} texts", "x": "position (tokens)",
        "y": "perplexity", "log": True, "lines": lines, "marks": [{"x": run.model.block_size, "text": "training context"}],
        "note": "Lower is better. Sliding window and rolling buffer give the same values.", "nonce": time.monotonic_ns(),
    }  # fmt: skip


def memory_read(found: list[lab.Reading]) -> LineChartValue:
    """Cache memory of each strategy."""
    n = len(found[0].nll) + 1
    x = np.linspace(0, n, 65)
    all_kept = x / n * found[0].cache_bytes
    lines: list[ChartLine] = [
        {"name": each.name, "x": x.tolist(), "y": (np.minimum(all_kept, each.cache_bytes) / 1024).tolist()}
        for each in found if each.cache_bytes
    ]  # fmt: skip
    return {
        "title": "Memory", "about": "of keys and values while reading", "x": "position (tokens)", "y": "KiB", "lines": lines,
        "note": "A bounded cache needs no more memory for a longer text.", "nonce": time.monotonic_ns(),
    }  # fmt: skip


def table(found: list[lab.Reading], context: int) -> str:
    """The results as a table."""
    rows = ["| method | perplexity beyond the context | cache | time |", "| --- | --- | --- | --- |"]
    for each in found:
        kept = f"{each.cache_bytes / 1024:,.0f} KiB" if each.cache_bytes else "none"
        late = in_digits(float(np.exp(each.beyond(context).mean())))
        rows.append(f"| {each.name} | {late} | {kept} | {each.milliseconds:.2f} ms per token |")
    return "\n".join(rows)


def in_digits(value: float) -> str:
    """Three digits, and all of those before the point: 1.23, 45.6, 1,234."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def difference_beyond(a: lab.Reading, b: lab.Reading, context: int) -> Difference:
    """How many more nats per token `a` needs than `b` beyond the context, with a 95 % interval.

    Both losses are of the same tokens, so they are paired. Neighbouring tokens are not independent, so the differences are
    averaged over stretches as long as the context first. Better and worse are claimed only of what reads differently.
    """
    late = [each.beyond(context) for each in (a, b)]
    parts = max(1, late[0].shape[1] // context)
    means = [[float(part.mean()) for row in rows for part in np.array_split(row, parts)] for rows in late]
    found = paired_difference(means[0], means[1], level=0.05)
    claimed = found.outcome in ("better", "worse") and abs(found.mean) >= 0.0005
    return found if claimed else replace(found, outcome="unclear")


def seen(found: list[lab.Reading], context: int, window: int) -> str:
    """Describe the results of this run in a few sentences."""
    by_name = {each.name: each for each in found}
    dense, alone, again = (by_name[name] for name in ("dense", "sliding window", lab.RECOMPUTED))
    sinks = next(each for each in found if each.name.startswith("window + "))
    last = f"the last {counted(window, 'token')}"

    def numbers(a: lab.Reading, b: lab.Reading, difference: Difference) -> str:
        first, second = (in_digits(float(np.exp(each.beyond(context).mean()))) for each in (a, b))
        error = "" if difference.half is None else f" ± {difference.half:.3f}"
        return (
            f"perplexity {first} against {second}, {round(difference.mean, 3) + 0:+.3f}{error} nats per token".replace(
                "-", "−"
            )
        )

    leaving, keeping = difference_beyond(dense, again, context), difference_beyond(sinks, alone, context)
    if leaving.outcome == "unclear":
        first = f"shows no clear difference between full attention and reading {last} afresh"
    else:
        first = f"is {leaving.outcome} with full attention than when it reads {last} afresh"
    second = "makes no clear difference" if keeping.outcome == "unclear" else f"is {keeping.outcome}"
    also = "" if window <= context else f" A window of {window} is itself longer than the context of {context}."
    return (
        f"**Beyond its context this run {first}** ({numbers(dense, again, leaving)}). Against the sliding window, "
        f"{sinks.name} {second} ({numbers(sinks, alone, keeping)}). Both of the same tokens; ± is a 95 % interval over "
        f"stretches of {counted(context, 'token')}.{also}"
    )


def endless_words(n: int, cache: KVCache, seconds: float, ended: bool) -> str:
    """Describe the progress and cost of endless generation."""
    return (
        f"**{counted(n, 'token')}{', done' if ended else ', running'}**: {cache.n_bytes / 1024:,.0f} KiB of "
        "keys and values, as "
        f"at the start · {n / max(seconds, 1e-3):,.0f} tokens/s"
    )


def endless_pace(x: list[float], y: list[float]) -> LineChartValue:
    """Time per token during endless generation."""
    keep = slice(None, None, max(1, len(x) // 200))
    return {
        "title": "Time per token", "about": "during generation", "x": "tokens written", "y": "time (ms per token)",
        "lines": [{"name": "this run", "x": x[keep], "y": y[keep]}], "note": "The cache does not grow, so the time "
        "should stay constant.",
        "nonce": time.monotonic_ns(),
    }  # fmt: skip


def tail(tokens: list[WrittenToken], state: str) -> TextTree:
    """The end of an endless text. It cannot be branched, because earlier tokens were dropped."""
    root = branches.branch("")
    root["tokens"] = tokens
    note = f"the last {TAIL} tokens" if len(tokens) == TAIL else ""
    return {**branches.snapshot(branches.new_tree("", [root], note), state), "fixed": True}


def masses(points: list[sinks.SinkPoint], length: int) -> LineChartValue:
    """Attention of every head to the first token during training."""
    x = [point.step for point in points]
    lines = _heads([point.mass for point in points], x)
    lines.append({"name": "uniform attention", "x": x, "y": [100 * sinks.even_mass(length)] * len(x)})
    return {
        "title": "Attention on the first token", "about": "of every head, by layer", "x": "training step",
        "y": "mean attention (%)", "lines": lines, "nonce": time.monotonic_ns(),
        "note": "A sink is a head with much attention on the first token, whatever it is (Gu et al. 2024: above 30 %).",
    }  # fmt: skip


def _heads(masses: list[np.ndarray], x: list[int]) -> list[ChartLine]:
    n_layer, n_head = masses[0].shape
    return [
        {
            "name": f"layer {layer + 1}", "label": f"layer {layer + 1} head {head + 1}", "x": x,
            "y": [100 * float(mass[layer, head]) for mass in masses],
        }
        for layer in range(n_layer) for head in range(n_head)
    ]  # fmt: skip


def rates(points: list[sinks.SinkPoint]) -> LineChartValue:
    """The share of sink heads during training; with a sink logit, each head's attention to it."""
    if any(point.nothing.any() for point in points):
        lines = _heads([point.nothing for point in points], [point.step for point in points])
        return {
            "title": "Attention on the sink logit", "about": "of every head, by layer",
            "x": "training step", "y": "mean attention (%)", "lines": lines, "nonce": time.monotonic_ns(),
            "note": "With a sink logit, a head does not need a first token to put unused attention on.",
        }  # fmt: skip
    y = [100 * sinks.sink_rate(point.mass) for point in points]
    return {
        "title": "Sink rate", "about": "share of heads above 30 %", "x": "training step", "y": "heads (%)",
        "lines": [{"name": "heads", "x": [point.step for point in points], "y": y}],
        "note": "", "nonce": time.monotonic_ns(),
    }  # fmt: skip


def three(found: dict[str, Measured], context: int) -> tuple[str, LineChartValue, LineChartValue, str]:
    """The three reference runs compared: a text, two charts and the table."""
    return three_words(found), _three_heads(found), _three_kept(found), three_table(found, context)


def three_words(found: dict[str, Measured]) -> str:
    """Describe the table; differences within two standard errors count as none."""
    ends = {name: each.points[-1] for name, each in found.items()}
    formed = [name for name, end in ends.items() if end.mass.max() > sinks.EPSILON]
    gains = {name: each.gain(max(KEPT)) for name, each in found.items()}
    helped, hurt = ([name for name, (gain, error) in gains.items() if sign * gain > 2 * error] for sign in (1, -1))
    first = (
        f"Sinks have formed in {listed(formed)}"
        if formed
        else f"No head of {counted(len(found), 'small run')} became a sink"
    )
    effects = [f"{verb} {listed(names)}" for verb, names in (("helps", helped), ("hurts", hurt)) if names]
    second = f"keeping the first tokens {listed(effects or ['makes no significant difference'])}"
    saved = "; ".join(
        f"{name} {100 * gain:+.2f} ± {200 * error:.2f}".replace("-", "−") for name, (gain, error) in gains.items()
    )
    strongest = "; ".join(f"{name} {100 * end.mass.max():.0f} %" for name, end in ends.items())
    idle = "; ".join(
        f"{name} {100 * end.nothing.mean():.0f} % of all attention, {100 * end.nothing.max():.0f} % in its strongest head"
        for name, end in ends.items() if end.nothing.any()
    )  # fmt: skip
    return (
        f"**{first}; {second}.**\n\nFar beyond the context, keeping the first {max(KEPT)} tokens lowers the loss, in "
        f"hundredths of a nat per token (± two standard errors), by: {saved}. Strongest attention on the first token: "
        f"{strongest}." + (f" Attention on the sink logit: {idle}." if idle else "")
    )


def three_table(found: dict[str, Measured], context: int) -> str:
    """In the layout of StreamingLLM's table 3."""
    head = [f"{n}\u00a0+\u00a0{TOTAL - n}" for n in KEPT]
    rows = [
        f"| perplexity | within {counted(context, 'token')} | {' | '.join(head)} |",
        "| --- " * (2 + len(KEPT)) + "|",
    ]
    for name, each in found.items():
        values = [f"{np.exp(each.within.mean()):.3f}", *(f"{each.perplexity(n):.3f}" for n in KEPT)]
        rows.append(f"| {name} | {' | '.join(values)} |")
    about = (
        f"First tokens kept + latest tokens, {TOTAL} in all, at positions inside the cache; {TEXTS_READ} held-out texts of "
        f"{TOKENS:,} tokens, from token {context} on. The layout is that of table 3 of StreamingLLM (Xiao et al. 2023)."
    )
    return "\n".join(rows) + f"\n\n{about}"


def _three_heads(found: dict[str, Measured]) -> LineChartValue:
    lines: list[ChartLine] = []
    for name, each in found.items():
        x = [point.step for point in each.points]
        lines.append({"name": name, "x": x, "y": [100 * float(point.mass.max()) for point in each.points]})
    for name, each in found.items():
        if each.points[-1].nothing.any():
            x = [point.step for point in each.points]
            y = [100 * float(point.nothing.max()) for point in each.points]
            lines.append({"name": f"{name}, on the sink logit", "x": x, "y": y})
    return {
        "title": "Do sinks form?", "about": "the strongest head of each run, on the first token and on the sink logit",
        "x": "training step", "y": "mean attention (%)", "lines": lines, "nonce": time.monotonic_ns(),
        "note": "Above 30 % it counts as a sink (Gu et al. 2024). All heads: choose a run, then Sinks during training.",
    }  # fmt: skip


def _three_kept(found: dict[str, Measured]) -> LineChartValue:
    lines: list[ChartLine] = [
        {"name": name, "x": list(KEPT), "y": [each.perplexity(n) for n in KEPT]} for name, each in found.items()
    ]
    return {
        "title": "Effect of keeping the first tokens", "about": f"in a cache of {TOTAL}, far beyond the context",
        "x": "first tokens kept", "y": "perplexity", "lines": lines, "ticks": list(KEPT), "nonce": time.monotonic_ns(),
        "note": "A model that relies on sinks gets much worse at 0: Llama 2 goes from 5 to thousands (Xiao et al. 2023).",
    }  # fmt: skip
