"""Signing in, if the host has enabled it (``hf_oauth: true`` on a Space): runs then belong to the account."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import gradio as gr

from playground.runs.queue.accounts import Accounts, hand_over
from playground.ui.services import TOKEN, Services


def accounts(services: Services) -> Accounts | None:
    """The source of accounts' tokens, or None without sign-in: locally, and without the required packages."""
    secret = services.hosting.account_secret
    if not services.public or not secret or find_spec("authlib") is None or find_spec("itsdangerous") is None:
        return None
    return Accounts(secret)


def build(services: Services) -> None:
    """The button in the header, if sign-in is enabled."""
    if accounts(services) is not None:
        gr.LoginButton("Sign in", "Sign out ({})", size="sm", elem_id="sign-in", min_width=100, scale=0)


def keep_private(demo: gr.Blocks) -> None:
    """Hide the endpoint of Gradio's login button from the API and from MCP tools."""
    for function in demo.fns.values():
        if getattr(function.fn, "__name__", "") == "_check_login_status":
            function.api_visibility = "private"


def token_of(services: Services, known: Any, profile: Mapping[str, Any] | None) -> str:
    """The browser's new token; `profile` is the signed-in user of the session, if any.

    Signing in moves the runs of this browser to the account. Signing out leaves them there and creates a new visitor.
    """
    if not services.public:
        return ""
    token, known_accounts = services.token(known), accounts(services)
    if known_accounts is None:
        return token
    account = profile.get("sub") if profile else None
    if not isinstance(account, str) or not account:
        return services.token("") if known_accounts.made(token) else token
    own = known_accounts.token(account)
    if isinstance(known, str) and TOKEN.fullmatch(known) and not known_accounts.made(known):
        hand_over(services.store, known, own)
    return own
