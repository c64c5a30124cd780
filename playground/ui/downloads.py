"""Archives as downloads."""

from __future__ import annotations

from collections.abc import Iterator

from starlette.responses import Response, StreamingResponse


def zip_response(blocks: Iterator[bytes], name: str) -> Response:
    """An archive as a download that no cache keeps; `blocks` are its bytes as they are made."""
    headers = {"cache-control": "no-store", "content-disposition": f'attachment; filename="{name}"'}
    return StreamingResponse(blocks, media_type="application/zip", headers=headers)
