"""What the desk shows and does. Everything here is for the host: the routes check the password."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import Any

from playground.config import counted, label, setting_kinds
from playground.runs.assignments import DERIVED
from playground.runs.collection import Entry, entries
from playground.runs.limits import Limits
from playground.runs.queue.control import delete_job, delete_jobs
from playground.runs.queue.host_changes import differences
from playground.runs.queue.queue import Job, kind_of
from playground.runs.races import Race, jobs, share_race
from playground.runs.store.run_store import Run
from playground.runs.store.status import Status
from playground.ui.services import Services
from playground.ui.setups import setup_of_link

MOST_JOBS = 300  # that are listed; all are exported, stopped and deleted
POINTS = 60  # of a small curve
MOST_CURVES = 8  # of a race
NUMBERS = {item.name: item.metadata["help"] for item in fields(Limits) if "help" in item.metadata}
UNITS = {"mb": "MB", "minutes": "minutes"}

Curve = list[list[float]]  # steps and losses
Request = Mapping[str, Any]


class Desk:
    """The runs, visitors and limits of an app, and what the host can do to them."""

    def __init__(self, services: Services) -> None:
        self.services = services
        self._curves: dict[str, tuple[tuple[int, int], Curve]] = {}
        self._actions = {
            "stop": self._stop, "delete": self._delete, "clear": self._clear, "reset": self._reset, "pin": self._pin,
            "limits": self._limits, "undo": self._undo, "assign": self._assign, "unassign": self._unassign,
        }  # fmt: skip

    def state(self, request: Request | None = None) -> dict[str, Any]:
        """All that the page shows, JSON-able: of one class with ``request["class"]``. Text in it comes from visitors."""
        wanted = (request or {}).get("class")
        found = sorted(self._of_class(wanted), key=lambda job: -job.created)
        statuses = {job.id: job.status() for job in found}
        return {
            "jobs": [self._job(job, statuses[job.id]) for job in found[:MOST_JOBS]],
            "n_jobs": len(found),
            "people": self._people(found, statuses, wanted),
            "classes": sorted({person.class_code for person in self.services.people.people().values()}),
            "limits": self._limits_now(),
            "assignments": self._assignments(wanted),
        }

    def act(self, request: Request) -> str:
        """Do what ``request["action"]`` says, and say what was done. Raises ValueError or OSError."""
        action = self._actions.get(str(request.get("action")))
        if action is None:
            raise ValueError(f"Action must be one of {', '.join(self._actions)}; {request.get('action')!r:.40} is not.")
        return action(request)

    # What is shown

    def _job(self, job: Job, now: Status) -> dict[str, Any]:
        runs = [job] if isinstance(job, Run) else [arm[0] for arm in job.members][:MOST_CURVES]
        news = [self.services.curves.since(run) for run in runs] if now.state == "running" else []
        curves = [self._curve(run) for run in runs]
        losses = [curve[1][-1] for curve in curves if curve[1]]
        return {
            "id": job.id,
            "kind": kind_of(job),
            "name": job.name,
            "person": self.person(job.owner),
            "state": now.state,
            "message": now.message,
            "place": self.services.launcher.position(job.id),
            "step": max((curve[0][-1] for curve in curves if curve[0]), default=0),
            "steps": max(run.train.steps for run in runs),
            "eta": max((each["eta_seconds"] or 0 for each in news), default=0),
            "loss": min(losses, default=None),
            "curves": curves,
            "pinned": job.id in self.services.hosting.pinned,
            "shared": job.shared,
        }

    def _curve(self, run: Run) -> Curve:
        """A few points of a run's training loss. Read again only when the log has changed."""
        try:
            found = os.stat(run.log)
        except OSError:
            return [[], []]
        stamp = (found.st_mtime_ns, found.st_size)
        known = self._curves.get(run.id)
        if known is None or known[0] != stamp:
            train = self.services.curves.columns(run).train
            stride = max(1, len(train["step"]) // POINTS)
            points = [train[name][::-1][::stride][::-1] for name in ("step", "loss")]  # with the last
            self._curves[run.id] = known = (stamp, points)
        return known[1]

    def _of_class(self, wanted: object) -> list[Job]:
        """All runs and races, or with a class code those of its members."""
        found = jobs(self.services.store)
        return found if not wanted else [job for job in found if self._class_of(job.owner) == wanted]

    def _class_of(self, owner: str | None) -> str:
        known = self.services.people.people().get(owner or "")
        return known.class_code if known else ""

    def exported(self, request: Request) -> Iterator[Entry]:
        """The files of an archive of all runs, or with ``request["class"]`` of those of a class."""
        owners = {job.owner for job in self._of_class(request.get("class"))}
        runs = [run for run in self.services.store.list() if not run.reference and run.owner in owners]
        people = {owner: (person.name, person.class_code) for owner, person in self.services.people.people().items()}
        yield from entries(runs, self.services.curves, people)
        wanted = request.get("class")
        yield from self.services.assignments.entries(
            people, lambda owner: not wanted or self._class_of(owner) == wanted
        )

    def person(self, owner: str | None) -> str:
        """Who a visitor is to the host: the name that they gave, if any."""
        known = self.services.people.people().get(owner or "")
        if known is not None:
            return known.name
        return "this computer" if owner is None else f"visitor {owner[:4]}"

    def _people(self, found: list[Job], statuses: Mapping[str, Status], wanted: object) -> list[dict[str, Any]]:
        here = self.services.presence.here()
        n_jobs = Counter(job.owner for job in found)
        training = Counter(job.owner for job in found if statuses[job.id].active)
        owners = {*n_jobs, *here, *self.services.people.people()}
        if wanted:
            owners = {owner for owner in owners if self._class_of(owner) == wanted}
        return [
            {
                "id": (owner or "")[:12],
                "name": self.person(owner),
                "class": self._class_of(owner),
                "here": owner in here,
                "jobs": n_jobs[owner],
                "active": training[owner],
                "minutes": self.services.launcher.usage.seconds(owner) / 60,
            }
            for owner in sorted(owners, key=lambda owner: (owner not in here, self.person(owner)))
        ]

    def _assignments(self, wanted: object) -> list[dict[str, Any]]:
        return [
            {
                "id": one.id,
                "title": one.title,
                "question": one.question,
                "frozen": list(one.frozen),
                "answers": [
                    {
                        "id": answer.owner[:12],
                        "person": self.person(answer.owner),
                        "run": answer.run,
                        "text": answer.text,
                    }
                    for answer in self.services.assignments.answers(one.id)
                    if not wanted or self._class_of(answer.owner) == wanted
                ],
            }
            for one in self.services.assignments.all()
        ]

    def _limits_now(self) -> dict[str, Any]:
        hosting = self.services.hosting
        start = self.services.started_with or hosting
        return {
            "numbers": [
                {"name": name, "label": limit_label(name), "help": help, "value": getattr(hosting.limits, name)}
                for name, help in NUMBERS.items()
            ],
            "trainers": hosting.limits.trainers,
            "frozen": list(hosting.limits.frozen),
            "class_code": hosting.class_code,
            "settings": [
                {"name": name, "label": label(kind, name)}
                for name, kind in setting_kinds().items()
                if name not in DERIVED
            ],
            "changed": [limit_label(name) for name in differences(start, hosting)],
        }

    # What the host does

    def _found(self, request: Request) -> Job:
        for job in jobs(self.services.store):
            if job.id == request.get("id"):
                return job
        raise ValueError("This run is not there any more.")

    def _stop(self, request: Request) -> str:
        job = self._found(request)
        self.services.launcher.stop(job.id)
        return f"{job.name} is stopped."

    def _delete(self, request: Request) -> str:
        job = self._found(request)
        self._unpin(job.id)
        delete_job(self.services.store, job.id)
        return f"{job.name} is deleted."

    def _clear(self, request: Request) -> str:
        running = request.get("running") is True
        stopped = self.services.launcher.clear_queue(running)
        return f"{counted(stopped, 'job' if running else 'waiting job')} stopped."

    def _reset(self, request: Request) -> str:
        """Delete the runs but those that are pinned, the names, answers and used time of all visitors, or of a class."""
        wanted, pinned = request.get("class"), self.services.hosting.pinned
        owners = (
            {owner for owner in self.services.people.people() if self._class_of(owner) == wanted} if wanted else None
        )
        deleted = delete_jobs(self.services.store, [job for job in self._of_class(wanted) if job.id not in pinned])
        self.services.launcher.usage.forget(owners)
        self.services.people.forget(lambda owner, person: owners is None or owner in owners)
        self.services.assignments.forget(lambda answer: owners is None or answer.owner in owners)
        self.services.presence.forget()
        self._curves.clear()
        return f"{counted(deleted, 'run or race', 'runs and races')} deleted. The next class can begin."

    def _pin(self, request: Request) -> str:
        """Show a run or race to everybody, first in every list; or no longer."""
        job = self._found(request)
        if request.get("pinned") is not True:
            self._unpin(job.id)
            return f"{job.name} is not pinned any more. Who has its link can still view it."
        self._change({"pinned": (*self.services.hosting.pinned, job.id)})
        if isinstance(job, Race):
            share_race(self.services.store, job.id, True)
        else:
            self.services.store.share(job.id, True)
        return f"{job.name} is pinned: everybody can view it."

    def _unpin(self, job_id: str) -> None:
        pinned = self.services.hosting.pinned
        if job_id in pinned:
            self._change({"pinned": tuple(key for key in pinned if key != job_id)})

    def _limits(self, request: Request) -> str:
        changes = request.get("changes")
        if not isinstance(changes, dict):
            raise ValueError("Changes must be limits by name.")
        self._change(changes)
        return "Changed. Limits hold for everything that is started from now on."

    def _undo(self, request: Request) -> str:
        pinned = self.services.hosting.pinned
        self.services.change_hosting({"pinned": pinned})
        return "Class code and limits are those of the start."

    def _assign(self, request: Request) -> str:
        setup = setup_of_link(request.get("setup"))
        made = self.services.assignments.create(
            request.get("title"), request.get("question"), setup.to_json(), request.get("frozen", ())
        )
        return f"{made.title} is an assignment now. Give its link to the class."

    def _unassign(self, request: Request) -> str:
        self.services.assignments.delete(request.get("id"))
        return "The assignment and its answers are deleted."

    def _change(self, changes: Mapping[str, Any]) -> None:
        start = self.services.started_with or self.services.hosting
        try:
            self.services.change_hosting({**differences(start, self.services.hosting), **changes})
        except ValueError as error:
            name, _, rest = str(error).partition(" ")
            raise ValueError(f"{limit_label(name)} {rest}" if name in NUMBERS else str(error)) from None


def limit_label(name: str) -> str:
    """The name of a limit on the page: "Run (minutes)"."""
    *words, last = name.split("_")
    text = " ".join([*words, *([] if last in UNITS else [last])]).capitalize()
    return f"{text} ({UNITS[last]})" if last in UNITS else text
