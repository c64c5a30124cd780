"""The instructions of the Dockerfile, for tests that check them and follow them without Docker."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass

from tests.texts import PROJECT


@dataclass(frozen=True)
class Instruction:
    """One instruction, for example ``COPY`` with the rest of its line; continued lines are joined."""

    name: str
    value: str

    @property
    def words(self) -> list[str]:
        """The value as a list: of its JSON array if it is one, else of its words."""
        return json.loads(self.value) if self.value.startswith("[") else shlex.split(self.value)


def instructions() -> list[Instruction]:
    """All of them, in their order, without comments."""
    lines = [line for line in (PROJECT / "Dockerfile").read_text().splitlines() if not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [Instruction(*line.split(maxsplit=1)) for line in joined.splitlines() if line.strip()]


def environment() -> dict[str, str]:
    """The variables that ``ENV`` sets."""
    return dict(word.split("=", 1) for each in instructions() if each.name == "ENV" for word in each.words)


def health_check() -> list[str]:
    """The command of the health check."""
    (check,) = (each for each in instructions() if each.name == "HEALTHCHECK")
    return json.loads(check.value[check.value.index("CMD") + 3 :])


def command() -> list[str]:
    """What the container runs."""
    return instructions()[-1].words
