"""The Compare tab's races: choose or start one, follow it, save it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr

from playground.data.corpora import MAX_BYTES, find_corpus
from playground.data.tasks import examples
from playground.races.recipes import RECIPES
from playground.runs.races import (
    Race,
    create_race,
    delete_race,
    is_race_id,
    list_races,
    own_race,
    prepare_race,
    rename_race,
    share_race,
)
from playground.runs.store.run_store import read_text
from playground.tokenizers.prompts import can_encode
from playground.train.dataset import sample_prompt
from playground.train.race_spec import RaceSpec
from playground.ui import allowance
from playground.ui.compare import race_endpoints, race_form
from playground.ui.compare.race_form import RaceForm, build_race_form
from playground.ui.components import component
from playground.ui.components.contracts.training import RaceValue
from playground.ui.forms import unvalidated
from playground.ui.picker import QUIET, list_update
from playground.ui.scripts import page_function
from playground.ui.services import Services
from playground.ui.text_card import wire_text_choice

NOTICE = (
    "**What to notice.** The headline says *better* only when the confidence interval excludes zero. A difference "
    "smaller than the bands may be chance; another dataset, size or budget may reverse it."
)

EXAMPLE = (
    'Once there was a key. Mila gave the key to Oren. "Thank you, Mila," said Oren, and he opened the box with the key.'
)
READINGS = {
    "python_source": "def mean(values):\n    total = sum(values)\n    return total / len(values)\n",
    "tiny_shakespeare": "JULIET:\nWhat light is that? It is the moon, my lord,\nAnd not the day that calls thee from me.\n",
}
READ_CHARACTERS = 200

# The states in which a button is enabled.
BUTTONS = {
    "pause": ("queued", "running"),
    "resume": ("paused", "stopped", "crashed", "failed"),
    "stop": ("queued", "running", "paused"),
}


@dataclass(frozen=True)
class RaceTab:
    """The components."""

    race: gr.Dropdown
    pause: gr.Button
    resume: gr.Button
    stop: gr.Button
    again: gr.Button
    change: gr.Button
    naming: gr.Row
    owning: gr.Row
    new_name: gr.Textbox
    rename: gr.Button
    share: gr.Button
    delete: gr.Button
    view: gr.HTML
    form: RaceForm


def build(services: Services, inside: Any) -> RaceTab:
    """Lay the races out; `inside` builds what stands below a race in the main column."""
    parts: dict[str, Any] = {}
    with gr.Row(elem_classes="pg-page"):
        with gr.Column(elem_classes="pg-main"):
            with gr.Group(elem_classes="pg-card"):
                _build_controls(parts, services)
            parts["view"] = component(
                "race_view", race=partial(race_endpoints.race, services),
                file=partial(race_endpoints.race_file, services), elem_id="race-view",
            )  # fmt: skip
            gr.Markdown(NOTICE, elem_classes="pg-note")
            inside()
        with gr.Column(elem_classes="pg-side", min_width=300):
            parts["form"] = form = build_race_form(services)
            allowance.freeze(services.limits, form.model, form.train)
    return RaceTab(**parts)


def _build_controls(parts: dict[str, Any], services: Services) -> None:
    with gr.Row(elem_classes="pg-actions"):
        parts["race"] = unvalidated(gr.Dropdown(
            services.race_choices(""), value=None, label="Race", show_label=False, scale=3, min_width=200, elem_id="race",
        ))  # fmt: skip
        for key in BUTTONS:
            parts[key] = gr.Button(
                key.capitalize(), elem_classes="pg-quiet", min_width=80, scale=0, visible=False, elem_id=f"{key}-race"
            )
    with gr.Accordion("Run again, change, rename, share, delete", open=False, elem_classes="pg-fold"):
        with gr.Row(elem_classes="pg-actions"):
            parts["again"] = gr.Button("Run again", elem_classes="pg-quiet", elem_id="again-race")
            parts["change"] = gr.Button("Edit, then run", elem_classes="pg-quiet", elem_id="change-race")
        with gr.Row(elem_classes="pg-actions", visible=False) as parts["naming"]:
            parts["new_name"] = gr.Textbox(
                label="Name", show_label=False, placeholder="Name", max_length=60, scale=3, min_width=120,
                elem_id="race-name",
            )  # fmt: skip
            parts["rename"] = gr.Button("Rename", elem_classes="pg-quiet", scale=0, elem_id="rename-race")
        with gr.Row(elem_classes="pg-actions", visible=False) as parts["owning"]:
            parts["share"] = gr.Button("Share by link", elem_classes="pg-quiet", visible=services.public)
            parts["delete"] = gr.Button("Delete race", elem_classes="pg-quiet", variant="stop", elem_id="delete-race")


# What the buttons do


def follow(services: Services, race_id: str | None, token: str) -> tuple[Any, RaceValue]:
    """The list of races with this one chosen, and the view of it."""
    shared = services.race(race_id, token) if race_id else None
    return gr.update(choices=services.race_choices(token, shared), value=race_id or None), show(race_id, token)


def show(race_id: str | None, token: str) -> RaceValue:
    """The view's value."""
    return {"visitor": token, "race": race_id or "", "nonce": time.monotonic_ns()}


def begin(
    services: Services, spec: RaceSpec, own: str | None, token: str, files: Sequence[str] | None = None
) -> tuple[Any, RaceValue]:
    """Validate, create, queue and show a race, on the user's own text, which may be from uploaded `files`, or a built-in
    dataset."""
    services.launcher.admit(services.visitor(token))
    prepared = prepare_race(spec, own, cache_dir=services.cache_dir, limits=services.limits)
    race = create_race(services.store, prepared, owner=services.visitor(token))
    services.files.used(race.id, files or ())
    services.launcher.begin(race, services.visitor(token))
    return follow(services, race.id, token)


def again(services: Services, race_id: str | None, token: str) -> tuple[Any, RaceValue]:
    """Run the same race again, as a new race of the visitor."""
    race = services.race(_chosen(race_id), token)
    services.launcher.admit(services.visitor(token))
    prepared = prepare_race(race.spec, _own_text(race), cache_dir=services.cache_dir, limits=services.limits)
    new = create_race(services.store, prepared, name=race.name, owner=services.visitor(token))
    services.launcher.begin(new, services.visitor(token))
    return follow(services, new.id, token)


def _own_text(race: Race) -> str | None:
    """The user's own text of a race, which keeps a copy of it."""
    return read_text(race.path) if (race.path / "text.txt").exists() else None


def act(services: Services, action: str, race_id: str | None, token: str) -> RaceValue:
    """Pause, resume or stop the chosen race."""
    race = own_race(services.store, _chosen(race_id), services.visitor(token))
    getattr(services.launcher, action)(race.id, services.visitor(token))
    return show(race_id, token)


def moved(services: Services, race_id: str | None, token: str) -> list[Any]:
    """The buttons that can do something for the race that is shown, now that it is in another state: pause, resume and stop,
    and what only its owner can do, with its name."""
    try:
        race = own_race(services.store, _chosen(race_id), services.visitor(token))
    except ValueError:
        return [gr.update(visible=False)] * (len(BUTTONS) + 2) + [gr.update()]
    state = race.status().state
    allowed = [gr.update(visible=state in states) for states in BUTTONS.values()]
    return [*allowed, gr.update(visible=True), gr.update(visible=True), race.name]


def change(services: Services, form: RaceForm, race_id: str | None, token: str) -> dict[Any, Any]:
    """The form, filled with the shown race, to change one thing in it."""
    race = services.race(_chosen(race_id), token)
    gr.Info("“Custom arms” now holds this race. Edit it, then press Start race.", duration=8)
    return race_form.filled_with(form, race.spec, _own_text(race))


def rename(services: Services, race_id: str | None, name: str, token: str) -> tuple[Any, Any]:
    """Give the chosen race another name."""
    rename_race(services.store, _chosen(race_id), name or "", services.visitor(token))
    return follow(services, race_id, token)


def share(services: Services, race_id: str | None, token: str) -> None:
    """Share the race and its runs with everyone who has the link."""
    race = share_race(services.store, _chosen(race_id), True, services.visitor(token))
    gr.Info(f"Shared: add ?tab=compare&race={race.id} to this page's address.", duration=20)


def delete(services: Services, race_id: str | None, token: str) -> tuple[Any, Any]:
    """Delete the chosen race with its runs and show none."""
    delete_race(services.store, _chosen(race_id), services.visitor(token))
    services.delete_files_of_deleted_runs()
    return follow(services, None, token)


def _chosen(race_id: str | None) -> str:
    if not is_race_id(race_id):
        raise ValueError("No race is chosen. Choose one from the list, or start one.")
    return str(race_id)


def arrive(services: Services, token: str, wanted: str = "") -> tuple[Any, Any]:
    """What a page shows when it opens: the race its address names, else the newest own one, else the first that ships."""
    try:
        races, value = follow(services, services.race(wanted, token).id, token)
    except ValueError:
        races, value = follow(services, _first(services, token), token)
    return races, {**value, "arrived": True}


def refresh(services: Services, race_id: str | None, token: str) -> tuple[Any, Any]:
    """The list as it is now, keeping what is chosen while it exists; then its view is there already."""
    try:
        race = services.race(race_id, token)
        return list_update(services.race_choices(token, race), race.id, race_id), gr.skip()
    except ValueError:
        return arrive(services, token)


def _first(services: Services, token: str) -> str | None:
    """The newest own race, else one that ships and whose models can write."""
    races = list_races(services.store, services.visitor(token))
    writing = [race for race in races if race.reference and all(arm[0].steps_available() for arm in race.members)]
    own = [race for race in races if not race.reference]
    return next((race.id for race in [*own, *reversed(writing), *races]), None)


def prompt(race: Race) -> str:
    """The prompt of a race's samples: one that the tokenizers of all arms can encode, if there is one."""
    text, runs = _own_text(race) or "", [runs[0] for runs in race.members]
    prompts = [sample_prompt(run.tokenizer, run.train, text) for run in runs]
    return next((each for each in prompts if all(can_encode(run.tokenizer, each) for run in runs)), prompts[0])


def reading(race: Race) -> str:
    """A text for two arms of a race to read, of the kind that they were trained on: of a text that was brought its end,
    which is in the validation part; of a task held-out examples."""
    own, corpus = _own_text(race), find_corpus(race.members[0][0].train.corpus)
    if own is not None:
        return own[-READ_CHARACTERS:]
    if corpus.kind == "task":
        return "".join(f"{prompt}{answer}\n" for prompt, answer in examples(corpus.name, 100, seed=1))[:READ_CHARACTERS]
    return READINGS.get(corpus.name, EXAMPLE)


def race_runs(services: Services, race_id: str | None, token: str) -> list[tuple[Race, int, Any]]:
    """The runs with weights of the chosen race's first seed that has some, as (race, arm number, run). Raises ValueError."""
    race = services.race(_chosen(race_id), token)
    for seed in range(len(race.spec.seeds)):
        found = [(race, arm, runs[seed]) for arm, runs in enumerate(race.members) if runs[seed].steps_available()]
        if found:
            return found
    raise ValueError("The models of this race were not kept, only their curves. Run it again to train them.")


SHOW = page_function("race, visitor", "view.makeQuestion(visitor, null, { race: race ?? '' })")


def wire(tab: RaceTab, services: Services, visitor: gr.BrowserState) -> list[Any]:
    """Connect the controls; returns events after which another race is shown."""
    shown = [tab.race, tab.view]
    form = tab.form
    inputs: set[gr.blocks.Block] = {visitor, *form.inputs}
    wire_text_choice(form.text, services, form.train["corpus_bytes"], MAX_BYTES)

    def start(spec: Any) -> Any:
        def handler(s: Services, data: Mapping[Any, Any]) -> Any:
            own = race_form.brought_text(s, form, data)
            return begin(s, spec(form, data), own, data[visitor], data[form.text.upload])

        return services.bind(handler)

    begun = [
        form.recipes[name].click(
            start(partial(race_form.recipe_spec, name)), inputs, shown,
            show_progress="minimal", show_progress_on=form.waiting, concurrency_limit=4, api_visibility="private",
        )
        for name in RECIPES
    ]  # fmt: skip
    begun.append(
        form.start.click(
            start(race_form.own_spec), inputs, shown, show_progress="minimal", show_progress_on=form.preview,
            concurrency_limit=4, api_visibility="private",
        )
    )  # fmt: skip
    begun.append(
        tab.again.click(
            services.bind(again), [tab.race, visitor], shown, show_progress="minimal", show_progress_on=tab.race,
            concurrency_limit=4, api_visibility="private",
        )
    )  # fmt: skip
    chosen = tab.race.input(None, [tab.race, visitor], tab.view, js=SHOW, **QUIET)
    for action in ("pause", "resume", "stop"):
        handler = services.bind(lambda s, race_id, token, action=action: act(s, action, race_id, token))
        getattr(tab, action).click(handler, [tab.race, visitor], tab.view, **QUIET)
    controls = [*(getattr(tab, name) for name in BUTTONS), tab.naming, tab.owning, tab.new_name]
    tab.view.moved(services.bind(moved), [tab.race, visitor], controls, trigger_mode="always_last", **QUIET)
    changed = [form.own, form.text.pasted, *form.settings]
    tab.change.click(
        services.bind(lambda s, race_id, token: change(s, form, race_id, token)), [tab.race, visitor], changed, **QUIET,
    )  # fmt: skip
    tab.rename.click(services.bind(rename), [tab.race, tab.new_name, visitor], shown, **QUIET)
    tab.share.click(services.bind(share), [tab.race, visitor], None, **QUIET)
    tab.delete.click(services.bind(delete), [tab.race, visitor], shown, **QUIET)
    form.add.click(
        services.bind(lambda _, arms, start_from, change, to: race_form.add_arm(arms, start_from, change, to)),
        [form.arms, form.start_from, form.change, form.to], [form.arms, form.start_from], **QUIET,
    )  # fmt: skip
    gr.on(
        [form.change.input, form.start_from.input], race_form.offer, [form.start_from, form.change], form.to, **QUIET,
    )  # fmt: skip
    settings: set[gr.blocks.Block] = {*form.settings}
    form.budget.input(partial(race_form.usual_amount, form), settings, form.amount, **QUIET)
    gr.on(
        [control.change for control in form.settings],  # type: ignore[attr-defined]
        partial(race_form.preview, form), form.settings, [form.waiting, form.preview], trigger_mode="always_last", **QUIET,
    )  # fmt: skip
    return [*begun, chosen]
