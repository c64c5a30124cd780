"""An assignment on the Train tab: a link opens it, with its question and configuration; the answer is handed in with a run.

Question, title and answers are values of text boxes, which are never interpreted.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import gradio as gr

from playground.config import label, listed, setting_kinds, spelled
from playground.runs.assignments import ANSWER_LENGTH, Assignment, check_fixed
from playground.runs.store.run_store import check_owner, hashed
from playground.ui import door
from playground.ui.picker import QUIET
from playground.ui.services import Services
from playground.ui.setups import Setup

HANDED_IN = "Handed in. Handing in again replaces it."


@dataclass(frozen=True)
class AssignmentCard:
    """The components. They are visible only on a page that was opened with the link of an assignment."""

    group: gr.Group
    id: gr.Textbox
    question: gr.Textbox
    fixed: gr.Textbox
    answer: gr.Textbox
    hand_in: gr.Button
    said: gr.Markdown

    @property
    def all(self) -> list[Any]:
        """What `opened` fills, in its order."""
        return [self.group, self.id, self.question, self.fixed, self.answer, self.said]


def build_assignment() -> AssignmentCard:
    """Lay the card out."""
    with gr.Group(visible=False, elem_classes="pg-card", elem_id="assignment") as group:
        gr.Markdown("**Assignment**", elem_classes="pg-title")
        key = gr.Textbox(visible=False)
        question = gr.Textbox(
            label="Question", interactive=False, lines=2, max_lines=12, show_label=False, container=False,
            elem_id="assignment-question",
        )  # fmt: skip
        fixed = gr.Textbox(
            label="Fixed settings", interactive=False, lines=1, max_lines=4, visible=False, elem_id="assignment-fixed"
        )
        answer = gr.Textbox(
            label="Your answer", lines=3, max_lines=10, max_length=ANSWER_LENGTH, elem_id="assignment-answer",
            info="It is handed in with the run that is chosen in the list of runs.",
        )  # fmt: skip
        hand_in = gr.Button("Hand in", elem_classes="pg-quiet", elem_id="assignment-hand-in")
        said = gr.Markdown("", elem_classes="pg-note", elem_id="assignment-said")
    return AssignmentCard(group, key, question, fixed, answer, hand_in, said)


def opened(services: Services, key: object, token: object) -> list[Any]:
    """The card of the assignment in a page's address; hidden without one."""
    found = services.assignments.get(key)
    if found is None:
        if key:
            gr.Warning(
                "The assignment of this link is not there any more. Ask your teacher for the link.", title="This link"
            )
        return [gr.update(visible=False), "", "", gr.update(), "", ""]
    known = (
        services.assignments.answer(found.id, hashed(services.visitor(token)) or "")
        if services.visitor(token)
        else None
    )
    words = _fixed_words(found)
    return [
        gr.update(visible=True), found.id, f"{found.title}\n\n{found.question}", gr.update(value=words, visible=bool(words)),
        known.text if known else "", HANDED_IN if known else "",
    ]  # fmt: skip


def fixed_settings(found: Assignment) -> dict[str, Any]:
    """The settings that an assignment fixes, with their values."""
    return found.fixed(*Setup.from_json(found.setup).settings())


def _fixed_words(found: Assignment) -> str:
    return listed(
        [f"{label(setting_kinds()[name], name)} {spelled(value)}" for name, value in fixed_settings(found).items()]
    )


def with_fixed(
    services: Services, card: AssignmentCard, data: Mapping[Any, Any], values: dict[str, Any]
) -> dict[str, Any]:
    """The values of a form, with those that the page's assignment fixes."""
    found = services.assignments.get(data[card.id])
    fixed = {} if found is None else fixed_settings(found)
    return {name: fixed.get(name, value) for name, value in values.items()}


def hand_in(services: Services, key: object, run_id: str | None, answer: object, token: str) -> str:
    """Hand in the answer with the chosen run. Raises ValueError."""
    visitor = services.visitor(token)
    check_owner(visitor)
    if not run_id:
        raise ValueError("No run is chosen. Train one with this assignment, or choose it in the list of runs.")
    run = services.store.own(run_id, visitor)
    found = services.assignments.get(key)
    if found is None:
        raise ValueError("This assignment is not there any more. Ask your teacher.")
    if services.hosting.class_code and door.person(services, token) is None:
        raise ValueError("Join the class first: give your name and the class code at the top of the page.")
    check_fixed(run, fixed_settings(found))
    services.assignments.prune(services.hosting.keep_days)
    services.assignments.hand_in(found, hashed(visitor) or "", run, answer)
    return HANDED_IN


def wire_assignment(card: AssignmentCard, services: Services, visitor: gr.BrowserState, run: gr.Dropdown) -> None:
    """Connect the button; `run` is the dropdown that says which run is meant."""
    card.hand_in.click(services.bind(hand_in), [card.id, run, card.answer, visitor], card.said, **QUIET)
