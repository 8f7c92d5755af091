"""One pace for all workers: the API's quota is shared by everything that uses one client id."""

from __future__ import annotations

import threading
import time
from collections import deque

# Rates in requests per second. The rate is unknown, and unlimited, until the API first refuses.
_FLOOR = 0.5
_DECREASE = 0.9
_INCREASE_PER_SECOND = 0.01
_WINDOW = 1.0


class Pace:
    """Spaces requests so that they fit the quota that the API turns out to have.

    After a refusal (429) no worker sends before the time that the API names, and the rate falls to
    a little under what the API accepted in the last second; while it accepts, the rate rises again
    slowly. (Additive increase, multiplicative decrease.)
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._rate: float | None = None
        self._next_slot = 0.0
        self._closed_until = 0.0
        self._lowered_at = 0.0
        self._accepted: deque[float] = deque()

    def wait(self) -> float:
        """Blocks until a request may be sent; returns the seconds waited."""
        started = time.monotonic()
        slot = self._take_slot(started)
        while (delay := slot - time.monotonic()) > 0:
            time.sleep(delay)
            with self._lock:
                closed = self._closed_until > time.monotonic()
            if closed:  # refused while this one slept: its slot is void
                slot = self._take_slot(time.monotonic())
        return time.monotonic() - started

    def accepted(self) -> None:
        """The API answered a request."""
        now = time.monotonic()
        with self._lock:
            self._accepted.append(now)
            self._forget_before(now - _WINDOW)
            if self._rate is not None:
                # each of `rate` answers a second adds its share of the increase
                self._rate += _INCREASE_PER_SECOND

    def refused(self, sent_at: float, retry_after: float) -> None:
        """The API refused a request that was sent at `sent_at` (of `time.monotonic`).

        `retry_after` is in seconds from now; nothing is sent before.
        """
        now = time.monotonic()
        with self._lock:
            self._closed_until = max(self._closed_until, now + retry_after)
            if sent_at <= self._lowered_at:
                return  # sent at the old rate: the answer to it is already given
            self._lowered_at = now
            self._forget_before(now - _WINDOW)
            seen = len(self._accepted) / _WINDOW
            known = seen if self._rate is None else min(seen, self._rate)
            self._rate = max(known * _DECREASE, _FLOOR)

    def _take_slot(self, now: float) -> float:
        with self._lock:
            slot = max(now, self._next_slot, self._closed_until)
            if self._rate is not None:
                self._next_slot = slot + 1 / self._rate
            return slot

    def _forget_before(self, moment: float) -> None:
        while self._accepted and self._accepted[0] < moment:
            self._accepted.popleft()
