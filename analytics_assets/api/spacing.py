"""Finds out how fast requests may follow one another, where a quota opens again at once."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

# A quota without any burst may accept as many at first, the second when the first is answered.
FEW: Final = 2
# A rate is a little lower than what was measured.
_MARGIN: Final = 0.98
# A rate that held falls to this share if it was refused once in more than so many requests: these
# may have come close together.
_SLIP, _SELDOM = 0.995, 50
# A refusal lowers a rate that held by this share at the most, the next by twice as much, up to half
# of it, unless so many requests were accepted meanwhile.
_DROP, _LARGEST_DROP, _WELL = 0.05, 0.5, 30
# A rate is tried for as long as the API has been closed, which is so many seconds at the most, and
# for so many requests above the one that held.
_TRIAL, _TRIAL_REQUESTS = 1.2, 3
# Rates that differ by less are not worth a trial.
_EXACT: Final = 0.01
# A refusal costs so many seconds, or requests, at the most: where the API is closed for longer,
# others use it.
_LONGEST_COST, _LARGEST_COST = 2.0, 4
# So many requests may arrive closer together than they are sent.
_CLOSE: Final = 4
# A rate of which so many requests were accepted holds, and may have been too low from the first, or
# be raised.
_QUIET_REQUESTS: Final = 300
# Nobody sends more in a second, so that no higher rate tells anything.
_HIGHEST: Final = 10_000.0


class Spacing:
    """The rate at which requests are spaced evenly, between one that held and one that was refused.

    The rate halfway is tried when it would have gained, since the last refusal, as much time as one
    more costs. If nothing is refused, it holds. Once the two have met, so is a slightly higher one,
    or one that is higher by what a bucket may have saved up, or by half of what was refused before.
    A rate that held and is refused falls: the sooner it is refused again, the more.

    Args:
        now: The time.
        rate: The rate to begin with, in requests per second.
        burst: Requests that were accepted before the first refusal: a bucket may save up as many.
        cost: Seconds that a refusal costs.
        highest: A rate that the API refuses, as far as is known.

    Attributes:
        rate: The rate in force, in requests per second.
        held: The highest rate that held, in requests per second; 0 while none has.
        burst: See above.
    """

    def __init__(
        self, now: float, rate: float, burst: int, cost: float, highest: float = math.inf
    ) -> None:
        self.burst = burst
        self._trial = 0.0
        self.held, self._refused = 0.0, highest
        self._drop, self._leap = _DROP, burst / _QUIET_REQUESTS
        self._begin(now, rate * _MARGIN, cost)

    def accepted(self, now: float) -> None:
        """Notes that a request was accepted, and tries a higher rate if it is time."""
        self._number += 1
        if self.rate > self.held:
            gain = 1 - self.held / self.rate
            seconds, enough = self._trial, max(_TRIAL_REQUESTS, self.burst)
            if self.burst <= FEW:
                # where nothing is saved up, each request tells by itself
                seconds = 0.0
                if self._refused == math.inf:
                    enough = 2 * (self.burst - 1)
            elif not self.held:
                enough += FEW  # a window may have room for as many as were saved up
            is_enough = self._number * gain >= enough or self._number > _QUIET_REQUESTS
            if now - self._tried_at < seconds or not is_enough:
                return
            self.held, self._refused = self.rate, max(self._refused, self.rate)
        if self._number > _WELL:
            self._drop = _DROP
        gain = min(1.0, (self._refused / self.held - 1) / 2)
        if gain > _EXACT:
            if (now - self._refused_at) * gain >= self._cost:
                self._try(now, self.rate * (1 + gain))
        elif now - self._refused_at > max(self._cost / self._growth, _QUIET_REQUESTS / self.rate):
            self._growth *= 2
            # what was saved up outlasts a trial of less
            self._try(now, self.rate * (1 + max(self._growth, self._leap)))

    def refused(self, now: float, moments: Sequence[float], seconds: float, cost: float) -> None:
        """Notes that the API has opened again after a refusal.

        Args:
            now: When it did.
            moments: When it accepted requests since it had opened before.
            seconds: How long ago that was.
            cost: Seconds since the last of them.
        """
        rate = max(len(moments) / seconds * _MARGIN, self._beyond_burst(moments))
        if self.rate > self.held:
            if self.rate > self._refused:
                self._leap /= 2
            self.held = max(self.held, min(rate, _MARGIN * self.rate))
            # a bucket that fills faster and saves up half of the burst would have accepted more;
            # a few may have come close together
            saved = max(0.0, self.burst / 2 - _CLOSE) / max(1, self._number)
            highest = max(self.rate * (1 - saved), (len(moments) + 1) / seconds)
            self._refused = max(self.held, min(highest, self.rate))
        else:
            self._refused = self.held
            slip = _SLIP if len(moments) > _SELDOM else _MARGIN
            self.held *= min(slip, max(rate / self.held, 1 - self._drop))
            self._drop = min(_LARGEST_DROP, 2 * self._drop)
        self._begin(now, self.held, cost)

    def _begin(self, now: float, rate: float, cost: float) -> None:
        self._refused_at, self._growth = now, _EXACT
        self._trial = min(_TRIAL, max(self._trial, cost))
        # what took longer was because of others
        self._cost = min(cost, max(_LONGEST_COST, _LARGEST_COST / rate))
        self._try(now, rate)

    def _try(self, now: float, rate: float) -> None:
        self.rate, self._tried_at, self._number = min(rate, _HIGHEST), now, 0

    def _beyond_burst(self, moments: Sequence[float]) -> float:
        """The highest rate that was accepted beyond a burst: no bucket accepts more for long."""
        numbers = range(len(moments) - self.burst, 0, -1)
        spans = (max(moments[-1] - moment, 1e-3) for moment in moments)
        return max((number / span for number, span in zip(numbers, spans, strict=False)), default=0)
