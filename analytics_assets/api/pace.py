"""The pace of requests: as fast as the API's quota allows, and no faster."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Sequence
from threading import Event

from analytics_assets.api.announced import Quota
from analytics_assets.api.budgets import Budgets
from analytics_assets.api.paths import Asked
from analytics_assets.errors import ReadError

# Who waits looks that often, in seconds, whether there is news.
_LOOK = 0.02
# Rates are in requests per second.
_FLOOR = 0.5
# How much the rate grows per second: fast while the quota is unknown, then slowly, and again faster
# when nothing was refused for long, because the quota may have been raised.
_FAST, _SLOW, _CURIOUS = 0.5, 0.005, 0.05
_LONG = 60.0
# A new rate is a little under the quota that was measured.
_MARGIN = 0.98
# The last second alone may have been served from what the quota had saved up.
_RECENT_MARGIN = 0.6
_RECENT = 1.0
# A rate is measured only by that many answers; with fewer, it is lowered by this factor.
_EVIDENCE = 10
_CAUTION = 0.8


class Pace:
    """Spaces the requests of all workers so that they fit a quota.

    What the API tells of its quota is believed (`Budgets`). Where it tells nothing, the rate is
    unlimited until the API first refuses (429). After a refusal nothing is sent before the time
    that the API names. From one refusal to the next the API has accepted as much as its
    quota gives, so that the quota is what was accepted over the time between them; the rate is set
    a little lower and then grows slowly until the next refusal.

    Args:
        ceiling: The rate that is never exceeded, in requests per second; None for no ceiling.
    """

    def __init__(self, ceiling: float | None = None) -> None:
        self._queue = threading.Lock()
        self._lock = threading.Lock()
        self._ceiling = ceiling
        self._rate = ceiling
        self._budgets = Budgets()
        self._in_flight = 0
        self._next_slot = 0.0
        self._closed_until = 0.0
        self._refusals = 0
        self._refused_at = time.monotonic()
        self._accepted = 0
        self._recent: deque[float] = deque()
        # the rate that the last measurement gave
        self._measured = 0.0
        # seconds between the last two refusals, until the rate is set by them
        self._span: float | None = None

    @property
    def rate(self) -> float | None:
        """The rate in force, in requests per second; None while there is no limit."""
        return self._rate

    @property
    def closed(self) -> bool:
        """Whether the API has asked for a wait that is not over."""
        with self._lock:
            return self._closed_until > time.monotonic()

    def wait(self, stopped: Event | None = None) -> float:
        """Blocks until a request may be sent, which `done` ends; returns the seconds waited.

        Raises:
            ReadError: The run was stopped meanwhile.
        """
        started = time.monotonic()
        with self._queue:  # one waits for the next slot, and the others for it
            while (delay := self._next_slot_in()) > 0:
                if stopped is not None and stopped.is_set():
                    raise ReadError("the run was stopped")
                time.sleep(min(delay, _LOOK))
        return time.monotonic() - started

    def done(self) -> None:
        """Notes that a request was answered, was lost, or is not sent after all."""
        with self._lock:
            self._in_flight -= 1

    def accepted(self, sent_at: float | None = None, quotas: Sequence[Quota] = ()) -> None:
        """Notes that the API did not refuse a request, and what it told of its quotas.

        `sent_at` (`time.monotonic`) is asked for only with quotas.
        """
        now = time.monotonic()
        sent_at = now if sent_at is None else sent_at
        with self._lock:
            self._budgets.told(now, sent_at, quotas, max(0, self._in_flight - 1))
            self._accepted += 1
            self._recent.append(now)
            self._forget_before(now - _RECENT)
            if self._rate is not None and self._refusals and self._span is None:
                # each of the `rate` answers of a second brings its share of the growth
                self._set_rate(self._rate + self._growth(now))

    def refused(self, sent_at: float, retry_after: float, quotas: Sequence[Quota] = ()) -> None:
        """Notes that the API refused a request that was sent at `sent_at` (`time.monotonic`).

        Nothing is sent for `retry_after` seconds. What it told of its quotas is believed if it
        explains the refusal; if not, headers are not believed for a while.
        """
        now = time.monotonic()
        with self._lock:
            self._budgets.told(now, sent_at, quotas, max(0, self._in_flight - 1))
            self._closed_until = max(self._closed_until, now + retry_after)
            if self._budgets.explain(now, sent_at, quotas):
                return
            if self._refusals and sent_at <= self._refused_at:
                return  # sent at the old rate: what it tells is known
            self._span = max(now - self._refused_at, _RECENT)
            self._refusals += 1
            self._refused_at = now

    def _next_slot_in(self) -> float:
        """Seconds until the next slot; takes it if it has come."""
        now = time.monotonic()
        with self._lock:
            if self._closed_until > now:
                return self._closed_until - now
            if self._span is not None:
                self._measure(self._span)
            if self._next_slot > now:
                return self._next_slot - now
            if (delay := self._budgets.delay(now)) > 0:
                return delay
            self._budgets.take(now)
            self._in_flight += 1
            if self._rate is not None:
                # a sleep that took a little too long is made up for, but not more than one slot
                self._next_slot = max(self._next_slot, now - 1 / self._rate) + 1 / self._rate
            return 0.0

    def _measure(self, span: float) -> None:
        # Only now, when requests go out again: by now those in flight at the refusal are answered.
        self._forget_before(self._refused_at - _RECENT)
        recent = len(self._recent) / _RECENT * _RECENT_MARGIN
        if self._rate is None or self._accepted >= _EVIDENCE:
            self._set_rate(max(self._accepted / span, recent) * _MARGIN)
            self._measured = self._rate or 0.0
        else:
            # one endpoint that refuses again and again says little about the quota
            self._set_rate(self._rate * _CAUTION)
        self._span = None
        self._accepted = 0

    def _growth(self, now: float) -> float:
        if self._refusals == 1 or (self._rate or 0.0) < self._measured:
            return _FAST
        return _SLOW if now - self._refused_at < _LONG else _CURIOUS

    def _set_rate(self, rate: float) -> None:
        rate = max(rate, _FLOOR)
        self._rate = rate if self._ceiling is None else min(rate, self._ceiling)

    def _forget_before(self, moment: float) -> None:
        while self._recent and self._recent[0] < moment:
            self._recent.popleft()


class Paces:
    """A pace for each quota: one for all requests, or one per account.

    Endpoints (a resource of an account) whose answers name other policies, or other partitions of
    them, have paces of their own.

    Args:
        per_account: Whether the API counts each account on its own.
        ceiling: The rate that no quota's requests exceed; None for no ceiling.
    """

    def __init__(self, per_account: bool, ceiling: float | None) -> None:
        self._lock = threading.Lock()
        self._per_account = per_account
        self._ceiling = ceiling
        # by scope, and what the answers name; nothing is named by those that tell of no quota
        self._paces: dict[tuple[str | None, _Named], Pace] = {}
        self._named: dict[tuple[str, str], _Named] = {}
        # what an endpoint that was not asked yet is taken to name
        self._usual: dict[str | None, _Named] = {}

    def of(self, asked: Asked) -> Pace:
        """The pace for a request."""
        scope = self._scope(asked)
        with self._lock:
            usual = self._usual.get(scope, _NOTHING)
            return self._pace(scope, self._named.get(_endpoint(asked), usual))

    def told(self, asked: Asked, quotas: Sequence[Quota]) -> Pace:
        """The pace for a request that succeeded, of which its answer tells these quotas."""
        scope = self._scope(asked)
        named = frozenset((quota.name, quota.partition) for quota in quotas)
        with self._lock:
            if (scope, named) not in self._paces and (nothing := (scope, _NOTHING)) in self._paces:
                # requests in flight belong to what the first answer names
                self._paces[scope, named] = self._paces.pop(nothing)
            self._named[_endpoint(asked)] = named
            if not any(partition for _, partition in named):
                self._usual[scope] = named
            return self._pace(scope, named)

    def _pace(self, scope: str | None, named: _Named) -> Pace:
        if (scope, named) not in self._paces:
            self._paces[scope, named] = Pace(self._ceiling)
        return self._paces[scope, named]

    def _scope(self, asked: Asked) -> str | None:
        return asked.account_id if self._per_account else None


_Named = frozenset[tuple[str, str]]
_NOTHING: _Named = frozenset()


def _endpoint(asked: Asked) -> tuple[str, str]:
    return asked.account_id, asked.resource_name
