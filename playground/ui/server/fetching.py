"""Nothing is fetched from an address that a visitor names.

Gradio does it in two places: for a value of any component that says it is a file with an http address, and for
``/gradio_api/file=http…``. It asks public addresses only, but that makes the app anybody's proxy, for any amount of data,
and even a private address is looked up at a public name server first. Here files are uploaded; texts and models of the Hub
are asked for by name (`data.hub`, `interchange.hub`), at its own hosts.
"""

from __future__ import annotations

from typing import Any, NoReturn

import safehttpx

from playground.ui.services import to_gr_error

REFUSED = "Files are uploaded here, not fetched from an address. Upload the file itself."


def fetch_nothing() -> None:
    """Refuse, from now on and in this process, every request that Gradio would make for a visitor."""

    async def refuse(*_: Any, **__: Any) -> NoReturn:
        raise to_gr_error(ValueError(REFUSED))

    safehttpx.get = refuse  # what a component's file comes through
    safehttpx.async_validate_url = refuse  # what `file=` asks first
