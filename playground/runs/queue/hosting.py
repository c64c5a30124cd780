"""Hosting options (local, public, classroom) from environment variables, documented in docs/hosting.md.

An invalid value stops the app at startup, so that no limit is silently missing.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from playground.runs.limits import CLASSROOM, LOCAL, PUBLIC, Limits
from playground.runs.store.names import checked_name

PREFIX = "PLAYGROUND_"
KEEP_DAYS = 14.0
CODE_LENGTH = 40  # characters of a class code
# Set on a Space whose README has `hf_oauth: true`. Elsewhere Gradio's login button would fail at startup.
SIGN_IN = ("OAUTH_CLIENT_ID", "OAUTH_CLIENT_SECRET", "OAUTH_SCOPES", "OPENID_PROVIDER_URL")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
LOOPBACK = tuple(map(ipaddress.ip_network, ("127.0.0.0/8", "::1/128")))
# A Space is reached only through the proxies of Hugging Face, which have private addresses.
PRIVATE = (
    *LOOPBACK,
    *map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7")),
)
HOST_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
SITE = re.compile(r"https?://[a-z0-9*][a-z0-9.-]*(:(\d+|\*))?")


@dataclass(frozen=True)
class Hosting:
    """The host's options. `public`: visitors see only their own runs."""

    public: bool = False
    limits: Limits = LOCAL
    pinned: tuple[str, ...] = ()  # ids or names of reference runs that come first in all lists
    password: str = field(default="", repr=False)  # required to open the page
    host_password: str = field(default="", repr=False)  # unlocks training if only the host can train
    keep_days: float | None = None  # unused runs are deleted after this time, unless they are shared
    archive: Path | None = None  # ended runs are copied there
    account_secret: str = field(
        default="", repr=False
    )  # of a Space with sign-in; tokens of accounts are derived from it
    class_code: str = ""  # visitors who give it are asked for their name, which the host sees
    hosts: tuple[str, ...] = ()  # names that the app answers to, besides those of this machine
    proxies: tuple[Network, ...] = ()  # whose forwarded headers are believed
    frames: tuple[str, ...] = ()  # sites that may show the page in a frame

    @classmethod
    def read(cls, environment: Mapping[str, str], public: bool | None = None) -> Hosting:
        """Read environment variables. `public` is the command line's option, if given. Raises ValueError."""
        said = {name: environment.get(PREFIX + name, "").strip() for name in VARIABLES}
        for name in ("PASSWORD", "HOST_PASSWORD"):
            if environment.get(PREFIX + name) and not said[name]:
                raise ValueError(f"{PREFIX}{name} is nothing but blanks. Set a password, or remove the variable.")
        classroom = _yes("CLASSROOM", said["CLASSROOM"])
        if public is None:
            public = classroom or _yes("PUBLIC", said["PUBLIC"]) or bool(environment.get("SPACE_ID"))
        base = CLASSROOM if classroom else PUBLIC if public else LOCAL
        changes: dict[str, Any] = {
            item.name: _number(item.name.upper(), said[item.name.upper()], whole="int" in str(item.type))
            for item in _numeric()
            if said[item.name.upper()]
        }
        changes |= {"trainers": said["TRAIN"]} if said["TRAIN"] else {}
        changes |= {"frozen": _names(said["FROZEN"])} if said["FROZEN"] else {}
        try:
            limits = replace(base, **changes)
        except ValueError as error:
            name, _, rest = str(error).partition(" ")
            raise ValueError(f"{PREFIX}{'TRAIN' if name == 'trainers' else name.upper()} {rest}") from None
        if limits.trainers == "owner" and not said["HOST_PASSWORD"]:
            raise ValueError(f"{PREFIX}TRAIN=owner needs {PREFIX}HOST_PASSWORD, so that you can prove to be the owner.")
        keep = (
            _number("KEEP_DAYS", said["KEEP_DAYS"], whole=False)
            if said["KEEP_DAYS"]
            else (KEEP_DAYS if public else None)
        )
        archive = Path(said["ARCHIVE"]).expanduser().absolute() if said["ARCHIVE"] else None
        signs_in = environment.get("SYSTEM") == "spaces" and all(environment.get(name) for name in SIGN_IN)
        secret = environment.get("OAUTH_CLIENT_SECRET", "") if signs_in else ""
        return cls(
            public, limits, _names(said["PINNED"], ";"), said["PASSWORD"], said["HOST_PASSWORD"], keep, archive, secret,
            checked_class_code(said["CLASS_CODE"], f"{PREFIX}CLASS_CODE"), **_addresses(said, environment),
        )  # fmt: skip


def _numeric() -> list[Any]:
    return [item for item in fields(Limits) if "help" in item.metadata]


# What a host can set, without the prefix: the switches, and every numeric field of `Limits` in capitals.
VARIABLES: tuple[str, ...] = (
    "PUBLIC", "CLASSROOM", "TRAIN", "HOST_PASSWORD", "PASSWORD", "FROZEN", "PINNED", "KEEP_DAYS", "ARCHIVE", "CLASS_CODE",
    "HOSTS", "PROXIES", "FRAMES",
    *(item.name.upper() for item in _numeric()),
)  # fmt: skip


def checked_class_code(text: object, what: str) -> str:
    """A class code as it is kept; empty for none. Raises ValueError."""
    return "" if text in ("", None) else checked_name(text if isinstance(text, str) else "", CODE_LENGTH, what)


def _addresses(said: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, Any]:
    """The fields `hosts`, `proxies` and `frames`. A Space has defaults for all of them."""
    on_space = bool(environment.get("SPACE_ID"))
    hosts = _names(said["HOSTS"].lower())
    for name in hosts:
        if not HOST_NAME.fullmatch(name):
            raise ValueError(
                f"{PREFIX}HOSTS must have host names without port, separated by commas; {name[:60]!r} is none."
            )
    frames = _names(said["FRAMES"].lower())
    for site in frames:
        if not SITE.fullmatch(site):
            raise ValueError(f"{PREFIX}FRAMES must have sites like https://example.org; {site[:60]!r} is none.")
    try:
        proxies = tuple(map(ipaddress.ip_network, _names(said["PROXIES"])))
    except ValueError as error:
        raise ValueError(f"{PREFIX}PROXIES must have IP addresses or networks: {error}.") from None
    if on_space:
        hosts += _names(environment.get("SPACE_HOST", "").lower())
        frames += ("https://huggingface.co",)
    return {"hosts": hosts, "proxies": proxies or (PRIVATE if on_space else ()), "frames": frames}


def _yes(name: str, text: str) -> bool:
    known = {"": False, "0": False, "no": False, "false": False, "1": True, "yes": True, "true": True}
    if text.lower() not in known:
        raise ValueError(f"{PREFIX}{name} must be 1 or 0; {text[:40]!r} is neither.")
    return known[text.lower()]


def _number(name: str, text: str, whole: bool) -> float | None:
    """A number above 0; "none" lifts the limit."""
    if text.lower() == "none":
        return None
    try:
        value = int(text) if whole else float(text)
    except ValueError:
        value = 0
    if not 0 < value < 1e15:
        kind = "whole number" if whole else "number"
        raise ValueError(f"{PREFIX}{name} must be a {kind} above 0, or none; {text[:40]!r} is not.")
    return value


def _names(text: str, between: str = ",") -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(between) if name.strip())
