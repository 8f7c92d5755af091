"""Campaigns add up to what the API says of the account, within rounding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime, timezone
from pathlib import Path

import pytest

from analytics_assets.api.reader import Reader
from analytics_assets.api.reconciliation import Difference, differences
from analytics_assets.api.report_source import report_source
from analytics_assets.days import Window
from analytics_assets.errors import RefusedError
from analytics_assets.reports import TOTALS
from analytics_assets.sample_api import Fault, Row, SampleApi, SampleData
from analytics_assets_tests.testing.reading import client_of

TODAY = date(2026, 9, 29)
WINDOW = Window(date(2026, 9, 1), TODAY)


@pytest.fixture
def api() -> Iterator[SampleApi]:
    data = SampleData.generate(accounts=1, campaigns=5)
    data.reports.now = datetime(2026, 9, 29, 12, tzinfo=timezone.utc)
    data.update_row("accounts", data.account_ids[0], {"time_zone_name": "UTC"})
    with SampleApi(data) as running:
        yield running


def compared(api: SampleApi, folder: Path, name: str = "campaign_performance") -> list[Difference]:
    client, account = client_of(api), api.data.account_ids[0]
    [found] = Reader(client, folder).read_reports({account: {name: [WINDOW]}})
    return differences(client, report_source(client, [TOTALS]), found)


def change_totals(api: SampleApi, monkeypatch, change: Callable[[Row], Row]) -> None:
    rows = api.data.reports.rows

    def changed(name: str, *args: object) -> list[Row]:
        found = rows(name, *args)  # type: ignore[arg-type]
        return [change(row) for row in found] if name == TOTALS.name else found

    monkeypatch.setattr(api.data.reports, "rows", changed)


@pytest.mark.parametrize("name", ["campaign_performance", "site_performance"])
def test_all_adds_up(api: SampleApi, tmp_path: Path, name: str) -> None:
    assert compared(api, tmp_path, name) == []
    [totals] = [entry for entry in api.log.entries if entry.path.endswith("/dimensions/day")]
    assert totals.query == "start_date=2026-09-01&end_date=2026-09-29"


@pytest.mark.parametrize("amount", [0.005, -0.005])
def test_rounding_is_no_difference(
    api: SampleApi, tmp_path: Path, monkeypatch, amount: float
) -> None:
    change_totals(api, monkeypatch, lambda row: {**row, "spent": row["spent"] + amount})
    assert compared(api, tmp_path) == []


@pytest.mark.parametrize(("beyond", "is_named"), [(-0.001, False), (0.001, True)])
def test_each_row_and_the_total_may_be_rounded(
    api: SampleApi, tmp_path: Path, monkeypatch, beyond: float, is_named: bool
) -> None:
    account, day = api.data.account_ids[0], date(2026, 9, 7)
    rows = api.data.reports.rows("campaign_performance", account, day, day)
    assert len(rows) > 1
    amount = 0.005 * (len(rows) + 2) + beyond

    def change(row: Row) -> Row:
        is_changed = row["date"].startswith(str(day))
        return {**row, "spent": row["spent"] + amount} if is_changed else row

    change_totals(api, monkeypatch, change)
    found = [(each.day, each.column) for each in compared(api, tmp_path)]
    assert found == ([(day, "spent")] if is_named else [])


def test_what_does_not_add_up_is_named(api: SampleApi, tmp_path: Path, monkeypatch) -> None:
    def change(row: Row) -> Row:
        is_changed = row["date"].startswith("2026-09-07")
        return {**row, "clicks": row["clicks"] + 1} if is_changed else row

    change_totals(api, monkeypatch, change)
    [found] = compared(api, tmp_path)
    assert (found.day, found.column) == (date(2026, 9, 7), "clicks")
    assert found.total == found.summed + 1


@pytest.mark.parametrize("lacking", [TOTALS.name, "campaign_performance"])
def test_a_day_that_only_one_has(api: SampleApi, tmp_path: Path, monkeypatch, lacking: str) -> None:
    rows = api.data.reports.rows

    def without_a_day(name: str, *args: object) -> list[Row]:
        found = rows(name, *args)  # type: ignore[arg-type]
        kept = [row for row in found if not row["date"].startswith("2026-09-07")]
        return kept if name == lacking else found

    monkeypatch.setattr(api.data.reports, "rows", without_a_day)
    found = compared(api, tmp_path)
    assert {each.day for each in found} == {date(2026, 9, 7)}
    zero = {each.total if lacking == TOTALS.name else each.summed for each in found}
    assert zero == {0}


def test_what_is_no_number_is_not_compared(api: SampleApi, tmp_path: Path, monkeypatch) -> None:
    change_totals(api, monkeypatch, lambda row: {"date": row["date"], "clicks": "7", "spent": None})
    assert compared(api, tmp_path) == []


def test_totals_of_no_day_and_beyond_any_double(
    api: SampleApi, tmp_path: Path, monkeypatch
) -> None:
    rows = api.data.reports.rows

    def changed(name: str, *args: object) -> list[Row]:
        found = rows(name, *args)  # type: ignore[arg-type]
        beyond = [{**row, "spent": 10**400} for row in found]
        return [*beyond, {"date": [7], "clicks": 1}] if name == TOTALS.name else found

    monkeypatch.setattr(api.data.reports, "rows", changed)
    assert compared(api, tmp_path) == []


def test_totals_that_cannot_be_had(api: SampleApi, tmp_path: Path) -> None:
    api.behaviour.faults.append(Fault("status", "*/dimensions/day", value=403))
    with pytest.raises(RefusedError, match="answers 403"):
        compared(api, tmp_path)
