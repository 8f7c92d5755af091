"""How long the windows of quotas mostly are."""

from __future__ import annotations

from typing import Final

USUAL_WINDOWS: Final = (0.25, 0.5, 1, 2, 3, 5, 6, 10, 15, 20, 30, 60, 300, 600, 900, 1800, 3600)
"""Seconds that a window mostly has, the shortest first."""

# What is told or measured may be a little longer than what it is about.
_LONGER: Final = 1.05


def usual_window(seconds: float) -> float:
    """The shortest usual window that lasts as long; if none does, one of just so many seconds."""
    return next((each for each in USUAL_WINDOWS if seconds <= _LONGER * each), seconds)
