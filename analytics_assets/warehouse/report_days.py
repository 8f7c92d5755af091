"""The days that the tables of reports hold: they say what is to be asked for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from dlt import Pipeline

from analytics_assets.resources import ACCOUNTS
from analytics_assets.rows.account_rows import AccountRows, Part
from analytics_assets.schema import Report, Resource
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.audit import RowCounts
from analytics_assets.warehouse.failures import tables_were_changed
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.locks import look_locked
from analytics_assets.warehouse.statements import SqlClient, count_rows, in_chunks, marks

_ZONES: Final = "SELECT account_id, time_zone_name FROM {table}"
_OF_ACCOUNTS: Final = "FROM {table} WHERE account_id IN ({places})"
_NEWEST: Final = f"SELECT account_id, MAX({{day}}) {_OF_ACCOUNTS} GROUP BY account_id"
_NEWEST_SINCE: Final = _NEWEST.replace(" GROUP", " AND {day} >= %s GROUP")
_HELD: Final = f"SELECT DISTINCT account_id, {{day}} {_OF_ACCOUNTS}"


@dataclass(frozen=True, slots=True)
class ReportDays:
    """What the tables say of reports' days; nothing where there is no table.

    Attributes:
        zones: The time zones of accounts.
        newest: The newest day that has rows, by report and account.
    """

    zones: Mapping[str, str | None] = field(default_factory=dict)
    newest: Mapping[tuple[str, str], date] = field(default_factory=dict)


AccountsByReport = Mapping[str, Collection[str]]
"""By report, the accounts that are meant."""


def report_days(
    settings: PlatformSettings,
    folder: Path,
    accounts: AccountsByReport,
    since: date,
    request: LockRequest,
) -> ReportDays:
    """The newest day of accounts in the tables of reports, and all accounts' time zones.

    Most accounts are to have rows since the day `since`; all days of the others are looked at.

    Raises:
        WarehouseError: The warehouse could not be read.
    """

    def look(pipeline: Pipeline) -> ReportDays:
        zones = _ask(pipeline, ACCOUNTS, _ZONES)
        newest = dict(_days(settings, pipeline, accounts, _NEWEST_SINCE, since))
        others = {
            name: [a for a in ids if (name, a) not in newest] for name, ids in accounts.items()
        }
        return ReportDays(dict(zones), newest | dict(_days(settings, pipeline, others, _NEWEST)))

    return look_locked(settings, folder, look, request) or ReportDays()


def held_days(
    settings: PlatformSettings, folder: Path, accounts: AccountsByReport, request: LockRequest
) -> dict[tuple[str, str], set[date]]:
    """The days that have rows, by report and account; none of an account without rows.

    Raises:
        WarehouseError: The warehouse could not be read.
    """
    held: dict[tuple[str, str], set[date]] = {
        (name, account_id): set() for name, ids in accounts.items() for account_id in ids
    }

    def look(pipeline: Pipeline) -> None:
        for key, day in _days(settings, pipeline, accounts, _HELD):
            held[key].add(day)

    if any(accounts.values()):
        look_locked(settings, folder, look, request)
    return held


def _days(
    settings: PlatformSettings,
    pipeline: Pipeline,
    accounts: AccountsByReport,
    sql: str,
    *values: date,
) -> Iterator[tuple[tuple[str, str], date]]:
    """What a statement finds: each a report and an account, and a day of it."""
    for name, account_ids in accounts.items():
        for some in in_chunks(account_ids):
            statement, resource = sql.replace("{places}", marks(some)), settings.resources[name]
            for account_id, found in _ask(pipeline, resource, statement, *some, *values):
                yield (name, account_id), found


def suddenly_empty_windows(
    settings: PlatformSettings,
    pipeline: Pipeline,
    before: RowCounts,
    accounts: Iterable[AccountRows],
) -> RowCounts:
    """Reports of accounts of which no row came for a window of which the table holds some.

    That one day of several vanishes is an ordinary answer. That all do at once is not.

    Args:
        settings: Which resources are reports.
        pipeline: Leads to the tables.
        before: The rows that the tables of the load hold.
        accounts: What was read of the accounts.

    Returns:
        The rows that the tables hold of such windows, by report and account.
    """
    empty = [
        (name, str(account.account_id), rows.part)
        for account in accounts
        for name, rows in account.resources.items()
        if name in settings.resources.reports and rows.part and not rows.rows
    ]
    if not any(account_id in before.get(name, {}) for name, account_id, _ in empty):
        return {}
    found: dict[str, Counter[str]] = {}
    with pipeline.sql_client() as client:
        for name, account_id, part in empty:
            if account_id in before.get(name, {}):
                rows = _count(client, name, account_id, part)
                found.setdefault(name, Counter()).update({account_id: rows} if rows else {})
    return {name: of_accounts for name, of_accounts in found.items() if of_accounts}


def _count(client: SqlClient, report_name: str, account_id: str, part: Part) -> int:
    table = client.make_qualified_table_name(report_name)
    day = client.escape_column_name(part.column)
    source = f"{table} WHERE account_id = %s AND {day} BETWEEN %s AND %s"
    return count_rows(client, source, account_id, min(part.values), max(part.values))


def _ask(pipeline: Pipeline, resource: Resource, sql: str, *values: str | date) -> list[Any]:
    """What a statement finds in a table; nothing where there is none."""
    try:
        with pipeline.sql_client() as client:
            table = client.make_qualified_table_name(resource.name)
            day = client.escape_column_name((resource.report or Report()).day_column)
            return list(client.execute_sql(sql.format(table=table, day=day), *values) or [])
    except Exception as error:
        if tables_were_changed(error):  # no such table or column
            return []
        raise
