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


def failed_attempts(instance: dg.DagsterInstance, names: AssetNames) -> dict[str, FailedAttempt]:
    """What failed of each account that has a failed partition."""
    by_account: dict[str, list[FailedPartition]] = {}
    for partition in failed_partitions(instance, names):
        by_account.setdefault(partition.account_id, []).append(partition)
    return {account_id: _together(failed) for account_id, failed in by_account.items()}


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
        for account_id in newest_events(instance, key, planned)
    }


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
        gone = forgotten(instance, names.key(name))
        for account_id, (run_id, event_id) in attempts.items():
            if account_id in found and event_id > gone.get(account_id, 0):
                found[account_id][name] = run_id
    return found


def _together(failed: Sequence[FailedPartition]) -> FailedAttempt:
    newest = max(failed, key=lambda partition: partition.at)
    return FailedAttempt(
        tuple(partition.resource for partition in failed),
        newest.run_id,
        newest.at,
        "; ".join(dict.fromkeys(partition.cause for partition in failed)),
        all(partition.permanent for partition in failed),
    )


def _failed_runs(instance: dg.DagsterInstance, run_ids: set[str]) -> dict[str, dg.RunRecord]:
    failed = {}
    for ids in chunks(sorted(run_ids), RECORDS_PER_QUERY):
        wanted = dg.RunsFilter(run_ids=ids, statuses=[dg.DagsterRunStatus.FAILURE])
        for record in instance.get_run_records(wanted):
            failed[record.dagster_run.run_id] = record
    return failed


def _asked_days(run: dg.DagsterRun, names: AssetNames) -> tuple[str, str]:
    run_config = cast(Mapping[str, Any], run.run_config)
    config = run_config.get("ops", {}).get(names.reports_op, {}).get("config", {})
    return str(config.get("start_date", "")), str(config.get("end_date", ""))


def _ended_at(run: dg.RunRecord) -> float:
    return run.end_time or run.update_timestamp.timestamp()
