"""A handler knows from which network its request came, and no header of the visitor's changes that."""

from __future__ import annotations

from collections.abc import Iterator
from ipaddress import ip_network

import gradio as gr
import pytest
from gradio_client import Client
from starlette.middleware import Middleware

from playground.runs.queue.hosting import LOOPBACK, Hosting
from playground.ui.client_network import client_network
from playground.ui.server.addresses import Addresses
from playground.ui.server.guard import RequestGuard
from playground.ui.services import show_errors


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    def where() -> str:
        return str(client_network())

    def slowly() -> Iterator[str]:
        yield "…"
        yield str(client_network())

    with gr.Blocks(analytics_enabled=False) as demo:
        gr.api(show_errors(where), api_name="where")  # type: ignore[attr-defined]
        shown = gr.Textbox()
        gr.Button().click(show_errors(slowly), None, shown, api_name="slowly")
    addresses = Addresses.of(Hosting(proxies=(*LOOPBACK, *map(ip_network, ("10.0.0.0/8",)))))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FORWARDED_ALLOW_IPS", "")  # as `cli.serve.prepare_process` does
        _, url, _ = demo.queue().launch(
            prevent_thread_lock=True, quiet=True, ssr_mode=False,
            app_kwargs={"middleware": [Middleware(RequestGuard, addresses=addresses)]},
        )  # fmt: skip
    yield url
    demo.close()


@pytest.mark.parametrize(
    ("headers", "network"),
    [
        ({}, "None"),  # of this machine itself
        ({"x-forwarded-for": "8.8.4.4"}, "8.8.4.4"),  # through a proxy on this machine
        ({"x-forwarded-for": "1.1.1.1, 8.8.4.4"}, "8.8.4.4"),
        ({"x-forwarded-for": "1.1.1.1, 8.8.4.4, 10.0.0.3"}, "8.8.4.4"),
        ({"x-forwarded-for": "nonsense", "x-real-ip": "1.1.1.1", "forwarded": "for=1.1.1.1"}, "None"),
    ],
)
def test_buttons_and_endpoints_know_the_network(url: str, headers: dict[str, str], network: str) -> None:
    client = Client(url, verbose=False, analytics_enabled=False, headers=headers)
    assert client.predict(api_name="/where") == network
    assert client.predict(api_name="/slowly") == network


def test_without_a_request_there_is_none() -> None:
    assert client_network() is None
