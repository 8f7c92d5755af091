"""Which days of a report a load is said to change: those whose figures add up to something else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from analytics_assets.rows.account_rows import Part
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.load import load
from analytics_assets_tests.testing.loading import RULES, account_rows
from analytics_assets_tests.testing.tables import change_warehouse, query

REPORT = "campaign_performance"
TABLE = f"analytics.{REPORT}"
Window = tuple[str, Sequence[int] | None, list[dict[str, Any]]]


def day(number: int) -> date:
    return date(2026, 1, number)


def row(number: int, campaign: str = "7", **figures: float | None) -> dict[str, Any]:
    return {"date": str(day(number)), "campaign": campaign, **figures}


def changed(home: Path, *windows: Window) -> Mapping[str, int]:
    """The days that a load changes: account, the days that were asked for, and their rows."""
    with TemporaryDirectory(dir=home) as made:
        accounts = []
        for place, (account_id, days, rows) in enumerate(windows):
            account = account_rows(Path(made) / str(place), account_id, {REPORT: rows})
            if days is not None:
                account.resources[REPORT].part = Part("date", [day(number) for number in days])
            accounts.append(account)
        request = LockRequest("a test", 60, print)
        found = load(platform_settings(), Path(made), [REPORT], accounts, request, allow_empty=True)
    return found.changed_days[REPORT]


def test_each_account_and_each_of_its_days_is_compared_with_itself(home: Path):
    of_a, of_b = [row(1, clicks=1), row(2, clicks=2)], [row(1, clicks=3), row(2, clicks=4)]
    assert changed(home, ("a", [1, 2, 3], of_a), ("b", [1, 2], of_b)) == {"a": 2, "b": 2}
    assert changed(home, ("a", [1, 2, 3], of_a), ("b", [1, 2], of_b)) == {"a": 0, "b": 0}
    # a day beside the window is not there for it
    assert changed(home, ("a", [2], of_a[1:]), ("b", [1], [row(1, clicks=9)])) == {"a": 0, "b": 1}
    assert changed(home, ("a", [1, 2, 3], []), ("b", [1], [row(1, clicks=9)])) == {"a": 2, "b": 0}


def test_the_windows_of_an_account_are_counted_together(home: Path):
    windows: list[Window] = [
        ("a", [1, 2], [row(1, clicks=1), row(2, clicks=1)]),
        ("b", [2], [row(2, clicks=1)]),
        ("a", [4, 5], [row(5, clicks=1)]),
    ]
    assert changed(home, *windows) == {"a": 3, "b": 1}
    assert changed(home, *windows[1:]) == {"b": 0, "a": 0}


def test_an_account_that_was_read_whole_has_no_days_to_compare(home: Path):
    assert changed(home, ("a", None, [row(1)]), ("b", [1], [row(1)])) == {"b": 1}
    assert changed(home, ("a", None, [row(1)])) == {}


def test_a_row_more_is_a_change_though_it_counts_nothing(home: Path):
    assert changed(home, ("a", [1], [row(1, clicks=2)])) == {"a": 1}
    assert changed(home, ("a", [1], [row(1, clicks=2), row(1, "8", clicks=0)])) == {"a": 1}
    assert changed(home, ("a", [1], [row(1, clicks=2), row(1, "8", clicks=None)])) == {"a": 0}
    # campaigns that swap their figures are not seen
    assert changed(home, ("a", [1], [row(1, clicks=0), row(1, "8", clicks=2)])) == {"a": 0}


def test_the_first_click_of_a_day_is_a_change(home: Path):
    assert changed(home, ("a", [1], [row(1, clicks=0)])) == {"a": 1}
    assert changed(home, ("a", [1], [row(1, clicks=1)])) == {"a": 1}


def test_amounts_are_equal_up_to_rounding(home: Path):
    assert changed(home, ("a", [1], [row(1, spent=0.1 + 0.2)])) == {"a": 1}
    assert changed(home, ("a", [1], [row(1, spent=0.3)])) == {"a": 0}
    assert changed(home, ("a", [1], [row(1, spent=0.3 + 1e-7)])) == {"a": 1}
    assert changed(home, ("a", [1], [row(1, spent=0.3 - 1e-7)])) == {"a": 1}


def test_what_cannot_be_added_up_in_the_table_is_left_out(home: Path):
    assert changed(home, ("a", [1], [row(1, clicks=1, spent=1.0)])) == {"a": 1}
    change_warehouse(home, f"ALTER TABLE {TABLE} ALTER COLUMN clicks TYPE varchar")
    assert changed(home, ("a", [1], [row(1, clicks=2, spent=1.0)])) == {"a": 0}
    assert changed(home, ("a", [1], [row(1, clicks=2, spent=2.0)])) == {"a": 1}
    assert query(home, f"SELECT clicks__v_bigint FROM {TABLE}") == [(2,)]


def test_lists_have_no_days(home: Path, tmp_path: Path):
    account = account_rows(tmp_path / "rows", "a", {RULES.name: [{"id": 1}]})
    request = LockRequest("a test", 60, print)
    assert load(platform_settings(), tmp_path, [RULES.name], [account], request).changed_days == {}
