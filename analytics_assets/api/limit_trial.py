"""Tries a window with more requests than have fit so far, now and then."""

from __future__ import annotations

from typing import Final

# Once in so many requests, a window is tried with more than its limit.
_SELDOM: Final = 300
# A small one is first tried after so many, or so many windows: others may have used up the rest.
_SOON, _WINDOWS = 30, 6


class LimitTrial:
    """What a window is tried with beyond its limit, and when.

    What fits is doubled in the next window, and what does not is quartered.

    Args:
        limit: The requests that a window seems to have room for.

    Attributes:
        extra: Requests beyond the limit with which it is tried now.
    """

    def __init__(self, limit: int) -> None:
        self.extra = 0
        self._next_extra, self._since = 1, 0
        self._patience = max(_SOON, min(_SELDOM, _WINDOWS * limit))

    def refused(self, limit: int) -> None:
        """Notes that a window had no room, be it within its limit or beyond it."""
        if self.extra:
            self._next_extra = max(1, self.extra // 4)
            self._patience = min(_SELDOM, max(limit, 2 * self._patience))
        self.extra = 0

    def opened(self, limit: int, accepted: int) -> int:
        """Begins the next window after so many requests; returns its limit."""
        if self.extra:
            limit, self._next_extra, self._patience = limit + self.extra, 2 * self.extra, 0
        self._since += accepted
        self.extra = 0
        if limit > 1 and self._since > self._patience:
            self.extra, self._since = self._next_extra, 0
        return limit

    def lost(self, number: int, limit: int) -> None:
        """Notes that so many fitted no longer, which others may have used for once."""
        self._next_extra, self._patience = number, min(self._patience, limit)
