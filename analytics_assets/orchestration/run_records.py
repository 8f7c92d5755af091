"""What Dagster's own records say of accounts: what was loaded, what failed, what is under way.

A query or two per asset, however many accounts there are: sensors ask every 30 seconds.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final, cast

import dagster as dg
from dlt.common.utils import chunks

from analytics_assets.orchestration.metadata import (
    DATA_UPDATED,
    LAST_DAY,
    LISTS_LEFT_OUT,
    LOAD_ID,
    REQUESTS,
    SKIPPED_ACCOUNTS,
)
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import known_accounts
from analytics_assets.orchestration.run_failures import run_failure
from analytics_assets.resources import ACCOUNTS

# Dagster's names for the rows of a partition and of a table
ROW_COUNTS: Final = ("dagster/partition_row_count", "dagster/row_count")
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
        requests: What it took to read them, if the event tells.
        lists_left_out: Lists that were not read, because nothing in them can have changed.
        last_day: Of a report, the last day that was asked for.
        data_at: Of a report, when the data that it was made of was updated, in unix seconds, if
            the event tells.
    """

    resource: str
    account_id: str | None
    at: float
    rows: int | None
    run_id: str
    load_id: str | None
    requests: int | None = None
    lists_left_out: int = 0
    last_day: str | None = None
    data_at: float | None = None


@dataclass(frozen=True, slots=True)
class FailedPartition:
    """A resource of an account whose latest attempt failed.

    Attributes:
        account_id: The account.
        resource: The resource's name.
        run_id: The run in which it failed.
        at: When that run ended, in seconds since 1970.
        cause: What went wrong, in one line.
        permanent: Whether trying again soon is pointless.
        tags: The tags of that run.
        days: The first and the last day of a report that it was to read; empty for those due.
    """

    account_id: str
    resource: str
    run_id: str
    at: float
    cause: str
    permanent: bool
    tags: Mapping[str, str]
    days: tuple[str, str]


@dataclass(frozen=True, slots=True)
class FailedAttempt:
    """What failed of an account, taken together.

    Attributes:
        resources: The resources whose latest attempt failed.
        run_id: The newest run in which one of them failed.
        at: When that run ended, in seconds since 1970.
        cause: What went wrong, each cause once, in one line.
        permanent: Whether trying again soon is pointless for all of them.
    """

    resources: tuple[str, ...]
    run_id: str
    at: float
    cause: str
    permanent: bool


def latest_loads(
    instance: dg.DagsterInstance, names: AssetNames
) -> dict[tuple[str, str | None], Load]:
    """The latest load by resource and account, of accounts that are no longer listed, too.

    What is on record of an account from before it was forgotten does not count.
    """
    accounts = instance.fetch_materializations(names.key(ACCOUNTS.name), limit=1).records
    loads = [_load(ACCOUNTS.name, record) for record in accounts]
    loads += loads_of(instance, names, names.partitioned)
    return {(load.resource, load.account_id): load for load in loads}


def loads_of(
    instance: dg.DagsterInstance, names: AssetNames, resource_names: Iterable[str]
) -> Iterator[Load]:
    """The latest load by account of some resources, as `latest_loads` has them."""
    for name in resource_names:
        newest = _newest(instance, names.key(name), dg.DagsterEventType.ASSET_MATERIALIZATION)
        records = records_of(instance.fetch_materializations, names.key(name), newest.values())
        yield from (_load(name, record) for record in records)


def loaded_by(
    instance: dg.DagsterInstance, key: dg.AssetKey, runs: Sequence[dg.RunRecord]
) -> dict[str, dg.AssetMaterialization]:
    """What runs have loaded of an asset, by account: the latest, unless it was forgotten since."""
    run_ids = {run.dagster_run.run_id for run in runs}
    began = min((run.start_time for run in runs if run.start_time), default=None)
    if began is None:  # none of them has begun
        return {}
    since = dg.AssetRecordsFilter(asset_key=key, after_timestamp=began)
    forgotten = _forgotten(instance, key)
    found: dict[str, dg.AssetMaterialization] = {}
    more, cursor = True, None
    while more:
        page = instance.fetch_materializations(since, limit=_RECORDS_PER_QUERY, cursor=cursor)
        more, cursor = page.has_more, page.cursor
        for record in page.records:
            event = record.asset_materialization
            if event is None or event.partition is None or record.run_id not in run_ids:
                continue
            if record.storage_id > forgotten.get(event.partition, 0):
                found.setdefault(event.partition, event)
    return found


def requests_taken(instance: dg.DagsterInstance, names: AssetNames) -> dict[tuple[str, str], int]:
    """The requests that it took to read each resource of an account when it was last loaded."""
    return {
        (load.resource, load.account_id): load.requests
        for load in latest_loads(instance, names).values()
        if load.account_id is not None and load.requests is not None
    }


def recorded_as_skipped(instance: dg.DagsterInstance, names: AssetNames) -> dict[str, str]:
    """The accounts of the latest list that are no partitions, with the setting that says so."""
    for record in instance.fetch_materializations(names.key(ACCOUNTS.name), limit=1).records:
        event = record.asset_materialization
        skipped = event.metadata.get(SKIPPED_ACCOUNTS) if event else None
        if isinstance(skipped, dg.JsonMetadataValue):
            return cast(dict[str, str], skipped.value)
    return {}


def listed_accounts(instance: dg.DagsterInstance, names: AssetNames) -> set[str]:
    """The accounts of the latest list: the partitions, and those that a setting leaves out."""
    return {*known_accounts(instance), *recorded_as_skipped(instance, names)}


def failed_partitions(instance: dg.DagsterInstance, names: AssetNames) -> list[FailedPartition]:
    """The partitions whose latest attempt ended in a failed run and made nothing.

    An attempt that was cancelled, or has not ended yet, is none that failed. Accounts that are no
    longer listed are left out.
    """
    attempts = attempts_without_loads(instance, names)
    run_ids = set(chain(*(runs.values() for runs in attempts.values())))
    runs = _failed_runs(instance, run_ids)
    failures = {run_id: run_failure(instance, run_id) for run_id in runs}
    found = []
    for account_id, attempted in attempts.items():
        for name, run_id in attempted.items():
            if (run := runs.get(run_id)) is not None:
                cause, permanent = failures[run_id].of(account_id, name)
                at, tags = _ended_at(run), run.dagster_run.tags
                days = _asked_days(run.dagster_run, names)
                partition = (account_id, name, run_id, at, cause, permanent, tags, days)
                found.append(FailedPartition(*partition))
    return found


def _asked_days(run: dg.DagsterRun, names: AssetNames) -> tuple[str, str]:
    run_config = cast(Mapping[str, Any], run.run_config)
    config = run_config.get("ops", {}).get(names.reports_op, {}).get("config", {})
    return str(config.get("start_date", "")), str(config.get("end_date", ""))


def failed_attempts(instance: dg.DagsterInstance, names: AssetNames) -> dict[str, FailedAttempt]:
    """What failed of each account that has a failed partition."""
    by_account: dict[str, list[FailedPartition]] = {}
    for partition in failed_partitions(instance, names):
        by_account.setdefault(partition.account_id, []).append(partition)
    return {account_id: _together(failed) for account_id, failed in by_account.items()}


def _together(failed: Sequence[FailedPartition]) -> FailedAttempt:
    newest = max(failed, key=lambda partition: partition.at)
    return FailedAttempt(
        tuple(partition.resource for partition in failed),
        newest.run_id,
        newest.at,
        "; ".join(dict.fromkeys(partition.cause for partition in failed)),
        all(partition.permanent for partition in failed),
    )


def attempted_accounts(
    instance: dg.DagsterInstance, names: AssetNames, resource_names: Iterable[str]
) -> set[str]:
    """The accounts of which any run was to read one of these resources, whatever came of it.

    What was before an account was last forgotten does not count.
    """
    planned = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    return {
        account_id
        for key in names.keys(resource_names)
        for account_id in _newest(instance, key, planned)
    }


def record_forgotten(instance: dg.DagsterInstance, names: AssetNames, account_id: str) -> None:
    """Notes that an account's rows are removed: if it is listed again, it counts as new.

    Dagster's storages cannot take a partition out of their records.
    """
    reports = instance.get_asset_records(names.keys(names.resources.reports))
    known = [record.asset_entry.asset_key for record in reports]
    for key in [*names.keys(names.resources.account_lists), *known]:
        instance.report_runless_asset_event(
            dg.AssetObservation(
                key,
                partition=account_id,
                description="The account was forgotten: its rows are no longer in the table.",
                metadata={_FORGOTTEN: True},
            )
        )


def unfinished_runs(instance: dg.DagsterInstance, names: AssetNames) -> list[dg.DagsterRun]:
    """The runs over accounts that have not ended, those in the queue included, newest first."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return [run for run in runs if materializes(run, names, names.partitioned)]


def materializes(run: dg.DagsterRun, names: AssetNames, resource_names: Collection[str]) -> bool:
    """Whether a run is to make partitions of one of these resources."""
    if run.asset_selection is None:
        of_jobs = {
            names.sync_job: names.account_resources,
            names.performance_job: names.report_names,
        }
        return not set(resource_names).isdisjoint(of_jobs.get(run.job_name, ()))
    return not run.asset_selection.isdisjoint(names.keys(resource_names))


def attempts_without_loads(
    instance: dg.DagsterInstance, names: AssetNames
) -> dict[str, dict[str, str]]:
    """By listed account and resource, the run of a latest attempt that made nothing."""
    found: dict[str, dict[str, str]] = {account_id: {} for account_id in known_accounts(instance)}
    events = instance.event_log_storage
    for name in names.partitioned:
        attempts = (
            events.get_latest_asset_partition_materialization_attempts_without_materializations(
                names.key(name)
            )
        )
        forgotten = _forgotten(instance, names.key(name))
        for account_id, (run_id, event_id) in attempts.items():
            if account_id in found and event_id > forgotten.get(account_id, 0):
                found[account_id][name] = run_id
    return found


def _newest(
    instance: dg.DagsterInstance, key: dg.AssetKey, event_type: dg.DagsterEventType
) -> dict[str, int]:
    """The newest event of a type by account, unless the account was forgotten since."""
    newest = instance.event_log_storage.get_latest_storage_id_by_partition(key, event_type)
    forgotten = _forgotten(instance, key)
    return {
        account_id: event
        for account_id, event in newest.items()
        if event > forgotten.get(account_id, 0)
    }


def _forgotten(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, int]:
    """The event that says so, by account that was ever forgotten."""
    observed = instance.event_log_storage.get_latest_storage_id_by_partition(
        key, dg.DagsterEventType.ASSET_OBSERVATION
    )
    found = {}
    for record in records_of(instance.fetch_observations, key, observed.values()):
        event = record.asset_observation
        if event is not None and event.partition and _FORGOTTEN in event.metadata:
            found[event.partition] = record.storage_id
    return found


def records_of(
    fetch: Callable[..., dg.EventRecordsResult], key: dg.AssetKey, storage_ids: Iterable[int]
) -> Iterator[dg.EventLogRecord]:
    """The records of an asset's events with these ids; `fetch` is the instance's for their type."""
    for ids in chunks(storage_ids, _RECORDS_PER_QUERY):
        wanted = dg.AssetRecordsFilter(asset_key=key, storage_ids=ids)
        yield from fetch(wanted, limit=len(ids)).records


def _failed_runs(instance: dg.DagsterInstance, run_ids: set[str]) -> dict[str, dg.RunRecord]:
    failed = {}
    for ids in chunks(sorted(run_ids), _RECORDS_PER_QUERY):
        wanted = dg.RunsFilter(run_ids=ids, statuses=[dg.DagsterRunStatus.FAILURE])
        for record in instance.get_run_records(wanted):
            failed[record.dagster_run.run_id] = record
    return failed


def _load(name: str, record: dg.EventLogRecord) -> Load:
    event = record.asset_materialization
    assert event is not None
    figures = {key: entry.value for key, entry in event.metadata.items()}
    rows = next((figures[key] for key in ROW_COUNTS if key in figures), None)
    load_id, requests = figures.get(LOAD_ID), figures.get(REQUESTS)
    left_out = figures.get(LISTS_LEFT_OUT)
    last_day, data_at = figures.get(LAST_DAY), figures.get(DATA_UPDATED)
    return Load(
        resource=name,
        account_id=event.partition,
        at=record.timestamp,
        rows=rows if isinstance(rows, int) else None,
        run_id=record.run_id,
        load_id=str(load_id) if load_id else None,
        requests=requests if isinstance(requests, int) else None,
        lists_left_out=left_out if isinstance(left_out, int) else 0,
        last_day=last_day if isinstance(last_day, str) else None,
        data_at=data_at if isinstance(data_at, float) else None,
    )


def _ended_at(run: dg.RunRecord) -> float:
    return run.end_time or run.update_timestamp.timestamp()
