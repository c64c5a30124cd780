"""Signed-in visitors: the token is derived from the account, so their runs are available in any browser.

Only with the host's secret can a token of an account be distinguished from a browser's token. Nothing about accounts is
stored.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field
from pathlib import Path

from playground.runs.races import Race, jobs
from playground.runs.store.files import read_json, write_json
from playground.runs.store.run_store import ARMS, Run, RunStore, hashed

_HALF = 16  # letters of a token that identify the account; the others are a signature


@dataclass(frozen=True)
class Accounts:
    """Derives tokens from accounts. The secret is the host's and stays the same over restarts."""

    secret: str = field(repr=False)

    def token(self, account: str) -> str:
        """The token of an account."""
        name = self._digest(f"account {account}")
        return name + self._digest(f"seal {name}")

    def made(self, token: str) -> bool:
        """Whether a token is that of some account."""
        return secrets.compare_digest(token[_HALF:].encode(), self._digest(f"seal {token[:_HALF]}").encode())

    def _digest(self, text: str) -> str:
        return hmac.new(self.secret.encode(), text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:_HALF]


def hand_over(store: RunStore, giver: str, taker: str) -> int:
    """Transfer all runs and races from one visitor to another and return how many. On OSError some may be transferred.

    The caller must present both tokens, which are secrets.
    """
    with store.exclusive():
        given = [job for job in jobs(store) if job.owner == hashed(giver)]
        for job in given:
            for described in _descriptions(job):
                values = read_json(described)
                if values is not None:
                    write_json(described, {**values, "owner": hashed(taker)})
    return len(given)


def _descriptions(job: Run | Race) -> list[Path]:
    """The files that name the owner; the race's own comes last, so that an interrupted transfer is repeated."""
    if isinstance(job, Run):
        return [job.path / "run.json"]
    return [*sorted((job.path / ARMS).glob("*/run.json")), job.path / "race.json"]
