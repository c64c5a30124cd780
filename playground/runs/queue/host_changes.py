"""What the host has changed while the app runs: limits, frozen settings, who can train, pinned runs, and the class code.

Only what differs from the environment variables is stored, in ``host.json`` of the run store, so that it lasts when the app
starts again. ``python app.py --check`` reports the options in force, these included.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from playground.runs.limits import Limits
from playground.runs.queue.hosting import Hosting, checked_class_code
from playground.runs.store.files import read_json, write_json

FILE = "host.json"
MOST_PINNED = 20


def with_changes(start: Hosting, changes: Mapping[str, Any]) -> Hosting:
    """The options with `changes`: fields of `Limits`, ``pinned``, ``class_code``. Raises ValueError saying what is wrong."""
    unknown = changes.keys() - {item.name for item in fields(Limits)} - {"pinned", "class_code"}
    if unknown:
        raise ValueError(f"Unknown limit {min(unknown)[:40]!r}.")
    values = dict(changes)
    pinned = _names("pinned", values.pop("pinned", start.pinned))
    code = checked_class_code(values.pop("class_code", start.class_code), "Class code")
    if len(pinned) > MOST_PINNED:
        raise ValueError(f"pinned must be at most {MOST_PINNED} runs and races; there are {len(pinned)}. Unpin one.")
    if "frozen" in values:
        values["frozen"] = _names("frozen", values["frozen"])
    if values.get("trainers") == "owner" and not start.host_password:
        raise ValueError("trainers can be owner only if the host has set PLAYGROUND_HOST_PASSWORD.")
    return replace(start, limits=replace(start.limits, **values), pinned=pinned, class_code=code)


def _names(field: str, value: Any) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or not all(isinstance(name, str) and len(name) <= 100 for name in value):
        raise ValueError(f"{field} must be a list of names; {value!r:.40} is not.")
    return tuple(dict.fromkeys(value))


def differences(start: Hosting, now: Hosting) -> dict[str, Any]:
    """The changes that lead from one to the other."""
    found = {
        item.name: getattr(now.limits, item.name)
        for item in fields(Limits)
        if getattr(now.limits, item.name) != getattr(start.limits, item.name)
    }
    options = ("pinned", "class_code")
    return found | {name: getattr(now, name) for name in options if getattr(now, name) != getattr(start, name)}


def stored(start: Hosting, root: Path) -> tuple[Hosting, str]:
    """The options with the changes stored in a run store, and a sentence if these cannot be used."""
    changes = read_json(root / FILE)
    try:
        return with_changes(start, changes or {}), ""
    except ValueError as error:
        return start, f"The changes of the host in {FILE} are not used: {error}"


def store(root: Path, start: Hosting, now: Hosting) -> None:
    """Store what differs from the options at the start. Raises OSError."""
    write_json(root / FILE, differences(start, now))
