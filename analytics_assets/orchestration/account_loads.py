"""What a step over accounts does, whatever it reads: load as it is read, report, judge."""

from __future__ import annotations

from collections.abc import Container, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Final, Protocol

import dagster as dg
from dagster_dlt import DagsterDltResource

from analytics_assets.api.account_reading import AccountRead, ReadFailure
from analytics_assets.dagster_backend.batches import reported
from analytics_assets.errors import AnalyticsError, ReadError, SuddenlyEmptyError
from analytics_assets.orchestration.asset_checks import Findings
from analytics_assets.orchestration.evidence import check_tables
from analytics_assets.orchestration.ingestion import (
    Ingestion,
    ingestion,
    selected_resources,
    users_errors_as_failures,
)
from analytics_assets.orchestration.metadata import early_end, failure
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import (
    AccountsConfig,
    ReportsConfig,
    requested_accounts,
)
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.reexecution import earlier_loads, without_partitions
from analytics_assets.settings import platform_settings
from analytics_assets.text import counted
from analytics_assets.warehouse.audit import RowCounts
from analytics_assets.warehouse.outcome import LoadOutcome, merged

ALLOW_EMPTY_HINT: Final = (
    "If that is right, run again with --allow-empty (in the UI: allow_empty in the run's"
    " configuration)"
)


class Reading(Protocol):
    """How a step reads accounts, and what it tells of them."""

    @property
    def differences(self) -> Findings:
        """What of an account does not add up to what the API says, by account."""

    def read(
        self, run: Ingestion, wanted: Mapping[str, Sequence[str]]
    ) -> Generator[list[AccountRead], None, None]:
        """Reads resources of accounts, and yields those together that are to be loaded together."""

    def made(
        self,
        run: Ingestion,
        outcome: LoadOutcome,
        whole: Sequence[AccountRead],
        failures: Sequence[ReadFailure],
    ) -> Iterator[dg.AssetMaterialization]:
        """The partitions that a load has made, of what was read `whole`.

        The run's failures so far include those of this load.
        """


def load_accounts(
    context: dg.AssetExecutionContext,
    config: AccountsConfig | ReportsConfig,
    dlt: DagsterDltResource,
    progress: Progress,
    reading: Reading,
) -> Iterator[dg.DagsterEvent | dg.AssetCheckEvaluation]:
    """Reads the run's accounts, and loads, reports and judges what was read.

    Raises:
        dagster.Failure: Something that was asked for is not there; it names each partition.
    """
    with users_errors_as_failures():
        resource_names = selected_resources(context, platform_settings())
    account_ids = requested_accounts(context, config)
    loaded_before = earlier_loads(context)
    wanted = without_partitions(resource_names, account_ids, loaded_before)
    so_far = _SoFar()
    try:
        with ingestion(context, progress) as run:
            step = _Step(context, config, dlt, progress, run, reading)
            ended: Exception | None = None
            try:
                with closing(reading.read(run, wanted)) as reads:
                    yield from _load_as_read(step, reads, so_far)
            except Exception as error:
                ended, unread = error, list(so_far.failures)
                so_far.failures[:0] = _not_loaded(wanted, so_far.made, error)
                if unread and isinstance(error, AnalyticsError):
                    ended = early_end(error, unread, so_far.failures)
            run.figures.failed.update(failed.account_id for failed in so_far.failures)
            yield from _judge(step, so_far)
            if ended is not None:
                raise ended
        if so_far.failures:
            raise failure(so_far.failures, len(account_ids), len(resource_names))
        if so_far.not_published:  # last: what was loaded is on record
            raise dg.Failure(so_far.not_published, allow_retries=False)
    except Exception:
        # what this run did not read, because an earlier one had loaded it, did not fail
        yield from reported(context, loaded_before)
        raise


@dataclass
class _SoFar:
    """What a run has loaded so far, all loads together, and what it could not.

    `made` are the partitions that were reported, each a resource and an account.
    """

    outcome: LoadOutcome | None = None
    made: set[tuple[str, str]] = field(default_factory=set)
    failures: list[ReadFailure] = field(default_factory=list)
    not_published: str = ""


@dataclass(frozen=True)
class _Step:
    """What a step works with."""

    context: dg.AssetExecutionContext
    config: AccountsConfig | ReportsConfig
    dlt: DagsterDltResource
    progress: Progress
    run: Ingestion
    reading: Reading

    def load(self, reads: Sequence[AccountRead]) -> LoadOutcome:
        """Loads what was read; without anything, it goes by the records."""
        names = selected_resources(self.context, self.run.settings)
        allow_empty = self.config.allow_empty
        return self.run.load(self.context, self.dlt, names, reads, allow_empty=allow_empty)


def _load_as_read(
    step: _Step, reads: Iterable[Sequence[AccountRead]], so_far: _SoFar
) -> Iterator[dg.DagsterEvent]:
    """Loads what was read whole, as it comes, and reports it; without any, goes by the records."""
    for ended in reads:
        so_far.failures += [failed for read in ended for failed in read.failures]
        whole = [read for read in ended if read.rows.resources]
        if not whole:
            continue
        step.progress.loading(step.context, len({read.rows.account_id for read in whole}))
        outcome = step.load(whole)
        so_far.outcome = merged(so_far.outcome, outcome) if so_far.outcome else outcome
        so_far.failures += _suddenly_empty(outcome.suddenly_empty, whole)
        so_far.failures += _empty_windows(outcome.empty_windows)
        so_far.failures += _overtaken(outcome.overtaken)
        events = list(step.reading.made(step.run, outcome, whole, so_far.failures))
        yield from reported(step.context, events)
        so_far.made |= {(AssetNames.resource_name(e.asset_key), str(e.partition)) for e in events}
    if so_far.outcome is None:
        so_far.outcome = step.load([])


def _judge(step: _Step, so_far: _SoFar) -> Iterator[dg.AssetCheckEvaluation]:
    """Publishes and judges what was loaded, if anything was looked at."""
    if so_far.outcome is None:
        return
    if so_far.outcome.tables:
        so_far.not_published = step.run.publish(step.context)
    yield from check_tables(
        step.context,
        step.progress,
        step.run.settings,
        so_far.outcome,
        so_far.failures,
        step.reading.differences,
    )


def _not_loaded(
    wanted: Mapping[str, Sequence[str]], made: Container[tuple[str, str]], error: Exception
) -> Iterator[ReadFailure]:
    """What a run that ended with an error was to load, and did not."""
    unexpected = ReadError(f"the run ended with {type(error).__name__}")
    cause = error if isinstance(error, AnalyticsError) else unexpected
    for account_id, names in wanted.items():
        if lost := tuple(name for name in names if (name, account_id) not in made):
            yield ReadFailure(account_id, None, lost, cause)


def _suddenly_empty(
    rows_kept: Mapping[str, int], reads: Iterable[AccountRead]
) -> Iterator[ReadFailure]:
    for read in reads:
        account_id = str(read.rows.account_id)
        if account_id in rows_kept:
            error = (
                f"the API has no row of it, where the tables hold {rows_kept[account_id]}."
                f" {ALLOW_EMPTY_HINT}"
            )
            lost = tuple(read.rows.resources)
            yield ReadFailure(account_id, None, lost, SuddenlyEmptyError(error))


def _empty_windows(rows_kept: RowCounts) -> Iterator[ReadFailure]:
    for name, of_accounts in rows_kept.items():
        for account_id, rows in of_accounts.items():
            error = (
                f"the API has no row of days of which the table holds {counted(rows, 'row')}."
                f" {ALLOW_EMPTY_HINT}"
            )
            yield ReadFailure(account_id, name, (name,), SuddenlyEmptyError(error))


def _overtaken(resources: Mapping[str, Sequence[str]]) -> Iterator[ReadFailure]:
    error = "another load, or somebody, has changed its rows while it was read; sync again"
    for account_id, names in resources.items():
        for name in names:
            yield ReadFailure(account_id, name, (name,), ReadError(error))
