"""Reports in the warehouse: the days that were asked for are the API's, all others stay."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from analytics_assets.api.reader import Reader
from analytics_assets.api.report_reading import ReportRead
from analytics_assets.days import Window, due_windows
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.load import load
from analytics_assets.warehouse.outcome import LoadOutcome
from analytics_assets.warehouse.report_days import ReportDays, held_days, report_days
from analytics_assets_tests.test_docs import FENCE
from analytics_assets_tests.testing.commands import CHECKOUT, invoke
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.reading import client_of
from analytics_assets_tests.testing.reports import (
    CAMPAIGNS,
    DAY,
    FIRST_DAY,
    ITEMS,
    Row,
    served,
    set_day,
    spelled,
    table,
)
from analytics_assets_tests.testing.tables import opened_warehouse, query

LOOKBACK, HISTORY = 31, 70
REQUEST = LockRequest("a test", 60, print)


@pytest.fixture
def api() -> Iterator[SampleApi]:
    data = SampleData.generate(accounts=2, campaigns=2, items=2)
    for account, zone in zip(data.account_ids, ("US/Eastern", "Asia/Tokyo"), strict=True):
        data.update_row("accounts", account, {"time_zone_name": zone})
    with SampleApi(data) as running:
        set_day(running, FIRST_DAY)
        yield running


def due(api: SampleApi, home: Path, name: str) -> dict[str, list[Window]]:
    """The windows that are to be asked for on the first load of a day."""
    accounts = api.data.account_ids
    held = held_days_of(home, name, *accounts)
    known = report_days(platform_settings(), home, {name: accounts}, FIRST_DAY, REQUEST)
    assert known.newest == {(name, a): max(days) for a, days in held.items() if days}
    return {
        account: due_windows(
            max(held[account], default=None),
            held[account],
            api.data.reports.today(account),
            lookback_days=LOOKBACK,
            history_days=HISTORY,
            was_read=bool(held[account]),
        )
        for account in accounts
    }


def held_days_of(home: Path, name: str, *accounts: str) -> dict[str, set[date]]:
    found = held_days(platform_settings(), home, {name: accounts}, REQUEST)
    return {account: found[name, account] for account in accounts}


def update(
    api: SampleApi, home: Path, name: str, windows: dict[str, list[Window]], **options: Any
) -> tuple[list[ReportRead], LoadOutcome]:
    """Reads windows of accounts, and loads them at once."""
    settings = platform_settings()
    with TemporaryDirectory(dir=home) as folder:
        wanted = {account: {name: each} for account, each in windows.items()}
        found = [*Reader(client_of(api), Path(folder)).read_reports(wanted)]
        rows = [each.read.rows for each in found]
        return found, load(settings, Path(folder), [name], rows, REQUEST, **options)


@both_warehouses
@pytest.mark.parametrize("name", [CAMPAIGNS, ITEMS])
def test_tables_are_the_reports_after_each_day(home: Path, api: SampleApi, name: str):
    steps = [0, 1, 2, 45] if name == CAMPAIGNS else [0, 1]
    since = {
        account: api.data.reports.today(account) - (HISTORY - 1) * DAY
        for account in api.data.account_ids
    }
    for step in steps:
        set_day(api, FIRST_DAY + step * DAY)
        before = table(home, name) if step else []
        windows = due(api, home, name)
        found, _ = update(api, home, name, windows)
        assert not [failure for each in found for failure in each.read.failures]
        assert all(len(each) == 1 for each in windows.values()) == (step in (1, 2))
        expected = [
            row
            for account, oldest in since.items()
            for row in served(
                api, name, account, Window(oldest, api.data.reports.today(account)).days
            )
        ]
        after = table(home, name)
        assert spelled(after) == spelled(expected), step
        asked = {
            (account, day) for account, each in windows.items() for w in each for day in w.days
        }
        assert others(before, asked) == others(after, asked)  # their loads included
    with opened_warehouse(home) as read:
        columns, types, _ = read(f"SELECT * FROM analytics.{name} LIMIT 1")
    assert dict(zip(columns, types, strict=True))["date"] == "DATE"


def others(rows: Iterable[Row], asked: set[tuple[str, date]]) -> list[str]:
    return sorted(str(row) for row in rows if (row["account_id"], row["date"]) not in asked)


@both_warehouses
def test_days_that_vanish_come_back_and_fail(home: Path, api: SampleApi):
    first, second = api.data.account_ids
    reports = api.data.reports
    update(api, home, CAMPAIGNS, due(api, home, CAMPAIGNS))
    whole = table(home, CAMPAIGNS)

    vanished = Window(FIRST_DAY - 50 * DAY, FIRST_DAY - 41 * DAY)
    reports.pause(first, vanished.first, vanished.last)
    api.data.add_row("campaigns", {"id": "4711", "name": "new"}, account_id=second)
    api.behaviour.faults.append(Fault("status", f"/v1/{second}/*", value=403))
    found, _ = update(api, home, CAMPAIGNS, {key: [vanished] for key in (first, second)})
    assert [bool(each.read.failures) for each in found].count(True) == 1
    # every day of the window had gone at once
    assert spelled(table(home, CAMPAIGNS)) == spelled(whole)

    asked = Window(vanished.first - DAY, vanished.last)  # with one day that has not
    _, outcome = update(api, home, CAMPAIGNS, {first: [asked]})
    assert outcome.empty_windows == {}
    gone = {(first, day) for day in vanished.days}
    kept = [row for row in whole if (row["account_id"], row["date"]) not in gone]
    assert spelled(table(home, CAMPAIGNS)) == spelled(kept)
    assert len(kept) < len(whole)
    held = held_days_of(home, CAMPAIGNS, first, second, "nobody")
    assert held[first] == {row["date"] for row in kept if row["account_id"] == first}
    assert held["nobody"] == set()

    reports.resume(first)
    api.behaviour.faults.clear()
    assert vanished in due(api, home, CAMPAIGNS)[first]
    update(api, home, CAMPAIGNS, {key: [vanished] for key in (first, second)})
    after = table(home, CAMPAIGNS)
    mine = [row for row in whole if row["account_id"] == first]
    assert spelled(row for row in after if row["account_id"] == first) == spelled(mine)
    new = {row["date"] for row in after if row["campaign"] == "4711"}
    assert new
    assert new <= set(vanished.days)  # no other day was asked for


@both_warehouses
def test_a_window_that_is_suddenly_empty(home: Path, api: SampleApi):
    account, other = api.data.account_ids
    week = {key: [Window(FIRST_DAY - 7 * DAY, FIRST_DAY - DAY)] for key in (account, other)}
    update(api, home, CAMPAIGNS, week)
    page = (CHECKOUT / "docs" / "reports.md").read_text(encoding="utf-8")
    [sql] = [text for kind, text in FENCE.findall(page) if kind == "sql"]
    assert {row[0] for row in query(home, sql)} == {account, other}

    before = table(home, CAMPAIGNS)
    held = len([row for row in before if row["account_id"] == account])
    api.data.reports.pause(account, FIRST_DAY - 7 * DAY, FIRST_DAY - DAY)
    _, outcome = update(api, home, CAMPAIGNS, week)
    assert outcome.empty_windows == {CAMPAIGNS: {account: held}}
    assert spelled(table(home, CAMPAIGNS)) == spelled(before)
    update(api, home, CAMPAIGNS, week, allow_empty=True)
    assert {row["account_id"] for row in table(home, CAMPAIGNS)} == {other}
    # and once it is, it is nothing sudden
    _, outcome = update(api, home, CAMPAIGNS, week)
    assert outcome.empty_windows == {}


def test_a_forgotten_account(home: Path, api: SampleApi):
    account, other = api.data.account_ids
    week = {key: [Window(FIRST_DAY - 7 * DAY, FIRST_DAY - DAY)] for key in (account, other)}
    update(api, home, CAMPAIGNS, week)
    held = len([row for row in table(home, CAMPAIGNS) if row["account_id"] == account])
    result = invoke("forget", account, "--yes")
    assert result.exit_code == 0, result.output
    assert CAMPAIGNS in result.output
    assert str(held) in result.output
    assert query(home, f"SELECT DISTINCT account_id FROM analytics.{CAMPAIGNS}") == [(other,)]


def test_no_table_holds_no_day(home: Path):
    assert (
        report_days(platform_settings(), home, {CAMPAIGNS: ["acme"]}, FIRST_DAY, REQUEST)
        == ReportDays()
    )
    assert held_days_of(home, CAMPAIGNS, "acme") == {"acme": set()}
    assert held_days_of(home, CAMPAIGNS) == {}
