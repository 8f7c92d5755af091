"""Finds out a quota that nobody tells of, by what the API accepts and refuses."""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass
from typing import Final

from analytics_assets.api.limit_trial import LimitTrial
from analytics_assets.api.spacing import FEW, Spacing
from analytics_assets.api.windows import USUAL_WINDOWS

# An API that is closed for so many seconds counts by windows; one that opens sooner, by a rate.
_LONG: Final = 2.0
# The next window is asked for a little late, because requests do not arrive as they are sent.
_LATER: Final = 1.01
# A window that may be shorter by this share is known well enough.
_EXACT: Final = 0.03
# If the next usual one is longer by that share at the most, it is tried at once.
_NEAR: Final = 0.25
# So many moments are kept beyond those that a window has room for.
_KEPT: Final = 300
# A window that is refused before so much of it is over is doubted after so many times.
_NEARLY, _SLIPS = 0.9, 5
# An API with room for one request, so many times in a row, has a bucket that fills slowly.
_SINGLES: Final = 3
# A window that had room for less than this share of before is soon tried with as many again.
_MUCH_LESS: Final = 0.75
# Seconds to wait after a refusal that names no time, and at first if few were accepted before:
# a quota without any burst opens again at once.
_WAIT, _SOON = 0.25, 0.05
# So many seconds after a refusal, or the time that it named, the next is hardly refused; where
# requests are spaced, after the time for so many.
_SURELY, _SLOTS = 1.0, 10
# If nothing is sent for so many seconds, though it could be, there was nothing to send.
_PAUSE: Final = 0.5
# A rate to begin with is kept for so many seconds.
_FIRST: Final = 10.0
# Seconds between two looks for an answer.
_LOOK: Final = 0.02


@dataclass
class _Pause:
    """The last pause of whoever sends, in seconds, and how many were accepted since."""

    length: float = 0.0
    ended_at: float = -math.inf
    accepted: int = 0


class Learned:
    """At most so many requests in any so many seconds, found out by what is refused.

    From the first request after a refusal to the first one after the next, the API accepts what a
    window of that length has room for, whether it counts by a bucket, or by windows that are fixed
    or slide. If it took long until it opened again, that many are sent at once, and when the window
    is over, one, whose answer the others wait for. If it did not, they are spaced (`Spacing`): the
    limit is then 1. So are they if there was room for one at a time.

    Args:
        now: The time.
        rate: What is tried first for some seconds, in requests per second; else all that is sent.

    Attributes:
        limit: Requests that a window has room for; 0 until one is refused.
        window: Its seconds.
        last_accepted: When the last request that was accepted was sent.
    """

    def __init__(self, now: float = 0.0, rate: float = math.inf) -> None:
        self._first_gap, self._first_until = 1 / rate, now + _FIRST
        self.limit = 0
        self.window = 0.0
        self.last_accepted = -math.inf
        self._spacing: Spacing | None = None
        # windows that were too short, and long enough
        self._low, self._high = 0.0, math.inf
        # since the API opened
        self._opened_at: float | None = None
        self._accepted = self._slips = 0
        # whether a window has had room for the limit since that was found
        self._is_sure = False
        # those accepted since it was last closed, and how often in a row that was a single one
        self._since_closed = self._singles = 0
        self._pause = _Pause()
        # since it closed
        self._is_closed = False
        self._closed_at = self._refused_at = -math.inf
        self._too_early = 0.0
        self._named_until: float | None = None
        # whether the window is over, which one request asks
        self._is_asking = False
        self._last_sent = -math.inf
        # when requests were admitted at the latest
        self._admitted: deque[float] = deque()
        self._trial = LimitTrial(self.limit)
        # requests that were to fit into the window that was refused
        self._tried = 0

    def take(self, now: float) -> None:
        """Notes that a request is sent."""
        self._is_asking = self._is_used_up and not self._is_closed
        if not self._is_closed and now - self._last_sent > _PAUSE:
            self._pause = _Pause(now - self._last_sent, now)
        self._last_sent = now
        if self._opened_at is None:
            self._opened_at = now

    def accepted(self, now: float, sent_at: float, admitted_at: float) -> None:
        """Notes that a request was accepted, which the API did at `admitted_at` at the latest."""
        if self._is_closed and sent_at > self._refused_at:
            self._reopen(sent_at)
        elif self._is_asking and sent_at >= self._last_sent:
            self._high = min(self._high, sent_at - (self._opened_at or sent_at))
            self.window = self._guess()
            self._is_sure = True
            self._open(sent_at)
        self._accepted += 1
        self._since_closed += 1
        self._pause.accepted += 1
        self._admitted.append(admitted_at)
        while self.limit and len(self._admitted) > self._room + _KEPT:
            self._admitted.popleft()
        self.last_accepted = max(self.last_accepted, sent_at)
        if self._spacing and not self._is_closed:
            self._spacing.accepted(now)
            self.window = 1 / self._spacing.rate

    def refused(
        self, now: float, sent_at: float, retry_after: float | None, others_in_flight: int
    ) -> float:
        """Notes that a request was refused; returns the seconds until one may be sent."""
        if sent_at <= self._refused_at:
            return retry_after or 0.0  # sent before the last refusal was known
        if not self._is_closed:
            self._is_closed, self._closed_at = True, sent_at
            self._tried = self._room
            self._trial.refused(self.limit)
        self._is_asking, self._refused_at = False, now
        self._named_until = None if retry_after is None else now + retry_after
        opened_at = sent_at if self._opened_at is None else self._opened_at
        # what is named is rounded to whole seconds at the most
        self._too_early = sent_at - opened_at + max(0.0, (retry_after or 0.0) - 1)
        if retry_after is not None:
            return retry_after
        return self._ask_again_in(now, now - opened_at, others_in_flight)

    def likely_open_at(self, longest: float) -> float:
        """When a request is hardly refused any more, even if none before asks whether it would be.

        That is a second after the last refusal, or the time that it named, and where requests are
        spaced, the time for ten. Where it named none and the API is not known to be open, it is
        when the longest usual window of up to `longest` seconds is over, or what was long enough
        last time, if that is longer.
        """
        wait = _SLOTS * self.window if self._spacing else _SURELY
        surely = (self._named_until or self._refused_at) + min(wait, longest)
        is_asked = self._is_used_up or (self._is_closed and self._named_until is None)
        if self._opened_at is None or not is_asked:
            return surely
        usual = max((each for each in USUAL_WINDOWS if each <= longest), default=0.0)
        window = max(usual, self._high if self._high < math.inf else 0.0)
        return max(surely, self._opened_at + _LATER * window)

    @property
    def _room(self) -> int:
        return self.limit + self._trial.extra

    @property
    def _is_used_up(self) -> bool:
        return self.limit > 1 and self._accepted >= self._room

    def delay(self, now: float, in_flight: int) -> float:
        """Seconds until a request may be sent."""
        if self._is_closed or self._is_asking:
            return _LOOK if in_flight > 0 else 0.0
        if self._spacing:
            return self._last_sent + self.window - now
        if not self.limit:
            return self._last_sent + self._first_gap - now if now < self._first_until else 0.0
        return self._due(now, self._room - in_flight)

    def _due(self, now: float, room: int) -> float:
        """Seconds until a window has room, which is for so many requests."""
        if room <= 0:
            return _LOOK
        return self._admitted[-room] + self.window - now if len(self._admitted) >= room else 0.0

    def _ask_again_in(self, now: float, open_for: float, others_in_flight: int) -> float:
        """Seconds to wait after a refusal that names no time: ever longer, or to a usual window."""
        closed_for = now - self._closed_at
        if self._spacing and closed_for < _LONG:  # later it looks like a window that is used up
            return max(self.window, closed_for / 2, _LOOK)
        if self.limit and others_in_flight >= self.limit:
            return self.window  # which they have used up by now
        if self.limit and (due := self._due(now, self.limit - others_in_flight)) > 0:
            return due
        first = _SOON if self._accepted <= FEW and closed_for < _WAIT else _WAIT
        least = max(_LOOK if self.limit else first, open_for / 30)
        usual = (wait for each in USUAL_WINDOWS if (wait := _LATER * each - open_for) > least / 2)
        longest = max(open_for / 4, closed_for / 10)
        next_usual = next(usual, math.inf)
        if self.limit and next_usual <= _NEAR * open_for:
            return next_usual
        return min(max(least, min(closed_for, longest)), next_usual)

    def _open(self, at: float) -> None:
        """Begins to count anew."""
        self.limit = self._trial.opened(self.limit, self._accepted)
        self._opened_at, self._accepted, self._slips = at, 0, 0
        self._is_asking = self._is_closed = False

    def _reopen(self, at: float) -> None:
        """Learns from what was accepted until it closed, and from when it opens again."""
        self._leave_out_what_was_before_a_pause(at)
        opened_at = at if self._opened_at is None else self._opened_at
        number, span, wait = self._accepted, at - opened_at, at - self.last_accepted
        if not number:
            self._open(at)  # it was closed when the first request came, which tells nothing
            return
        self._singles = self._singles + 1 if self._since_closed == 1 else 0
        self._since_closed = 0
        is_bucket = not self._spacing and self._singles >= _SINGLES
        is_early = number < self.limit and span < _NEARLY * self.window
        if is_early and not is_bucket and self._is_sure and self._slips < _SLIPS:
            self._slips += 1
            self._is_closed = False
            return
        self._is_sure = self._is_sure or number >= self.limit > 0
        if not self._is_sure and number > 1:
            self.limit = 0  # what seemed to be its room was that of two windows
        room = number
        if number == 1 and wait > 1.5 * self.window:
            # it was what a window had left, of which the rest had been used before
            room = self._spacing.burst if self._spacing else self.limit
        is_long = wait >= (max(_LONG, 5 * self.window) if self._spacing else _LONG)
        # what has room for less than the rate that held gave in a second, others have used up
        is_window = room > 1 and (not self._spacing or room >= self._spacing.held)
        if is_window and is_long and not is_bucket:
            self._set_window(room if self.limit <= 1 else number, span)
        else:
            self._set_spacing(at, number, span, wait)
        self._open(at)

    def _leave_out_what_was_before_a_pause(self, at: float) -> None:
        """Begins to count after it: if the window is shorter, it did not count what was before."""
        ended_at = self._pause.ended_at
        opened_at = ended_at if self._opened_at is None else self._opened_at
        if not self.limit and ended_at > opened_at and self._pause.length > at - ended_at:
            self._too_early -= ended_at - opened_at
            self._opened_at, self._accepted = ended_at, self._pause.accepted

    def _set_window(self, number: int, span: float) -> None:
        is_first = self.limit <= 1
        low, high = max(self._low, self._too_early), min(self._high, span)
        if is_first:
            self.limit, self._spacing, self._trial = number, None, LimitTrial(number)
            self._is_sure = False
        elif low < high:
            if number < _MUCH_LESS * self.limit:
                self._trial.lost(self.limit - number, number)
            self.limit = max(2, min(self._tried, number))
        # else it is longer than it seemed, so that some of it had been used before
        if is_first or low >= high:
            low, high = min(self._too_early, span), span
        self._low, self._high = low, high
        self.window = self._guess()

    def _set_spacing(self, at: float, number: int, span: float, wait: float) -> None:
        if self._spacing:
            moments = [moment for moment in self._admitted if moment >= at - span]
            self._spacing.refused(at, moments, span, wait)
        else:
            self.limit = 1
            rate, highest = number / self._likely(number, span), self._highest(number, at - span)
            self._spacing = Spacing(at, rate, number, wait, max(rate, highest))
        self.window = 1 / self._spacing.rate

    def _likely(self, number: int, span: float) -> float:
        """The seconds in which so many are accepted, which are `span` at the most."""
        if number > FEW:
            return max((each for each in USUAL_WINDOWS if span / 2 < each <= span), default=span)
        # fewer tell of no window, but of what was too short; what is named is mostly rounded up
        return span if self._named_until else math.sqrt(max(span / 10, self._too_early) * span)

    def _highest(self, number: int, opened_at: float) -> float:
        """The rate above which no quota lies that accepted so many, and then none for a while."""
        closed_for = opened_at + self._too_early - self._admitted[-1]
        return number / closed_for if number > FEW and closed_for > 0 else math.inf

    def _guess(self) -> float:
        """The window to try: a usual one, or halfway, in whole seconds where that helps."""
        if self._high in USUAL_WINDOWS or self._high - self._low <= _EXACT * self._high:
            return self._high
        middle = (self._low + self._high) / 2
        usual = (float(each) for each in USUAL_WINDOWS if self._low < each <= 1.05 * self._high)
        whole = round(middle)
        return next(usual, whole if self._low < whole < self._high else middle)
