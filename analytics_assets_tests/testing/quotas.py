"""A pace against the sample API's quotas, in simulated time."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any

from requests.structures import CaseInsensitiveDict

from analytics_assets.api.announced import Quota, announced
from analytics_assets.api.pace import Pace
from analytics_assets.sample_api import Behaviour
from analytics_assets.sample_api.limits import Limits
from analytics_assets.sample_api.responses import quota_headers

_WORKERS = 64
_LATENCY = 0.05
_REFUSAL = 0.005


@dataclass
class Clock:
    """Stands in for `time`: hours of a quota pass in milliseconds.

    Attributes:
        now: The time.
        sleep_hook: What happens while somebody sleeps.
    """

    now: float = 0.0
    sleep_hook: Callable[[], None] | None = None

    def monotonic(self) -> float:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Lets it pass."""
        if self.sleep_hook is not None:
            self.sleep_hook()
        self.now += seconds


@dataclass
class Simulation:
    """Workers that send `total` requests, of which none is refused for good.

    Attributes:
        clock: What the pace takes for `time`.
        behaviour: The API's; its quota may change.
        total: Requests that are to be answered.
        retry_after: What a refusal asks for; None for what the API asks for, in whole seconds.
        jitter: Requests take up to that many seconds to arrive.
        sent: When requests arrived, and whether they were admitted.
    """

    clock: Clock
    behaviour: Behaviour
    total: int
    retry_after: float | None = None
    jitter: float = 0.0
    pace: Pace = field(default_factory=Pace)
    sent: list[tuple[float, bool]] = field(default_factory=list)

    def run(self) -> None:
        """Sends them all."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._limits = Limits(self.behaviour, self.clock.monotonic)
        self._random = random.Random(0)
        self._idle, self._sleeping, self._done = 1, False, 0
        self.started = self.clock.now
        self._send_what_may()
        self.go_on()

    def go_on(self) -> None:
        """Sends those by which the total has grown."""
        while self._done < self.total:
            moment, _, event = heapq.heappop(self._events)
            self.clock.now = max(self.clock.now, moment)
            event()

    @property
    def best(self) -> float:
        """The seconds that the quota allows at best: all that it admits is sent at once."""
        limits, now = Limits(self.behaviour, lambda: now), self.started
        for _ in range(self.total):
            while (wait := limits.admit(None)) is not None:
                now += wait + 1e-9
        return now - self.started

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.clock.now - self.started

    def refused(self, after: float = 0.0) -> int:
        """How many were refused that arrived later than so many seconds after the first."""
        return sum(not ok for moment, ok in self.sent if moment > self.started + after)

    def _after(self, delay: float, event: Callable[[], Any]) -> None:
        heapq.heappush(self._events, (self.clock.now + delay, next(self._order), event))

    def _send_what_may(self) -> None:
        while self._idle and not self._sleeping:
            delay = self.pace._next_slot_in()
            if delay > 0:
                self._sleeping = True
                self._after(min(delay, 0.02) + 1e-9, self._wake)
            else:
                self._idle -= 1
                delay = self._random.uniform(0, self.jitter)
                self._after(delay, partial(self._arrive, self.clock.now))

    def _wake(self) -> None:
        self._sleeping = False
        self._send_what_may()

    def _arrive(self, sent_at: float) -> None:
        wait = self._limits.admit(None)
        self.sent.append((self.clock.now, wait is None))
        left = self._limits.left(None)
        headers = {} if left is None else quota_headers(self.behaviour, *left)
        quotas = announced(CaseInsensitiveDict({**headers, **self.behaviour.headers}))
        if wait is None:
            self._after(_LATENCY, lambda: self._accepted(sent_at, quotas))
        else:
            asked = math.ceil(wait) if self.retry_after is None else self.retry_after
            self._after(_REFUSAL, lambda: self._refused(sent_at, asked, quotas))

    def _accepted(self, sent_at: float, quotas: tuple[Quota, ...]) -> None:
        if not self._done:  # the list of accounts, which is asked for alone
            self._idle += _WORKERS - 1
        self.pace.accepted(sent_at, quotas)
        self.pace.done()
        self._done += 1
        self._free()

    def _refused(self, sent_at: float, asked: float, quotas: tuple[Quota, ...]) -> None:
        self.pace.refused(sent_at, asked, quotas)
        self.pace.done()
        self._after(asked, self._free)

    def _free(self) -> None:
        self._idle += 1
        self._send_what_may()
