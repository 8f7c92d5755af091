"""What a run reads and tells of a report's windows: of the sample API, and without a load."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timezone
from pathlib import Path
from typing import Any

import dagster as dg
import pyarrow as pa
import pytest

from analytics_assets.api.account_reading import AccountRead, ReadFailure
from analytics_assets.api.reader import Reader
from analytics_assets.api.report_reading import ReportRead
from analytics_assets.api.request_counts import AccountRequests
from analytics_assets.days import Window
from analytics_assets.orchestration import report_windows
from analytics_assets.orchestration.ingestion import Ingestion
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import ReportsConfig
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.report_reads import ReportReading, _spent
from analytics_assets.rows.account_rows import AccountRows, ResourceRows
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets_tests.testing.reading import client_of
from analytics_assets_tests.testing.reads import audited, loaded
from analytics_assets_tests.testing.reports import (
    CAMPAIGNS,
    EASTERN,
    FIRST_DAY,
    SITES,
    TOKYO,
    served,
    set_day,
)

TODAY = Window(date(2026, 1, 31), date(2026, 1, 31))


@pytest.mark.parametrize(
    ("columns", "spent"),
    [
        ({"spent": [1.5, None, 2.0]}, 3.5),
        ({"spent": [None]}, 0),
        ({"visits": [1]}, 0),  # a report of something else
    ],
)
def test_what_a_window_spent(tmp_path: Path, columns: dict[str, list[float]], spent: float) -> None:
    table = pa.table({name: pa.array(values, pa.float64()) for name, values in columns.items()})
    with pa.ipc.new_stream(str(tmp_path / "rows"), table.schema) as writer:
        writer.write_table(table)
    rows = AccountRows("acme", {"visits_by_day": ResourceRows(tmp_path / "rows", rows=1)})
    read = AccountRead(rows, [], AccountRequests(), 0.0)
    assert _spent(ReportRead("visits_by_day", TODAY, read, None)) == spent


@pytest.fixture
def api(report_api: SampleApi, monkeypatch: pytest.MonkeyPatch) -> SampleApi:
    set_day(report_api, FIRST_DAY)
    monkeypatch.setattr(report_windows, "now", lambda: report_api.data.reports.now)
    return report_api


@pytest.fixture
def records() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@dataclass
class Found:
    """What a run has read, and what it tells of it."""

    batches: list[list[str]] = field(default_factory=list)
    made: dict[tuple[str, str], dict[str, Any]] = field(default_factory=dict)
    failures: list[ReadFailure] = field(default_factory=list)
    differences: dict[str, str] = field(default_factory=dict)
    lines: list[str] = field(default_factory=list)


Read = Callable[..., Found]


@pytest.fixture
def read(api: SampleApi, records: dg.DagsterInstance, home: Path) -> Read:
    """Reads reports in a step, with a load after each window that does nothing."""
    client = client_of(api)

    def run(
        *accounts: str, of: tuple[str, ...] = (CAMPAIGNS,), reconcile: bool = False, **days: Any
    ) -> Found:
        found = Found()
        settings = PlatformSettings(
            load_interval=0.0, reconcile=reconcile, extra_resources=of, destination="duckdb"
        )
        reader, names = Reader(client, home), AssetNames.of_settings(settings)
        way = Ingestion(reader, settings, names, home, LockRequest("a test", 60, print), 0)
        wanted = dict.fromkeys(accounts, of)

        @dg.asset
        def reads(context) -> None:
            reading = ReportReading(context, ReportsConfig(**days), Progress())
            for batch in reading.read(way, wanted):
                found.failures += [failed for each in batch for failed in each.failures]
                whole = [each for each in batch if each.rows.resources]
                found.batches.append(
                    [f"{x.rows.account_id} {name}" for x in whole for name in x.rows.resources]
                )
                audits = {name: dict.fromkeys(accounts, audited(rows=5)) for name in of}
                changed = {name: {str(x.rows.account_id): 2 for x in whole} for name in of}
                outcome = replace(loaded(whole, audits), changed_days=changed)
                for event in reading.made(way, outcome, whole, found.failures):
                    key = (event.asset_key.to_user_string(), str(event.partition))
                    assert key not in found.made
                    found.made[key] = {name: told.value for name, told in event.metadata.items()}
            found.differences = dict(reading.differences)

        result = dg.materialize([reads], instance=records)
        logs = records.all_logs(result.run_id)
        found.lines = [x.user_message for x in logs if x.level in (logging.INFO, logging.WARNING)]
        return found

    return run


def test_a_partition_is_made_of_all_its_windows(read: Read, api: SampleApi) -> None:
    found = read(TOKYO, start_date="2026-07-01", end_date="2026-08-20")
    assert found.batches == [[f"{TOKYO} {CAMPAIGNS}"], [f"{TOKYO} {CAMPAIGNS}"]]
    assert found.failures == []
    window = Window(date(2026, 7, 1), date(2026, 8, 20))
    rows = served(api, CAMPAIGNS, TOKYO, window.days)
    [(key, told)] = found.made.items()
    assert key == (CAMPAIGNS, TOKYO)
    expected = {
        "dagster/partition_row_count": 5,
        "dagster/row_count": 5,
        "rows_loaded": len(rows),
        "days_loaded": 51,
        "first_day": "2026-07-01",
        "last_day": "2026-08-20",
        "days_changed": 4,
        "spent": round(sum(row["spent"] for row in rows), 2),
        "requests": 2,
        "retries": 0,
        "duplicate_rows": 0,
        "rows_without_key": 0,
        "dlt_load_id": "1.5",
    }
    assert {name: told[name] for name in expected} == expected
    assert 0 < told["data_updated"] <= datetime(2026, 9, 1, 2, tzinfo=timezone.utc).timestamp()
    assert found.lines[0] == "reading 1 account"


def test_of_several_accounts_and_reports_each_is_made_when_its_own_windows_are_loaded(
    read: Read,
) -> None:
    days = {"start_date": "2026-08-30", "end_date": "2026-08-31"}
    found = read(TOKYO, EASTERN, of=(CAMPAIGNS, SITES), **days)
    keys = {(name, account) for name in (CAMPAIGNS, SITES) for account in (TOKYO, EASTERN)}
    assert set(found.made) == keys
    assert {told["days_loaded"] for told in found.made.values()} == {2}
    assert {told["days_changed"] for told in found.made.values()} == {2, 4}


def test_a_report_of_which_a_window_fails_is_not_made(read: Read, api: SampleApi) -> None:
    path = f"/v1/{TOKYO}/reports/*/campaign_day_breakdown"
    api.behaviour.faults.append(Fault("status", path, value="403"))
    found = read(TOKYO, EASTERN, of=(CAMPAIGNS, SITES), start_date="2026-07-01")
    assert set(found.made) == {(CAMPAIGNS, EASTERN), (SITES, EASTERN), (SITES, TOKYO)}
    [failed] = found.failures
    assert (failed.account_id, failed.lost) == (TOKYO, (CAMPAIGNS,))


def test_without_credentials_no_other_report_of_the_account_is_read(
    read: Read, api: SampleApi
) -> None:
    days = {"start_date": "2026-08-31", "end_date": "2026-08-31"}
    read(EASTERN, **days)  # so that there is a token
    api.behaviour.client_secret = "changed"
    fault = Fault("status", f"/v1/{TOKYO}/reports/*", value="401")
    api.behaviour.faults.append(fault)
    found = read(TOKYO, EASTERN, of=(CAMPAIGNS, SITES), **days)
    assert set(found.made) == {(CAMPAIGNS, EASTERN), (SITES, EASTERN)}
    assert [(each.account_id, each.lost) for each in found.failures] == [
        (TOKYO, (CAMPAIGNS, SITES))
    ]


def test_an_account_where_none_of_the_days_has_begun(read: Read, api: SampleApi) -> None:
    api.data.reports.now = datetime(2026, 9, 1, 12, tzinfo=timezone.utc)  # elsewhere it is the 2nd
    found = read(TOKYO, of=(CAMPAIGNS, SITES), start_date="2026-09-02")
    assert found.made == {}
    [failed] = found.failures
    assert (failed.account_id, failed.resource_name) == (TOKYO, None)
    assert failed.lost == (CAMPAIGNS, SITES)
    assert str(failed.error) == "none of these days has begun there"


def change_clicks(api: SampleApi, monkeypatch: pytest.MonkeyPatch, account: str) -> None:
    """The totals of an account have two clicks more than its campaigns, on each day."""
    rows = api.data.reports.rows

    def changed(name: str, account_id: str, *days: date) -> list[dict[str, Any]]:
        found = rows(name, account_id, *days)
        if (name, account_id) != ("day_totals", account):
            return found
        return [{**row, "clicks": row["clicks"] + 2} for row in found]

    monkeypatch.setattr(api.data.reports, "rows", changed)


def test_what_does_not_add_up_is_told_by_account(
    read: Read, api: SampleApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    change_clicks(api, monkeypatch, TOKYO)
    days = {"start_date": "2026-08-30", "end_date": "2026-08-31"}
    assert read(TOKYO, EASTERN, **days).differences == {}  # nobody asks for it
    found = read(TOKYO, EASTERN, reconcile=True, of=(CAMPAIGNS, SITES), **days)
    day = api.data.reports.rows("day_totals", TOKYO, date(2026, 8, 30), date(2026, 8, 30))
    total = day[0]["clicks"]
    said = f"2 figures, as clicks of 2026-08-30: {total - 2:g} of {total:g}"
    assert found.differences == {TOKYO: said}


def test_totals_that_cannot_be_had_are_told(read: Read, api: SampleApi) -> None:
    api.behaviour.faults.append(Fault("status", f"/v1/{TOKYO}/*/dimensions/day", value="403"))
    found = read(TOKYO, EASTERN, reconcile=True, start_date="2026-08-31", end_date="2026-08-31")
    assert list(found.differences) == [TOKYO]
    assert found.differences[TOKYO].startswith(f"not compared: GET /v1/{TOKYO}/reports/")
    assert set(found.made) == {(CAMPAIGNS, TOKYO), (CAMPAIGNS, EASTERN)}
