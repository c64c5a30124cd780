"""Visitors who have signed in: their token follows from their account, so their runs follow them into any browser.

A token that belongs to an account can be told from a browser's own, by whoever knows the host's secret, and by nobody else;
nothing about accounts is stored.
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

_HALF = 16  # letters of a token that name the account; the others are the seal on them


@dataclass(frozen=True)
class Accounts:
    """Tokens from accounts. The secret is the host's and stays the same over restarts."""

    secret: str = field(repr=False)

    def token(self, account: str) -> str:
        """The token of an account, as unguessable as any."""
        name = self._digest(f"account {account}")
        return name + self._digest(f"seal {name}")

    def made(self, token: str) -> bool:
        """Whether a token is that of some account."""
        return secrets.compare_digest(token[_HALF:].encode(), self._digest(f"seal {token[:_HALF]}").encode())

    def _digest(self, text: str) -> str:
        return hmac.new(self.secret.encode(), text.encode("utf-8", "replace"), hashlib.sha256).hexdigest()[:_HALF]


def hand_over(store: RunStore, giver: str, taker: str) -> int:
    """Make all runs and races of one visitor those of another; how many. Raises OSError, after which some may be.

    For somebody who has proved to be both: it is asked with both tokens, which are secrets.
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
    """The files that name the owner; a race's own comes last, so that one that broke off is done again."""
    if isinstance(job, Run):
        return [job.path / "run.json"]
    return [*sorted((job.path / ARMS).glob("*/run.json")), job.path / "race.json"]
