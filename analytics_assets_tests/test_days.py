"""Days where an account is, and which of them are asked for, whatever the clocks do."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone
from zoneinfo import available_timezones

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.days import (
    EARLIEST,
    Window,
    asked_window,
    due_windows,
    first_windows,
    pieces,
    time_zone,
    today,
    until,
    update_window,
)
from analytics_assets.errors import WindowError

DAY = timedelta(days=1)
# a zone's file is read when it is first asked for
unhurried = settings(deadline=None)
ZONES = sorted(available_timezones())
DAYS = st.dates(date(2020, 1, 1), date(2030, 12, 31))
MOMENTS = st.builds(
    lambda seconds: datetime.fromtimestamp(seconds, timezone.utc),
    st.integers(1_577_836_800, 1_924_905_600),
)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=timezone.utc)


def days_of(windows: list[Window]) -> list[date]:
    return [day for window in windows for day in window.days]


@pytest.mark.parametrize(
    ("zone", "moment", "day"),
    [
        ("US/Eastern", "2026-03-08 04:59", "2026-03-07"),  # before the clocks go forward
        ("US/Eastern", "2026-03-09 03:59", "2026-03-08"),  # after, on a day of 23 hours
        ("US/Eastern", "2026-11-02 04:59", "2026-11-01"),  # on a day of 25 hours
        ("US/Eastern", "2026-11-02 05:00", "2026-11-02"),
        ("Asia/Tokyo", "2026-09-29 15:00", "2026-09-30"),
        ("Pacific/Kiritimati", "2026-09-29 10:00", "2026-09-30"),
        ("Pacific/Pago_Pago", "2026-09-29 10:59", "2026-09-28"),
        ("America/Havana", "2026-03-08 05:00", "2026-03-08"),  # has no midnight
        (None, "2026-09-29 23:59", "2026-09-29"),
        ("", "2026-09-29 23:59", "2026-09-29"),
        ("Mars/Olympus", "2026-09-29 23:59", "2026-09-29"),
    ],
)
def test_the_day_where_an_account_is(zone: str | None, moment: str, day: str):
    assert today(zone, utc(moment)) == date.fromisoformat(day)


@pytest.mark.parametrize("name", [None, "", "Mars/Olympus", "Europe", "../UTC", "/etc/x", "a\0b"])
def test_no_time_zone(name: str | None):
    assert time_zone(name) is None


@unhurried
@given(st.sampled_from(ZONES), MOMENTS)
def test_a_day_follows_another(zone: str, moment: datetime):
    later = today(zone, moment + timedelta(hours=1)) - today(zone, moment)
    assert later in (timedelta(), DAY)
    assert abs(today(zone, moment) - moment.date()) <= DAY


@given(DAYS, st.integers(1, 1000))
def test_the_history_in_pieces_that_lack_no_day(now: date, days: int):
    windows = first_windows(now, days)
    assert days_of(windows) == Window(now - (days - 1) * DAY, now).days
    assert max(len(window.days) for window in windows) <= 30
    assert len(windows) == -(-days // 30)


@given(DAYS, st.integers(-500, 2), st.integers(0, 60))
def test_an_update(now: date, age: int, lookback: int):
    newest = now + age * DAY
    window = update_window(newest, now, lookback)
    assert window.last == now
    assert len(window.days) <= 2 * lookback + 1  # what a request has at the most
    if age >= -lookback:
        assert window.first == min(newest, now) - lookback * DAY


@given(
    DAYS,
    st.sets(st.integers(-200, 2)),
    st.integers(0, 60),
    st.integers(1, 300),
    st.booleans(),
)
def test_all_that_may_have_changed_is_asked_for_once(
    now: date, ages: set[int], lookback: int, history: int, was_read: bool
):
    held = {now + age * DAY for age in ages}
    windows = due(now, held, lookback, history, was_read=was_read)
    asked = days_of(windows)
    assert asked == sorted(set(asked))  # each once, the oldest first
    since = min([now - (history - 1) * DAY, *held])
    changing = min(max(held), now) - lookback * DAY if held else since
    due_days = Window(since, now).days if since <= now else [now]
    assert {day for day in due_days if day not in held or day >= changing} <= set(asked)
    # of what is settled, nothing
    kept = {day for day in held if day < changing}
    assert not kept & set(asked)
    if was_read:
        assert len(windows) <= len(kept) + 2
    # later on the same day, one request
    again = due(now, None, lookback, history, newest=max(held, default=None))
    assert [window.last for window in again] == [now]
    assert len(again[0].days) <= 2 * lookback + 1


def due(
    now: date,
    held: set[date] | None,
    lookback: int = 31,
    history: int = 365,
    *,
    was_read: bool = True,
    newest: date | None = None,
) -> list[Window]:
    newest = max(held, default=None) if held is not None else newest
    return due_windows(
        newest, held, now, lookback_days=lookback, history_days=history, was_read=was_read
    )


def test_an_account_that_paused_costs_one_request_more_a_day():
    now = date(2026, 9, 29)
    held = set(Window(date(2025, 9, 30), date(2026, 1, 31)).days)
    update = Window(now - 62 * DAY, now)
    assert due(now, held) == [Window(date(2025, 12, 31), update.first - DAY), update]
    assert due(now, None, newest=max(held)) == [update]


def test_an_account_that_never_had_a_row_costs_as_much():
    now = date(2026, 9, 29)
    update = Window(now - 62 * DAY, now)
    assert due(now, set(), was_read=False) == first_windows(now, 365)
    assert due(now, set()) == [Window(date(2025, 9, 30), update.first - DAY), update]
    assert due(now, None) == [update]


def test_a_first_load_that_was_killed_goes_on_in_pieces():
    now = date(2026, 9, 29)
    held = set(Window(date(2025, 9, 30), date(2026, 1, 31)).days)
    windows = due(now, held, was_read=False)
    assert windows == [*pieces(Window(date(2026, 1, 31) - 31 * DAY, now))]
    assert max(len(window.days) for window in windows) == 30
    # nothing from before the history, unless it is there
    assert due(now, {date(2025, 10, 5)}, was_read=False)[0].first == date(2025, 9, 30)


@unhurried
@given(st.sampled_from(ZONES), st.sampled_from(ZONES), MOMENTS)
def test_a_changed_time_zone_leaves_no_day_out(one: str, other: str, moment: datetime):
    newest = today(one, moment)
    now = today(other, moment + timedelta(hours=1))
    assert abs(now - newest) <= 2 * DAY
    window = update_window(newest, now, 31)
    assert window.last == now
    assert window.first <= newest - 29 * DAY


NOW = utc("2026-09-29 11:00")


def test_a_window_that_is_asked_for():
    window = asked_window("2026-01-01", "2026-03-31", NOW)
    assert window == Window(date(2026, 1, 1), date(2026, 3, 31))
    assert [len(piece.days) for piece in pieces(window)] == [30, 30, 30]
    assert asked_window("2026-09-01", None, NOW).last == date(2026, 9, 30)  # begun in Kiritimati
    assert asked_window(str(EARLIEST), "2026-09-30", NOW).first == EARLIEST
    assert str(window) == "2026-01-01 to 2026-03-31"


def test_what_has_not_begun_where_an_account_is():
    window = Window(date(2026, 9, 1), date(2026, 9, 30))
    assert until(window, date(2026, 9, 29)) == Window(date(2026, 9, 1), date(2026, 9, 29))
    assert until(window, date(2026, 10, 29)) == window
    assert until(window, date(2026, 8, 31)) is None


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("2026-03-31", "2026-01-01", "the window ends on 2026-01-01, before it begins on 2026-03"),
        ("2026-10-01", None, "2026-10-01 is yet to come: ask for days up to today, 2026-09-30"),
        ("2026-01-01", "2062-03-31", "2062-03-31 is yet to come: ask for days up to today, 2026"),
        ("1970-01-01", "2026-01-01", "1970-01-01 is too long ago: ask for days from 1970-01-02"),
        ("0001-01-01", None, "0001-01-01 is too long ago"),
        ("2026-02-30", None, "'2026-02-30' is no day: write it as 2026-01-31"),
        ("yesterday\n", "2026-01-01", r"'yesterday\n' is no day"),
        ("2026-01-01", "01/31/2026", "'01/31/2026' is no day"),
        ("", "2026-01-01", "'' is no day"),
        ("20260131", None, "'20260131' is no day"),
        ("2026-W05-6", None, "'2026-W05-6' is no day"),
    ],
)
def test_windows_that_cannot_be(first: str, last: str | None, said: str):
    with pytest.raises(WindowError) as error:
        asked_window(first, last, NOW)
    assert str(error.value).startswith(said)
    assert "\n" not in str(error.value)
