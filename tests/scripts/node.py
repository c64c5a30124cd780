"""Node: the one on the path, else the one that comes with Playwright."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

from playwright._impl._driver import compute_driver_executable

from playground.ui import scripts

HERE = Path(__file__).parent


def node() -> str:
    """The path of the program."""
    return shutil.which("node") or str(compute_driver_executable()[0])


class Node:
    """A process in which functions are evaluated with everything that the modules in ``static/`` export as `Playground`."""

    def __init__(self) -> None:
        command = [node(), str(HERE / "evaluate.mjs"), scripts.HERE.as_uri() + "/"]
        names = [name for name in scripts.PATHS if name.startswith("static/")]
        self.process = subprocess.Popen([*command, *names], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def evaluate(self, function: str, argument: Any = None) -> Any:
        """What a JavaScript function returns for an argument, both as JSON. Raises RuntimeError for what it throws."""
        assert self.process.stdin is not None and self.process.stdout is not None
        self.process.stdin.write(json.dumps([function, argument]).encode() + b"\n")
        self.process.stdin.flush()
        found = json.loads(self.process.stdout.readline())
        if "error" in found:
            raise RuntimeError(found["error"])
        return found.get("value")

    def close(self) -> None:
        self.process.communicate()
