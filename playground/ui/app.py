"""The app as a whole: header, tabs, and events between tabs."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import gradio as gr
from gradio.utils import get_upload_folder
from starlette.middleware import Middleware

from playground.data.sources import MAX_FILE_BYTES
from playground.ui import allowance, door, endpoints, links, scripts
from playground.ui.api import add_api
from playground.ui.compare import compare_tab, race_form, race_tab
from playground.ui.components import component
from playground.ui.data import batch_tab, tokenizer_tab
from playground.ui.desk import desk_routes
from playground.ui.forms import read_form
from playground.ui.inside import attention_tab, inside_tab
from playground.ui.picker import QUIET
from playground.ui.sample import sample_tab, streaming_tab
from playground.ui.server import accounts, health, preload
from playground.ui.server.addresses import Addresses
from playground.ui.server.connections import MOST, FairThreads, OpenRequests
from playground.ui.server.delivery import Delivery
from playground.ui.server.early import EarlyScript
from playground.ui.server.fetching import fetch_nothing
from playground.ui.server.guard import RequestGuard
from playground.ui.server.logins import LoginThrottle, MembersOnly
from playground.ui.server.outputs import json_safe_outputs
from playground.ui.server.sessions import describe_once
from playground.ui.server.uploads import Uploads
from playground.ui.services import Services
from playground.ui.session_files import EndOfSession
from playground.ui.text_card import read_text_source
from playground.ui.theme import CSS_PATH, THEME, head_html
from playground.ui.train import assignment_card, run_actions, train_tab, your_data

TITLE = "LLM Playground"
BRAND = f"# {TITLE}\nTrain a small language model. Watch it learn. Take it apart."
TABS: dict[str, ModuleType] = {  # from left to right; each has a `build` and a `wire`
    "train": train_tab, "batch": batch_tab, "tokenizer": tokenizer_tab, "compare": compare_tab, "attention": attention_tab,
    "inside": inside_tab, "sample": sample_tab, "streaming": streaming_tab,
}  # fmt: skip
# The token is a secret between this browser and the server, which knows only its hash. Gradio encrypts what it keeps in the
# browser with this key, so that it survives a restart; the key need not be secret.
BROWSER_KEY = "llm-playground"
FIRST_SCRIPTS = ("components/status_pill.js", "components/link_box.js", "components/live_run.js")  # of an opening page


def build_app(services: Services) -> gr.Blocks:
    """The app, ready to launch with `launch_options`."""
    fetch_nothing()
    with gr.Blocks(title=TITLE, analytics_enabled=False, delete_cache=(3600, 3600)) as demo:
        visitor = gr.BrowserState("", storage_key="playground-visitor", secret=BROWSER_KEY)
        with gr.Row(elem_classes="pg-header"):
            gr.Markdown(BRAND, elem_classes="pg-brand")
            pill = component(
                "status_pill", live=partial(endpoints.live, services), value={"visitor": ""}, elem_id="pill"
            )
            link = component("link_box", elem_id="link")
            accounts.build(services)
        at_door = door.build(services)
        with gr.Tabs(elem_id="tabs", selected="train", overflow_behavior="wrap") as tabs:
            built = {name: module.build(services) for name, module in TABS.items()}
        for name, module in TABS.items():
            module.wire(built[name], services, visitor)
        _wire_duel(built["tokenizer"], built["compare"], services, visitor, tabs)
        _wire_numerics(built["train"], built["compare"], services, visitor, tabs)
        first: train_tab.TrainTab = built["train"]
        lens: batch_tab.BatchTab = built["batch"]
        first.text.batch.click(
            services.bind(lambda s, data: see_batch(s, first, lens, data)), {*first.inputs, lens.number},
            [tabs, lens.view, lens.of], show_progress="minimal", concurrency_limit=2, api_visibility="private",
        )  # fmt: skip
        race: compare_tab.CompareTab = built["compare"]
        shown = [visitor, pill, tabs, first.run, first.view, race.race.race, race.race.view]
        form = race.race.form
        hosts = [
            first.allowance.words, first.allowance.host, first.yours.words, *at_door.all, *first.assignment.all,
            *form.model.values(), *form.train.values(),
        ]  # fmt: skip

        def opened(
            services: Services, known: Any, request: gr.Request, profile: gr.OAuthProfile | None
        ) -> tuple[Any, ...]:
            query = dict(request.query_params) if request else {}
            token, *page = arrive(services, accounts.token_of(services, known, profile), query)
            now = [
                *allowance.opened(services), your_data.stored_words(services),
                *door.shown(services, token, query.get("class", "")),
                *assignment_card.opened(services, query.get("assignment"), token),
                *allowance.opened_forms(services, form.model, form.train),
            ]  # fmt: skip
            return token, *page, *now, *links.open_link(services, built, query, token)

        demo.load(services.bind(opened), visitor, [*shown, *hosts, *links.opened_controls(built)], **QUIET).then(
            partial(train_tab.show_estimate, services, first), first.form, [first.estimate, first.changed], **QUIET
        )
        door.wire(at_door, services, visitor)
        links.wire(link, built, services, visitor)
        add_api(services)
    accounts.keep_private(demo)
    return describe_once(json_safe_outputs(demo))


def _wire_duel(
    lab: tokenizer_tab.TokenizerTab,
    table: compare_tab.CompareTab,
    services: Services,
    visitor: gr.BrowserState,
    tabs: gr.Tabs,
) -> None:
    """Show a started tokenizer comparison on the Compare tab."""
    queued = lab.start.click(
        services.bind(tokenizer_tab.start_duel), [visitor, lab.corpus, *lab.duel], [lab.started, lab.why],
        show_progress="minimal", concurrency_limit=2, api_visibility="private",
    )  # fmt: skip
    queued.success(services.bind(show_started), [lab.started, visitor], [tabs, table.parts, table.runs], **QUIET)


def _wire_numerics(
    form: train_tab.TrainTab, table: compare_tab.CompareTab, services: Services, visitor: gr.BrowserState, tabs: gr.Tabs
) -> None:
    """*Compare numerics* starts a race of the Train tab's configuration and shows it on the Compare tab."""
    form.numerics.click(
        services.bind(lambda s, data: start_numerics(s, form, data, data[visitor])), {visitor, *form.inputs},
        [tabs, table.parts, table.race.race, table.race.view],
        show_progress="minimal", concurrency_limit=2, api_visibility="private",
    )  # fmt: skip


def start_numerics(
    services: Services, form: train_tab.TrainTab, data: Mapping[Any, Any], token: str
) -> tuple[Any, ...]:
    """The Compare tab with the race that has begun. Raises ValueError."""
    spec = train_tab.numerics_spec(form, data)
    own = race_form.text_for_all(services, read_text_source(form.text, data), data[form.train["corpus_bytes"]])
    shown = race_tab.begin(services, spec, own, token, data[form.text.upload])
    return gr.update(selected="compare"), gr.update(selected="races"), *shown


def show_started(services: Services, run_ids: list[str], token: str) -> tuple[Any, Any, Any]:
    """The Compare tab with these runs."""
    chosen = gr.update(choices=services.choices(token), value=run_ids)
    return gr.update(selected="compare"), gr.update(selected="runs"), chosen


def arrive(services: Services, token: str, query: Mapping[str, str]) -> tuple[Any, ...]:
    """A browser opens the page: its token, and the tab, run and race that its address names."""
    tab = query.get("tab") if query.get("tab") in TABS else "train"
    run, race = (
        run_actions.arrive(services, token, query.get("run", "")),
        race_tab.arrive(services, token, query.get("race", "")),
    )
    # The page is laid out with the first tab: nothing to update, which could take back a click while the page opens.
    selected = gr.update(selected=tab) if tab != next(iter(TABS)) else gr.skip()
    return token, {"visitor": token}, selected, *run, *race


def see_batch(
    services: Services, form: train_tab.TrainTab, lens: batch_tab.BatchTab, data: Mapping[Any, Any]
) -> tuple[Any, ...]:
    """The Batch tab, with a batch of the text that the Train tab's form describes."""
    model, settings = read_form(form.model, data), read_form(form.train, data)
    source = read_text_source(form.text, data)
    imported = train_tab.imported_tokenizer(form, data)
    shown = batch_tab.show_text(services, source, model, settings, data[lens.number], imported)
    return gr.update(selected="batch"), shown, "text"


def launch_options(services: Services, addresses: Addresses | None = None, connections: int = MOST) -> dict[str, Any]:
    """The arguments of `launch`, for an app that has these addresses (those of this machine only unless given) and accepts
    this many connections."""
    hosting = services.hosting
    addresses = addresses or Addresses.of(hosting)
    first = tuple(f"./{scripts.address(name)}" for name in scripts.with_imports(*FIRST_SCRIPTS))
    uploads = Uploads(Path(get_upload_folder())) if services.public else None
    return {
        "theme": THEME,
        "css_paths": [CSS_PATH],
        "head": head_html(),
        "app_kwargs": {
            "middleware": [
                Middleware(RequestGuard, uploads=uploads, addresses=addresses),
                *([Middleware(OpenRequests, most=connections)] if services.public else []),
                *([Middleware(FairThreads)] if services.public else []),
                *([Middleware(EndOfSession, files=services.files)] if services.public else []),
                *([Middleware(MembersOnly)] if hosting.password else []),
                *([Middleware(LoginThrottle)] if hosting.password or hosting.host_password else []),
                Middleware(Delivery),
                Middleware(EarlyScript, scripts=first),
            ],
            "openapi_url": None,  # a list of all routes; `gradio_api/openapi.json` lists the public endpoints
            "routes": [
                *scripts.routes(),
                *preload.routes(),
                *health.routes(services),
                *your_data.routes(services),
                *desk_routes.routes(services),
            ],
        },
        "mcp_server": find_spec("mcp") is not None,  # the endpoints of `api` as tools for agents: the extra "mcp"
        "ssr_mode": False,
        "run_history": False,
        "max_file_size": "40mb" if services.public else MAX_FILE_BYTES,
        "blocked_paths": [str(services.store.root), str(services.cache_dir)],
        "state_session_capacity": 200,
        "show_error": False,
        "footer_links": ["api", "gradio", "settings"],
        # Gradio requests its own page and raises if that takes three seconds, which on a busy machine would end the app.
        # The option does nothing else (gradio 6.31, Blocks.launch).
        "_frontend": False,
        **access(services),
    }


def access(services: Services) -> dict[str, Any]:
    """Gradio's login page, if the host has set a password; any user name is accepted."""
    password = services.hosting.password
    if not password:
        return {}

    def knows(name: str, given: str) -> bool:
        return secrets.compare_digest(given.encode("utf-8", "surrogatepass"), password.encode())

    return {"auth": knows, "auth_message": "Any name, and the password from the host."}
