"""What the tables hold, account by account: read once per table, for checks to judge."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from dlt import Pipeline
from dlt.destinations.sql_client import SqlClientBase

from analytics_assets.warehouse.columns import TableColumns

RowCounts = Mapping[str, Mapping[str, int]]
"""Rows by account by table."""

_ACCOUNT, _ROWS, _DUPLICATES, _LOAD_ID, _ORPHANS = range(5)


@dataclass(frozen=True, slots=True)
class AccountAudit:
    """What a table holds of one account.

    Attributes:
        rows: Its rows.
        duplicates: Rows beyond the first of their key.
        orphans: Rows whose parent row is missing; 0 where there is no parent table.
        loaded_at: When its rows were loaded, in unix seconds; None if they do not say.
        missing: Nulls by column, of the declared columns that have none.
        variants: Values by column, of the columns for values of another type than declared.
        unknown: Values by column, of the columns that are not declared.
    """

    rows: int
    duplicates: int
    orphans: int
    loaded_at: float | None
    missing: Mapping[str, int] = field(default_factory=dict)
    variants: Mapping[str, int] = field(default_factory=dict)
    unknown: Mapping[str, int] = field(default_factory=dict)


TableAudit = Mapping[str, AccountAudit]
"""The accounts that have rows in a table, by account."""


def row_counts(pipeline: Pipeline, tables: Iterable[str]) -> RowCounts:
    """Rows by account, of tables that there are."""
    counts = {}
    with pipeline.sql_client() as client:
        account_id = client.escape_column_name("account_id")
        for name in tables:
            table = client.make_qualified_table_name(name)
            rows = client.execute_sql(
                f"SELECT {account_id}, COUNT(*) FROM {table} GROUP BY {account_id}"
            )
            counts[name] = {str(account): int(number) for account, number in rows or []}
    return counts


def audit(
    pipeline: Pipeline, columns: Mapping[str, TableColumns], tables: Iterable[str]
) -> Mapping[str, TableAudit]:
    """Audits the named tables, as far as they exist; `columns` tells of all tables that do."""
    with pipeline.sql_client() as client:
        return {name: _audit_table(client, columns, name) for name in tables if name in columns}


def _audit_table(
    client: SqlClientBase[object], columns: Mapping[str, TableColumns], name: str
) -> TableAudit:
    known = columns[name]
    required = [column.name for column in known.resource.table_columns if not column.nullable]
    variants, unknown = sorted(known.variants), known.unknown
    sql = _statement(client, columns, name, required, [*variants, *unknown])
    found = {}
    for row in client.execute_sql(sql) or []:
        counts = [int(number) for number in row[_ORPHANS + 1 :]]
        missing, rest = counts[: len(required)], counts[len(required) :]
        found[str(row[_ACCOUNT])] = AccountAudit(
            rows=int(row[_ROWS]),
            duplicates=int(row[_DUPLICATES]),
            orphans=int(row[_ORPHANS]),
            loaded_at=_moment(row[_LOAD_ID]),
            missing=_counted(required, missing),
            variants=_counted(variants, rest[: len(variants)]),
            unknown=_counted(unknown, rest[len(variants) :]),
        )
    return found


def _moment(load_id: Any) -> float | None:
    """The time that dlt names a load by; somebody's own rows may have anything there."""
    try:
        return float(load_id)
    except (TypeError, ValueError):
        return None


def _counted(columns: Iterable[str], counts: Iterable[int]) -> dict[str, int]:
    return {name: count for name, count in zip(columns, counts, strict=True) if count}


def _statement(
    client: SqlClientBase[object],
    columns: Mapping[str, TableColumns],
    name: str,
    required: Iterable[str],
    counted: Iterable[str],
) -> str:
    """One pass over the table: grouped by key, to find duplicates, and these by account."""

    def column(name: str) -> str:
        return f"t.{client.escape_column_name(name)}"

    def is_null(name: str) -> str:
        places = [name, *known.variants_of(name)]
        return " AND ".join(f"{column(place)} IS NULL" for place in places)

    known = columns[name]
    resource = known.resource
    table = client.make_qualified_table_name(name)
    join, orphan = "", "0"
    if resource.parent_column and _can_be_joined(known, columns):
        parent = client.make_qualified_table_name(str(resource.parent))
        account_id, row_id = map(client.escape_column_name, ("account_id", "id"))
        join = (
            f" LEFT JOIN (SELECT DISTINCT {account_id}, {row_id} FROM {parent}) p"
            f" ON p.{account_id} = {column('account_id')}"
            f" AND p.{row_id} = {column(resource.parent_column)}"
        )
        orphan = f"SUM(CASE WHEN p.{row_id} IS NULL THEN 1 ELSE 0 END)"
    measures = [
        f"MAX({column('_dlt_load_id')})",
        orphan,
        *(f"SUM(CASE WHEN {is_null(name)} THEN 1 ELSE 0 END)" for name in required),
        *(f"COUNT({column(name)})" for name in counted),
    ]
    by_key = (
        f"SELECT {column('account_id')} AS account, COUNT(*) AS n, "
        + ", ".join(f"{measure} AS m{place}" for place, measure in enumerate(measures))
        + f" FROM {table} t{join} GROUP BY "
        + ", ".join(column(name) for name in resource.key)
    )
    sums = ["MAX(m0)", *(f"SUM(m{place})" for place in range(1, len(measures)))]
    return (
        f"SELECT account, SUM(n), SUM(n) - COUNT(*), {', '.join(sums)}"
        f" FROM ({by_key}) by_key GROUP BY account"
    )


def _can_be_joined(known: TableColumns, columns: Mapping[str, TableColumns]) -> bool:
    """Whether the parent's table is there, and its rows' ids are stored as the children's."""
    parent = columns.get(str(known.resource.parent))
    return (
        parent is not None and parent.types["id"] == known.types[str(known.resource.parent_column)]
    )
