"""How visitors share the places of Gradio's event queue.

A lane is a handler, or several that share a limit of how many of their events run at once. In each lane a visitor and a
network have only a part of the places, also of those to wait in, and the next event is one of the visitor with the fewest
running there. So no visitor can fill a lane alone, and a full lane delays no other.
"""

from __future__ import annotations

import math
import random
import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import gradio as gr
from gradio.context import LocalContext
from gradio.queueing import Event, EventQueue, Queue

from playground.config import counted
from playground.runs.queue.client_networks import network_of
from playground.ui.services import TOKEN

NO_LIMIT = 24  # places of a lane without a limit, of which everybody has a part
SHARE_SECONDS = 30.0  # a long text ends after this time if others wait
Waiting = tuple[list[Event], bool, str]


class Sender(NamedTuple):
    """Who sent an event: a browser by its token, else its page; and its network, or its address if that is not public."""

    visitor: str
    network: str


@dataclass(frozen=True)
class Most:
    """Limits of one visitor, one network and everybody together."""

    visitor: int
    network: int
    all: int


RUNNING = Most(8, 30, 40)  # in all lanes; Gradio runs 40 events at once
WAITING = Most(24, 128, 256)  # in all lanes
LANE_WAITING = Most(4, 24, 32)  # in one lane


def lane_running(limit: int | None) -> Most:
    """How many events of a lane can run."""
    places = NO_LIMIT if limit is None else limit
    return Most(max(1, places // 4), math.ceil(0.75 * places), places)


class FairQueue:
    """Decides for a Gradio queue which events wait and which one is next."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._senders: WeakKeyDictionary[Event, Sender] = WeakKeyDictionary()
        self._started: WeakKeyDictionary[Event, float] = WeakKeyDictionary()

    def refusal(self, fn: Any, body: Any, request: Any) -> str:
        """Why another event cannot wait, in a sentence; empty if it can."""
        lane = self._lanes.get(fn.concurrency_id)
        me = sender_of(fn, body, request)
        for events, most in (
            (lane.queue if lane else [], LANE_WAITING),
            ([event for each in self._lanes.values() for event in each.queue], WAITING),
        ):
            senders = [self._sender(event) for event in events]
            # Never more than are free: a few visitors who take all they can must leave places for others.
            own = sum(each.visitor == me.visitor for each in senders)
            if own and own >= min(most.visitor, most.all - len(events)):
                return f"You already have {counted(own, 'request')} waiting here. Wait until one of them ends."
            if sum(each.network == me.network for each in senders) >= most.network:
                return f"{most.network} requests from your network already wait here. Try again in a moment."
            if len(events) >= most.all:
                return f"{most.all} requests already wait here. Try again in a moment."
        return ""

    def next(self) -> Waiting | None:
        """Replaces ``Queue.get_events``: takes the next event off its lane."""
        running = self._running()
        everywhere = _counts(self._sender(event) for event in running)
        lanes = list(self._lanes.items())
        random.shuffle(lanes)
        for name, lane in lanes:
            if lane.queue and (lane.concurrency_limit is None or lane.current_concurrency < lane.concurrency_limit):
                here = _counts(self._sender(event) for event in running if event.concurrency_id == name)
                event = self._first(lane, here, everywhere)
                if event is not None:
                    lane.queue.remove(event)
                    self._started[event] = time.monotonic()
                    return [event], False, name
        return None

    def must_end(self, event_id: str) -> bool:
        """Whether an event has had its share of time, and its place is needed for another visitor's."""
        event = self._queue.event_ids_to_events.get(event_id)
        lane = None if event is None else self._lanes.get(event.concurrency_id)
        if event is None or lane is None or lane.concurrency_limit is None:
            return False
        if time.monotonic() - self._started.get(event, math.inf) < SHARE_SECONDS:
            return False
        me = self._sender(event).visitor
        needed = len({self._sender(each).visitor for each in list(lane.queue)} - {me})
        free = lane.concurrency_limit - lane.current_concurrency
        began = self._started[event]
        earlier = sum(
            self._started.get(e, math.inf) < began for e in self._running() if e.concurrency_id == event.concurrency_id
        )
        return earlier < needed - free

    @property
    def _lanes(self) -> dict[str, EventQueue]:
        return self._queue.event_queue_per_concurrency_id

    def _running(self) -> list[Event]:
        return [event for job in list(self._queue.active_jobs) if job is not None for event in job]

    def _first(self, lane: EventQueue, here: Counter[str], everywhere: Counter[str]) -> Event | None:
        """The first of the events whose visitor, and then whose network, has the fewest running in the lane."""
        most, chosen, best = lane_running(lane.concurrency_limit), None, (math.inf, math.inf)
        for event in lane.queue:
            visitor, network = self._sender(event)
            if here[visitor] >= most.visitor or here[network] >= most.network:
                continue
            if everywhere[visitor] >= RUNNING.visitor or everywhere[network] >= RUNNING.network:
                continue
            if (rank := (here[network], here[visitor])) < best:
                chosen, best = event, rank
        return chosen

    def _sender(self, event: Event) -> Sender:
        if event not in self._senders:
            self._senders[event] = sender_of(event.fn, event.data, event.request)
        return self._senders[event]


def _counts(senders: Iterable[Sender]) -> Counter[str]:
    return Counter(key for sender in senders for key in sender)


def sender_of(fn: Any, body: Any, request: Any) -> Sender:
    """Who sent an event."""
    address = str(request.client.host) if request is not None and request.client is not None else ""
    values = body.data if body is not None and isinstance(body.data, list) else []
    tokens = [value for block, value in zip(fn.inputs, values, strict=False) if isinstance(block, gr.BrowserState)]
    token = next((each for each in tokens if isinstance(each, str) and TOKEN.fullmatch(each)), None)
    page = body.session_hash if body is not None else None
    return Sender(f"visitor {token or page or address}", f"network {network_of(address) or address}")


_QUEUES: WeakKeyDictionary[gr.Blocks, FairQueue] = WeakKeyDictionary()


def share_fairly(demo: gr.Blocks) -> FairQueue:
    """Let a `FairQueue` decide for the queue of an app."""
    _QUEUES[demo] = fair = FairQueue(demo._queue)
    demo._queue.get_events = fair.next  # type: ignore[method-assign]
    return fair


def must_end() -> bool:
    """Whether the handler that this thread runs should end, because it has run for `SHARE_SECONDS` and others wait."""
    demo, event_id = LocalContext.blocks.get(None), LocalContext.event_id.get(None)
    fair = None if demo is None else _QUEUES.get(demo)
    return fair is not None and event_id is not None and fair.must_end(event_id)
