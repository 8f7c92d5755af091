"""How many days of a report a load changes: those whose figures add up to something else."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import date
from math import isclose
from typing import Any, Final

from dlt import Pipeline

from analytics_assets.rows.account_rows import ResourceRows
from analytics_assets.schema import Report
from analytics_assets.warehouse.columns import TableColumns
from analytics_assets.warehouse.replacement import TableLoad
from analytics_assets.warehouse.statements import marks

# two databases add up the same amounts in another order
_ROUNDING: Final = 1e-9


def changed_days(
    pipeline: Pipeline, loads: Iterable[TableLoad], there: Collection[str]
) -> dict[str, dict[str, int]]:
    """By report and account, the days of the load that get other figures than the table holds.

    A day that comes or goes has changed. That rows of a day swap their figures is not seen.
    `there` are the tables that there were before.
    """
    return {
        load.resource.name: _of_table(pipeline, load, load.resource.name in there)
        for load in loads
        if load.resource.report is not None
    }


def _of_table(pipeline: Pipeline, load: TableLoad, is_there: bool) -> dict[str, int]:
    name, figures = load.resource.name, _figures(load.columns)
    before = _held(pipeline, load, figures) if is_there else {}
    changed: dict[str, int] = {}
    for account in load.accounts:
        account_id, rows = str(account.account_id), account.resources[name]
        if rows.part is None:
            continue
        now = _read(rows, rows.part.column, figures)
        differing = [
            day for day in rows.part.values if _differs(before.get((account_id, day)), now.get(day))
        ]
        changed[account_id] = changed.get(account_id, 0) + len(differing)
    return changed


def _figures(columns: TableColumns) -> list[str]:
    """The columns that can be added up, in the table and in what was read."""
    numbers = [c for c in columns.resource.columns if c.type in ("bigint", "double")]
    return [c.name for c in numbers if columns.types[c.name] == c.type]


def _held(
    pipeline: Pipeline, load: TableLoad, figures: Sequence[str]
) -> dict[tuple[str, date], Sequence[float]]:
    """What the rows of each account and day add up to now, of all days from the first on."""
    days = load.part_values
    ids = sorted({str(account.account_id) for account in load.accounts})
    report = load.resource.report or Report()
    if not days:
        return {}
    with pipeline.sql_client() as client:
        account_id, day = map(client.escape_column_name, ("account_id", report.day_column))
        sums = "".join(f", SUM({client.escape_column_name(name)})" for name in figures)
        table = client.make_qualified_table_name(load.resource.name)
        sql = (
            f"SELECT {account_id}, {day}, COUNT(*){sums} FROM {table}"
            f" WHERE {day} BETWEEN %s AND %s AND {account_id} IN ({marks(ids)})"
            f" GROUP BY {account_id}, {day}"
        )
        found = client.execute_sql(sql, min(days), max(days), *ids) or ()
    return {(str(account), of_day): _numbers(numbers) for account, of_day, *numbers in found}


def _read(rows: ResourceRows, day: str, figures: Sequence[str]) -> dict[date, Sequence[float]]:
    asked = [("account_id", "count"), *((name, "sum") for name in figures)]
    names = [f"{name}_{how}" for name, how in asked]
    return {
        row[day]: _numbers(row[name] for name in names)
        for row in rows.table().group_by(day).aggregate(asked).to_pylist()
    }


def _numbers(values: Iterable[Any]) -> Sequence[float]:
    return [float(value or 0) for value in values]


def _differs(before: Sequence[float] | None, now: Sequence[float] | None) -> bool:
    if before is None or now is None:
        return before is not now
    return not all(isclose(a, b, rel_tol=_ROUNDING) for a, b in zip(before, now, strict=True))
