"""The pace of requests: as fast as the API's quota allows, and no faster."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from heapq import heapify, heappop, heappush
from itertools import count
from threading import Event

from analytics_assets.api.announced import Quota
from analytics_assets.api.budgets import Budgets
from analytics_assets.api.learned import Learned
from analytics_assets.api.throughput import Throughput
from analytics_assets.errors import ReadError

# Seconds between two looks of a request that waits for a slot.
_LOOK = 0.02
# The same, of one that leaves it to others to find out whether the API is open.
_OTHERS_LOOK = 0.05
# Seconds to wait after a refusal that names no time.
_DEFAULT_WAIT = 1.0

STOP_LOOK = 0.5
"""Seconds after which what waits for its turn, or an answer, looks whether the run was stopped."""


class Pace:
    """Spaces the requests of all workers so that they fit a quota.

    What the API announces of its quota is believed (`Budgets`). Where it announces nothing, there
    is no limit until the first refusal (429). From then on it is learned from refusals (`Learned`),
    and forgotten if it allows much less than the API gave before (`Throughput`). After a refusal
    nothing is sent before the time that the API names, and then one request first.

    Args:
        ceiling: The rate that is never exceeded, in requests per second; None for no ceiling.
        longest_wait: Seconds after a refusal, at the most, until a request asks again.
    """

    def __init__(self, ceiling: float | None = None, longest_wait: float = math.inf) -> None:
        self._queue = _Queue()
        self._lock = threading.Lock()
        self._ceiling = ceiling
        self._longest_wait = longest_wait
        self._budgets = Budgets()
        self._learned = Learned()
        self._throughput = Throughput()
        # refusals that were learned from, and how many of them were of requests that were given up
        self._refusals = self._in_vain = 0
        self._in_flight = 0
        self._done_at = -math.inf
        self._quickest = math.inf
        self._next_slot = 0.0
        self._closed_until = 0.0

    @property
    def closed(self) -> bool:
        """Whether the API has asked for a wait that is not over."""
        with self._lock:
            return self._closed_until > time.monotonic()

    @property
    def has_accepted(self) -> bool:
        """Whether the API has accepted a request."""
        with self._lock:
            return self._quickest < math.inf

    def wait(
        self, stopped: Event | None = None, rank: int = 0, *, asks_at: float = -math.inf
    ) -> float:
        """Blocks until a request may be sent, which `done` ends; returns the seconds waited.

        Of those who wait, the one with the lowest rank is next. Until `asks_at` (`time.monotonic`)
        it leaves it to others to find out whether the API is open again, as long as that may be in
        vain.

        Raises:
            ReadError: The run was stopped meanwhile.
        """
        started = time.monotonic()
        while not self._takes_slot(stopped, rank, asks_at):
            time.sleep(_OTHERS_LOOK)
        return time.monotonic() - started

    def _takes_slot(self, stopped: Event | None, rank: int, asks_at: float) -> bool:
        """Waits for a slot; False if the next one is left to others."""
        with self._queue.place(rank, stopped):  # one waits for the next slot, and the others for it
            while not (stopped and stopped.is_set()):
                if self._is_left_to_others(asks_at):
                    return False
                if (delay := self._next_slot_in()) <= 0:
                    return True
                time.sleep(min(delay, _LOOK))
        raise ReadError("the run was stopped")

    def _is_left_to_others(self, asks_at: float) -> bool:
        now = time.monotonic()
        if now >= asks_at:
            return False
        with self._lock:
            likely_open_at = self._learned.likely_open_at(self._longest_wait)
            return now < max(self._closed_until, likely_open_at)

    def done(self) -> None:
        """Notes that a request was answered, was lost, or is not sent after all."""
        now = time.monotonic()
        with self._lock:
            self._in_flight -= 1
            quickest = self._quickest if self._quickest < math.inf else 0.0
            self._done_at = now
            self._budgets.done(now - quickest)

    def accepted(self, sent_at: float | None = None, quotas: Sequence[Quota] = ()) -> None:
        """Notes that the API did not refuse a request, and what it told of its quotas.

        `sent_at` (`time.monotonic`) may be left out where nobody asks.
        """
        now = time.monotonic()
        sent_at = now if sent_at is None else sent_at
        with self._lock:
            # it was admitted before the answer, and answers take as long as the quickest at least
            self._quickest = min(self._quickest, now - sent_at)
            self._told(now, sent_at, quotas)
            self._budgets.accepted(now)
            self._learned.accepted(now, sent_at, now - self._quickest)
            if self._throughput.has_slumped(now, self._learned.limit, self._learned.window):
                self._learned = Learned(now, self._throughput.rate)

    def refused(
        self, sent_at: float, retry_after: float | None, quotas: Sequence[Quota] = ()
    ) -> None:
        """Notes that the API refused a request that was sent at `sent_at` (`time.monotonic`).

        Nothing is sent for `retry_after` seconds; None where the API names no time. What it told of
        its quotas is believed if it explains the refusal; if not, headers are not believed for a
        while.
        """
        now = time.monotonic()
        with self._lock:
            self._told(now, sent_at, quotas)
            if self._budgets.explain(now, sent_at, quotas):
                wait = _DEFAULT_WAIT if retry_after is None else retry_after
            else:
                self._refusals += 1
                wait = self._learned.refused(now, sent_at, retry_after, self._in_flight - 1)
            self._closed_until = max(self._closed_until, now + min(wait, self._longest_wait))

    def given_up(self, refusals: int, refused_at: float) -> None:
        """Notes that a request is given up, which was refused so often, first at `refused_at`.

        If others were let through since, it was refused for itself. What was learned is forgotten
        if half of it or more was learned from such requests: it is about them, and no quota.
        """
        with self._lock:
            if self._learned.last_accepted > refused_at:
                self._in_vain += refusals
            if self._in_vain and 2 * self._in_vain >= self._refusals:
                self._learned, self._refusals, self._in_vain = Learned(), 0, 0

    def _told(self, now: float, sent_at: float, quotas: Sequence[Quota]) -> None:
        in_flight = max(1, self._in_flight)
        is_alone = in_flight == 1 and self._done_at <= sent_at
        self._budgets.told(now, sent_at, quotas, in_flight, is_alone=is_alone)

    @contextmanager
    def joined(self) -> Iterator[None]:
        """Counts a request, while it is answered, that was sent under another pace."""
        with self._lock:
            self._sent(time.monotonic())
        try:
            yield
        finally:
            self.done()

    def _sent(self, now: float) -> None:
        self._budgets.take(now)
        self._learned.take(now)
        self._in_flight += 1

    def _next_slot_in(self) -> float:
        """Seconds until the next slot; takes it if it has come."""
        now = time.monotonic()
        with self._lock:
            if self._closed_until > now:
                return self._closed_until - now
            if self._next_slot > now:
                return self._next_slot - now
            learned = self._learned.delay(now, self._in_flight)
            if (delay := max(self._budgets.delay(now), learned)) > 0:
                return delay
            self._sent(now)
            if self._ceiling is not None:
                # a sleep that took a little too long is made up for, but not more than one slot
                gap = 1 / self._ceiling
                self._next_slot = max(self._next_slot, now - gap) + gap
            return 0.0


class _Queue:
    """Lets one through at a time: of those who wait, the one with the lowest rank."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_taken = False
        self._arrivals = count()
        self._waiting: list[tuple[int, int, Event]] = []

    @contextmanager
    def place(self, rank: int, stopped: Event | None) -> Iterator[None]:
        """Waits for its turn, which whoever is stopped gives up."""
        turn = Event()
        with self._lock:
            if self._is_taken:
                heappush(self._waiting, (rank, next(self._arrivals), turn))
            else:
                self._is_taken = True
                turn.set()
        try:
            while not turn.wait(STOP_LOOK) and not (stopped and stopped.is_set()):
                pass
            yield
        finally:
            with self._lock:
                if not turn.is_set():
                    self._waiting = [place for place in self._waiting if place[-1] is not turn]
                    heapify(self._waiting)
                elif self._waiting:
                    heappop(self._waiting)[-1].set()
                else:
                    self._is_taken = False
