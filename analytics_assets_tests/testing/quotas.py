"""A pace against the sample API's quotas, in simulated time."""

from __future__ import annotations

import heapq
import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from typing import Any, Literal

from analytics_assets.api.announced import Quota, announced
from analytics_assets.api.pace import Pace
from analytics_assets.sample_api import Behaviour
from analytics_assets.sample_api.limits import Limits
from analytics_assets.sample_api.responses import quota_headers
from analytics_assets.settings import ApiSettings

_WORKERS = 64
_LATENCY = 0.05
_REFUSAL = 0.005

RetryAfter = Literal["exact", "rounded", "missing"] | float


def rate_of(pace: Pace) -> float | None:
    """The rate that a pace keeps to, in requests per second; None while there is no limit."""
    limit, window = pace._learned.limit, pace._learned.window
    rates = [pace._ceiling, limit / window if limit else None]
    return min((rate for rate in rates if rate is not None), default=None)


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

    They come back as dlt's client has them try again, with the settings' defaults, but as often as
    it takes. The first request is sent alone, as the list of accounts is.

    Attributes:
        clock: What the pace takes for `time`.
        behaviour: The API's; its quota may change.
        total: Requests that are to be answered.
        retry_after: What a refusal asks for: what is left to wait, that in whole seconds, nothing
            at all, or always so many seconds.
        jitter: Requests take up to that many seconds to arrive.
        others: Requests per second that somebody else sends.
        bursts: When somebody else sends requests all at once, and how many.
        pause: Seconds between the list of accounts and the rest.
        sent: When requests arrived, and whether they were admitted.
        others_sent: Whether those of somebody else were.
        attempts: How often each request was sent.
    """

    clock: Clock
    behaviour: Behaviour
    total: int
    retry_after: RetryAfter = "rounded"
    jitter: float = 0.0
    others: float = 0.0
    bursts: Sequence[tuple[float, int]] = ()
    pause: float = 0.0
    pace: Pace = field(default_factory=lambda: Pace(longest_wait=ApiSettings.max_retry_delay))
    sent: list[tuple[float, bool]] = field(default_factory=list)
    others_sent: list[bool] = field(default_factory=list)
    attempts: dict[int, int] = field(default_factory=dict)

    def run(self) -> None:
        """Sends them all."""
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._order = count()
        self._limits = Limits(self.behaviour, self.clock.monotonic)
        self._random = random.Random(0)
        self._waiting: list[int] = []
        self._asks_at: dict[int, float] = {}
        self._wakes_at, self._done, self._workers = 0.0, 0, 1
        self.started = self.clock.now
        if self.others:
            self._other()
        for moment, number in self.bursts:
            self._after(moment - self.started, partial(self._burst, number))
        self.go_on()

    def go_on(self) -> None:
        """Sends those by which the total has grown."""
        self._begin()
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
        return self.clock.now - self.started - self.pause

    def refused(self, after: float = 0.0) -> int:
        """How many were refused that arrived later than so many seconds after the first."""
        return sum(not ok for moment, ok in self.sent if moment > self.started + after)

    def _after(self, delay: float, event: Callable[[], Any]) -> None:
        heapq.heappush(self._events, (self.clock.now + delay, next(self._order), event))

    def _begin(self) -> None:
        """Has idle workers take the next requests."""
        while len(self.attempts) - self._done < self._workers and len(self.attempts) < self.total:
            request = len(self.attempts)
            self.attempts[request], self._asks_at[request] = 0, -math.inf
            self._waiting.append(request)
        heapq.heapify(self._waiting)
        self._send_what_may()

    def _send_what_may(self) -> None:
        while self._waiting:
            if self._have_others_ask():
                continue
            delay = self.pace._next_slot_in()
            if delay > 0:
                if self.behaviour.quota_headers != "none":
                    delay = min(delay, 0.02)  # as in reality, which takes a while
                self._wakes_at = self.clock.now + delay + 1e-9  # or when there is an answer
                self._after(delay + 1e-9, partial(self._wake, self._wakes_at))
                return
            request = heapq.heappop(self._waiting)
            self.attempts[request] += 1
            delay = self._random.uniform(0, self.jitter)
            self._after(delay, partial(self._arrive, request, self.clock.now))

    def _have_others_ask(self) -> bool:
        """Has those wait whose attempt may be in vain, if it is for others; whether there are."""
        patient = {
            each for each in self._waiting if self.pace._is_left_to_others(self._asks_at[each])
        }
        if not patient:
            return False
        self._waiting = sorted(set(self._waiting) - patient)
        for request in patient:
            self._after(0.05, partial(self._queue, request))
        return True

    def _queue(self, request: int) -> None:
        heapq.heappush(self._waiting, request)
        self._send_what_may()

    def _wake(self, wakes_at: float) -> None:
        if wakes_at == self._wakes_at:
            self._send_what_may()

    def _arrive(self, request: int, sent_at: float) -> None:
        wait = self._limits.admit(None)
        self.sent.append((self.clock.now, wait is None))
        left = self._limits.left(None)
        headers = {} if left is None else quota_headers(self.behaviour, *left)
        quotas = announced({**headers, **self.behaviour.headers})
        if wait is None:
            self._after(_LATENCY, lambda: self._accepted(sent_at, quotas))
        else:
            asked = self._asked(wait)
            self._after(_REFUSAL, lambda: self._refused(request, sent_at, asked, quotas))

    def _accepted(self, sent_at: float, quotas: tuple[Quota, ...]) -> None:
        self.pace.accepted(sent_at, quotas)
        self.pace.done()
        self._done += 1
        if self._workers == _WORKERS:
            self._begin()
        else:
            self._workers = _WORKERS
            self._after(self.pause, self._begin)

    def _asked(self, wait: float) -> float | None:
        """What a refusal asks for, where that long is left to wait."""
        asked = {"exact": wait, "rounded": float(math.ceil(wait)), "missing": None}
        return asked[self.retry_after] if isinstance(self.retry_after, str) else self.retry_after

    def _refused(
        self, request: int, sent_at: float, asked: float | None, quotas: tuple[Quota, ...]
    ) -> None:
        self.pace.refused(sent_at, asked, quotas)
        self.pace.done()
        attempts = self.attempts[request]
        if attempts >= ApiSettings.max_retries:
            self._asks_at[request] = math.inf
        elif attempts > 1 and asked is None:
            backoff = ApiSettings.backoff_factor * 2 ** (attempts - 1)
            self._asks_at[request] = self.clock.now + backoff
        self._queue(request)

    def _other(self) -> None:
        self.others_sent.append(self._limits.admit(None) is None)
        self._after(1 / self.others, self._other)

    def _burst(self, number: int) -> None:
        self.others_sent += [self._limits.admit(None) is None for _ in range(number)]
