"""Deep links: an address that opens a view, or a whole configuration.

    ?tab=attention&run=…&text=…      a view: which tab, which run and checkpoint, which text
    ?setup={"preset": "modern", …}   a set-up: what differs from the preset and the defaults, and nothing that a server
                                     would have to remember

Addresses are untrusted: they are validated like a form, and shown as text.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from playground.ui.allowance import opened_settings
from playground.ui.components.contracts.training import LinkValue
from playground.ui.forms import read_form
from playground.ui.picker import QUIET, Picker
from playground.ui.services import Services, for_toast
from playground.ui.setups import Setup
from playground.ui.text_card import read_text_source
from playground.ui.train.run_actions import chosen
from playground.ui.train.train_tab import TrainTab

MAX_TEXT = 2_000  # maximum characters of a text in an address
PRIVATE = "Only you can open it: share the run first (Train, Share by link)."
PRIVATE_RACE = "Only you can open it: share the race first (Compare, Share by link)."
SHARED = "Anyone with this link can view the run; only you can change it."
CUT = f"The text was cut to {MAX_TEXT:,} characters."
OWN_TEXT = "The link does not contain your own text: anyone who opens it has to add a text."


@dataclass(frozen=True)
class Place:
    """The controls of a tab whose values are part of its address."""

    run: gr.Dropdown | None = None
    step: gr.Dropdown | None = None
    text: gr.Textbox | None = None
    race: gr.Dropdown | None = None

    @property
    def controls(self) -> dict[str, gr.components.Component]:
        """The existing controls, by their name in an address."""
        named = {"run": self.run, "step": self.step, "text": self.text, "race": self.race}
        return {name: control for name, control in named.items() if control is not None}


def places(built: Mapping[str, Any]) -> dict[str, Place]:
    """The places of the tabs that support links."""
    return {
        "train": Place(built["train"].run),
        "batch": _picked(built["batch"].picker),
        "compare": Place(race=built["compare"].race.race),
        "attention": Place(built["attention"].run, text=built["attention"].text),
        "inside": _picked(built["inside"].picker, built["inside"].text),
        "sample": _picked(built["sample"].picker, built["sample"].prompt),
        "streaming": _picked(built["streaming"].picker),
    }


def _picked(picker: Picker, text: gr.Textbox | None = None) -> Place:
    return Place(picker.run, picker.step, text)


def view_link(services: Services, where: Mapping[str, Place], tab: Any, token: str, *values: Any) -> LinkValue:
    """The query of the selected tab's address; `values` are those of all places, in order."""
    rest = iter(values)
    found = {name: {key: next(rest) for key in place.controls} for name, place in where.items()}
    query: dict[str, str] = {"tab": tab if tab in where or tab == "tokenizer" else "train"}
    notes = []
    for key, value in found.get(query["tab"], {}).items():
        if isinstance(value, str) and len(value) > MAX_TEXT and key == "text":
            notes.append(CUT)
            value = value[:MAX_TEXT]
        if value not in (None, ""):
            query[key] = str(value)
    if services.public and _private(services, query, token):
        notes.append(PRIVATE if "run" in query else PRIVATE_RACE)
    return _box(query, " ".join(notes))


def _private(services: Services, query: Mapping[str, str], token: str) -> bool:
    try:
        if "run" in query:
            run = services.run(query["run"], token)
            return not (run.shared or run.reference)
        if "race" in query:
            race = services.race(query["race"], token)
            return not (race.shared or race.reference)
    except ValueError:
        return False
    return False


def share(services: Services, run_id: str | None, token: str) -> LinkValue:
    """Share a run with everyone who has the link, and return the link."""
    run = services.store.share(chosen(run_id), True, services.visitor(token))
    return _box({"tab": "train", "run": run.id}, SHARED)


def setup_link(tab: TrainTab, data: Mapping[Any, Any]) -> LinkValue:
    """An address that fills the Train tab's form as it is now. Raises ValueError for a form that could not be started."""
    setup = Setup.of(
        data[tab.preset],
        read_text_source(tab.text, data).corpus,
        read_form(tab.model, data),
        read_form(tab.train, data),
    )
    return _box({"tab": "train", "setup": setup.to_json()}, OWN_TEXT if setup.corpus == "own" else "")


def _box(query: dict[str, str], note: str) -> LinkValue:
    return {"query": query, "note": note, "nonce": time.monotonic_ns()}


def setup_controls(tab: TrainTab) -> list[gr.components.Component]:
    """What `open_setup` fills, in its order."""
    return [tab.text.text, tab.text.task, tab.preset, *tab.model.values(), *tab.train.values()]


def open_setup(tab: TrainTab, text: str) -> list[Any]:
    """The Train tab's form as an address describes it. Raises ValueError, and nothing is changed."""
    setup = Setup.from_json(text)
    model, train = (part.to_dict() for part in setup.settings())
    tile = setup.corpus if setup.corpus in [value for _, value in tab.text.text.choices] else "task"
    return [
        tile, setup.corpus if tile == "task" else gr.skip(), setup.preset,
        *(model[name] for name in tab.model), *(train[name] for name in tab.train),
    ]  # fmt: skip


def open_view(services: Services, place: Place, query: Mapping[str, str], token: str) -> dict[str, Any]:
    """Values for a place's controls from an address, by name: only what the visitor may see and what there is."""
    values: dict[str, Any] = {}
    try:
        run = services.run(query.get("run", ""), token)
    except ValueError:
        run = None
    if run is not None and run.steps_available():
        values["run"] = gr.update(choices=services.choices(token, trained=True, shared=run), value=run.id)
        steps, wanted = run.steps_available(), query.get("step", "")
        step = int(wanted) if wanted.isdecimal() and len(wanted) < 12 else None
        if step in steps:
            values["step"] = gr.update(choices=[(f"{known:,}", known) for known in steps], value=step)
    if query.get("text"):
        values["text"] = query["text"][:MAX_TEXT]
    return {name: value for name, value in values.items() if name in place.controls}


def _viewed(built: Mapping[str, Any]) -> dict[str, Place]:
    """Places that `open_link` fills; Train's run and Compare's race are the page's own affair when it opens."""
    return {name: place for name, place in places(built).items() if name not in ("train", "compare")}


def opened_controls(built: Mapping[str, Any]) -> list[gr.components.Component]:
    """What `open_link` fills, in its order."""
    views = [control for place in _viewed(built).values() for control in place.controls.values()]
    return [*views, *setup_controls(built["train"])]


def open_link(services: Services, built: Mapping[str, Any], query: Mapping[str, str], token: str) -> list[Any]:
    """Values for all controls that an address may fill. Errors are shown as a message, and the page opens as usual."""
    views: list[Any] = []
    for name, place in _viewed(built).items():
        values = open_view(services, place, query, token) if name == query.get("tab") else {}
        views += [values.get(key, gr.skip()) for key in place.controls]
    controls = setup_controls(built["train"])
    assignment = services.assignments.get(query.get("assignment"))
    wanted = query.get("setup") if assignment is None else assignment.setup
    try:
        setup = open_setup(built["train"], wanted) if wanted else [gr.skip()] * len(controls)
    except ValueError as error:
        gr.Warning(for_toast(str(error)), title="This link")
        setup = [gr.skip()] * len(controls)
    train: TrainTab = built["train"]
    changed = opened_settings(services, train.model, train.train)
    changed |= {name: gr.update(interactive=False) for name in (assignment.frozen if assignment else ())}
    names = [None] * (len(setup) - len(train.model) - len(train.train)) + [*train.model, *train.train]
    return [*views, *(_merged(value, changed.get(name or "")) for name, value in zip(names, setup, strict=True))]


def _merged(value: Any, update: Any) -> Any:
    """An update of a control together with a value for it, or `gr.skip()`."""
    if update is None:
        return value
    return update if value == gr.skip() else {**update, "value": value}


def wire(box: gr.HTML, built: Mapping[str, Any], services: Services, visitor: gr.BrowserState) -> None:
    """Connect the header's button, and the one that copies a set-up."""
    where = places(built)

    def ask(services: Services, event: gr.EventData, token: str, *values: Any) -> LinkValue:
        return view_link(
            services, where, event._data.get("tab") if isinstance(event._data, dict) else None, token, *values
        )

    values = [control for place in where.values() for control in place.controls.values()]
    box.ask(services.bind(ask), [visitor, *values], box, **QUIET)
    tab: TrainTab = built["train"]
    tab.share.click(services.bind(share), [tab.run, visitor], box, **QUIET)
    form: set[gr.blocks.Block] = {*tab.inputs}
    tab.link.click(services.bind(lambda s, data: setup_link(tab, data)), form, box, **QUIET)
