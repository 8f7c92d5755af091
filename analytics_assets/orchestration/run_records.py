"""What Dagster's own records say of accounts: what was loaded, what failed, what is under way.

A query or two per asset, however many accounts there are: sensors ask every 30 seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, TypeVar, cast

import dagster as dg

from analytics_assets.errors import is_permanent
from analytics_assets.orchestration.jobs import sync
from analytics_assets.orchestration.metadata import FAILED_ACCOUNTS
from analytics_assets.orchestration.partitions import known_accounts
from analytics_assets.resources import ACCOUNT_RESOURCES, ACCOUNTS
from analytics_assets.text import one_line

# Dagster's names for the rows of a partition and of a table
ROW_COUNTS: Final = ("dagster/partition_row_count", "dagster/row_count")
LOAD_ID: Final = "dlt_load_id"
_FORGOTTEN: Final = "forgotten"

UNFINISHED: Final = [
    status
    for status in dg.DagsterRunStatus
    if status
    not in (
        dg.DagsterRunStatus.SUCCESS,
        dg.DagsterRunStatus.FAILURE,
        dg.DagsterRunStatus.CANCELED,
    )
]
"""The states of a run that has not ended: in the queue, under way or being cancelled."""

_RECORDS_PER_QUERY: Final = 500

Item = TypeVar("Item")


@dataclass(frozen=True, slots=True)
class Load:
    """The latest materialisation of a resource, for one account.

    Attributes:
        resource: The resource's name.
        account_id: The account; None for `accounts`, which belongs to none.
        at: When, in seconds since 1970.
        rows: Rows that the table got, if the event tells.
        run_id: The run that loaded them.
        load_id: dlt's name for the load, if the event tells.
    """

    resource: str
    account_id: str | None
    at: float
    rows: int | None
    run_id: str
    load_id: str | None


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """What an account's newest failed run says about it.

    Attributes:
        account_id: The account.
        resources: The resources whose latest attempt failed, in this run or an older one.
        run_id: The newest run in which one of them failed.
        at: When that run ended, in seconds since 1970.
        cause: What went wrong, in one line.
        permanent: Whether trying again soon is pointless.
        tags: The tags of that run.
    """

    account_id: str
    resources: tuple[str, ...]
    run_id: str
    at: float
    cause: str
    permanent: bool
    tags: Mapping[str, str]


def latest_loads(instance: dg.DagsterInstance) -> dict[tuple[str, str | None], Load]:
    """The latest load by resource and account, of accounts that are no longer listed, too.

    What is on record of an account from before it was forgotten does not count.
    """
    loads = []
    accounts = instance.fetch_materializations(dg.AssetKey(ACCOUNTS.name), limit=1).records
    loads += [_load(ACCOUNTS.name, record) for record in accounts]
    for name in ACCOUNT_RESOURCES:
        newest = _newest(instance, name, dg.DagsterEventType.ASSET_MATERIALIZATION)
        for ids in chunks(newest.values()):
            found = dg.AssetRecordsFilter(asset_key=dg.AssetKey(name), storage_ids=ids)
            records = instance.fetch_materializations(found, limit=len(ids)).records
            loads += [_load(name, record) for record in records]
    return {(load.resource, load.account_id): load for load in loads}


def failed_attempts(instance: dg.DagsterInstance) -> dict[str, FailedAttempt]:
    """The accounts whose latest attempt at a resource ended in a failed run and made nothing.

    An attempt that was cancelled, or has not ended yet, is none that failed. Accounts that are no
    longer listed are left out.
    """
    attempts = attempts_without_loads(instance)
    run_ids = set(chain(*(runs.values() for runs in attempts.values())))
    failed = _failed_runs(instance, run_ids)
    failures: dict[str, RunFailure] = {}
    found = {}
    for account_id, runs in attempts.items():
        resources = tuple(name for name, run_id in runs.items() if run_id in failed)
        if not resources:
            continue
        run = max((failed[runs[name]] for name in resources), key=_ended_at)
        run_id = run.dagster_run.run_id
        if run_id not in failures:
            failures[run_id] = run_failure(instance, run_id)
        cause, permanent = failures[run_id].of(account_id)
        found[account_id] = FailedAttempt(
            account_id, resources, run_id, _ended_at(run), cause, permanent, run.dagster_run.tags
        )
    return found


def attempted_accounts(instance: dg.DagsterInstance) -> set[str]:
    """The accounts that any run was to read since they were last forgotten, whatever came of it."""
    planned = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    return {
        account_id for name in ACCOUNT_RESOURCES for account_id in _newest(instance, name, planned)
    }


def record_forgotten(instance: dg.DagsterInstance, account_id: str) -> None:
    """Notes that an account's rows are removed: if it is listed again, it counts as new.

    Dagster's storages cannot take a partition out of their records.
    """
    for name in ACCOUNT_RESOURCES:
        instance.report_runless_asset_event(
            dg.AssetObservation(
                dg.AssetKey(name),
                partition=account_id,
                description="The account was forgotten: its rows are no longer in the table.",
                metadata={_FORGOTTEN: True},
            )
        )


def unfinished_runs(instance: dg.DagsterInstance) -> list[dg.DagsterRun]:
    """The runs over accounts that have not ended, those in the queue included, newest first."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return [run for run in runs if _materializes_accounts(run)]


def failure_text(event: dg.DagsterEvent) -> str:
    """What a failed step says to people."""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error.cause or data.error if data.error else None
    return " ".join(error.message.split()) if error else "unknown error"


def attempts_without_loads(instance: dg.DagsterInstance) -> dict[str, dict[str, str]]:
    """By listed account and resource, the run of a latest attempt that made nothing."""
    found: dict[str, dict[str, str]] = {account_id: {} for account_id in known_accounts(instance)}
    events = instance.event_log_storage
    for name in ACCOUNT_RESOURCES:
        attempts = (
            events.get_latest_asset_partition_materialization_attempts_without_materializations(
                dg.AssetKey(name)
            )
        )
        forgotten = _forgotten(instance, name)
        for account_id, (run_id, event_id) in attempts.items():
            if account_id in found and event_id > forgotten.get(account_id, 0):
                found[account_id][name] = run_id
    return found


def _newest(
    instance: dg.DagsterInstance, resource_name: str, event_type: dg.DagsterEventType
) -> dict[str, int]:
    """The newest event of a type by account, unless the account was forgotten since."""
    newest = instance.event_log_storage.get_latest_storage_id_by_partition(
        dg.AssetKey(resource_name), event_type
    )
    forgotten = _forgotten(instance, resource_name)
    return {key: event for key, event in newest.items() if event > forgotten.get(key, 0)}


def _forgotten(instance: dg.DagsterInstance, resource_name: str) -> dict[str, int]:
    """The event that says so, by account that was ever forgotten."""
    asset_key = dg.AssetKey(resource_name)
    observed = instance.event_log_storage.get_latest_storage_id_by_partition(
        asset_key, dg.DagsterEventType.ASSET_OBSERVATION
    )
    found = {}
    for ids in chunks(observed.values()):
        wanted = dg.AssetRecordsFilter(asset_key=asset_key, storage_ids=ids)
        for record in instance.fetch_observations(wanted, limit=len(ids)).records:
            event = record.asset_observation
            if event is not None and event.partition and _FORGOTTEN in event.metadata:
                found[event.partition] = record.storage_id
    return found


def _failed_runs(instance: dg.DagsterInstance, run_ids: set[str]) -> dict[str, dg.RunRecord]:
    failed = {}
    for ids in chunks(sorted(run_ids)):
        wanted = dg.RunsFilter(run_ids=ids, statuses=[dg.DagsterRunStatus.FAILURE])
        for record in instance.get_run_records(wanted):
            failed[record.dagster_run.run_id] = record
    return failed


@dataclass(frozen=True, slots=True)
class RunFailure:
    """Why a run failed: as a whole, and for the accounts that it names.

    Attributes:
        cause: What went wrong, in one line.
        accounts: What the run says of the accounts that failed.
    """

    cause: str
    accounts: Mapping[str, Mapping[str, Any]]

    def of(self, account_id: str) -> tuple[str, bool]:
        """The cause, and whether it is permanent."""
        failed = self.accounts.get(account_id)
        if failed is None:
            return self.cause, False
        return f"{failed['resource']}: {failed['cause']}", is_permanent(failed["error"])


def run_failure(instance: dg.DagsterInstance, run_id: str) -> RunFailure:
    """Why a run failed, by its own records."""
    types = {dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE}
    # ascending: a step that failed comes before the run that did
    for entry in instance.all_logs(run_id, of_type=types):
        event = entry.dagster_event
        if event is not None and event.is_step_failure:
            data = event.step_failure_data.user_failure_data
            accounts = data.metadata.get(FAILED_ACCOUNTS) if data else None
            by_account = accounts.value if isinstance(accounts, dg.JsonMetadataValue) else {}
            return RunFailure(one_line(failure_text(event)), cast(dict[str, Any], by_account))
        if event is not None:
            return RunFailure(one_line(f"the run ended without a cause: {event.message}"), {})
    return RunFailure("the run's records do not say why it failed", {})


def _load(name: str, record: dg.EventLogRecord) -> Load:
    event = record.asset_materialization
    assert event is not None
    rows = next((event.metadata[key].value for key in ROW_COUNTS if key in event.metadata), None)
    load_id = event.metadata[LOAD_ID].value if LOAD_ID in event.metadata else None
    return Load(
        resource=name,
        account_id=event.partition,
        at=record.timestamp,
        rows=rows if isinstance(rows, int) else None,
        run_id=record.run_id,
        load_id=str(load_id) if load_id else None,
    )


def _materializes_accounts(run: dg.DagsterRun) -> bool:
    if run.asset_selection is None:
        return run.job_name == sync.name
    return any(dg.AssetKey(name) in run.asset_selection for name in ACCOUNT_RESOURCES)


def _ended_at(run: dg.RunRecord) -> float:
    return run.end_time or run.update_timestamp.timestamp()


def chunks(items: Iterable[Item]) -> Iterator[list[Item]]:
    """The items, as many at a time as one query takes."""
    whole = list(items)
    for start in range(0, len(whole), _RECORDS_PER_QUERY):
        yield whole[start : start + _RECORDS_PER_QUERY]
