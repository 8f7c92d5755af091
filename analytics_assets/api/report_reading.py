"""Days of an account's report while they are read: whole, or not at all."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from tempfile import mkdtemp
from threading import Event
from typing import Final

from dlt.extract import DltSource

from analytics_assets.api.account_reading import AccountRead, ReadFailure, described_error
from analytics_assets.api.answers import Row
from analytics_assets.api.client import ApiClient
from analytics_assets.api.report_source import ReportAnswer, report_answers
from analytics_assets.days import Window
from analytics_assets.errors import CredentialsError, ReadError
from analytics_assets.rows.account_rows import AccountRows, AccountWriter, Part, ResourceRows
from analytics_assets.rows.arrow import as_day
from analytics_assets.rows.keys import fill
from analytics_assets.schema import Report, Resource
from analytics_assets.text import one_line

_QUOTED_LENGTH: Final = 40


@dataclass(frozen=True, slots=True)
class ReportRead:
    """What came of some days of an account's report.

    Attributes:
        report_name: The report.
        window: The days.
        read: The rows, which replace those of these days; or why there are none.
        updated: When the data that the report was made of was last updated, the oldest of several;
            None if the API does not say.
    """

    report_name: str
    window: Window
    read: AccountRead
    updated: datetime | None


def report_reads(
    client: ApiClient,
    source: DltSource,
    account_id: str,
    windows: Mapping[str, Iterable[Window]],
    folder: Path,
    stopped: Event,
) -> Iterator[ReportRead]:
    """Reads an account's reports, window by window; after one that fails, none of the report.

    Args:
        client: Reads.
        source: The source of the reports.
        account_id: The account.
        windows: By report, the windows, the oldest first.
        folder: An existing folder, in which each file gets one of its own.
        stopped: When it is set, nothing further is asked for.

    Raises:
        DiskFullError: There is no room for the rows.
    """
    for name, days in windows.items():
        for window in days:
            found = read_window(client, source, account_id, name, window, folder, stopped)
            yield found
            if any(isinstance(each.error, CredentialsError) for each in found.read.failures):
                return
            if found.read.failures:
                break


def read_window(
    client: ApiClient,
    source: DltSource,
    account_id: str,
    report_name: str,
    window: Window,
    folder: Path,
    stopped: Event,
) -> ReportRead:
    """Reads days of an account's report: see `report_reads`.

    One request asks for all of them, or for each where rows do not say theirs.

    Raises:
        DiskFullError: There is no room for the rows.
    """
    started, own_folder = time.monotonic(), Path(mkdtemp(dir=folder))
    writer = AccountWriter(client.resources, account_id, [report_name], own_folder)
    resource = client.resources[report_name]
    updated: list[datetime] = []
    rows: dict[str, ResourceRows] = {}
    failures = []

    def answers(windows: Iterable[Window]) -> Iterator[ReportAnswer]:
        for answer in report_answers(source, resource, account_id, windows):
            if stopped.is_set():
                raise ReadError("the run was stopped")
            if answer.updated is not None:
                updated.append(answer.updated)
            yield answer

    with client.requests.counting(account_id, stopped) as counts:
        try:
            rows[report_name] = _written(writer, resource, window, answers)
        except Exception as error:
            shutil.rmtree(own_folder, ignore_errors=True)
            cause = described_error(client, error)
            failures = [ReadFailure(account_id, report_name, (report_name,), cause)]
    seconds = time.monotonic() - started
    read = AccountRead(AccountRows(account_id, rows), failures, counts, seconds)
    return ReportRead(report_name, window, read, min(updated, default=None))


def _written(
    writer: AccountWriter,
    resource: Resource,
    window: Window,
    answers: Callable[[Iterable[Window]], Iterator[ReportAnswer]],
) -> ResourceRows:
    """The rows of the window's days, in a file; `answers` asks for windows.

    Raises:
        Exception: Whatever keeps an answer from coming, or from being believed.
    """
    report, asked = resource.report or Report(), [window]
    if not report.has_days and len(window.days) > 1:
        # an account that pauses costs one request, not one for each day
        [whole] = answers(asked)
        asked = [Window(day, day) for day in window.days] if whole.rows else []
    for answer in answers(asked):
        writer.add(resource.name, _rows(resource, report, answer))
    rows = writer.close(resource.name)
    rows.part = Part(report.day_column, window.days)
    return rows


def _rows(resource: Resource, report: Report, answer: ReportAnswer) -> Iterator[Row]:
    """The rows with their day and their name.

    Raises:
        ReadError: One is of no day that was asked for.
    """
    column, named, nameless = report.day_column, report.name_column, 0
    first, last = answer.window.first, answer.window.last
    for row in answer.rows:
        day = as_day(row.get(column))
        is_asked_for = isinstance(day, date) and first <= day <= last
        if report.has_days and not is_asked_for:
            raise _not_asked_for(resource, column, row, answer.window)
        if not report.has_days:
            row = {**row, column: first} if is_asked_for else dict(row)
            fill(row, column, first)
        if named is not None and row[named] is None:
            nameless += 1
            row = {**row, named: f"unnamed {nameless}"}
        yield row


def _not_asked_for(resource: Resource, column: str, row: Row, window: Window) -> ReadError:
    value = one_line(str(row.get(column)))[:_QUOTED_LENGTH]
    return ReadError(
        f"the API sends a row whose `{column}` is {value!r}, and was asked for {window}: none of"
        " these days is changed",
        resource.name,
    )
