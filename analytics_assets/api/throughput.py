"""Tells when what was learned of a quota gives much less than the API gave before."""

from __future__ import annotations

import math
from typing import Final

# A rate that the API gave for so many seconds is one that it gives; where it opens again at once,
# so that no window is known, for fewer.
_LEAST_SECONDS, _LEAST_SPACED = 15.0, 3.0
# Less than that share of it is a slump.
_MUCH: Final = 0.7
# A slump may last so many seconds, and windows, at first; it is over after so many times as long.
_PATIENCE, _PATIENT_WINDOWS, _OVER = 10.0, 2, 10
# After it a rate is tried first that is higher than what the API gave by that share.
_HIGHER: Final = 1.2


class Throughput:
    """What the API gives, since it first refused a request, and whether it is much less now.

    Others who use the quota up for a while lower what is learned. When they have gone, it gives too
    few requests to find that out soon, and is better forgotten: after seconds at first and, if that
    was in vain, after twice as long, and so on, so that a few times as long is lost as they took.
    """

    def __init__(self) -> None:
        self._best = self._best_window = 0.0
        self._slow_since = self._well_since = math.inf
        self._patience = _PATIENCE
        self._begin()

    @property
    def rate(self) -> float:
        """What to try first when it is forgotten, in requests per second."""
        return _HIGHER * self._best

    def has_slumped(self, now: float, limit: int, window: float) -> bool:
        """Notes that a request was accepted; returns whether what was learned is to be forgotten.

        That is `limit` requests in any `window` seconds; 0 while nothing was learned.
        """
        if not limit:
            return False
        self._measure(now, limit, window)
        # a window of the same length is soon tried with what it lost (`LimitTrial`)
        if limit >= _MUCH * self._best * window or window == self._best_window:
            self._slow_since, self._well_since = math.inf, min(self._well_since, now)
            if now - self._well_since > _OVER * self._patience:
                self._patience = _PATIENCE
            return False
        self._slow_since, self._well_since = min(self._slow_since, now), math.inf
        if now - self._slow_since < max(self._patience, _PATIENT_WINDOWS * window):
            return False
        self._patience *= 2
        self._slow_since = math.inf
        self._begin()
        return True

    def _begin(self) -> None:
        self._begun_at, self._accepted = math.inf, 0

    def _measure(self, now: float, limit: int, window: float) -> None:
        self._begun_at = min(self._begun_at, now)
        self._accepted += 1
        seconds = now - self._begun_at
        if seconds >= (_LEAST_SPACED if limit == 1 else _LEAST_SECONDS):
            # the last window may have just begun
            rate = (self._accepted - limit) / seconds
            if rate > self._best:
                self._best, self._best_window = rate, window
