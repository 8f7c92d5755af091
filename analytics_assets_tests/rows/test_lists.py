"""When a list is read again, and what tells that a row has changed."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from typing import Any

import pytest

from analytics_assets.rows.lists import KnownLists, ReadList, parent_version

DAY = 86_400
NAME, ACCOUNT = "campaign_items", "acme"


def is_left_out(found: ReadList, now: float, *, days: int = 7, parent: str = "7") -> bool:
    known = KnownLists(days, {(NAME, ACCOUNT): {parent: found}})
    return known.unchanged(NAME, ACCOUNT, parent, "a", now) is found


def readings(parent: str, moments: list[float], days: int) -> list[float]:
    """When a list is read by syncs at these moments, if its parent row never changes."""
    read_at = [moments[0]]
    for now in moments[1:]:
        if not is_left_out(ReadList("a", read_at[-1], 1), now, days=days, parent=parent):
            read_at.append(now)
    return read_at


def test_hourly_syncs_read_each_list_once_in_seven_days():
    hours = [float(hour * 3_600) for hour in range(22 * 24)]
    begun = Counter[int]()
    for number in range(300):
        at = readings(f"{number}", hours, 7)
        assert {later - earlier for earlier, later in pairwise(at[1:])} == {7.0 * DAY}
        assert at[1] <= 7 * DAY
        begun[int(at[1] // DAY)] += 1
    # evenly: 43 a day
    assert min(begun[day] for day in range(7)) > 20
    assert max(begun.values()) < 70


@pytest.mark.parametrize("days", [1, 7, 30])
@pytest.mark.parametrize("gap", [0.3, 1, 3, 40])
def test_rare_syncs_are_late_by_their_gap_at_most(days: int, gap: float):
    moments = [1e9 + number * gap * DAY for number in range(40)]
    for number in range(20):
        at = [*readings(f"{number}", moments, days), moments[-1]]
        assert all(later - earlier < (days + gap) * DAY for earlier, later in pairwise(at))


def test_what_is_not_left_out():
    found = ReadList("a", 100.0, 1)
    assert is_left_out(found, 100.0)
    assert not is_left_out(ReadList("b", 100.0, 1), 100.0)
    assert not is_left_out(ReadList("", 100.0, 1), 100.0)
    assert not is_left_out(found, 99.0)  # the clock was put back
    known = KnownLists(7, {(NAME, ACCOUNT): {"7": found}})
    for key in (("motion_ads", ACCOUNT, "7"), (NAME, "other", "7"), (NAME, ACCOUNT, "8")):
        assert known.unchanged(*key, "a", 100.0) is None
    assert (
        KnownLists(7, {(NAME, ACCOUNT): {"7": ReadList("", 0, 0)}}).unchanged(
            NAME, ACCOUNT, "7", "", 0
        )
        is None
    )


def nested(levels: int) -> Any:
    value: Any = []
    for _ in range(levels):
        value = [value]
    return value


def test_a_version_tells_each_value_and_nothing_else():
    rows: list[dict[str, Any]] = [
        {"id": "7", "bid": 1},
        {"id": "7", "bid": 1.5},
        {"id": "7", "bid": "1"},
        {"id": "7", "bid": True},
        {"id": "7", "bid": None},
        {"id": "7"},
        {"id": "7", "bid": {"a": 1, "b": [1, 2]}},
        {"id": "7", "bid": {"a": 1, "b": [2, 1]}},
        {"id": "7", "bid": 2**70},
        {"id": "7", "bid": 2**70 + 1},
        {"id": "7", "bid": "\ud800"},
        {"id": "7", "bid": "\udfff"},
        {"id": "7", "bid": nested(300)},
        {"id": "7", "bid": nested(301)},
    ]
    assert len({parent_version(row) for row in rows}) == len(rows)
    assert parent_version({"a": {"x": 1, "y": 2}, "b": 1}) == parent_version(
        {"b": 1, "a": {"y": 2, "x": 1}}
    )
    assert parent_version({"a": nested(100_000)}) == ""
