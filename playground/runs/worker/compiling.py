"""Compiled passes for a run: from the cache, or built by a separate process while the first steps run eagerly.

Which steps were compiled is part of a run's state (`TrainState.compiled_from`), so a resumed run computes every step as it
would have been computed without the interruption.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch

from playground.runs.store.paths import cache_root
from playground.runs.store.processes import environment
from playground.runs.store.run_store import Run
from playground.train.compiled import CompiledForwardBackward, name_of, obstacle
from playground.train.data_parallel import DataParallelThreads
from playground.train.trainer import TrainState

BUILD_SECONDS = 45.0  # duration of a build while a run trains, measured
GAIN = 0.2  # share of a step's time saved by compilation, a conservative estimate from docs/benchmarks.md
TRIAL_STEPS = 10  # after which the step time is known well enough


class Compiling:
    """Manages the compiled passes of one run in a worker. `notes` are sentences for the run's log."""

    def __init__(self, run: Run, state: TrainState, cache_dir: Path | None = None) -> None:
        self._run, self._state = run, state
        self._folder = (cache_dir or cache_root()) / "compiled"
        self._library = self._folder / name_of(run.model, run.train, torch.get_num_threads())
        self._process: subprocess.Popen[bytes] | None = None
        self._config: Path | None = None
        unasked = run.train.compile == "off" and state.compiled_from < 0
        self._done = (
            unasked or state.model.embed.weight.device.type != "cpu"
        )  # a GPU's compiler: `gradients.traced_forward_backward`
        self._first = state.step
        self._spent = state.seconds
        self._began = 0.0

    def begin(self, waiting: Callable[[], None]) -> str | None:
        """Before the first step: load a cached library, or build a required one and wait for it. Returns a note for the log.

        `waiting` is called repeatedly meanwhile, and may raise to end the wait.
        """
        if self._done:
            return None
        if reason := obstacle(self._run.model, self._run.train):
            self._done = True
            return f"Not compiled: {reason}."
        self._folder.mkdir(parents=True, exist_ok=True)
        if self._library.exists():
            return self._load("from the cache")
        if self._run.train.compile == "on" or self._state.compiled_from >= 0:
            self._start()
            while (note := self.poll()) is None:
                waiting()
                time.sleep(0.1)
            return note
        return None

    def poll(self) -> str | None:
        """After a step: a note if the state of compilation has changed."""
        if self._done:
            return None
        if self._process is None:
            return self._decide()
        code = self._process.poll()
        if code is None:
            return None
        self._clear()
        if code != 0 or not self._library.exists():
            self._done = True
            return "Not compiled: the compiler failed. Its messages are in worker.log, or in the terminal that trains."
        return self._load(f"built in {max(0.0, self._library.stat().st_mtime - self._began):.0f} s")

    def close(self) -> None:
        """End a build that is no longer needed."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
        self._clear()

    def _decide(self) -> str | None:
        """Decide whether a build is worthwhile, once the step time is known."""
        state = self._state
        steps = state.step - self._first
        if steps < TRIAL_STEPS:
            return None
        left = (self._run.train.steps - state.step) * (state.seconds - self._spent) / steps
        if left * GAIN < BUILD_SECONDS:
            self._done = True
            return (
                f"Not compiled: about {left:.0f} s of training are left, which is too short to gain from about "
                f"{BUILD_SECONDS:.0f} s of building."
            )
        self._start()
        return f"Compiling while training continues: about {left:.0f} s are left."

    def _start(self) -> None:
        with tempfile.NamedTemporaryFile("w", dir=self._folder, suffix=".json", delete=False) as file:
            json.dump({"model": self._run.model.to_dict(), "train": self._run.train.to_dict()}, file)
        self._config, threads = Path(file.name), torch.get_num_threads()
        command = [sys.executable, "-W", "ignore", "-m", "playground.train.compiled", file.name, str(self._library)]
        self._began = time.time()  # the clock of files: a slow step may end long after the build
        self._process = subprocess.Popen(  # noqa: S603  our own module
            [*command, "--threads", str(threads)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            env=environment(1),
        )

    def _load(self, origin: str) -> str:
        self._done = True
        try:
            lanes = DataParallelThreads.of(self._run.model, self._run.train, torch.get_num_threads())
            self._state.use_compiled(CompiledForwardBackward(self._library, self._state.model, lanes))
        except (OSError, RuntimeError) as error:
            return f"Not compiled: the library cannot be loaded ({type(error).__name__})."
        return f"Compiled forward and backward passes from step {self._state.step + 1} on, {origin}."

    def _clear(self) -> None:
        self._process = None
        if self._config is not None:
            self._config.unlink(missing_ok=True)
            self._config = None
