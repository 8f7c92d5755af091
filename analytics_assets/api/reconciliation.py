"""Whether what was read of an account's campaigns adds up to what the API says of the account."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final, NamedTuple

from dlt.extract import DltSource

from analytics_assets.api.account_reading import described_error
from analytics_assets.api.client import ApiClient
from analytics_assets.api.report_reading import ReportRead
from analytics_assets.api.report_source import report_answers
from analytics_assets.reports import TOTALS
from analytics_assets.rows.account_rows import ResourceRows
from analytics_assets.rows.arrow import as_day, holds

_SUMMED: Final = (
    "impressions",
    "visible_impressions",
    "clicks",
    "spent",
    "conversions_value",
    "cpa_actions_num",
)
# what a rounded amount may be off by
_HALF_A_CENT: Final = 0.005


class Difference(NamedTuple):
    """A figure of a day that does not add up.

    Attributes:
        day: The day.
        column: The figure.
        total: What the API says of the account.
        summed: What its rows add up to.
    """

    day: date
    column: str
    total: float
    summed: float


def differences(client: ApiClient, source: DltSource, found: ReportRead) -> list[Difference]:
    """Compares the rows that were read of a report with the API's own totals, by one request.

    Amounts may differ by what rounding each row, and the total, can make. What is no number is not
    compared. The source is that of `TOTALS`, and the report one whose rows add up to the account's.

    Raises:
        ReadError: The totals could not be had.
    """
    account_id = str(found.read.rows.account_id)
    try:
        [answer] = report_answers(source, TOTALS, account_id, [found.window])
    except Exception as error:
        raise described_error(client, error) from None
    sums = _sums(found.read.rows.resources[found.report_name])
    return list(_differing(answer.rows, sums))


def _differing(
    totals: list[dict[str, Any]], sums: Mapping[date, Mapping[str, float]]
) -> Iterator[Difference]:
    dated = ((as_day(row.get("date")), row) for row in totals)
    by_day = {day: row for day, row in dated if isinstance(day, date)}
    for day in sorted(by_day.keys() | sums):
        row, of_day = by_day.get(day, dict.fromkeys(_SUMMED, 0)), sums.get(day, {})
        for column in _SUMMED:
            total: Any = row.get(column)
            summed = of_day.get(column) or 0
            rounding = _HALF_A_CENT * (of_day.get("rows", 0) + 2)
            is_number = type(total) in (int, float) and holds("double", total)
            if is_number and abs(total - summed) > rounding:
                yield Difference(day, column, total, summed)


def _sums(rows: ResourceRows) -> dict[date, dict[str, float]]:
    """By day, the sum of each figure, and how many rows there are."""
    asked = [*((name, "sum") for name in _SUMMED), ("account_id", "count")]
    found = rows.table().group_by("date").aggregate(asked).to_pylist()
    return {
        row["date"]: {name: row[f"{name}_sum"] for name in _SUMMED}
        | {"rows": row["account_id_count"]}
        for row in found
    }
