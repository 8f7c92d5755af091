"""The days of a report: which day it is where an account is, and which days are asked for.

No cursor is stored: the days that a table holds say what is to be asked for.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta, timezone
from itertools import pairwise
from typing import Final
from zoneinfo import ZoneInfo

from analytics_assets.errors import WindowError

EARLIEST: Final = date(1970, 1, 2)
"""The first day that can be asked for: one before it is a slip of somebody's pen."""

_DAY: Final = timedelta(days=1)
# how much of the history is asked for, and loaded, at once
_DAYS_OF_A_PIECE: Final = 30
_FIRST_TO_SEE_A_DAY: Final = timezone(timedelta(hours=14))


@dataclass(frozen=True, slots=True)
class Window:
    """Days that follow each other.

    Attributes:
        first: The first of them.
        last: The last of them, not before the first.
    """

    first: date
    last: date

    @property
    def days(self) -> list[date]:
        """All of its days, in order."""
        return [self.first + number * _DAY for number in range((self.last - self.first).days + 1)]

    def __str__(self) -> str:
        return f"{self.first} to {self.last}"


def time_zone(name: str | None) -> ZoneInfo | None:
    """The time zone of a name such as `US/Eastern`; None if it has none, or one that is unknown.

    An account without one has the days of UTC, and whoever loads it says so.
    """
    try:
        return ZoneInfo(name) if name else None
    except (KeyError, ValueError, OSError):  # unknown, no name at all, a folder of names
        return None


def today(zone_name: str | None, now: datetime) -> date:
    """The day that it is for an account; `now` has a time zone."""
    return now.astimezone(time_zone(zone_name) or timezone.utc).date()


def first_windows(today: date, history_days: int) -> list[Window]:
    """What is asked for of an account without any row, in pieces.

    The oldest come first: so the newest day held says where to go on, after whatever end.
    """
    return list(pieces(Window(today - (history_days - 1) * _DAY, today)))


def pieces(window: Window) -> Iterator[Window]:
    """A window in pieces that are loaded one by one, the oldest first."""
    first = window.first
    while first <= window.last:
        last = min(first + (_DAYS_OF_A_PIECE - 1) * _DAY, window.last)
        yield Window(first, last)
        first = last + _DAY


def due_windows(
    newest: date | None,
    held: Collection[date] | None,
    today: date,
    *,
    lookback_days: int,
    history_days: int,
    was_read: bool,
) -> list[Window]:
    """What is asked for at a load of an account, the oldest first.

    Args:
        newest: The newest day that has rows; None where none has.
        held: The days that have rows; None where those without any are not to be asked for again.
        today: The day that it is for the account.
        lookback_days: For how many days a day's figures change.
        history_days: How many days up to today are loaded at first.
        was_read: Whether a load of the account has ended before; one that was killed goes on.
    """
    if newest is None and not was_read:
        return first_windows(today, history_days)
    since = today - (history_days - 1) * _DAY
    update = update_window(newest or since, today, lookback_days)
    if not was_read and newest is not None:
        changing = min(newest, today) - lookback_days * _DAY
        update = Window(max(changing, min([since, *(held or ())])), today)
    again = [] if held is None else stretches(held, update.first, lookback_days, since)
    return [*again, *([update] if was_read else pieces(update))]


def update_window(newest: date, today: date, lookback_days: int) -> Window:
    """What is asked for at each load of an account that was read before.

    It begins as many days before the newest as these change for, and ends today. Of an account that
    has had no rows for as long, it is twice that; what lies before is a stretch without rows.

    Args:
        newest: The newest day that has rows; one after today is left where it is, as after a change
            of the account's time zone.
        today: The day that it is for the account.
        lookback_days: For how many days a day's figures change.
    """
    lookback = timedelta(days=lookback_days)
    return Window(max(min(newest, today), today - lookback) - lookback, today)


def stretches(
    held: Collection[date], before: date, lookback_days: int, since: date
) -> list[Window]:
    """What is asked for again once a day: the days without rows.

    Where the newest day is old, it may be that nothing was loaded for a long time: the last stretch
    then begins as many days before it as these change for.

    Args:
        held: The days that have rows.
        before: The first day that is asked for anyway.
        lookback_days: For how many days a day's figures change.
        since: The first day that is to be there, if an earlier one is not.
    """
    known = []
    if held:
        since = min(since, *held)
        changing = min(max(held) - timedelta(days=lookback_days), before)
        known = sorted(day for day in held if day < changing)
    return [
        Window(one + _DAY, other - _DAY)
        for one, other in pairwise([since - _DAY, *known, before])
        if other - one > _DAY
    ]


def asked_window(first: str, last: str | None, now: datetime) -> Window:
    """The window that somebody asks for, by days such as 2026-01-31; up to today without a last.

    Raises:
        WindowError: One is no such day, or there is no such window.
    """
    newest = now.astimezone(_FIRST_TO_SEE_A_DAY).date()
    window = Window(_day(first), newest if last is None else _day(last))
    if window.first < EARLIEST:
        raise WindowError(f"{window.first} is too long ago: ask for days from {EARLIEST} on")
    for day in (window.first, window.last):
        if day > newest:
            raise WindowError(f"{day} is yet to come: ask for days up to today, {newest}")
    if window.last < window.first:
        raise WindowError(f"the window ends on {window.last}, before it begins on {window.first}")
    return window


def until(window: Window, today: date) -> Window | None:
    """What of a window has begun where an account is; None for nothing."""
    return Window(window.first, min(window.last, today)) if window.first <= today else None


def _day(text: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        day = None
    if day is None or str(day) != text:  # newer Pythons read 20260131 and 2026-W05-6, too
        raise WindowError(f"{text!r} is no day: write it as 2026-01-31")
    return day
