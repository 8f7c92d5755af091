"""Finds out how fast requests may follow one another, where a quota opens again at once."""

from __future__ import annotations

from typing import Final

# Who saves up no more refuses each request that comes too early. One may look like two: at the
# start, the second request is sent when the first is answered.
STRICT: Final = 2
# A rate is a little lower than what was measured.
_MARGIN: Final = 0.98
# Rates that differ by less are not worth a trial.
_EXACT: Final = 0.02
# A rate is tried for so many seconds at least, and for so many requests above the one that held.
_TRIAL, _TRIAL_REQUESTS, _STRICT_REQUESTS = 1.2, 3, 0.15
# A step is so much of the way to the rate that was refused, and of the one that held at the most.
# Small ones are refused less.
_STEP, _STRICT_STEP = (1 / 2, 1.0), (1 / 8, 2.0)
# At first, higher rates are tried as if nothing had been refused for so many seconds.
_AHEAD: Final = 5.0
# A request that comes later, in terms of the rate that is tried, says nothing about it.
_LATE: Final = 1.1
# So many requests may arrive closer together than they are sent.
_CLOSE: Final = 4
# A rate that held is lowered by twice as much as before, up to this share, if what it accepted took
# less than so many times the wait.
_DROP, _SOON = 0.25, 2.5
# A quota may have been raised if nothing was refused for so many seconds, requests and waits.
_QUIET, _QUIET_REQUESTS, _QUIET_WAITS = 60.0, 300, 100


class Spacing:
    """The rate at which requests are spaced evenly, between one that held and one that was refused.

    A higher rate is tried when the one halfway would have gained, since the last refusal, as much
    time as one more costs. If nothing is refused, it holds.

    Args:
        now: The time.
        rate: The rate to begin with, in requests per second.
        burst: Requests that were accepted before the first refusal: a bucket may save up as many.
        cost: Seconds that a refusal costs.
        refused: A rate that is too high.

    Attributes:
        rate: The rate in force, in requests per second.
    """

    def __init__(self, now: float, rate: float, burst: int, cost: float, refused: float) -> None:
        self._burst, self._is_strict = burst, burst <= STRICT
        self._held, self._refused = rate * _MARGIN if self._is_strict else 0.0, refused
        self._drop = _EXACT
        self._begin(now, rate * _MARGIN, cost)
        self._refused_at -= _AHEAD

    def accepted(self, now: float, sent_at: float, gap: float) -> None:
        """Notes that a request was accepted, and tries a higher rate if it is time.

        It was sent at `sent_at`, `gap` seconds after the last one that was accepted.
        """
        if not self._is_strict or (sent_at >= self._tried_at and gap * self.rate < _LATE):
            self._number += 1
        if self.rate > self._held:
            if not self._has_held(now):
                return
            self._held, self._refused = self.rate, max(self._refused, self.rate)
            self._try(now, self.rate)
        way, quiet = self._refused / self._held - 1, now - self._refused_at
        if way / 2 > _EXACT:
            if quiet * min(1.0, way / 2) >= self._cost:
                part, most = _STRICT_STEP if self._is_strict else _STEP
                self._try(now, self.rate * (1 + max(_EXACT, min(part * way, most))))
        elif quiet > max(_QUIET, _QUIET_REQUESTS / self.rate, _QUIET_WAITS * self._cost):
            self._growth *= 2
            self._try(now, self.rate * (1 + self._growth))

    def refused(self, now: float, number: int, seconds: float, cost: float) -> None:
        """Notes that the API has opened again after a refusal.

        Args:
            now: When it did.
            number: Requests that it accepted since it had opened before.
            seconds: How long ago that was.
            cost: Seconds since the last of them.
        """
        if self.rate > self._held:
            self._held = max(self._held, _MARGIN * min(number / seconds, self.rate))
            # a bucket that fills faster and saves up half of the burst would have accepted more;
            # a few may have come close together
            saved = max(0.0, self._burst / 2 - _CLOSE) / max(1, self._number)
            highest = max(self.rate * (1 - saved), (number + 1) / seconds)
            self._refused = max(self._held, min(highest, self.rate))
        else:
            self._drop = min(2 * self._drop, _DROP) if seconds < _SOON * cost else _EXACT
            self._refused = self._held
            self._held *= 1 - self._drop
        self._begin(now, self._held, cost)

    def _has_held(self, now: float) -> bool:
        """Whether the rate was tried for long enough."""
        above = self._number * (1 - self._held / self.rate)
        if self._is_strict:
            return above >= _STRICT_REQUESTS
        return above >= max(_TRIAL_REQUESTS, self._burst) and now - self._tried_at >= _TRIAL

    def _begin(self, now: float, rate: float, cost: float) -> None:
        self._refused_at, self._cost, self._growth = now, cost, _EXACT / 2
        self._try(now, rate)

    def _try(self, now: float, rate: float) -> None:
        self.rate, self._tried_at, self._number = rate, now, 0
