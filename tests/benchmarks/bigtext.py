"""A text of 1 GB: memory and time to import, tokenize and train on it.

The text is written to a temporary folder, goes through the same gate as an upload, and is trained on by a worker process
as the app would start it. Needs about four times the text's size on the disk of the temporary folder.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from playground.data.sources import TextFile, gather
from playground.data.tales import tales
from playground.data.token_file import survey
from playground.runs.create import create_run, prepare_run
from playground.runs.store.log import Tail
from playground.runs.store.processes import environment
from playground.runs.store.run_store import Run, RunStore
from tests.benchmarks._report import figure, machine, row

TINY = ["--megabytes", "25", "--steps", "20"]  # more than what is held in memory


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="bigtext", description=__doc__)
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--tokenizer", default="byte")
    parser.add_argument("--folder", type=Path, help="where to work (default: the system's temporary folder)")
    options = parser.parse_args(arguments)
    machine()
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        free, need = shutil.disk_usage(folder).free, 4_000_000 * options.megabytes
        if free < need:
            raise SystemExit(f"{need / 1e9:.1f} GB are needed in {folder}, {free / 1e9:.1f} GB are free. Use --folder.")
        _measure(folder, options)


def _measure(folder: Path, options: argparse.Namespace) -> None:
    source = _write(folder / "big.txt", options.megabytes)
    size = source.stat().st_size / 1e6
    began = time.perf_counter()
    text = gather([source], folder=folder / "cache" / "texts", max_bytes=2 * source.stat().st_size)
    row("the gate: read, check, normalise, hash, store", [size / (time.perf_counter() - began)], "MB/s")
    source.unlink()
    assert isinstance(text, TextFile)
    run = _create(folder, text, options)
    began = time.perf_counter()
    survey(text.path, run.train.corpus_bytes, run.train.validation_fraction)
    row("finding the split and hashing", [size / (time.perf_counter() - began)], "MB/s")
    first = _train(run, folder / "cache")
    again = _train(_create(folder, text, options), folder / "cache")
    row("start of the worker to its first step", [first["wait"]], "s")
    row("the same, tokens already prepared", [again["wait"]], "s")
    row("steps a second", [first["speed"], again["speed"]], "1/s")
    figure("prepare_mb_per_s", size / max(1e-9, first["wait"] - again["wait"]), ">= 10")
    peak = 1024 * resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss  # of the largest worker
    row("largest resident memory of a worker", [peak / 1e6], "MB")
    figure("worker_peak_bytes", f"{peak:,}".replace(",", ""), "< 1e9")


def _write(path: Path, megabytes: int) -> Path:
    """Stories, and before each million bytes of them a line that stands nowhere else."""
    parts = [tales(1_000_000, seed).encode() for seed in range(8)]
    with open(path, "wb") as file:
        for number in range(megabytes):
            file.write(f"Book {number:,}. A text of its own: {number * number:,}.\n\n".encode())
            file.write(parts[number % len(parts)])
    return path


def _create(folder: Path, text: TextFile, options: argparse.Namespace) -> Run:
    settings: dict[str, Any] = {
        "steps": options.steps, "tokenizer": options.tokenizer, "warmup_steps": 10, "eval_interval": 50,
        "sample_interval": 0,
    }  # fmt: skip
    prepared = prepare_run("modern", {}, settings, text)
    return create_run(RunStore(folder / "runs"), prepared)


def _train(run: Run, cache: Path) -> dict[str, float]:
    """Train in a worker of its own; seconds until its first step, and steps a second."""
    began = time.time()
    command = [sys.executable, "-m", "playground.runs.worker.worker", str(run.path), "--cache", str(cache)]
    worker = subprocess.Popen(command, env=environment(2), stdout=subprocess.DEVNULL)
    wait = 0.0
    while worker.poll() is None:
        if not wait and run.log.exists() and b"StepDone" in run.log.read_bytes()[:4096]:
            wait = time.time() - began
        time.sleep(0.05)
    ending = run.status()
    if ending.state != "finished":
        raise SystemExit(f"The run {ending.state}: {ending.message}")
    last = [event for event in Tail(run.log).rows() if event["event"] == "StepDone"][-1]
    return {"wait": wait, "speed": last["step"] / last["seconds"]}
