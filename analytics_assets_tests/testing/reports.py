"""Reports as the API serves them, and as the warehouse holds them."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import dagster as dg

from analytics_assets.factory import compose
from analytics_assets.orchestration.progress import Progress
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.arrow import as_day
from analytics_assets.sample_api import SampleApi
from analytics_assets.settings import platform_settings
from analytics_assets_tests.testing.tables import opened_warehouse

CAMPAIGNS, SITES, ITEMS = RESOURCES.reports
EASTERN, TOKYO = "acme-0001-sc", "globex-0002-sc"
HISTORY = 70
FIRST_DAY = date(2026, 9, 1)
DAY = timedelta(days=1)
Row = dict[str, Any]
_DAY = r"\d{4}-\d\d-\d\d"


def set_day(api: SampleApi, day: date) -> None:
    """Makes it such a day: in Tokyo, and the one before in New York."""
    api.data.reports.now = datetime(day.year, day.month, day.day, 2, tzinfo=timezone.utc)


def served(api: SampleApi, name: str, account: str, days: Iterable[date]) -> list[Row]:
    """The rows of some days as the table has to have them."""
    rows = []
    for day in days:
        for row in api.data.reports.rows(name, account, day, day):
            made = {"account_id": account, "date": as_day(row.get("date", str(day)))}
            if name == ITEMS:
                made["item_key"] = f"{row['campaign']}/{row['item'] or row['old_item_version_id']}"
            rows.append({**row, **made})
    return rows


def table(home: Path, name: str) -> list[Row]:
    with opened_warehouse(home) as read:
        columns, _, rows = read(f"SELECT * FROM analytics.{name}")
    return [dict(zip(columns, row, strict=True)) for row in rows]


def spelled(rows: Iterable[Row]) -> list[str]:
    """Rows without dlt's own columns; a double is one, however the API writes it."""
    kept = ({k: v for k, v in row.items() if not k.startswith("_dlt")} for row in rows)
    doubles = {
        c.name for of in RESOURCES.reports.values() for c in of.columns if c.type == "double"
    }
    return sorted(
        str(sorted((k, float(v) if k in doubles and v is not None else v) for k, v in row.items()))
        for row in kept
    )


def expected(api: SampleApi, name: str, history: int) -> list[Row]:
    """All rows of the days that a first load of so many days asks for now."""
    rows = []
    for account in api.data.account_ids:
        today = api.data.reports.today(account)
        days = (today - number * DAY for number in range(history))
        rows += served(api, name, account, days)
    return rows


def asked(api: SampleApi) -> list[str]:
    """What reports were asked for since the last time: account, dimension and days."""
    found = [
        f"{path.split('/')[2]} {path.rpartition('/')[2]} {' '.join(re.findall(_DAY, query))}"
        for path, query in ((entry.path, entry.query) for entry in api.log.entries)
        if "/reports/" in path
    ]
    api.log.clear()
    return sorted(found)


def lines(*of: tuple[str, date, date], dimension: str = "campaign_day_breakdown") -> list[str]:
    return sorted(f"{account} {dimension} {first} {last}" for account, first, last in of)


def updates(today: date = FIRST_DAY) -> list[str]:
    """What an update asks for, and what it is compared with, where it is this day in Tokyo."""
    days = [(EASTERN, today - DAY), (TOKYO, today)]
    windows = [(account, day - 31 * DAY, day) for account, day in days]
    return sorted([*lines(*windows), *lines(*windows, dimension="day")])


def checks(instance: dg.DagsterInstance, name: str = CAMPAIGNS) -> dict[str, str]:
    """What the latest evaluations found, by check."""
    defs = compose(platform_settings(), Progress())
    keys = [k for k in defs.resolve_asset_graph().asset_check_keys if k.asset_key.path == [name]]
    records = instance.event_log_storage.get_latest_asset_check_execution_by_key(keys).values()
    found = (r.event.dagster_event.event_specific_data for r in records if r.event)  # type: ignore[union-attr]
    return {each.check_name: each.description or "" for each in found if not each.passed}  # type: ignore[union-attr]
