"""Endpoints of the view of a race."""

from __future__ import annotations

from typing import Any

from playground.races.payload import race_news
from playground.ui.compare import report
from playground.ui.endpoints import waiting
from playground.ui.json_endpoints import Answer, json_endpoint
from playground.ui.services import Services


@json_endpoint
def race(services: Services, asked: dict[str, Any]) -> Answer:
    """What has changed in a race: ``{"visitor", "race", "cursor"}`` -> as `races.payload.race_news` says."""
    found = services.race(asked.get("race"), asked.get("visitor"))
    news = race_news(found, services.curves, asked.get("cursor"))
    place = waiting(services, found.id)
    return {**news, "message": f"Waiting, {place}."} if place else news


@json_endpoint
def race_file(services: Services, asked: dict[str, Any]) -> Answer:
    """A race as a file to download: ``{"visitor", "race", "kind"}`` -> ``{"name", "type", "text"}``."""
    kind = asked.get("kind")
    if kind not in report.KINDS:
        raise ValueError(f"A race can be saved as {', '.join(report.KINDS)}.")
    return report.race_file(services.race(asked.get("race"), asked.get("visitor")), services.curves, str(kind))
