"""How a step reads reports of accounts: the days that are due, or those that somebody asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, Final

import dagster as dg
import pyarrow.compute as pc

from analytics_assets.api.account_reading import AccountRead, ReadFailure
from analytics_assets.api.reconciliation import differences
from analytics_assets.api.report_reading import ReportRead
from analytics_assets.api.report_source import report_source
from analytics_assets.api.request_counts import AccountRequests
from analytics_assets.errors import CredentialsError, ReadError, WindowError
from analytics_assets.orchestration.ingestion import Ingestion
from analytics_assets.orchestration.metadata import (
    DATA_UPDATED,
    LAST_DAY,
    drift_metadata,
    load_metadata,
    provenance,
    read_metadata,
)
from analytics_assets.orchestration.partitions import ReportsConfig
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.recorded_loads import listed_accounts
from analytics_assets.orchestration.report_windows import Windows, windows
from analytics_assets.reports import RECONCILED, TOTALS
from analytics_assets.rows.account_rows import AccountRows
from analytics_assets.warehouse.outcome import LoadOutcome

_COMPARED_AT_ONCE: Final = 8
_SPENT: Final = "spent"


class ReportReading:
    """Reads windows of accounts' reports; a partition is made when its last window is loaded."""

    def __init__(
        self, context: dg.AssetExecutionContext, config: ReportsConfig, progress: Progress
    ) -> None:
        self.differences: dict[str, str] = {}
        self._context = context
        self._config = config
        self._progress = progress
        self._found: dict[tuple[str, str], list[ReportRead]] = {}
        self._ended: list[tuple[str, str]] = []
        self._changed: Counter[tuple[str, str]] = Counter()
        self._spent: dict[tuple[str, str], float] = {}

    def read(
        self, run: Ingestion, wanted: Mapping[str, Sequence[str]]
    ) -> Generator[list[AccountRead], None, None]:
        """Reads the days of each account's reports, window by window.

        Raises:
            WindowError: Somebody asks for days that cannot be.
        """
        self._progress.reading(self._context, len(wanted))
        asked = windows(self._context, self._config, run, wanted)
        for reads in run.batches(self._reads(run, asked)):
            if run.settings.reconcile:
                self._compare(run)
            yield reads

    def made(
        self,
        run: Ingestion,
        outcome: LoadOutcome,
        whole: Sequence[AccountRead],
        failures: Sequence[ReadFailure],
    ) -> Iterator[dg.AssetMaterialization]:
        """The reports of accounts whose last window was loaded, unless one was not."""
        failed = {(name, failure.account_id) for failure in failures for name in failure.lost}
        for name, of_accounts in outcome.changed_days.items():
            self._changed.update({(name, key): days for key, days in of_accounts.items()})
        names, listed = run.names, listed_accounts(self._context.instance, run.names)
        for name, account_id in sorted(set(self._ended).difference(failed)):
            audit = outcome.audits[name]
            yield dg.AssetMaterialization(
                names.key(name),
                partition=account_id,
                tags=provenance(names.resources[name], names),
                metadata={
                    "dagster/partition_row_count": audit[account_id].rows,
                    **_figures(self._found.pop((name, account_id)), name),
                    "days_changed": self._changed.pop((name, account_id), 0),
                    _SPENT: round(self._spent.pop((name, account_id)), 2),
                    **drift_metadata(audit, [account_id]),
                    **load_metadata(outcome, run.settings, names, name, listed),
                },
            )
        self._ended.clear()

    def _reads(self, run: Ingestion, of_all: Windows) -> Iterator[list[AccountRead]]:
        asked = {account_id: of for account_id, of in of_all.items() if all(of.values())}
        yield [_not_begun(each, of) for each, of in of_all.items() if each not in asked]
        left = {account_id: list(of) for account_id, of in asked.items()}
        for found in run.reader.read_reports(asked):
            account_id, name = str(found.read.rows.account_id), found.report_name
            self._found.setdefault((name, account_id), []).append(found)
            read, mine = found.read, left[account_id]
            # the file is gone when it is loaded
            self._spent[name, account_id] = self._spent.get((name, account_id), 0) + _spent(found)
            if read.failures or found.window == asked[account_id][name][-1]:
                mine.remove(name)
            if any(isinstance(each.error, CredentialsError) for each in read.failures):
                # no other of its reports is read
                lost = [replace(each, lost=(name, *mine)) for each in read.failures]
                read = replace(read, failures=lost)
                mine.clear()
            elif not read.failures and name not in mine:
                self._ended.append((name, account_id))
            self._progress.read(self._context, read, ended=not mine)
            yield [read]

    def _compare(self, run: Ingestion) -> None:
        """Compares the last window of each account that has just ended with the API's totals."""
        ended = [self._found[key][-1] for key in self._ended if key[0] == RECONCILED]
        if not ended:
            return
        client = run.reader.client
        source = report_source(client, [TOTALS])

        def compared(found: ReportRead) -> str:
            try:
                different = differences(client, source, found)
            except (ReadError, CredentialsError) as error:
                return f"not compared: {error}"
            if not different:
                return ""
            day, column, total, summed = different[0]
            return f"{len(different)} figures, as {column} of {day}: {summed:g} of {total:g}"

        with ThreadPoolExecutor(_COMPARED_AT_ONCE) as pool:
            texts = pool.map(compared, ended)
        for found, text in zip(ended, texts, strict=True):
            if text:
                self.differences[str(found.read.rows.account_id)] = text


def _not_begun(account_id: str, report_names: Mapping[str, object]) -> AccountRead:
    """An account where it is not yet any of the days that somebody asks for."""
    lost, error = tuple(report_names), WindowError("none of these days has begun there")
    failures = [ReadFailure(account_id, None, lost, error)]
    return AccountRead(AccountRows(account_id, {}), failures, AccountRequests(), 0.0)


def _spent(found: ReportRead) -> float:
    """What the rows of a window spent, in the account's currency."""
    rows = found.read.rows.resources.get(found.report_name)
    if rows is None:
        return 0.0
    table = rows.table()
    # a report of something else need not have it
    return float(pc.sum(table[_SPENT]).as_py() or 0) if _SPENT in table.column_names else 0.0


def _figures(found: Sequence[ReportRead], name: str) -> dict[str, Any]:
    """What was read of a report of an account, all windows together."""
    figures: Counter[str] = Counter()
    for each in found:
        figures.update(read_metadata(each.read, name))
    updated = found[-1].updated
    return {
        **figures,
        "rows_loaded": sum(each.read.rows.resources[name].rows for each in found),
        "days_loaded": sum(len(each.window.days) for each in found),
        "first_day": str(min(each.window.first for each in found)),
        LAST_DAY: str(max(each.window.last for each in found)),
        # the oldest data that any of the last window's answers was made of
        **({DATA_UPDATED: dg.MetadataValue.timestamp(updated)} if updated else {}),
    }
