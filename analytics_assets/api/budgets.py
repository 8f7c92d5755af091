"""How many requests an API's quotas have left, by what its answers tell."""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import Final

from analytics_assets.api.announced import Quota
from analytics_assets.api.windows import usual_window

# Resets are told in whole seconds, rounded somehow.
_ROUNDING: Final = 1.0
# How much longer than told a request counts, because requests do not arrive as they are sent.
_SLACK: Final = 1.01
# What a window has left is spread over so many seconds at the most.
_SPREAD: Final = 60.0
# Seconds for which headers are not believed after they said that there was room, and were wrong.
_DISTRUST: Final = 600.0
# Seconds for which a quota holds, a window at the least, while answers tell of others alone: they
# may tell of the tightest one, or by another name.
_GONE: Final = 600.0
# How often in a row others may have used up half a window and so many requests, or all that was
# ever left, while our own was accepted, until headers are not believed. However long the window is,
# one request asks after so many seconds.
_MOST_EMPTIED: Final = 3
_FEW: Final = 5
_ASKS: Final = 60.0


class Budget:
    """What is left of one quota: what was sent counts for a window, and answers correct the count.

    A request counts until it is answered, and then for a window from the latest moment at which the
    API can have admitted it: one that was long on its way counts late in a window that slides.

    That fits buckets, and windows that are fixed or slide: none admits less. A window that is not
    told is a usual one, as long as the longest reset that was: if the tightest of several quotas is
    told, the others' may be far advanced by then. What is left after it, one request asks first.

    Once a window was used up, what later ones have left is spread over the rest of them, so that
    others who share the quota find some of it at any time. What fits into one is sent at once.
    """

    def __init__(self) -> None:
        self._limit = 0.0
        self._window = 0.0
        self._is_window_told = False
        # when requests that count will do so no longer, and how many, the soonest first
        self._counted: list[tuple[float, int]] = []
        self._used = 0
        self._in_flight = 0
        self._newest_at = self._told_at = -math.inf
        # how much earlier than they end resets may be told to
        self._late = 0.0
        # when the API's own window ends: then one request may ask what is left
        self._ends_at = math.inf
        self._is_used_up = False
        self._asks_until = -math.inf
        # answers in a row by which nothing was left of what we had not used
        self._emptied = 0
        # whether what is left is spread, and when the last request was sent
        self._is_spread = False
        self._last_sent = -math.inf

    def told(
        self, now: float, sent_at: float, quota: Quota, in_flight: int, *, is_alone: bool
    ) -> None:
        """Notes what an answer told.

        Args:
            now: The time.
            sent_at: When its request was sent.
            quota: What it told.
            in_flight: The requests that are in flight, with this one.
            is_alone: Whether no other was at any time since it was sent. Else the API may have
                counted some of them after it, though they were sent before.
        """
        if sent_at < self._newest_at:
            return  # what a later request's answer told counts
        is_first, self._newest_at, self._told_at = self._newest_at == -math.inf, sent_at, now
        remaining = quota.remaining
        reset = None if quota.reset is None else quota.reset + self._late
        self._limit = quota.limit or max(self._limit, (remaining or 0.0) + 1)
        window = quota.window or max(self._window, usual_window(quota.reset or 0.0), _ROUNDING)
        if window > self._window:
            number, self._counted, self._used = self._used, [], 0
            self._count(now, window, number)
        self._window = window
        self._is_window_told = quota.window is not None
        self._asks_until = -math.inf
        if is_first:
            self._in_flight = in_flight
        if remaining is None or reset is None:
            return
        if remaining < 1:
            reset = max(reset, _ROUNDING)
        self._ends_at = now + reset + _ROUNDING
        left = self._left(now)
        if remaining >= 1:
            self._emptied = 0
        elif is_alone and (self._emptied or self._limit <= 1 or left >= max(self._limit / 2, _FEW)):
            self._emptied += 1
        self._count(now, reset, math.ceil(left - remaining))  # others have used some
        if is_alone:  # else it may tell of fewer than were sent
            self._forget(int(remaining - left))

    def refused(self) -> None:
        """Notes that the quota was used up although there seemed to be room."""
        self._late = _ROUNDING
        self._emptied = 0

    def is_gone(self, now: float) -> bool:
        """Whether nothing was told of it for so long that it holds no longer."""
        return now > self._told_at + max(self._window, _GONE)

    @property
    def is_doubtful(self) -> bool:
        """Whether it was never used up, although answers say so."""
        return self._emptied >= _MOST_EMPTIED

    def delay(self, now: float) -> float:
        """Seconds until a request may be sent."""
        if now < self._asks_until:
            return self._asks_until - now
        if (left := self._left(now)) >= 1:
            due = self._last_sent + self._gap(now, left) if self._is_spread else now
            return max(0.0, due - now)
        self._is_used_up = self._is_spread = True
        soonest = self._counted[0][0] if self._counted else now + self._window
        is_doubted = self._emptied and not self._in_flight
        asks_at = self._told_at + _ASKS if is_doubted else math.inf
        return max(0.0, min(soonest, self._ends_at, asks_at) - now)

    def take(self, now: float) -> None:
        """Notes that a request is sent."""
        if self._left(now) < 1:
            self._ends_at = now + _ROUNDING
        elif now >= self._ends_at:
            self._ends_at = now + self._window  # nothing has told of the next one yet
        if self._is_used_up and not self._is_window_told:
            self._asks_until = now + _ROUNDING
        self._is_used_up = False
        self._in_flight += 1
        self._is_spread &= now < self._last_sent + 2 * self._window
        self._last_sent = now

    def _gap(self, now: float, left: float) -> float:
        """Seconds between requests, if so many are spread over the rest of the window.

        They are no more than if a whole window's were spread: what slides is free again as evenly.
        """
        rest = self._ends_at - 2 * _ROUNDING - now  # it may end as much earlier
        even = self._window / self._limit
        return min(even, _SPREAD / left, rest / left if rest > 0 else even)

    def done(self, admitted_at: float) -> None:
        """Notes that a request was answered, which was admitted at that time at the latest."""
        self._in_flight = max(0, self._in_flight - 1)
        self._count(admitted_at, self._window, 1)

    def _left(self, now: float) -> float:
        while self._counted and self._counted[0][0] <= now:
            self._used -= heapq.heappop(self._counted)[1]
        return self._limit - self._used - self._in_flight

    def _count(self, now: float, seconds: float, number: int) -> None:
        if number > 0:
            heapq.heappush(self._counted, (now + seconds * _SLACK, number))
            self._used += number

    def _forget(self, number: int) -> None:
        """Takes so many for not counted, of those that count the shortest."""
        while number > 0 and self._counted:
            until, counted = heapq.heappop(self._counted)
            self._used -= counted
            self._count(until, 0.0, counted - number)
            number -= counted


class Budgets:
    """The budgets that count the same requests: as of a second, a minute and an hour."""

    def __init__(self) -> None:
        self._budgets: dict[tuple[str, str], Budget] = {}
        self._told_at = math.inf
        self._believed_from = -math.inf

    def told(
        self,
        now: float,
        sent_at: float,
        quotas: Sequence[Quota],
        in_flight: int,
        *,
        is_alone: bool,
    ) -> None:
        """Notes what an answer told, as `Budget.told` does."""
        for quota in quotas:
            self._told_at = min(self._told_at, now)
            budget = self._budgets.setdefault((quota.name, quota.partition), Budget())
            budget.told(now, sent_at, quota, in_flight, is_alone=is_alone)
        if quotas:  # while others are told
            self._budgets = {
                name: budget for name, budget in self._budgets.items() if not budget.is_gone(now)
            }

    def accepted(self, now: float) -> None:
        """Notes that the request was accepted of which an answer told."""
        if any(budget.is_doubtful for budget in self._budgets.values()):
            self._believed_from = now + _DISTRUST

    def explain(self, now: float, sent_at: float, quotas: Sequence[Quota]) -> bool:
        """Whether what was told explains why a request was refused; if not, it is a lie."""
        used_up = [quota for quota in quotas if quota.remaining is not None and quota.remaining < 1]
        if used_up:
            for quota in used_up if sent_at > self._told_at else ():
                self._budgets[quota.name, quota.partition].refused()
            return now >= self._believed_from
        if sent_at >= self._told_at:
            self._believed_from = now + _DISTRUST
        return False

    def delay(self, now: float) -> float:
        """Seconds until a request may be sent, as far as headers are believed."""
        if now < self._believed_from:
            return 0.0
        return max((budget.delay(now) for budget in self._budgets.values()), default=0.0)

    def take(self, now: float) -> None:
        """Notes that a request is sent."""
        for budget in self._budgets.values():
            budget.take(now)

    def done(self, admitted_at: float) -> None:
        """Notes that a request was answered, which was admitted at that time at the latest."""
        for budget in self._budgets.values():
            budget.done(admitted_at)
