"""The services of the app (run store, launcher, caches, ...), created once and passed to every tab."""

from __future__ import annotations

import functools
import html
import inspect
import os
import re
import secrets
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_type_hints

import gradio as gr

from playground.inference.native import decode_step
from playground.runs.archive import Archive
from playground.runs.assignments import Assignments
from playground.runs.curves import Curves
from playground.runs.limits import Limits
from playground.runs.loading import ModelCache
from playground.runs.queue import host_changes
from playground.runs.queue.audit_log import null_sink, standard_output
from playground.runs.queue.class_list import ClassList
from playground.runs.queue.client_networks import no_network
from playground.runs.queue.hosting import Hosting
from playground.runs.queue.launcher import Launcher
from playground.runs.queue.presence import Presence
from playground.runs.races import Race, get_race, list_races
from playground.runs.store.paths import cache_root, data_root, gallery_root
from playground.runs.store.run_store import ANONYMOUS, Run, RunNotFound, RunStore
from playground.ui.client_network import client_network
from playground.ui.session_files import SessionFiles, files_folder

TOKEN = re.compile(r"[0-9a-f]{32}")


@dataclass(eq=False)
class Services:
    """`public`: each visitor has a secret and sees only their own runs. Otherwise all runs belong to one user.

    `hosting` holds the options in force: only `change_hosting` replaces it, while the app runs. `started_with` are those of
    the start.
    """

    store: RunStore
    launcher: Launcher
    curves: Curves
    models: ModelCache
    cache_dir: Path
    public: bool
    hosting: Hosting = Hosting()  # noqa: RUF009 - frozen
    archive: Archive | None = None
    presence: Presence = field(default_factory=Presence)
    started_with: Hosting | None = None
    files: SessionFiles = field(default_factory=lambda: SessionFiles(files_folder()))
    people: ClassList = field(init=False)
    assignments: Assignments = field(init=False)

    def __post_init__(self) -> None:
        self.people, self.assignments = ClassList(self.store.root), Assignments(self.store.root)

    @classmethod
    def create(cls, public: bool | None = None, store: RunStore | None = None) -> Services:
        """Create the services from environment variables (`queue.hosting`); public by default on a Hugging Face
        Space or with ``PLAYGROUND_PUBLIC=1``. Raises ValueError for an invalid variable."""
        started_with = Hosting.read(os.environ, public)
        decode_step.warm()
        store = store or RunStore(data_root(), gallery_root())
        hosting, unused = host_changes.stored(started_with, store.root)
        launcher = Launcher(
            store,
            cache_dir=cache_root(),
            die_with_ui=hosting.public,
            limits=hosting.limits,
            keep_days=hosting.keep_days,
            tell=standard_output if hosting.public else null_sink,
            client_network=client_network if hosting.public else no_network,
        )
        for sentence in (*store.unreadable(), *([unused] if unused else [])):
            print(f"store: {sentence}", flush=True)
        archive = None if hosting.archive is None else Archive(store, hosting.archive)
        if archive is not None:
            archive.start()
        return cls(
            store, launcher, Curves(store), ModelCache(), cache_root(), hosting.public, hosting, archive,
            started_with=started_with,
        )  # fmt: skip

    def change_hosting(self, changes: Mapping[str, Any]) -> None:
        """Put options in force that differ from those of the start in `changes`, and store them. Raises ValueError or
        OSError, and nothing is changed."""
        start = self.started_with or self.hosting
        hosting = host_changes.with_changes(start, changes)
        host_changes.store(self.store.root, start, hosting)
        self.started_with, self.hosting, self.launcher.limits = start, hosting, hosting.limits

    def delete_files_of_deleted_runs(self) -> None:
        """Delete uploads and downloads of runs and races that do not exist any more."""
        self.files.sweep(lambda job: (self.store.root / job).exists())

    def close(self) -> None:
        """Stop background work: in public mode runs pause; ended runs are copied to the archive."""
        self.launcher.close()
        if self.archive is not None:
            self.archive.close()

    @property
    def limits(self) -> Limits:
        """The limits of one visitor."""
        return self.hosting.limits

    def pinned_first(self, found: list[Any]) -> list[Any]:
        """Runs or races, pinned ones first, in the host's order. Others than reference runs and races are pinned by id."""
        order = {key: number for number, key in enumerate(self.hosting.pinned)}
        last = len(order)
        return sorted(
            found,
            key=lambda one: min(order.get(one.id, last), order.get(one.name, last) if one.reference else last),
        )

    def _with_pinned(self, found: list[Any], get: Callable[[str], Any]) -> list[Any]:
        """Also the runs or races of others that the host has pinned, by `get`, which raises RunNotFound for other ids."""
        known = {one.id for one in found}
        for key in self.hosting.pinned:
            if key not in known:
                with suppress(RunNotFound):
                    found = [*found, get(key)]
        return self.pinned_first(found)

    def visitor(self, token: object) -> str | None:
        """The store's visitor for a browser's token. None is the user of a local app; without a token it is `ANONYMOUS`.

        Raises ValueError for what is no token.
        """
        if not self.public:
            return None
        if token is None or token == ANONYMOUS:
            return ANONYMOUS
        if isinstance(token, str) and TOKEN.fullmatch(token):
            return token
        raise ValueError(
            f"Token must be 32 hexadecimal digits, as `train` returns it; {str(token)[:8]!r} is not. "  # it may be a secret
            "Leave it empty to get a new one."
        )

    def token(self, known: object) -> str:
        """The token a browser keeps from now on: the one it has, or a new secret of 128 bits."""
        if isinstance(known, str) and TOKEN.fullmatch(known):
            return known
        return secrets.token_hex(16)

    def run(self, run_id: object, token: object) -> Run:
        """A run that this visitor may see. Raises RunNotFound."""
        return self.store.get(run_id if isinstance(run_id, str) else "", self.visitor(token))

    def race(self, race_id: object, token: object) -> Race:
        """A race that this visitor may see. Raises RaceNotFound."""
        return get_race(self.store, race_id if isinstance(race_id, str) else "", self.visitor(token))

    def race_choices(self, token: object, shared: Race | None = None) -> list[tuple[str, str]]:
        """Races for a dropdown, as (name, id); `shared` is one that was shared by link."""
        races = self._with_pinned(
            list_races(self.store, self.visitor(token)), lambda key: get_race(self.store, key, ANONYMOUS)
        )
        if shared is not None and all(race.id != shared.id for race in races):
            races = [shared, *races]
        return [(self._shown(race), race.id) for race in races]

    def choices(self, token: object, trained: bool = False, shared: Run | None = None) -> list[tuple[str, str]]:
        """Runs for a dropdown, as (name, id); with `trained` only those that have weights to load.

        `shared` is a run that was shared by link and is not in the visitor's list.
        """
        runs = self._with_pinned(self.store.list(self.visitor(token)), lambda key: self.store.get(key, ANONYMOUS))
        if shared is not None and all(run.id != shared.id for run in runs):
            runs = [shared, *runs]
        return [(self._shown(run), run.id) for run in runs if not trained or run.steps_available()]

    def _shown(self, job: Run | Race) -> str:
        kind = "reference" if job.reference else "pinned" if job.id in self.hosting.pinned else ""
        return f"{job.name} · {kind}" if kind else job.name

    def bind(self, handler: Callable[..., Any]) -> Callable[..., Any]:
        """A handler whose first parameter is filled with these services, and whose ValueErrors reach the page as text."""
        return show_errors(functools.partial(handler, self), handler)


def show_errors(
    call: Callable[..., Any], named: Callable[..., Any] | None = None, as_html: bool = True
) -> Callable[..., Any]:
    """`call`, with a ValueError (always one sentence for the user) shown as a message. `named` gives name and signature.

    Without `as_html` the message is plain text, for API clients only: the page would interpret it as HTML.
    """
    named = named or call

    def function(*arguments: Any) -> Any:
        try:
            return call(*arguments)
        except ValueError as error:
            raise to_gr_error(error, as_html) from error
        except OSError as error:
            raise to_gr_error(disk_trouble(error), as_html) from error

    def generator(*arguments: Any) -> Any:
        try:
            yield from call(*arguments)
        except ValueError as error:
            raise to_gr_error(error, as_html) from error
        except OSError as error:
            raise to_gr_error(disk_trouble(error), as_html) from error

    wrapped = generator if inspect.isgeneratorfunction(named) else function
    wrapped.__name__ = named.__name__
    # Gradio inspects the parameters and their types (gr.Request).
    signature = inspect.signature(call)
    wrapped.__signature__ = signature  # type: ignore[attr-defined]
    hints = get_type_hints(named)
    wrapped.__annotations__ = {name: hints[name] for name in signature.parameters if name in hints}
    return wrapped


def json_safe(value: Any) -> Any:
    """A value without what JSON in UTF-8 cannot encode."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode("utf-8")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        return float(value) if abs(value) < 2**1000 else None
    if isinstance(value, dict):
        return {json_safe(key): json_safe(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(json_safe(item) for item in value)
    return value


def disk_trouble(error: OSError) -> ValueError:
    """A message for a disk that is full, read-only or missing; without paths."""
    return ValueError(
        f"The disk of this app does not take it: {error.strerror or 'it does not answer'}. "
        "What was saved is kept. Free some space, or tell the host."
    )


def for_toast(sentence: str) -> str:
    """Escape a message for the page, because Gradio shows messages as HTML."""
    return str(json_safe(html.escape(sentence, quote=False)))


def to_gr_error(error: ValueError, as_html: bool = True) -> gr.Error:
    """A message for the page, or as plain text for a program."""
    if isinstance(error, gr.Error):  # which is a ValueError too, and has been made for the page already
        return error
    message = for_toast(str(error)) if as_html else str(json_safe(str(error)))
    return gr.Error(message, duration=12, print_exception=False, title="Not possible")
