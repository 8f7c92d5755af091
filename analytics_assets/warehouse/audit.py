"""What the tables hold, account by account: read once per table, for checks to judge.

What is asked about some accounts is looked up, so that it takes no longer among many others' rows.
Of a report, rows can be looked at from a day on; then those before it are only counted.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

from dlt import Pipeline
from dlt.common.schema.typing import C_DLT_LOAD_ID

from analytics_assets.schema import Report
from analytics_assets.warehouse.columns import TableColumns
from analytics_assets.warehouse.destination import sql_dialect
from analytics_assets.warehouse.statements import SqlClient

RowCounts = Mapping[str, Mapping[str, int]]
"""Rows by account by table."""

_AUDIT: Final = files(__package__).joinpath("audit.sql").read_text(encoding="utf-8")
_DAYS: Final = "MIN(day_of_key), MAX(day_of_key), COUNT(DISTINCT day_of_key)"
# by account and day first, which an index by both answers
_COUNTED_DAYS: Final = """
    SELECT account, SUM(day_rows), MIN(day_of_key), MAX(day_of_key), COUNT(*) FROM (
        SELECT {account_id} AS account, {day} AS day_of_key, COUNT(*) AS day_rows
        FROM {table} t{where} GROUP BY {account_id}, {day}
    ) by_day GROUP BY account
"""
_QUOTE_AS_DLT_SAYS: Final = ("duckdb", "postgres")


@dataclass(frozen=True, slots=True)
class AccountAudit:
    """What a table holds of one account.

    Attributes:
        rows: Its rows.
        duplicates: Rows beyond the first of their key.
        orphans: Rows whose parent row is missing; 0 where there is no parent table.
        loaded_at: When its rows were loaded, in unix seconds; None if they do not say.
        missing_days: In a report, days without any row between the first and the last with some.
        missing: Nulls by column, of the declared columns that have none.
        variants: Values by column, of the columns for values of another type than declared.
        unknown: Values by column, of the columns that are not declared.
    """

    rows: int
    duplicates: int
    orphans: int
    loaded_at: float | None
    missing_days: int = 0
    missing: Mapping[str, int] = field(default_factory=dict)
    variants: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)


NO_ROWS: Final = AccountAudit(rows=0, duplicates=0, orphans=0, loaded_at=None)

TableAudit = Mapping[str, AccountAudit]
"""What a table holds, by account."""

Accounts = Collection[str] | None
"""Some accounts; None are all that have rows in a table."""


def rows_of_departed(audit: TableAudit, listed: Collection[str]) -> int:
    """The rows of the accounts that are not among those listed."""
    return sum(account.rows for key, account in audit.items() if key not in listed)


def time_of_load(load_id: Any) -> float | None:
    """The time that dlt names a load by, in unix seconds; None for what is no name of dlt's."""
    try:
        return float(load_id)
    except (TypeError, ValueError):
        return None


def row_counts(pipeline: Pipeline, tables: Iterable[str], accounts: Accounts = None) -> RowCounts:
    """The accounts' rows, where they have any, of tables that there are."""
    counts = {}
    with pipeline.sql_client() as client:
        account_id = client.escape_column_name("account_id")
        where = _where(pipeline, client, accounts)
        for name in tables:
            table = client.make_qualified_table_name(name)
            rows = client.execute_sql(
                f"SELECT t.{account_id}, COUNT(*) FROM {table} t{where} GROUP BY t.{account_id}"
            )
            counts[name] = {str(account): int(number) for account, number in rows or []}
    return counts


def audit(
    pipeline: Pipeline,
    columns: Mapping[str, TableColumns],
    tables: Mapping[str, Accounts],
    since: Mapping[str, date] = MappingProxyType({}),
) -> dict[str, TableAudit]:
    """Audits the named accounts of each table that exists.

    An account that is named and has no rows is told with none.

    Args:
        pipeline: Leads to the tables.
        columns: Those of all tables that there are.
        tables: The accounts, by table.
        since: By report, the first day whose rows are looked at. Those before are counted, and so
            are the days without any; other figures are those of the days looked at.
    """
    found: dict[str, TableAudit] = {}
    with pipeline.sql_client() as client:
        for name, accounts in tables.items():
            if name not in columns:
                continue
            where, first = _where(pipeline, client, accounts), since.get(name)
            of_table = _audit_table(client, columns, name, where, first)
            if first is not None:
                of_table = _with_all_days(client, columns[name], where, of_table)
            found[name] = dict.fromkeys(accounts or (), NO_ROWS) | of_table
    return found


def _where(pipeline: Pipeline, client: SqlClient, accounts: Accounts) -> str:
    """A condition on the accounts of the table that is audited; without one, all are."""
    # how to quote is not tried elsewhere, and no literal can hold U+0000
    is_known = sql_dialect(pipeline) in _QUOTE_AS_DLT_SAYS
    if accounts is None or not is_known or any("\0" in account for account in accounts):
        return ""
    named = ", ".join(map(client.capabilities.escape_literal, sorted(accounts))) or "NULL"
    return f"\nWHERE {_column(client, 'account_id')} IN ({named})"


def _audit_table(
    client: SqlClient,
    columns: Mapping[str, TableColumns],
    name: str,
    where: str,
    since: date | None,
) -> dict[str, AccountAudit]:
    known = columns[name]
    required = [column.name for column in known.resource.table_columns if not column.nullable]
    variants, unknown = known.unfit, known.unknown
    counts = {column: _nulls(client, known, column) for column in required}
    counts |= {column: f"COUNT({_column(client, column)})" for column in (*variants, *unknown)}
    audits = {}
    statement = _statement(client, columns, name, where, since, counts.values())
    for row in client.execute_sql(statement) or []:
        account, rows, duplicates, load_id, orphans, first, last, days, *numbers = row
        counted = dict(zip(counts, map(int, numbers), strict=True))
        audits[str(account)] = AccountAudit(
            rows=int(rows),
            duplicates=int(duplicates),
            orphans=int(orphans),
            loaded_at=time_of_load(load_id),
            missing_days=_missing_days(first, last, days),
            missing=_found(counted, required),
            variants=_found(counted, variants),
            unknown=_found(counted, unknown),
        )
    return audits


def _with_all_days(
    client: SqlClient, known: TableColumns, where: str, found: TableAudit
) -> dict[str, AccountAudit]:
    """The audits of some days, with the rows and the days that there are in all."""
    report = known.resource.report or Report()
    statement = _COUNTED_DAYS.format(
        table=client.make_qualified_table_name(known.resource.name),
        account_id=_column(client, "account_id"),
        day=_column(client, report.day_column),
        where=where,
    )
    return {
        str(account): replace(
            found.get(str(account), NO_ROWS),
            rows=int(rows),
            missing_days=_missing_days(first, last, days),
        )
        for account, rows, first, last, days in client.execute_sql(statement) or []
    }


def _missing_days(first: date, last: date, days: int) -> int:
    return (last - first).days + 1 - int(days) if days else 0


def _found(counted: Mapping[str, int], columns: Iterable[str]) -> dict[str, int]:
    return {name: counted[name] for name in columns if counted[name]}


def _statement(
    client: SqlClient,
    columns: Mapping[str, TableColumns],
    name: str,
    where: str,
    since: date | None,
    counts: Collection[str],
) -> str:
    """The statement that audits a table; `counts` are further numbers of each key's rows."""
    escape, known = client.escape_column_name, columns[name]
    parents, orphans = _parents(client, known, columns, where)
    report = known.resource.report
    return _AUDIT.format(
        table=client.make_qualified_table_name(name),
        account_id=escape("account_id"),
        load_id=escape(C_DLT_LOAD_ID),
        key=", ".join(_column(client, column) for column in known.resource.key),
        parents=parents,
        orphans=orphans,
        day=f"MIN({_column(client, report.day_column)})" if report else "0",
        days=_DAYS if report else "0, 0, 0",
        where=where + _from_day(client, report, where, since),
        counts="".join(f",\n{count} AS count_{place}" for place, count in enumerate(counts)),
        sums="".join(f", SUM(count_{place})" for place in range(len(counts))),
    )


def _from_day(client: SqlClient, report: Report | None, where: str, since: date | None) -> str:
    if report is None or since is None:
        return ""
    condition = f"{_column(client, report.day_column)} >= CAST('{since}' AS DATE)"
    return f"\n{'AND' if where else 'WHERE'} {condition}"


def _parents(
    client: SqlClient, known: TableColumns, columns: Mapping[str, TableColumns], where: str
) -> tuple[str, str]:
    """A join with the parents' ids, and how many of a key's rows have none there."""
    child, parent = known.resource.parent_column, columns.get(str(known.resource.parent))
    # ids that are stored as another type cannot be compared
    if child is None or parent is None or parent.types["id"] != known.types[child]:
        return "", "0"
    account_id, row_id = map(client.escape_column_name, ("account_id", "id"))
    join = (
        f"\nLEFT JOIN (SELECT DISTINCT {account_id}, {row_id}"
        f" FROM {client.make_qualified_table_name(parent.resource.name)} t{where}) p"
        f" ON p.{account_id} = {_column(client, 'account_id')}"
        f" AND p.{row_id} = {_column(client, child)}"
    )
    return join, f"COUNT(*) - COUNT(p.{row_id})"


def _nulls(client: SqlClient, known: TableColumns, name: str) -> str:
    """How many rows have no value: neither in the column nor in those beside it."""
    places = (_column(client, place) for place in (name, *known.variants_of(name)))
    is_null = " AND ".join(f"{place} IS NULL" for place in places)
    return f"SUM(CASE WHEN {is_null} THEN 1 ELSE 0 END)"


def _column(client: SqlClient, name: str) -> str:
    """A column of the table that is audited."""
    return f"t.{client.escape_column_name(name)}"
