"""Signing in, where the host has switched it on (``hf_oauth: true`` on a Space): runs then follow the account."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from typing import Any

import gradio as gr

from playground.runs.queue.accounts import Accounts, hand_over
from playground.ui.services import TOKEN, Services


def accounts(services: Services) -> Accounts | None:
    """Where tokens of accounts come from, or None where nobody signs in: locally, and without the libraries for it."""
    secret = services.hosting.account_secret
    if not services.public or not secret or find_spec("authlib") is None or find_spec("itsdangerous") is None:
        return None
    return Accounts(secret)


def build(services: Services) -> None:
    """The button in the header, where there is an account to sign in to."""
    if accounts(services) is not None:
        gr.LoginButton("Sign in", "Sign out ({})", size="sm", elem_id="sign-in", min_width=100, scale=0)


def keep_private(demo: gr.Blocks) -> None:
    """What Gradio's button asks when a page opens is no endpoint for programs, and no tool for agents."""
    for function in demo.fns.values():
        if getattr(function.fn, "__name__", "") == "_check_login_status":
            function.api_visibility = "private"


def token_of(services: Services, known: Any, profile: Mapping[str, Any] | None) -> str:
    """The token that a browser keeps from now on; `profile` is what the host's session says of who is signed in.

    Who signs in takes the runs of this browser along. Who signs out leaves them with the account and is nobody again.
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
