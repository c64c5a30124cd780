"""Runs ``node --test``, so that `make check` does. By hand: ``node --test tests/scripts/*.test.mjs``."""

from __future__ import annotations

import re
import subprocess

from tests.scripts.node import HERE, node

FILES = sorted(HERE.glob("*.test.mjs"))


def test_the_scripts_pass_their_own_tests() -> None:
    done = subprocess.run([node(), "--test", *map(str, FILES)], capture_output=True, text=True, check=False, cwd=HERE)
    assert done.returncode == 0, done.stdout
    written = sum(len(re.findall(r"^(?:test|each)\(", path.read_text("utf-8"), re.M)) for path in FILES)
    counts = dict(re.findall(r"^\S+ (tests|pass|skipped) (\d+)$", done.stdout, re.M))
    assert counts == {"tests": str(written), "pass": str(written), "skipped": "0"}
