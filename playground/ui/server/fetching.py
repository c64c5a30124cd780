"""Disables fetching of addresses sent by visitors (SSRF).

Gradio fetches in two places: for component values that are files with an http address, and for
``/gradio_api/file=http…``. It only allows public addresses, but that makes the app an open proxy without a size limit, and
even private addresses are first resolved by a public name server. Here files are uploaded, and datasets and models of the
Hub are requested by name (`data.hub`, `interchange.hub`) from its hosts.
"""

from __future__ import annotations

from typing import Any, NoReturn

import safehttpx

from playground.ui.services import to_gr_error

REFUSED = "Files are uploaded here, not fetched from an address. Upload the file itself."


def fetch_nothing() -> None:
    """Reject all requests that Gradio would make for visitors, in this process."""

    async def refuse(*_: Any, **__: Any) -> NoReturn:
        raise to_gr_error(ValueError(REFUSED))

    safehttpx.get = refuse  # used for files of components
    safehttpx.async_validate_url = refuse  # used by `file=`
