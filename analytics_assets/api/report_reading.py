"""Days of an account's report while they are read: whole, or not at all."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
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
from analytics_assets.schema import Report, Resource, ResourceTable
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
    reading = _Reading(client.resources, source, account_id, report_name, own_folder)
    rows: dict[str, ResourceRows] = {}
    failures = []
    with client.requests.counting(account_id, stopped) as counts:
        try:
            rows[report_name] = reading.read(window, stopped)
        except Exception as error:
            shutil.rmtree(own_folder, ignore_errors=True)
            cause = described_error(client, error)
            failures = [ReadFailure(account_id, report_name, (report_name,), cause)]
    seconds = time.monotonic() - started
    read = AccountRead(AccountRows(account_id, rows), failures, counts, seconds)
    return ReportRead(report_name, window, read, min(reading.updated, default=None))


class _Reading:
    """Reads a window of one report into one file."""

    def __init__(
        self,
        resources: ResourceTable,
        source: DltSource,
        account_id: str,
        report_name: str,
        folder: Path,
    ) -> None:
        self.updated: list[datetime] = []
        self._source = source
        self._account_id = account_id
        self._resource = resources[report_name]
        self._report = self._resource.report or Report()
        self._writer = AccountWriter(resources, account_id, [report_name], folder)

    def read(self, window: Window, stopped: Event) -> ResourceRows:
        """The rows of the window's days.

        Raises:
            Exception: Whatever keeps an answer from coming, or from being believed.
        """
        name, asked = self._resource.name, [window]
        if not self._report.has_days and len(window.days) > 1:
            # an account that pauses costs one request, not one for each day
            [whole] = self._answers(asked, stopped)
            asked = [Window(day, day) for day in window.days] if whole.rows else []
        for answer in self._answers(asked, stopped):
            self._writer.add(name, self._rows(answer))
        rows = self._writer.close(name)
        rows.part = Part(self._report.day_column, window.days)
        return rows

    def _answers(self, windows: Iterable[Window], stopped: Event) -> Iterator[ReportAnswer]:
        for answer in report_answers(self._source, self._resource, self._account_id, windows):
            if stopped.is_set():
                raise ReadError("the run was stopped")
            if answer.updated is not None:
                self.updated.append(answer.updated)
            yield answer

    def _rows(self, answer: ReportAnswer) -> Iterator[Row]:
        """The rows with their day and their name.

        Raises:
            ReadError: One is of no day that was asked for.
        """
        column, nameless = self._report.day_column, 0
        days = frozenset(answer.window.days)
        for row in answer.rows:
            filled: Row = {}
            if not self._report.has_days:
                filled[column] = answer.window.first
            elif as_day(row.get(column)) not in days:
                raise _not_asked_for(self._resource, column, row, answer.window)
            named = self._report.name_column
            if named is not None and row[named] is None:
                nameless += 1
                filled[named] = f"unnamed {nameless}"
            yield {**row, **filled} if filled else row


def _not_asked_for(resource: Resource, column: str, row: Row, window: Window) -> ReadError:
    value = one_line(str(row.get(column)))[:_QUOTED_LENGTH]
    return ReadError(
        f"the API sends a row whose `{column}` is {value!r}, and was asked for {window}: none of"
        " these days is changed",
        resource.name,
    )
