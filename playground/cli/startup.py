"""What is checked before the app starts, so that a mistake is one sentence and not a traceback or a missing limit."""

from __future__ import annotations

import difflib
import os
import socket
import tempfile
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path

from playground.runs.queue import host_changes
from playground.runs.queue.hosting import PREFIX, VARIABLES, Hosting
from playground.runs.races import list_races
from playground.runs.store.paths import cache_root
from playground.runs.store.run_store import ANONYMOUS, RunStore

PORTS = range(1, 65_536)
OTHERS = ("DATA", "CACHE", "METRICS_TOKEN")  # variables that `Hosting` does not read
SECRETS = ("password", "host_password", "account_secret")


def check_port(host: str | None, port: int | None) -> None:
    """Raise ValueError for a port or an address at which the app cannot be served; None is the default of each."""
    if port is None:
        return
    if port not in PORTS:
        raise ValueError(f"Port must be {PORTS[0]} to {PORTS[-1]:,}; {port} is not.")
    address = host or "127.0.0.1"
    try:
        family, kind, _, _, target = socket.getaddrinfo(address, port, type=socket.SOCK_STREAM)[0]
        with socket.socket(family, kind) as probe:
            if os.name != "nt":  # where it would share a port that is in use
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(target)
    except OSError as error:
        reason = error.strerror or "it is not known"
        raise ValueError(
            f"The app cannot be served at {address[:60]}, port {port}: {reason}. Choose another with --port or --host."
        ) from None


def check_folder(folder: Path, option: str) -> None:
    """Raise ValueError if no file can be written in a folder, which is made if it is missing."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"Files cannot be written in {folder}: {error.strerror}. Choose another folder with {option}."
        ) from None


def unknown_pins(hosting: Hosting, store: RunStore) -> list[str]:
    """A sentence for each pinned run that is none of the reference runs and races."""
    runs = [(run.id, run.name) for run in store.list(ANONYMOUS) if run.reference]
    races = [(race.id, race.name) for race in list_races(store, ANONYMOUS) if race.reference]
    known = {word for words in runs + races for word in words}
    return [
        f"{PREFIX}PINNED must have ids or names of reference runs and races; {name[:60]!r} is none. "
        "List them with the command runs."
        for name in hosting.pinned
        if name not in known
    ]


def unknown_variables(environment: Mapping[str, str]) -> list[str]:
    """A sentence for each variable that looks like one of the app's and is none."""
    known = [PREFIX + name for name in (*VARIABLES, *OTHERS)]
    sentences = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in known:
            near = difflib.get_close_matches(name, known, 1, cutoff=0.85)
            help = f"Did you mean {near[0]}?" if near else "docs/hosting.md lists all variables."
            sentences.append(f"There is no variable {name[:60]}. {help}")
    return sentences


def problems(
    host: str | None, port: int | None, store: RunStore, public: bool | None
) -> tuple[Hosting | None, list[str]]:
    """The host's options if they can be read, and a sentence for each reason not to start the app."""
    hosting: Hosting | None = None
    found = unknown_variables(os.environ)
    for check in (
        lambda: check_port(host, port),
        lambda: check_folder(store.root, "--data or PLAYGROUND_DATA"),
        lambda: check_folder(cache_root(), "PLAYGROUND_CACHE"),
    ):
        try:
            check()
        except ValueError as error:
            found.append(str(error))
    try:
        start = Hosting.read(os.environ, public)
        found += unknown_pins(start, store)
        hosting, _ = host_changes.stored(start, store.root)
    except ValueError as error:
        found.append(str(error))
    return hosting, found


def report(hosting: Hosting, store: RunStore) -> list[str]:
    """All options and limits in force, a line each. Of secrets only whether they are set."""
    limits = {item.name: getattr(hosting.limits, item.name) for item in fields(hosting.limits)}
    options = {
        item.name: getattr(hosting, item.name) for item in fields(hosting) if item.name not in ("public", "limits")
    }
    options |= {name: "set" if options[name] else "not set" for name in SECRETS}
    values = {
        "mode": "public" if hosting.public else "local",
        "data": store.root,
        "cache": cache_root(),
        **limits,
        **options,
    }
    return [f"{name}: {_words(value)}" for name, value in values.items()]


def _words(value: object) -> str:
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or "none"
    if isinstance(value, (int, float)):
        return f"{value:,}"
    return "none" if value is None else str(value)
