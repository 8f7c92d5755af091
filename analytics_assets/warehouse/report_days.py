"""The days that the tables of reports hold: they say what is to be asked for."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from datetime import date
from typing import Any

from dlt import Pipeline
from dlt.destinations.sql_client import SqlClientBase

from analytics_assets.resources import ALL_RESOURCES, EXTRA_RESOURCES
from analytics_assets.rows.account_rows import AccountRows, Part
from analytics_assets.schema import Report
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.audit import RowCounts
from analytics_assets.warehouse.holdings import read_only_client


def newest_days(settings: PlatformSettings, report_name: str) -> dict[str, date]:
    """The newest day that has rows of a report, by account.

    Raises:
        SettingsError: The settings lead to no warehouse.
        WarehouseError: It cannot be asked now.
    """
    day = _day_column(report_name)
    found = _ask(settings, report_name, f"SELECT account_id, MAX({day}) FROM {{}} GROUP BY 1")
    return dict(found)


def held_days(
    settings: PlatformSettings, report_name: str, account_ids: Collection[str]
) -> dict[str, set[date]]:
    """The days that have rows of a report, by account.

    Raises:
        SettingsError: The settings lead to no warehouse.
        WarehouseError: It cannot be asked now.
    """
    if not account_ids:
        return {}
    places = ", ".join(["%s"] * len(account_ids))
    sql = (
        f"SELECT DISTINCT account_id, {_day_column(report_name)} FROM {{}}"
        f" WHERE account_id IN ({places})"
    )
    days: dict[str, set[date]] = {account_id: set() for account_id in account_ids}
    for account_id, day in _ask(settings, report_name, sql, *account_ids):
        days[account_id].add(day)
    return days


def suddenly_empty_windows(
    pipeline: Pipeline, before: RowCounts, accounts: Iterable[AccountRows]
) -> dict[str, int]:
    """Accounts of whose report no row came for a window of which the table holds some.

    That one day of several vanishes is an ordinary answer. That all do at once is not.

    Args:
        pipeline: Leads to the tables.
        before: The rows that the tables of the load hold.
        accounts: What was read of the accounts.

    Returns:
        The rows that the table holds of the window, by account.
    """
    empty = [
        (name, str(account.account_id), rows.part)
        for account in accounts
        for name, rows in account.resources.items()
        if name in EXTRA_RESOURCES and rows.part and not rows.rows
    ]
    if not any(account_id in before.get(name, {}) for name, account_id, _ in empty):
        return {}
    with pipeline.sql_client() as client:
        counts = {
            account_id: _count(client, name, account_id, part)
            for name, account_id, part in empty
            if account_id in before.get(name, {})
        }
    return {account_id: rows for account_id, rows in counts.items() if rows}


def _count(client: SqlClientBase[Any], report_name: str, account_id: str, part: Part) -> int:
    table, day = client.make_qualified_table_name(report_name), part.column
    sql = f"SELECT COUNT(*) FROM {table} WHERE account_id = %s AND {day} BETWEEN %s AND %s"
    rows = client.execute_sql(sql, account_id, min(part.values), max(part.values)) or []
    return sum(int(number) for (number,) in rows)


def _ask(settings: PlatformSettings, report_name: str, sql: str, *values: str) -> list[Any]:
    """What a statement finds in a report's table; nothing where there is none."""
    with read_only_client(settings) as client:
        if client is None or not dict(client.get_storage_tables([report_name]))[report_name]:
            return []
        table = client.sql_client.make_qualified_table_name(report_name)
        return list(client.sql_client.execute_sql(sql.format(table), *values) or [])


def _day_column(report_name: str) -> str:
    return (ALL_RESOURCES[report_name].report or Report()).day_column
