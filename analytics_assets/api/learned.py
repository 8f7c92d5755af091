"""Finds out a quota that nobody tells of, by what the API accepts and refuses."""

from __future__ import annotations

import math
from collections import deque
from typing import Final

# Who has to wait for as many seconds has used up a window; what opens sooner is evened out.
_LONG: Final = 2.0
# A window that may be shorter by this share is known well enough.
_EXACT: Final = 0.03
# A rate is a little lower than what was measured.
_MARGIN: Final = 0.98
# A rate is measured by so many answers, and tried for so many seconds at least.
_EVIDENCE: Final = 10
_TRIAL: Final = 1.2
# A rate of which nothing was refused for so many seconds and requests grows by this share per
# second, which doubles every few seconds: the quota may have been raised.
_QUIET, _QUIET_REQUESTS = 50.0, 300
_GROWTH, _DOUBLING = 0.005, 10.0
# A window is tried with more requests once in so many.
_SELDOM: Final = 200
# So often may a window refuse before its end, and go on a moment later, before it is doubted.
_SLIPS: Final = 5
# A refusal that names no time is waited for so many seconds.
_WAIT: Final = 1.0
# How often it is looked whether an answer has come, in seconds.
_LOOK: Final = 0.02


class Learned:
    """So many requests in so many seconds, found out by what is refused.

    From the first request after a refusal to the first one after the next, the API accepts what a
    window of that length has room for, whether it counts by a bucket, or by windows that are fixed
    or slide. If it took long until it opened again, that many are sent at once, then none until the
    window is over, and then one, whose answer the others wait for. If it did not, requests are
    spaced evenly: the limit is then 1. A window that may be shorter is tried so, halfway each time.

    Attributes:
        limit: Requests that a window has room for; 0 until one is refused.
        window: Its seconds.
    """

    def __init__(self) -> None:
        self.limit = 0
        self.window = 0.0
        # windows that were too short, and long enough
        self._low, self._high = 0.0, math.inf
        # since the window opened, or the API did after a refusal
        self._opened_at: float | None = None
        self._accepted = 0
        self._slips = 0
        # of the refusal after that
        self._is_closed = False
        self._closed_at = 0.0
        self._first_refused = 0.0
        self._too_early = 0.0
        self._refused_at = -math.inf
        # when requests were admitted at the latest, and what was accepted at once at the most
        self._admitted: deque[float] = deque()
        self._burst = 0
        self._last_sent = self._last_accepted = -math.inf
        self._is_asking = False
        # what the window is tried with more than the limit, if all goes well next time, and since
        self._extra, self._next_extra, self._since_extra = 0, 1, 0
        # the rate that is tried: since when, how often accepted, how many were before
        self._tried_at, self._tried, self._trials, self._few = 0.0, 0, 0, 0
        # the spacing from which the rate grew because nothing was refused for long
        self._kept = 0.0
        self._cycles = 0

    def take(self, now: float) -> None:
        """Notes that a request is sent."""
        self._is_asking = self.limit > 1 and not self._is_closed and self._accepted >= self.limit
        self._last_sent = now
        if self._opened_at is None:
            self._opened_at = now

    def accepted(self, now: float, sent_at: float, admitted_at: float) -> None:
        """Notes that a request was accepted, which the API did at `admitted_at` at the latest."""
        if self._is_closed and sent_at > self._refused_at:
            self._reopen(now, sent_at)
        elif self._is_asking and sent_at >= self._last_sent:
            self._high = min(self._high, sent_at - (self._opened_at or sent_at))
            self._open(sent_at)
            self.window = self._guess()
        self._accepted += 1
        self._tried += 1
        self._admitted.append(admitted_at)
        while self.limit and len(self._admitted) > self.limit + self._extra + _SELDOM:
            self._admitted.popleft()
        self._last_accepted = max(self._last_accepted, sent_at)
        if self.limit == 1 and not self._is_closed:
            self._try_faster(now)

    def refused(self, now: float, sent_at: float, retry_after: float | None) -> float:
        """Notes that a request was refused; returns the seconds until one may be sent."""
        if sent_at <= self._refused_at:
            return retry_after or 0.0  # sent before the last refusal was known
        if not self._is_closed:
            self._is_closed, self._closed_at, self._first_refused = True, now, sent_at
        self._is_asking, self._refused_at = False, now
        opened_at = sent_at if self._opened_at is None else self._opened_at
        # what is named is rounded to whole seconds at the most
        self._too_early = sent_at - opened_at + max(0.0, (retry_after or 0.0) - 1)
        if retry_after is not None:
            return retry_after
        if self.limit > 1:
            late = now - opened_at - self._high
            return max(self._due(now, self.limit), self._high / 20, late)
        if self.limit == 1 and self._cycles > 1:
            return min(_WAIT, _EVIDENCE * self.window)
        return max(_WAIT, (now - self._closed_at) / 4)

    def delay(self, now: float, in_flight: int) -> float:
        """Seconds until a request may be sent."""
        if self._is_closed or self._is_asking:
            return _LOOK if in_flight > 0 else 0.0
        if self.limit == 1:
            return self._last_sent + self.window - now
        return self._due(now, self.limit + self._extra - in_flight) if self.limit else 0.0

    def _due(self, now: float, room: int) -> float:
        """Seconds until a window has room, which is for so many requests."""
        if room <= 0:
            return _LOOK
        return self._admitted[-room] + self.window - now if len(self._admitted) >= room else 0.0

    def _open(self, at: float) -> None:
        """Begins to count anew."""
        if self._extra:
            is_room = self._accepted >= self.limit + self._extra
            self.limit += self._extra if is_room else 0
            self._next_extra = 2 * self._extra if is_room else 1
        self._since_extra += self._accepted
        self._extra = 0
        if self.limit > 1 and self._since_extra > _SELDOM:
            self._extra, self._since_extra = self._next_extra, 0
        self._opened_at, self._accepted, self._slips = at, 0, 0
        self._is_asking = self._is_closed = False
        self._cycles += 1

    def _reopen(self, now: float, at: float) -> None:
        opened_at = at if self._opened_at is None else self._opened_at
        number, span, wait = max(1, self._accepted), at - opened_at, at - self._last_accepted
        has_slipped = wait < _LONG and self._slips < _SLIPS
        if 1 < self.limit > number and (self._extra or has_slipped):
            self._slips += 1
            self._extra, self._next_extra, self._is_closed = 0, 1, False
        elif wait >= _LONG:
            self._set_window(number, span)
            self._open(at)
        elif (
            not self._cycles
        ):  # one that began before us may have opened: it tells no more than that
            self._burst = max(1, sum(moment > self._closed_at - 1 for moment in self._admitted))
            high = (math.floor(span) if span > 1 else span) / number / _MARGIN
            self._space(now, 0.0, high)
            self.window = high
            self._open(at)
        elif self.limit == 1 and number < min(_EVIDENCE, self._burst + 2):
            self._doubt(now, at)
        else:
            self._measure(now, number, span, wait)
            self._open(at)

    def _set_window(self, number: int, span: float) -> None:
        self._burst = number
        if not 1 < self.limit <= number:
            self.limit, self._low, self._high, self._extra = number, self._too_early, span, 0
        elif not self._extra:
            self._low, self._high = max(self._low, self._too_early), min(self._high, span)
            if self._low >= self._high:
                self._low, self._high = min(self._too_early, span), span
        self.window = self._guess()

    def _doubt(self, now: float, at: float) -> None:
        """Goes back to what was kept up, or is slower for now: a few answers measure nothing."""
        if self.window < self._high:
            self._space(now, self.window, self._high)
            self._open(at)
            return
        self._few += 1
        high = self._high * (1 + 0.05 * 2**self._few)
        self._space(now, self.window, high)
        self.window = high
        self._is_closed = False  # and goes on counting

    def _measure(self, now: float, number: int, span: float, wait: float) -> None:
        """Sets the rate by what was accepted since it opened, until it opened again."""
        rate = max(number / span, self._highest_rate()) * _MARGIN
        kept = 1 / (self._kept or self._high)
        is_known = number < self._burst / 2 or rate * wait <= 1.5 or wait < _EXACT * span
        if self._kept:
            rate = max(rate, kept)
        elif self.limit == 1 and self.window < self._high and not 0.8 * kept < rate < 0.9 * kept:
            # what was kept up until the trial; a window of a second refused that at once
            is_known |= rate < kept and self._trials <= 1 and self._tried < 1.3 * self._burst
            rate = max(rate, kept)
        elif self.limit == 1 and self.window < self._high:
            is_known = True
        high = 1 / rate
        low = self.window if self.limit == 1 else 0.0
        active = self._first_refused - max(self._first_refused - 1, self._tried_at)
        if active > 5 * high:
            recent = sum(moment > self._first_refused - active for moment in self._admitted)
            low = max(low, active / (recent + 1))
        self._few = 0
        self._space(now, high if is_known else min(low, high), high)

    def _highest_rate(self) -> float:
        """The highest rate that was accepted beyond a burst, which is no more than a bucket has."""
        moments = [moment for moment in self._admitted if moment >= (self._opened_at or 0.0)]
        beyond = range(max(0, len(moments) - self._burst))
        return max(
            (
                (len(moments) - i - self._burst) / max(moments[-1] - moments[i], 1e-3)
                for i in beyond
            ),
            default=0.0,
        )

    def _space(self, now: float, low: float, high: float) -> None:
        self.limit, self._low, self._high, self._extra = 1, low, high, 0
        self.window = self._guess()
        self._tried_at, self._tried, self._kept = now, 0, 0.0

    def _try_faster(self, now: float) -> None:
        """Takes the spacing for long enough that was not refused, and tries a shorter one."""
        tried_for = now - self._tried_at
        if tried_for < _TRIAL or self._tried < min(_EVIDENCE, self._burst + 2):
            return
        if self._high - self._low > _EXACT * self._high:
            self._high, self._trials = self.window, self._trials + 1
            self.window = self._guess()
            self._tried_at, self._tried = now, 0
            return
        quiet = now - self._refused_at - max(_QUIET, _QUIET_REQUESTS * self._high)
        if quiet > 0:
            self._kept = self._kept or self._high
            growth = _GROWTH * 2 ** min(quiet / _DOUBLING, 8)
            self._low = self._high = self._high / (1 + growth * min(tried_for, 2.0))
            self.window = self._high
            self._tried_at, self._tried = now, _EVIDENCE

    def _guess(self) -> float:
        """The window to try: halfway, in whole seconds where it is long, as most windows are."""
        if self._high - self._low <= _EXACT * self._high:
            return self._high
        middle = (self._low + self._high) / 2
        whole = float(round(middle))
        return whole if self.limit > 1 and self._low < whole <= self._high else middle
