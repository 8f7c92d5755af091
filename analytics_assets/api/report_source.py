"""Reports as dlt's REST source: each is asked for by windows of days."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from datetime import date, datetime, timezone
from typing import Any, Final, NamedTuple

from dlt.common.jsonpath import compile_path
from dlt.extract import DltSource
from dlt.sources.rest_api.typing import EndpointResource
from requests import Response

from analytics_assets.api.answers import Row, rows_of
from analytics_assets.api.client import ApiClient
from analytics_assets.api.pagination import NumberedPages
from analytics_assets.api.paths import path_part, request_path
from analytics_assets.api.source import MissingList, answers, parents, rest_source
from analytics_assets.days import Window
from analytics_assets.rows.keys import fill, list_key, parents_of, row_name
from analytics_assets.schema import Report, Resource

# the envelope tells more than the rows, and is there where there are none
_ENVELOPE: Final = compile_path("$")
_UPDATED: Final = "last-used-rawdata-update-time-gmt-millisec"
_DAYS: Final = ("first", "last")


class ReportAnswer(NamedTuple):
    """A report of some days, whole.

    Attributes:
        window: The days.
        rows: The rows, as they came.
        updated: When the data that it was made of was last updated; None if the API does not say.
    """

    window: Window
    rows: list[Row]
    updated: datetime | None


def report_source(client: ApiClient, reports: Collection[Resource]) -> DltSource:
    """The source of reports: one for all accounts and windows."""
    windows = [parents(report) for report in reports]
    endpoints = [_endpoint(report, client.version) for report in reports]
    return rest_source(client, [*windows, *endpoints])


def report_answers(
    source: DltSource, report: Resource, account_id: str, windows: Iterable[Window]
) -> Iterator[ReportAnswer]:
    """Asks for windows of an account's report, side by side, and yields each as it comes.

    Raises:
        ResourceExtractionError: One cannot be had.
    """
    mine, account_path = source.with_resources(report.name), path_part(account_id)
    windows_of = parents_of(report)
    rows = [
        {"account_path": account_path, "first": str(window.first), "last": str(window.last)}
        for window in windows
    ]
    mine.resources[windows_of].bind(rows)
    for found in answers(mine):
        if isinstance(found, MissingList):
            raise found.error
        for answer in found.rows:
            first, last = (date.fromisoformat(answer[f"_{windows_of}_{name}"]) for name in _DAYS)
            sent = rows_of(answer, report.data_selector)
            yield ReportAnswer(Window(first, last), sent, _updated(answer))


class ReportPages(NumberedPages):
    """Pages of a report, by number: what is handed on is its envelope with all rows.

    Nobody knows a report that the API sends in pages. But where it announces more rows than it
    sends, it has to send them, or the report is not whole.
    """

    def __init__(self, resource: Resource) -> None:
        self._resource = resource
        self._report = resource.report or Report()
        unsent = () if self._report.has_days else (self._report.day_column,)
        super().__init__([column for column in list_key(resource) if column.name not in unsent])

    def __deepcopy__(self, memo: dict[int, Any]) -> ReportPages:
        return ReportPages(self._resource)  # dlt copies the paginator for each report

    def update_state(self, response: Response, data: list[Any] | None = None) -> None:
        """Takes a page; `data` becomes what is handed on, nothing or the whole report.

        Raises:
            ReadError: The announced rows cannot be had, or none has a key.
        """
        [envelope] = data or []
        _announce(envelope)
        rows = rows_of(envelope, self._resource.data_selector)
        for row in rows if self._report.name_column else ():
            fill(row, self._report.name_column or "", row_name(self._report, row))
        super().update_state(response, rows)
        if self._has_next_page and data:
            data.clear()

    def _has_keys(self, page: Sequence[Row]) -> bool:
        # rows without a name are numbered
        return self._report.name_column is not None or super()._has_keys(page)


def _announce(envelope: Row) -> None:
    """Lets `recordCount` stand for a total that `metadata` does not have."""
    metadata = envelope.get("metadata")
    known: Row = metadata if isinstance(metadata, dict) else {}
    if "total" not in known and "recordCount" in envelope:
        envelope["metadata"] = {**known, "total": envelope["recordCount"]}


def _updated(envelope: Row) -> datetime | None:
    milliseconds = envelope.get(_UPDATED)
    if type(milliseconds) is not int:
        return None
    try:
        return datetime.fromtimestamp(milliseconds / 1000, timezone.utc)
    except (ValueError, OverflowError, OSError):
        return None


def _endpoint(resource: Resource, api_version: str) -> EndpointResource:
    of_window = f"{{resources.{parents_of(resource)}.%s}}"
    report = resource.report or Report()
    return {
        "name": resource.name,
        "include_from_parent": list(_DAYS),
        "endpoint": {
            "path": request_path(resource, api_version, of_window % "account_path"),
            "params": {
                report.first_day_parameter: of_window % "first",
                report.last_day_parameter: of_window % "last",
            },
            "paginator": ReportPages(resource),
            "data_selector": _ENVELOPE,
        },
    }
