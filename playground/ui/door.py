"""The door: where the host has set a class code, visitors give a name and that code, which the host sees on the desk."""

from __future__ import annotations

import math
import secrets
from dataclasses import dataclass
from typing import Any

import gradio as gr

from playground.config import counted
from playground.runs.queue.class_list import NAME_LENGTH, Person
from playground.runs.store.run_store import check_owner, hashed
from playground.ui.client_network import client_network
from playground.ui.picker import QUIET
from playground.ui.server.logins import NETWORK, Throttle
from playground.ui.services import Services


@dataclass(frozen=True)
class Door:
    """The components. They are visible only while there is a class code."""

    row: gr.Row
    name: gr.Textbox
    code: gr.Textbox
    join: gr.Button

    @property
    def all(self) -> list[Any]:
        """What `shown` fills, in its order."""
        return [self.row, self.name, self.code, self.join]


def build(services: Services) -> Door:
    """A row below the header. A name is the value of a text box, which is never interpreted."""
    with gr.Row(visible=False, elem_classes="pg-door", elem_id="door") as row:
        look: dict[str, Any] = {"max_length": NAME_LENGTH, "show_label": False, "container": False, "min_width": 120}
        name = gr.Textbox(label="Your name", placeholder="Your name", elem_id="door-name", **look)
        code = gr.Textbox(label="Class code", placeholder="Class code", elem_id="door-code", **look)
        join = gr.Button(
            "Join the class", elem_classes="pg-quiet", size="sm", scale=0, min_width=120, elem_id="door-join"
        )
    return Door(row, name, code, join)


def person(services: Services, token: object) -> Person | None:
    """How a visitor has introduced themselves to the class of now."""
    found = services.people.people().get(hashed(services.visitor(token)) or "")
    return found if found is not None and found.class_code == services.hosting.class_code else None


def shown(services: Services, token: object, code: str = "") -> list[Any]:
    """The door as a visitor finds it; `code` is one that a link has brought."""
    known = person(services, token)
    visible = bool(services.hosting.class_code) and services.public
    return [
        gr.update(visible=visible),
        gr.update(value=known.name if known else ""),
        gr.update(value=code[:NAME_LENGTH], visible=known is None),
        gr.update(value="Change my name" if known else "Join the class"),
    ]


def join(services: Services, throttle: Throttle, name: object, code: object, token: str) -> list[Any]:
    """Introduce a visitor, or change their name, for which no code is needed again. Raises ValueError."""
    visitor = services.visitor(token)
    check_owner(visitor)
    wanted = services.hosting.class_code
    if not wanted:
        raise ValueError("The host has set no class code. Reload the page.")
    if person(services, token) is None:
        _check_code(throttle, code, wanted)
    services.people.prune(services.hosting.keep_days)
    services.people.join(hashed(visitor) or "", name, wanted)
    return shown(services, token)


def _check_code(throttle: Throttle, given: object, wanted: str) -> None:
    network = client_network() or "local"
    if (wait := throttle.take(network)) > 0:
        throttle.give_back(network)
        raise ValueError(f"Class code: too many wrong ones. Try again in {counted(math.ceil(wait), 'second')}.")
    text = given.strip().casefold() if isinstance(given, str) else ""
    if not secrets.compare_digest(text.encode("utf-8", "surrogatepass"), wanted.casefold().encode()):
        raise ValueError("Class code: this is not the code of the class. Ask your teacher.")
    throttle.give_back(network)


def wire(door: Door, services: Services, visitor: gr.BrowserState) -> None:
    """Connect the button."""
    throttle = Throttle(*NETWORK)
    gr.on(
        [door.join.click, door.name.submit, door.code.submit],
        services.bind(lambda s, name, code, token: join(s, throttle, name, code, token)),
        [door.name, door.code, visitor], door.all, **QUIET,
    )  # fmt: skip
