"""The days that the tables of reports hold: they say what is to be asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final, TypeVar

from dlt import Pipeline
from dlt.destinations.sql_client import SqlClientBase

from analytics_assets.resources import ACCOUNTS, ALL_RESOURCES, EXTRA_RESOURCES
from analytics_assets.rows.account_rows import AccountRows, Part
from analytics_assets.schema import Report
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.audit import RowCounts
from analytics_assets.warehouse.failures import tables_were_changed
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.location import is_missing
from analytics_assets.warehouse.locks import run_locked
from analytics_assets.warehouse.pipeline import make_pipeline

_ACCOUNTS_PER_STATEMENT: Final = 500

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True)
class ReportDays:
    """What the tables say of reports' days; nothing where there is no table.

    Attributes:
        zones: The time zones of accounts.
        newest: The newest day that has rows, by report and account.
    """

    zones: Mapping[str, str | None] = field(default_factory=dict)
    newest: Mapping[tuple[str, str], date] = field(default_factory=dict)


def report_days(
    settings: PlatformSettings, folder: Path, report_names: Iterable[str], request: LockRequest
) -> ReportDays:
    """The newest day of each account in the tables of reports, and the accounts' time zones.

    Raises:
        WarehouseError: The warehouse could not be read.
    """

    def look(pipeline: Pipeline) -> ReportDays:
        zones = _ask(pipeline, ACCOUNTS.name, "SELECT account_id, time_zone_name FROM {}")
        newest: dict[tuple[str, str], date] = {}
        for name in report_names:
            sql = f"SELECT account_id, MAX({_day_column(name)}) FROM {{}} GROUP BY 1"
            newest |= {(name, account): day for account, day in _ask(pipeline, name, sql)}
        return ReportDays(dict(zones), newest)

    return _look(settings, folder, request, look) or ReportDays()


def held_days(
    settings: PlatformSettings,
    folder: Path,
    accounts: Mapping[str, Collection[str]],
    request: LockRequest,
) -> dict[tuple[str, str], set[date]]:
    """The days that have rows, by report and account.

    Args:
        settings: Where the warehouse is.
        folder: Where dlt may work.
        accounts: The accounts, by report.
        request: Who asks for the lock.

    Raises:
        WarehouseError: The warehouse could not be read.
    """

    def look(pipeline: Pipeline) -> dict[tuple[str, str], set[date]]:
        days: dict[tuple[str, str], set[date]] = {}
        for name, account_ids in accounts.items():
            ids = list(account_ids)
            for start in range(0, len(ids), _ACCOUNTS_PER_STATEMENT):
                some = ids[start : start + _ACCOUNTS_PER_STATEMENT]
                sql = (
                    f"SELECT DISTINCT account_id, {_day_column(name)} FROM {{}}"
                    f" WHERE account_id IN ({', '.join(['%s'] * len(some))})"
                )
                for account_id, day in _ask(pipeline, name, sql, *some):
                    days.setdefault((name, account_id), set()).add(day)
        return days

    return _look(settings, folder, request, look) or {}


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


def _look(
    settings: PlatformSettings,
    folder: Path,
    request: LockRequest,
    look: Callable[[Pipeline], Found],
) -> Found | None:
    """What is found when no other run writes; None where there is no warehouse."""
    if is_missing(settings):
        return None
    pipeline = make_pipeline(settings, folder)
    return run_locked(settings, pipeline, lambda: look(pipeline), request)


def _ask(pipeline: Pipeline, table_name: str, sql: str, *values: str) -> list[Any]:
    """What a statement finds in a table; nothing where there is none."""
    try:
        with pipeline.sql_client() as client:
            table = client.make_qualified_table_name(table_name)
            return list(client.execute_sql(sql.format(table), *values) or [])
    except Exception as error:
        if tables_were_changed(error):  # no such table or column
            return []
        raise


def _day_column(report_name: str) -> str:
    return (ALL_RESOURCES[report_name].report or Report()).day_column
