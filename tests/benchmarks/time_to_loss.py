"""Training throughput compared with nanoGPT's script: time to a loss, steps and tokens per second, FLOPs, memory.

python -m tests.benchmarks time_to_loss --nanogpt DIR --text FILE [--part readme same large flops memory profile]

DIR is a checkout of nanoGPT, FILE Tiny Shakespeare. Both sides run one after the other as processes of their own, with
all cores. nanoGPT is its own `train.py`, with the settings of its README for CPUs and torch's own way of waiting for
threads, which on a quiet machine is the fastest; ours is `runs.worker.worker`, in the environment that the app gives
it. Losses are over the whole validation split in windows of 64 tokens, for both. Evaluation counts for neither.

Where a target is a multiple of nanoGPT's speed, the multiple is printed as well that a model would reach whose every
operation ran at the rate of large bf16 matrix products on this machine: no way of training could be faster.
"""

from __future__ import annotations

import argparse
import os
import pickle
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from playground.config import TrainConfig
from playground.runs.create import create_run, prepare_run
from playground.runs.store.log import Tail
from playground.runs.store.processes import PATIENT_THREADS, cores, environment
from playground.runs.store.run_store import Run, RunStore
from playground.train.compiled import CompiledForwardBackward as CompiledPasses
from playground.train.compiled import build
from playground.train.data_parallel import DataParallelThreads
from playground.train.dataset import split
from playground.train.estimate import estimate
from playground.train.gradients import ForwardBackward, accumulate
from playground.train.trainer import TrainState
from tests.benchmarks._report import figure, machine, row
from tests.texts import real_text

PARTS = ("readme", "same", "large", "flops", "memory", "profile")
ALONE = ("flops", "profile")  # need our side alone
GOAL = 1.88
README = dict(
    device="cpu", compile=False, eval_iters=20, log_interval=1, block_size=64, batch_size=12, n_layer=4, n_head=4,
    n_embd=128, max_iters=2000, lr_decay_iters=2000, dropout=0.0,
)  # fmt: skip
LARGE = README | dict(block_size=256, n_layer=6, n_head=6, n_embd=384, batch_size=8, max_iters=12)
SCORE = """
import sys, torch, numpy as np
from model import GPT, GPTConfig
saved = torch.load("out/ckpt.pt", map_location="cpu", weights_only=True)
model = GPT(GPTConfig(**saved["model_args"]))
model.load_state_dict(saved["model"])
model.eval()
data = torch.from_numpy(np.fromfile("data/shakespeare_char/val.bin", dtype=np.uint16).astype(np.int64))
total, count = 0.0, (len(data) - 1) // 64
with torch.no_grad():
    for rows in torch.arange(count).split(64):
        x = torch.stack([data[64 * i : 64 * i + 64] for i in rows])
        y = torch.stack([data[64 * i + 1 : 64 * i + 65] for i in rows])
        total += model(x, y)[1].item() * len(rows)
print("score", total / count)
"""


@dataclass(frozen=True)
class Done:
    """A process that has ended: wall time in seconds, peak memory in bytes, what it printed."""

    seconds: float
    memory: int
    output: str


TINY = ["--part", *ALONE]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="time_to_loss", description=__doc__)
    parser.add_argument("--nanogpt", type=Path, help="without it only the parts that need our side alone can run")
    parser.add_argument("--text", type=Path, help="default: Tiny Shakespeare")
    parser.add_argument("--part", nargs="*", choices=PARTS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--turns", type=int, default=3, help="of both sides in the same configuration")
    parser.add_argument("--iters", type=int, default=2000, help="of nanoGPT's README run; fewer only to try this out")
    options = parser.parse_args(arguments)
    chosen = options.part or (PARTS if options.nanogpt else ALONE)
    if options.nanogpt is None and not set(chosen) <= set(ALONE):
        parser.error(f"without --nanogpt only {' and '.join(ALONE)} can run; --part is {' '.join(chosen)}")
    machine()
    print(f"torch {torch.__version__}, {cores()} threads on both sides")
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), options.nanogpt, (options.text or real_text()).read_text("utf-8"))
        parts = {
            "readme": lambda: readme(bench, options.seeds, options.iters),
            "same": lambda: same(bench, options.turns),
            "large": lambda: large(bench),
            "flops": lambda: flops(bench),
            "memory": lambda: memory(bench),
            "profile": lambda: profile(bench),
        }
        for name in chosen:
            print(f"\n{name}")
            parts[name]()


class Bench:
    """Both sides on one text, in a folder of their own. nanoGPT gets our split, a few characters off its own."""

    def __init__(self, folder: Path, nanogpt: Path | None, text: str) -> None:
        self.text, self.store, self.theirs = text, RunStore(folder / "runs"), folder / "nanoGPT"
        self.warm, self.cold = folder / "warm", folder / "cold"  # caches: of compiled passes, and of nothing
        if nanogpt is None:
            return
        shutil.copytree(nanogpt, self.theirs, ignore=shutil.ignore_patterns(".git", "assets", "*.ipynb"))
        letters = sorted(set(text))
        number = {letter: index for index, letter in enumerate(letters)}
        data = self.theirs / "data" / "shakespeare_char"
        data.mkdir(parents=True, exist_ok=True)
        for name, part in zip(("train", "val"), split(text, TrainConfig().validation_fraction), strict=True):
            np.array([number[letter] for letter in part], dtype=np.uint16).tofile(data / f"{name}.bin")
        (data / "meta.pkl").write_bytes(pickle.dumps({"vocab_size": len(letters)}))

    def nanogpt(self, settings: dict[str, Any]) -> Done:
        """Its train.py with its config for Tiny Shakespeare and these settings on top."""
        options = [f"--{name}={value}" for name, value in {**settings, "out_dir": "out"}.items()]
        plain = {name: value for name, value in environment(cores()).items() if name not in PATIENT_THREADS}
        return run_process(
            [sys.executable, "train.py", "config/train_shakespeare_char.py", *options], self.theirs, plain
        )

    def score(self) -> float:
        """nanoGPT's saved weights over the whole validation split."""
        return float(run_process([sys.executable, "-c", SCORE], self.theirs).output.split("score")[1])

    def ours(
        self, preset_name: str, model: dict[str, Any], train: dict[str, Any], cache: Path | None = None
    ) -> tuple[Run, Done]:
        """A run of ours, trained by a worker process with compiled passes from a cache."""
        prepared = prepare_run(preset_name, model, {"snapshots": 0, **train}, self.text)
        run = create_run(self.store, prepared)
        command = [
            sys.executable,
            "-m",
            "playground.runs.worker.worker",
            str(run.path),
            "--cache",
            str(cache or self.warm),
        ]
        done = run_process(command, Path.cwd())
        assert run.state() == "finished", run.status().message
        return run, done


def run_process(command: list[str], folder: Path, variables: dict[str, str] | None = None) -> Done:
    """A process to its end, in the environment of a worker or the one given."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output:
        variables = variables or environment(cores())
        process = subprocess.Popen(command, cwd=folder, env=variables, stdout=output, stderr=output)
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(code)
        seconds = time.perf_counter() - began
        output.seek(0)
        text = output.read()
    assert process.returncode == 0, text[-2000:]
    return Done(seconds, usage.ru_maxrss * 1024, text)


def iteration_times(output: str, every: int = 250) -> list[float]:
    """Seconds of nanoGPT's iterations as it logs them; those with an evaluation inside get the median of the others."""
    found = {int(n): float(ms) / 1000 for n, ms in re.findall(r"^iter (\d+): .* time ([\d.]+)ms", output, re.MULTILINE)}
    plain = statistics.median(seconds for n, seconds in found.items() if n % every)
    return [seconds if n % every else plain for n, seconds in found.items()]


def step_times(run: Run) -> list[float]:
    """Seconds of each step of a run of ours."""
    seconds = [row["seconds"] for row in Tail(run.log).rows() if row["event"] == "StepDone"]
    return [b - a for a, b in zip([0.0, *seconds], seconds, strict=False)]


def time_to_goal(run: Run) -> tuple[float, int, float]:
    """Seconds of training and steps until the first evaluation at or below the goal, and the loss then."""
    for event in Tail(run.log).rows():
        if event["event"] == "Evaluated" and event["loss"] <= GOAL:
            return event["seconds"], event["step"], event["loss"]
    print(f"    {run.name} has not reached {GOAL}")
    return float("inf"), 0, float("nan")


def readme(bench: Bench, seeds: int, iters: int) -> None:
    """nanoGPT's README run against the speedrun preset."""
    theirs = bench.nanogpt(README | {"max_iters": iters})
    whole, ending = sum(iteration_times(theirs.output)), bench.score()
    row("nanoGPT, README's run", [whole], "s")
    print(f"    its weights score {ending:.4f}; from process start {theirs.seconds:.1f} s")
    _, first = bench.ours("speedrun", {}, {"steps": 1, "warmup_steps": 0, "compile": "on"})
    print(f"    a run of one step that compiles first: {first.seconds:.1f} s")
    times: dict[str, list[float]] = {"warm": [], "cold": [], "start": []}
    for seed in range(seeds):
        caches = {"warm": bench.warm, "cold": bench.cold} if seed == 0 else {"warm": bench.warm}
        for name, cache in caches.items():
            run, _ = bench.ours("speedrun", {}, {"seed": seed, "eval_interval": 20, "eval_tokens": 10_000_000}, cache)
            seconds, step, loss = time_to_goal(run)
            *_, ended = (row["loss"] for row in Tail(run.log).rows() if row["event"] == "Evaluated")
            reached = f"{loss:.4f} after {step} steps, {seconds:.2f} s"
            print(f"    speedrun, seed {seed}, {name} cache: {reached}; {ended:.4f} at its end")
            times[name].append(seconds)
        if seed > 0:
            continue
        # From process start, as the preset is: it ends where the goal is reached.
        _, done = bench.ours("speedrun", {}, {"seed": seed, "sample_interval": 0, "eval_interval": 100_000})
        times["start"].append(done.seconds)
    warm = row("speedrun, compiled passes from the cache", times["warm"], "s")
    cold = row("speedrun, with an empty cache", times["cold"], "s")
    start = row("speedrun, whole process", times["start"], "s")
    figure("time_to_loss_ratio", whole / warm, ">= 15, aiming at 25")
    figure("time_to_loss_ratio_cold_cache", whole / cold, "-")
    figure("time_to_loss_ratio_whole_processes", theirs.seconds / start, "-")


WAYS = {"bf16": {"precision": "bf16"}, "bf16, compiled": {"precision": "bf16", "compile": "on"}, "fp32": {}}


def same(bench: Bench, turns: int, steps: int = 150) -> None:
    """nanoGPT's configuration and mathematics: AdamW, the same batch; ours at either precision."""
    rates: dict[str, list[float]] = {"nanoGPT": [], **{name: [] for name in WAYS}}
    for turn in range(turns):
        times = iteration_times(bench.nanogpt(README | {"max_iters": steps, "eval_interval": 10_000}).output, 10_000)
        rates["nanoGPT"].append(1 / statistics.median(times[10:]))
        for name, how in WAYS.items():
            if "compile" in how and turn == 0:
                bench.ours("classic", *twin(README, 1, **how))  # fills the cache
            run, _ = bench.ours("classic", *twin(README, steps, **how))
            rates[name].append(1 / statistics.median(step_times(run)[10:]))
    middle = {name: row(f"{name}, steps", values, "1/s") for name, values in rates.items()}
    _bound(run, middle["nanoGPT"], "steps")
    for name in WAYS:
        label = re.sub("[^a-z0-9]+", "_", name)
        figure(f"same_configuration_steps_ratio_{label}", middle[name] / middle["nanoGPT"], ">= 3 for the fastest")


def twin(theirs: dict[str, Any], steps: int, **how: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Our settings for nanoGPT's: its GPT without biases, its AdamW, its warm-up and cosine."""
    model = {"bias": False, **{key: theirs[key] for key in ("block_size", "n_layer", "n_head", "n_embd")}}
    train = {
        "tokenizer": "char", "batch_size": theirs["batch_size"], "learning_rate": 1e-3, "beta2": 0.99, "steps": steps,
        "warmup_steps": min(100, steps), "eval_interval": steps, "sample_interval": 0, "checkpoint_interval": steps, **how,
    }  # fmt: skip
    return model, train


def large(bench: Bench) -> None:
    """10M parameters, context 256: tokens a second."""
    tokens = LARGE["batch_size"] * LARGE["block_size"]
    rates: dict[str, float] = {}
    for compiled in (False, True):
        found = iteration_times(
            bench.nanogpt(LARGE | {"compile": compiled, "eval_interval": 10_000, "eval_iters": 1}).output, 10_000
        )
        name = f"nanoGPT, {'compiled' if compiled else 'eager'}"
        rates[name] = row(name, [tokens / seconds for seconds in found[3:]], "tokens/s")
    for label, how in WAYS.items():
        if "compile" in how:
            bench.ours("classic", *twin(LARGE, 1, **how))
        run, _ = bench.ours("classic", *twin(LARGE, 12, **how))
        name = f"playground, {label}"
        rates[name] = row(name, [tokens / seconds for seconds in step_times(run)[3:]], "tokens/s")
    for how in ("eager", "compiled"):
        _bound(run, rates[f"nanoGPT, {how}"] / tokens, how)
    figure("large_tokens_ratio_eager", rates["playground, bf16"] / rates["nanoGPT, eager"], ">= 3")
    figure("large_tokens_ratio_compiled", rates["playground, bf16, compiled"] / rates["nanoGPT, compiled"], ">= 3")


def peak_rate(dtype: torch.dtype, size: int = 2048) -> float:
    """FLOP/s of large matrix products: the best of ten."""
    a, b = torch.randn(size, size).to(dtype), torch.randn(size, size).to(dtype)
    best = float("inf")
    for _ in range(11):
        began = time.perf_counter()
        a @ b
        best = min(best, time.perf_counter() - began)
    return 2 * size**3 / best


def _bound(run: Run, theirs: float, what: str) -> None:
    """What the machine's matrix peak would allow in a run's configuration, over nanoGPT's steps a second."""
    torch.set_num_threads(cores())
    most = peak_rate(torch.bfloat16) / estimate(run.model, run.train).flops_per_step
    row(f"bf16 peak over nanoGPT, {what}", [most / theirs], "times")


def flops(bench: Bench) -> None:
    """Share of the machine's own matrix peak that training uses."""
    torch.set_num_threads(cores())
    peak = peak_rate(torch.bfloat16)
    row("bf16 matrix products", [peak / 1e9], "GFLOP/s")
    row("fp32 matrix products", [peak_rate(torch.float32) / 1e9], "GFLOP/s")
    cases = {
        "nanoGPT's size": ("classic", *twin(README, 120, **WAYS["bf16, compiled"])),
        "10M, context 256": ("classic", *twin(LARGE, 12, precision="bf16")),
    }
    for name, case in cases.items():
        run, _ = bench.ours(*case)
        used = estimate(run.model, run.train).flops_per_step / statistics.median(step_times(run)[3:])
        figure(f"flop_utilisation_{re.sub('[^a-z0-9]+', '_', name.lower())}", used / peak, "-")


def memory(bench: Bench) -> None:
    """Peak memory of the processes for nanoGPT's configuration."""
    theirs = bench.nanogpt(README | {"max_iters": 100})
    _, ours = bench.ours("classic", *twin(README, 100, precision="bf16"))
    row("nanoGPT", [theirs.memory / 1e6], "MB")
    row("playground", [ours.memory / 1e6], "MB")
    figure("peak_memory_ratio", ours.memory / theirs.memory, "< 1.2")


KINDS = {  # of what the profiler names: the first that fits counts
    "products of weights": r"(aten::|aoti_torch_cpu_)(mm|addmm)(_out)?$",
    "products of attention": r"(aten::|aoti_torch_cpu_)bmm(_out)?$",
    "GELU and its derivative": "tanh|gelu",
    "softmax of attention": "softmax|amax.*bitwise",
    "LayerNorm": "layer_norm|rsqrt",
    "copies and conversions": "copy_|_to_copy|clone|convert_element_type_[0-9]+$",
}


def profile(bench: Bench, turns: int = 20) -> None:
    """Where the time of forward and backward pass goes in nanoGPT's configuration: one lane of it, on one thread."""
    settings = prepare_run("classic", *twin(README, 1, precision="bf16"), bench.text)
    torch.set_num_threads(1)
    model, rows = (
        TrainState.new(settings.model, settings.train).model,
        DataParallelThreads.of(settings.model, settings.train, cores()).rows,
    )
    lane, library = DataParallelThreads(1, rows, 1), bench.warm.parent / "profiled.so"
    with torch._inductor.config.patch({"cpp.enable_kernel_profile": True}):
        build(settings.model, settings.train, lane, library)
    x = torch.randint(0, settings.model.vocab_size, (rows, settings.model.block_size))
    batch = settings.train.replace(batch_size=rows)
    ways: dict[str, ForwardBackward | None] = {"plain": None, "compiled": CompiledPasses(library, model, lane)}
    for name, passes in ways.items():
        for _ in range(2):  # the first time is for warming up
            with torch.profiler.profile() as seen:
                for _ in range(turns):
                    accumulate(model, x, x, batch, targets=x.numel(), count=rows, passes=passes)
        spent = dict.fromkeys([*KINDS, "all the rest"], 0.0)
        for item in seen.key_averages():
            kind = next((kind for kind, names in KINDS.items() if re.search(names, item.key)), "all the rest")
            spent[kind] += item.self_cpu_time_total / turns / 1000
        total = sum(spent.values())
        print(f"{name}, {rows} sequences: {total:.1f} ms")
        for kind, milliseconds in spent.items():
            print(f"    {kind:26} {milliseconds:5.2f} ms  {milliseconds / total:4.0%}")
