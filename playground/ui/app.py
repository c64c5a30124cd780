"""The page as a whole: header, tabs, and the few events that cross tabs."""

from __future__ import annotations

from functools import partial
from typing import Any

import gradio as gr
from starlette.middleware import Middleware

from playground.ui import endpoints
from playground.ui.components import status_pill
from playground.ui.early import EarlyScript
from playground.ui.picker import QUIET
from playground.ui.services import Services
from playground.ui.tabs import attention, compare, sample, streaming, train
from playground.ui.theme import CSS_PATH, THEME, head_html

TITLE = "LLM Playground"
BRAND = f"# {TITLE}\nTrain a small language model. Watch it learn. Take it apart."
TABS = ("train", "compare", "attention", "sample", "streaming")
# The token is a secret between this browser and the server, which knows only its hash. Gradio encrypts what it keeps in the
# browser with this key, so that it survives a restart; nothing hangs on the key being unknown.
BROWSER_KEY = "llm-playground"


def build_app(services: Services) -> gr.Blocks:
    """The app, ready to launch with `launch_options`."""
    with gr.Blocks(title=TITLE, analytics_enabled=False) as demo:
        visitor = gr.BrowserState("", storage_key="playground-visitor", secret=BROWSER_KEY)
        with gr.Row(elem_classes="pg-header"):
            gr.Markdown(BRAND, elem_classes="pg-brand")
            pill = status_pill(partial(endpoints.live, services), value={"visitor": ""}, elem_id="pill")
        with gr.Tabs(elem_id="tabs", selected="train") as tabs:
            built = {
                "train": train.build(services),
                "compare": compare.build(services),
                "attention": attention.build(services),
                "sample": sample.build(services),
                "streaming": streaming.build(services),
            }
        modules = {
            "train": train, "compare": compare, "attention": attention, "sample": sample, "streaming": streaming
        }  # fmt: skip
        for name, module in modules.items():
            module.wire(built[name], services, visitor)
        first: train.TrainTab = built["train"]  # type: ignore[assignment]
        demo.load(services.bind(arrive), visitor, [visitor, pill, tabs, first.run, first.view], **QUIET).then(
            partial(train.show_estimate, first), first.form, [first.estimate, first.changed], **QUIET
        )
    return demo


def arrive(services: Services, known: Any, request: gr.Request) -> tuple[Any, ...]:
    """A browser opens the page: it gets a token if it has none, and the tab and run that its address names."""
    token = services.token(known) if services.public else ""
    asked = dict(request.query_params) if request else {}
    tab = asked.get("tab") if asked.get("tab") in TABS else "train"
    return token, {"visitor": token}, gr.update(selected=tab), *train.arrive(services, token, asked.get("run", ""))


def queued(demo: gr.Blocks) -> gr.Blocks:
    """The app with its queue of events, which looks for new ones a hundred times a second.

    Gradio 6.31 looks a thousand times, which takes 4 % of a core from the training beside it, page open or not.
    """
    demo.queue(default_concurrency_limit=4, max_size=64)
    demo._queue.sleep_when_free = 0.01  # seconds
    return demo


def launch_options(services: Services) -> dict[str, Any]:
    """What `launch` needs for the page to look and behave as it should."""
    return {
        "theme": THEME,
        "css_paths": [CSS_PATH],
        "head": head_html(),
        "app_kwargs": {"middleware": [Middleware(EarlyScript)]},
        "ssr_mode": False,
        "run_history": False,
        "max_file_size": "40mb",
        "blocked_paths": [str(services.store.root), str(services.cache_dir)],
        "state_session_capacity": 200,
        "show_error": False,
        "footer_links": ["gradio", "settings"],
    }
