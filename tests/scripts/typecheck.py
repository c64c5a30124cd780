"""Checks the types of the page's scripts with TypeScript: ``python -m tests.scripts.typecheck``, as `make check` does.

TypeScript is a tool of development only. npm installs it once, at this version, into the user's cache. Without npm, or
without a network the first time, the types are not checked, which one line says.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.scripts.node import HERE, node

VERSION = "5.9.3"
CONFIG = HERE / "tsconfig.json"


def compiler() -> Path | str:
    """The path of TypeScript's compiler, installed if it was not; or why there is none."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "llm-playground"
    folder = cache / f"typescript-{VERSION}"
    path = folder / "node_modules" / "typescript" / "bin" / "tsc"
    if path.is_file():
        return path
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed"
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as building:
        command = [npm, "install", "--prefix", building, "--no-save", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run([*command, f"typescript@{VERSION}"], capture_output=True, text=True, check=False)
        if done.returncode:
            return f"npm could not install TypeScript {VERSION}"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(building, folder)
    return path


def check(config: Path = CONFIG) -> subprocess.CompletedProcess[str] | str:
    """The compiler's report on the scripts of a configuration; or why they were not checked."""
    path = compiler()
    if isinstance(path, str):
        return path
    return subprocess.run([node(), str(path), "-p", str(config)], capture_output=True, text=True, check=False)


def main() -> int:
    found = check()
    if isinstance(found, str):
        print(f"The types of the scripts were not checked: {found}.")
        return 0
    print(found.stdout or "The types of the scripts are right.")
    return found.returncode


if __name__ == "__main__":
    sys.exit(main())
