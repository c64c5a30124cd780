"""Endpoints of the view of a race."""

from __future__ import annotations

from typing import cast

from playground.races.payload import race_news
from playground.ui.compare import report
from playground.ui.components.contracts.training import FileAnswer, RaceAnswer
from playground.ui.endpoints import waiting
from playground.ui.json_endpoints import Request, json_endpoint
from playground.ui.services import Services


@json_endpoint
def race(services: Services, request: Request) -> RaceAnswer:
    """What has changed in a race: ``{"visitor", "race", "cursor"}`` -> as `races.payload.race_news` says."""
    found = services.race(request.get("race"), request.get("visitor"))
    news = cast(RaceAnswer, race_news(found, services.curves, request.get("cursor")))
    place = waiting(services, found.id)
    return {**news, "message": f"Waiting, {place}."} if place else news


@json_endpoint
def race_file(services: Services, request: Request) -> FileAnswer:
    """A race as a file to download: ``{"visitor", "race", "kind"}`` -> ``{"name", "type", "text"}``."""
    kind = request.get("kind")
    if kind not in report.KINDS:
        raise ValueError(f"A race can be saved as {', '.join(report.KINDS)}.")
    return cast(
        FileAnswer,
        report.race_file(services.race(request.get("race"), request.get("visitor")), services.curves, str(kind)),
    )
