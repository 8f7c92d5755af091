"""Which days of reports the tables hold, and which windows of them are suddenly empty."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from analytics_assets.errors import WarehouseError
from analytics_assets.rows.account_rows import Part, no_rows
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.load import load
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets.warehouse.report_days import (
    ReportDays,
    held_days,
    report_days,
    suddenly_empty_windows,
)
from analytics_assets_tests.testing.loading import account_rows
from analytics_assets_tests.testing.tables import change_warehouse

REPORT, SITES = "campaign_performance", "site_performance"
REQUEST = LockRequest("a test", 60, print)


def day(number: int) -> date:
    return date(2026, 1, number)


def load_all(home: Path, name: str, rows: Mapping[str | None, list[dict[str, Any]]]) -> None:
    with TemporaryDirectory(dir=home) as made:
        accounts = [
            account_rows(Path(made) / str(place), account_id, {name: each})
            for place, (account_id, each) in enumerate(rows.items())
        ]
        load(platform_settings(), Path(made), [name], accounts, REQUEST)


def load_days(home: Path, days: Mapping[str | None, list[int]], name: str = REPORT) -> None:
    rows = {
        account_id: [{"date": str(day(n)), "campaign": "7", "site": "s"} for n in each]
        for account_id, each in days.items()
    }
    load_all(home, name, rows)


def known(accounts: Mapping[str, list[str]], since: int, folder: Path) -> ReportDays:
    return report_days(platform_settings(), folder, accounts, day(since), REQUEST)


def test_the_newest_day_of_each_account_and_its_time_zone(home: Path, tmp_path: Path):
    listed = [{"account_id": "a", "time_zone_name": "US/Eastern"}, {"account_id": "b"}]
    load_all(home, "accounts", {None: listed})
    load_days(home, {"a": [1, 2, 5], "b": [2], "other": [9]})
    load_days(home, {"a": [3]}, SITES)
    asked = {REPORT: ["a", "b", "c"], SITES: ["a", "b"]}
    newest = {(REPORT, "a"): day(5), (REPORT, "b"): day(2), (SITES, "a"): day(3)}
    for since in (1, 5, 9):
        found = known(asked, since, tmp_path)
        assert found.newest == newest
        assert found.zones == {"a": "US/Eastern", "b": None}
    held = held_days(platform_settings(), tmp_path, asked, REQUEST)
    assert held == {
        (REPORT, "a"): {day(1), day(2), day(5)},
        (REPORT, "b"): {day(2)},
        (REPORT, "c"): set(),
        (SITES, "a"): {day(3)},
        (SITES, "b"): set(),
    }


def test_more_accounts_than_a_statement_names(home: Path, tmp_path: Path):
    accounts = [f"account {number}" for number in range(1001)]
    with_days = {accounts[0]: 1, accounts[499]: 2, accounts[500]: 3, accounts[1000]: 4}
    load_days(home, {account_id: [number] for account_id, number in with_days.items()})
    expected = {(REPORT, account_id): day(number) for account_id, number in with_days.items()}
    assert known({REPORT: accounts}, 3, tmp_path).newest == expected
    held = held_days(platform_settings(), tmp_path, {REPORT: accounts}, REQUEST)
    assert {key: days for key, days in held.items() if days} == {
        key: {newest} for key, newest in expected.items()
    }
    assert len(held) == 1001


def test_where_there_is_no_table_there_are_no_days(home: Path, tmp_path: Path):
    asked = {REPORT: ["a"], SITES: ["a"]}
    nothing: dict[tuple[str, str], set[date]] = {(REPORT, "a"): set(), (SITES, "a"): set()}
    assert known(asked, 1, tmp_path) == ReportDays()
    assert held_days(platform_settings(), tmp_path, asked, REQUEST) == nothing
    assert not (home / "warehouse.duckdb").exists()
    load_days(home, {"a": [1]})
    assert known(asked, 1, tmp_path) == ReportDays({}, {(REPORT, "a"): day(1)})
    held = held_days(platform_settings(), tmp_path, asked, REQUEST)
    assert held == {**nothing, (REPORT, "a"): {day(1)}}
    change_warehouse(home, f"ALTER TABLE analytics.{REPORT} RENAME COLUMN date TO on_day")
    assert known(asked, 1, tmp_path) == ReportDays()


def test_a_warehouse_that_cannot_be_read_is_told(home: Path, tmp_path: Path):
    (home / "warehouse.duckdb").write_bytes(b"no database")
    with pytest.raises(WarehouseError, match="not a valid DuckDB database file"):
        known({REPORT: ["a"]}, 1, tmp_path)
    with pytest.raises(WarehouseError, match="not a valid DuckDB database file"):
        held_days(platform_settings(), tmp_path, {REPORT: ["a"]}, REQUEST)
    # of no account nothing is asked
    assert held_days(platform_settings(), tmp_path, {REPORT: []}, REQUEST) == {}


def test_windows_without_rows_of_which_the_table_holds_some(home: Path, tmp_path: Path):
    load_days(home, {"a": [1, 2, 3, 5], "b": [5], "c": [2], "other": [2]})
    before = {REPORT: {"a": 4, "b": 1, "c": 1}}
    window = Part("date", [day(4), day(3), day(2)])

    def read(account_id: str, part: Part | None = window, rows: int = 0, name: str = REPORT) -> Any:
        account = no_rows(account_id, [name])
        account.resources[name].part, account.resources[name].rows = part, rows
        return account

    def empty(*accounts: Any) -> Any:
        settings = platform_settings()
        pipeline = make_pipeline(settings, tmp_path)
        return suddenly_empty_windows(settings, pipeline, before, accounts)

    assert empty(read("a")) == {REPORT: {"a": 2}}
    assert empty(read("a"), read("b"), read("new"), read("c")) == {REPORT: {"a": 2, "c": 1}}
    # nor is anything made good by another window of the account, before it or after it
    others = [Part("date", [day(number)]) for number in (5, 9)]
    for windows in ([window, *others], [*others, window]):
        assert empty(*(read("a", each) for each in windows)) == {REPORT: {"a": 3}}
    assert empty(read("new"), read("other")) == {}
    assert empty(read("a", rows=1)) == {}
    assert empty(read("a", part=None)) == {}
    assert empty(read("a", name=SITES)) == {}
    assert empty(read("a", name="campaign_items", part=Part("campaign_id", ["7"]))) == {}
    assert empty(read("a", name=SITES), read("c")) == {REPORT: {"c": 1}}
