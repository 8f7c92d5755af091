"""What Dagster's own records say was to be loaded, and what of it failed.

A query or two per asset, however many accounts there are: sensors ask every 30 seconds.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any, cast

import dagster as dg
from dlt.common.utils import chunks

from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import known_accounts
from analytics_assets.orchestration.recorded_loads import (
    RECORDS_PER_QUERY,
    forgotten,
    newest_events,
)
from analytics_assets.orchestration.run_failures import run_failure

# by account and resource, the run of an attempt, and the event that planned it
_Attempts = dict[str, dict[str, tuple[str, int]]]


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


def failed_partitions(instance: dg.DagsterInstance, names: AssetNames) -> list[FailedPartition]:
    """The partitions whose latest attempt ended in a failed run and made nothing.

    An attempt that was cancelled, or has not ended yet, is none that failed. One that was never
    begun is, of all accounts that the run names. Accounts that are no longer listed are left out.
    """
    attempts, runs = _attempts_without_loads(instance, names)
    failures = {run_id: run_failure(instance, run_id) for run_id in runs}
    found = []
    for account_id, attempted in attempts.items():
        for name, (run_id, _) in attempted.items():
            if (run := runs.get(run_id)) is not None:
                cause, permanent = failures[run_id].of(account_id, name)
                at, tags = _ended_at(run), run.dagster_run.tags
                days = _asked_days(run.dagster_run, names)
                partition = (account_id, name, run_id, at, cause, permanent, tags, days)
                found.append(FailedPartition(*partition))
    return found


def failed_attempts(instance: dg.DagsterInstance, names: AssetNames) -> dict[str, FailedAttempt]:
    """What failed of each account that has a failed partition."""
    by_account: dict[str, list[FailedPartition]] = {}
    for partition in failed_partitions(instance, names):
        by_account.setdefault(partition.account_id, []).append(partition)
    return {account_id: _together(failed) for account_id, failed in by_account.items()}


def attempted_accounts(
    instance: dg.DagsterInstance, names: AssetNames, resource_names: Iterable[str]
) -> set[str]:
    """The listed accounts of which a run was to read one of these resources, whatever came of it.

    What was before an account was last forgotten does not count.
    """
    known = set(known_accounts(instance))
    planned = chain(*(_planned(instance, names.key(name)) for name in resource_names))
    if not known.difference(attempted := known.intersection(planned)):
        return attempted
    attempts, _ = _attempts_without_loads(instance, names)
    of_names = [key for key, of in attempts.items() if not of.keys().isdisjoint(resource_names)]
    return attempted.union(of_names)


def attempts_without_loads(
    instance: dg.DagsterInstance, names: AssetNames
) -> dict[str, dict[str, str]]:
    """By listed account and resource, the run of a latest attempt that made nothing."""
    attempts, _ = _attempts_without_loads(instance, names)
    return {
        account_id: {name: run_id for name, (run_id, _) in attempted.items()}
        for account_id, attempted in attempts.items()
    }


def _attempts_without_loads(
    instance: dg.DagsterInstance, names: AssetNames
) -> tuple[_Attempts, dict[str, dg.RunRecord]]:
    """The attempts, and those of their runs that failed."""
    found: _Attempts = {account_id: {} for account_id in known_accounts(instance)}
    events = instance.event_log_storage
    for name in names.partitioned:
        attempts = (
            events.get_latest_asset_partition_materialization_attempts_without_materializations(
                names.key(name)
            )
        )
        gone = forgotten(instance, names.key(name))
        for account_id, (run_id, event_id) in attempts.items():
            if account_id in found and event_id > gone.get(account_id, 0):
                found[account_id][name] = run_id, event_id
    runs = _failed_runs(instance, found)
    _add_those_not_begun(instance, names, found, runs)
    return found, runs


def _add_those_not_begun(
    instance: dg.DagsterInstance,
    names: AssetNames,
    attempts: _Attempts,
    runs: Mapping[str, dg.RunRecord],
) -> None:
    """Adds the accounts of failed runs over sets with gaps that Dagster never got to start.

    It has planned the run's own partition of them, and the run would have planned the others.
    """
    of_run = {
        (run_id, name): event_id
        for attempted in attempts.values()
        for name, (run_id, event_id) in attempted.items()
        if run_id in runs and runs[run_id].start_time is None
    }
    for (run_id, name), event_id in of_run.items():
        accounts = attempts.keys() & _named_accounts(runs[run_id].dagster_run, names)
        if not accounts:
            continue
        later = [_planned(instance, names.key(name)), forgotten(instance, names.key(name))]
        for account_id in accounts:
            _, latest = attempts[account_id].get(name, ("", 0))
            if max(latest, *(events.get(account_id, 0) for events in later)) < event_id:
                attempts[account_id][name] = run_id, event_id


def _planned(instance: dg.DagsterInstance, key: dg.AssetKey) -> dict[str, int]:
    return newest_events(instance, key, dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED)


def _together(failed: Sequence[FailedPartition]) -> FailedAttempt:
    newest = max(failed, key=lambda partition: partition.at)
    return FailedAttempt(
        tuple(partition.resource for partition in failed),
        newest.run_id,
        newest.at,
        "; ".join(dict.fromkeys(partition.cause for partition in failed)),
        all(partition.permanent for partition in failed),
    )


def _failed_runs(instance: dg.DagsterInstance, attempts: _Attempts) -> dict[str, dg.RunRecord]:
    run_ids, failed = {run_id for of in attempts.values() for run_id, _ in of.values()}, {}
    for ids in chunks(sorted(run_ids), RECORDS_PER_QUERY):
        wanted = dg.RunsFilter(run_ids=ids, statuses=[dg.DagsterRunStatus.FAILURE])
        for record in instance.get_run_records(wanted):
            failed[record.dagster_run.run_id] = record
    return failed


def _named_accounts(run: dg.DagsterRun, names: AssetNames) -> set[str]:
    ops = (names.accounts_op, names.reports_op)
    return {str(account) for op in ops for account in _config(run, op).get("accounts", ())}


def _asked_days(run: dg.DagsterRun, names: AssetNames) -> tuple[str, str]:
    config = _config(run, names.reports_op)
    return str(config.get("start_date", "")), str(config.get("end_date", ""))


def _config(run: dg.DagsterRun, op_name: str) -> Mapping[str, Any]:
    ops = cast(Mapping[str, Any], run.run_config).get("ops", {})
    return cast(Mapping[str, Any], ops.get(op_name, {}).get("config", {}))


def _ended_at(run: dg.RunRecord) -> float:
    return run.end_time or run.update_timestamp.timestamp()
