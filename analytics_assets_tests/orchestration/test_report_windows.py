"""Which days of reports a run asks for, by records in memory and tables made by hand."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, cast

import dagster as dg
import duckdb
import pytest

from analytics_assets.api.reader import Reader
from analytics_assets.errors import WindowError
from analytics_assets.orchestration import report_windows
from analytics_assets.orchestration.ingestion import Ingestion
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import ReportsConfig
from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets_tests.testing.homes import use_settings
from analytics_assets_tests.testing.records import load
from analytics_assets_tests.testing.reports import CAMPAIGNS, SITES

ZONES = {"tokyo": "Asia/Tokyo", "york": "US/Eastern"}
Spans = dict[str, dict[str, list[str]]]


@pytest.fixture
def records() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture(autouse=True)
def _settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is the first of September in Tokyo, the day before in New York; figures change for 3."""
    settings = {
        "DAGSTER_HOME": str(tmp_path),
        "ANALYTICS__PERFORMANCE_LOOKBACK_DAYS": "3",
        "ANALYTICS__PERFORMANCE_HISTORY_DAYS": "40",
    }
    use_settings(monkeypatch, settings)
    monkeypatch.setattr(report_windows, "now", lambda: datetime(2026, 9, 1, 2, tzinfo=timezone.utc))


@pytest.fixture
def hold(tmp_path: Path) -> Callable[..., None]:
    """Makes the tables: of accounts, and of campaigns' days by account."""

    def make(**days: list[str]) -> None:
        with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
            connection.execute("CREATE SCHEMA analytics; SET schema = 'analytics'")
            connection.execute("CREATE TABLE accounts (account_id TEXT, time_zone_name TEXT)")
            connection.execute(f"CREATE TABLE {CAMPAIGNS} (account_id TEXT, date DATE)")
            for row in ZONES.items():
                connection.execute("INSERT INTO accounts VALUES (?, ?)", row)
            for account, held in days.items():
                for day in held:
                    connection.execute(f"INSERT INTO {CAMPAIGNS} VALUES (?, ?)", (account, day))

    return make


@pytest.fixture
def ask(records: dg.DagsterInstance, tmp_path: Path) -> Callable[..., tuple[Spans, list[str]]]:
    """The windows that a run asks for, and its warnings."""

    def run(
        *accounts: str,
        of: tuple[str, ...] = (CAMPAIGNS,),
        settings: PlatformSettings | None = None,
        **config: Any,
    ) -> tuple[Spans, list[str]]:
        found: list[Mapping[str, Any]] = []
        request = LockRequest("a test", 60, print)
        settings = settings or platform_settings()
        names = AssetNames.of_settings(settings)
        way = Ingestion(cast(Reader, None), settings, names, tmp_path, request, 0)
        wanted = dict.fromkeys(accounts, of)

        @dg.asset
        def reads(context) -> None:
            found.append(report_windows.windows(context, ReportsConfig(**config), way, wanted))

        result = dg.materialize([reads], instance=records)
        logs = records.all_logs(result.run_id)
        warnings = [entry.user_message for entry in logs if entry.level == logging.WARNING]
        [windows] = found
        spans = {
            account: {name: [str(window) for window in each] for name, each in of_account.items()}
            for account, of_account in windows.items()
        }
        return spans, warnings

    return run


def loaded(records: dg.DagsterInstance, account: str, rows: int, last_day: str) -> None:
    figures = {"dagster__partition_row_count": rows, "last_day": last_day}
    load(records, CAMPAIGNS, account, **figures)


def test_without_a_table_the_whole_history_is_due_in_pieces(ask):
    found, warnings = ask("tokyo", of=(CAMPAIGNS, SITES))
    pieces = ["2026-07-24 to 2026-08-22", "2026-08-23 to 2026-09-01"]
    assert found == {"tokyo": {CAMPAIGNS: pieces, SITES: pieces}}
    said = "accounts without a known time zone, which have the days of UTC (1): tokyo"
    assert warnings == [said]


def test_accounts_of_which_no_day_is_held_begin_where_they_are(ask, hold):
    hold()
    found, warnings = ask("tokyo", "york")
    assert found == {
        "tokyo": {CAMPAIGNS: ["2026-07-24 to 2026-08-22", "2026-08-23 to 2026-09-01"]},
        "york": {CAMPAIGNS: ["2026-07-23 to 2026-08-21", "2026-08-22 to 2026-08-31"]},
    }
    assert warnings == []


def test_an_account_that_was_read_today_has_only_its_last_days_due(ask, hold, records):
    hold(tokyo=["2026-08-20", "2026-08-30"], york=["2026-08-20", "2026-08-30"])
    loaded(records, "tokyo", 2, "2026-09-01")
    loaded(records, "york", 2, "2026-08-31")
    found, _ = ask("tokyo", "york")
    assert found == {
        "tokyo": {CAMPAIGNS: ["2026-08-27 to 2026-09-01"]},
        "york": {CAMPAIGNS: ["2026-08-27 to 2026-08-31"]},
    }


def test_days_without_rows_are_due_again_on_a_new_day(ask, hold, records):
    hold(tokyo=["2026-07-24", "2026-08-20", "2026-08-30"])
    loaded(records, "tokyo", 3, "2026-08-31")
    found, _ = ask("tokyo")
    assert found["tokyo"][CAMPAIGNS] == [
        "2026-07-25 to 2026-08-19",
        "2026-08-21 to 2026-08-26",
        "2026-08-27 to 2026-09-01",
    ]


def test_an_account_without_rows_is_not_read_from_the_first_day_each_time(ask, hold, records):
    hold()
    loaded(records, "tokyo", 0, "2026-09-01")
    found, _ = ask("tokyo")
    assert found["tokyo"][CAMPAIGNS] == ["2026-08-26 to 2026-09-01"]


def test_rows_that_were_loaded_and_are_gone_are_all_due_again(ask, hold, records):
    hold()
    loaded(records, "tokyo", 5, "2026-09-01")
    found, _ = ask("tokyo")
    assert found["tokyo"][CAMPAIGNS] == ["2026-07-24 to 2026-08-22", "2026-08-23 to 2026-09-01"]


def test_a_first_load_that_was_killed_goes_on(ask, hold):
    hold(tokyo=["2026-07-24", "2026-07-30"])
    found, _ = ask("tokyo")
    assert found["tokyo"][CAMPAIGNS] == [
        "2026-07-25 to 2026-07-26",
        "2026-07-27 to 2026-08-25",
        "2026-08-26 to 2026-09-01",
    ]


def test_days_that_are_named_are_asked_for_in_pieces_up_to_the_accounts_today(ask, hold):
    hold()
    found, _ = ask("tokyo", "york", start_date="2026-08-01")
    assert found == {
        "tokyo": {CAMPAIGNS: ["2026-08-01 to 2026-08-30", "2026-08-31 to 2026-09-01"]},
        "york": {CAMPAIGNS: ["2026-08-01 to 2026-08-30", "2026-08-31 to 2026-08-31"]},
    }
    found, _ = ask("tokyo", of=(CAMPAIGNS, SITES), start_date="2026-05-01", end_date="2026-05-02")
    named = ["2026-05-01 to 2026-05-02"]
    assert found == {"tokyo": {CAMPAIGNS: named, SITES: named}}


def test_an_account_where_the_named_day_has_not_begun_is_asked_for_nothing(ask, hold):
    hold()
    found, _ = ask("tokyo", "york", start_date="2026-09-01")
    assert found == {
        "tokyo": {CAMPAIGNS: ["2026-09-01 to 2026-09-01"]},
        "york": {CAMPAIGNS: []},
    }


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"end_date": "2026-08-01"}, r"^end_date needs a start_date: give the first day, too$"),
        ({"start_date": "2026-9-1"}, r"^'2026-9-1' is no day: write it as 2026-01-31$"),
        ({"start_date": "2026-09-03"}, r"^2026-09-03 is yet to come"),
    ],
)
def test_days_that_cannot_be(ask, config: dict[str, str], said: str):
    with pytest.raises(WindowError, match=said):
        ask("tokyo", **config)


def test_the_first_three_accounts_without_a_time_zone_are_named(ask, hold):
    hold()
    _, warnings = ask("a", "tokyo", "b\n", "c", "york", "d")
    said = "accounts without a known time zone, which have the days of UTC (4): a, b, c"
    assert warnings == [said]


def test_now_is_a_moment_of_utc(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.undo()
    before = datetime.now(timezone.utc)
    assert before <= report_windows.now() <= datetime.now(timezone.utc)
    assert report_windows.now().tzinfo is timezone.utc
