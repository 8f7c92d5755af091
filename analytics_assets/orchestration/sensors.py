"""The sensor that decides which accounts to sync.

There is one, so that no two reasons lead to two runs over the same account. What it knows is in
Dagster's records, and not in a cursor: what was asked for and did not succeed is asked for again.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from itertools import chain, groupby
from typing import Final

import dagster as dg

from analytics_assets.dagster_backend.orphans import fail_orphans
from analytics_assets.orchestration.jobs import Jobs
from analytics_assets.orchestration.lost_loads import lost_load_requests
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import known_accounts
from analytics_assets.orchestration.recorded_attempts import attempted_accounts, failed_partitions
from analytics_assets.orchestration.recorded_runs import made_assets, unfinished_runs
from analytics_assets.orchestration.run_requests import (
    REASON_TAG,
    RETRY_TAG,
    Requests,
    account_requests,
    is_due,
    retries_of,
)
from analytics_assets.orchestration.schedules import SYNC_ALL, THEN_TAG
from analytics_assets.settings import PlatformSettings, platform_settings

REFRESH_TAG: Final = "analytics/refresh"


def sync_sensor(settings: PlatformSettings, jobs: Jobs) -> dg.SensorDefinition:
    """The sensor that syncs accounts, switched on if the settings say so."""
    names = AssetNames.of_settings(settings)

    @dg.sensor(
        name=names.of_definition("sync_accounts_that_are_due"),
        jobs=[job for job in (jobs.sync, jobs.refresh, jobs.performance) if job is not None],
        minimum_interval_seconds=settings.sensor_interval,
        default_status=(
            dg.DefaultSensorStatus.RUNNING
            if settings.automation
            else dg.DefaultSensorStatus.STOPPED
        ),
        description="Starts one run at a time: over all accounts after they were listed by"
        " schedule, over new accounts at once and those whose rows the warehouse does not hold, and"
        " over those that failed when their wait is over."
        " What the API has refused for good (403, 404) waits for the next run over all.",
    )
    def sync_accounts_that_are_due(
        context: dg.SensorEvaluationContext,
    ) -> list[dg.RunRequest] | dg.SkipReason:
        return _decide(context, platform_settings(), names, time.time())

    return sync_accounts_that_are_due


def _decide(
    context: dg.SensorEvaluationContext,
    settings: PlatformSettings,
    names: AssetNames,
    now: float,
) -> Requests | dg.SkipReason:
    under_way = fail_orphans(context.instance, unfinished_runs(context.instance, names))
    for requests in _due(context, settings, names, under_way, now):
        if requests:
            return requests
    if under_way:
        return dg.SkipReason(f"run {under_way[0].run_id} over accounts has not ended")
    return dg.SkipReason("no account is new, and none that failed is due again")


def _due(
    context: dg.SensorEvaluationContext,
    settings: PlatformSettings,
    names: AssetNames,
    under_way: Collection[dg.DagsterRun],
    now: float,
) -> Iterator[Requests | dg.SkipReason]:
    """What there is to do, the most urgent first; each is looked for if nothing before is due.

    Lists do not wait for a run over reports, nor these for one over lists.
    """
    instance = context.instance
    lists, reports = names.account_resources, list(names.report_names)
    made = set(chain.from_iterable(made_assets(instance, run) for run in under_way))
    idle = [of for of in (lists, reports) if of and made.isdisjoint(names.keys(of))]
    if lists in idle:
        yield _refresh(instance, settings, names, now)
        yield _all_after_refresh(instance, settings, names)
    for of in idle:
        yield _new_accounts(instance, settings, names, of)
    if not under_way:
        yield lost_load_requests(context, settings, names, now)
    for of in idle:
        yield _failed_accounts(instance, settings, names, of, now)


def _refresh(
    instance: dg.DagsterInstance, settings: PlatformSettings, names: AssetNames, now: float
) -> Requests | dg.SkipReason:
    """The first list of accounts, or another attempt at the last one for all, if that failed."""
    newest = instance.get_runs(dg.RunsFilter(job_name=names.refresh_job), limit=1)
    if not newest:
        return [_refresh_request(names, "the accounts were never listed", retry=0)]
    if not newest[0].is_finished:
        return dg.SkipReason(f"the accounts are being listed, by run {newest[0].run_id}")
    # a list that was made meanwhile to find new accounts does not stand in for it
    for_all = dg.RunsFilter(job_name=names.refresh_job, tags={THEN_TAG: SYNC_ALL})
    runs = instance.get_run_records(for_all, limit=1)
    if not runs or runs[0].dagster_run.status != dg.DagsterRunStatus.FAILURE:
        return []
    run = runs[0].dagster_run
    retry = retries_of(run.tags)
    if not is_due(settings, retry, runs[0].end_time or now, now):
        return []
    return [_refresh_request(names, f"run {run.run_id} failed", retry + 1)]


def _refresh_request(names: AssetNames, reason: str, retry: int) -> dg.RunRequest:
    tags = {THEN_TAG: SYNC_ALL, REASON_TAG: reason, RETRY_TAG: str(retry)}
    return dg.RunRequest(job_name=names.refresh_job, tags=tags)


def _all_after_refresh(
    instance: dg.DagsterInstance, settings: PlatformSettings, names: AssetNames
) -> Requests:
    """All accounts, once after each list that was made for it."""
    refreshes = dg.RunsFilter(
        job_name=names.refresh_job,
        statuses=[dg.DagsterRunStatus.SUCCESS],
        tags={THEN_TAG: SYNC_ALL},
    )
    for refresh in instance.get_runs(refreshes, limit=1):
        tags = {REFRESH_TAG: refresh.run_id}
        if not instance.get_runs(dg.RunsFilter(job_name=names.sync_job, tags=tags), limit=1):
            tags[REASON_TAG] = f"all accounts, after run {refresh.run_id} has listed them"
            accounts, of = known_accounts(instance), names.account_resources
            return account_requests(instance, names, accounts, settings.accounts_per_run, tags, of)
    return []


def _new_accounts(
    instance: dg.DagsterInstance,
    settings: PlatformSettings,
    names: AssetNames,
    resource_names: Sequence[str],
) -> Requests:
    """The accounts of which no run has tried to read any of these resources yet."""
    attempted = attempted_accounts(instance, names, resource_names)
    new = [account for account in known_accounts(instance) if account not in attempted]
    tags = {REASON_TAG: "new accounts"}
    return account_requests(instance, names, new, settings.accounts_per_run, tags, resource_names)


def _failed_accounts(
    instance: dg.DagsterInstance,
    settings: PlatformSettings,
    names: AssetNames,
    resource_names: Sequence[str],
    now: float,
) -> Requests:
    """What failed of these resources some time ago: accounts of which the same failed as often."""
    kinds: dict[tuple[int, tuple[str, str], str], list[str]] = {}
    for each in failed_partitions(instance, names):
        retries = retries_of(each.tags)
        is_meant = each.resource in resource_names and not each.permanent
        if is_meant and is_due(settings, retries, each.at, now):
            kinds.setdefault((retries, each.days, each.account_id), []).append(each.resource)
    due = [(retries, days, tuple(of), account) for (retries, days, account), of in kinds.items()]
    for (retries, days, resources), alike in groupby(sorted(due), key=lambda kind: kind[:3]):
        accounts = [account for *_, account in alike]
        tags = {RETRY_TAG: str(retries + 1), REASON_TAG: "accounts that failed"}
        return account_requests(
            instance, names, accounts, settings.accounts_per_run, tags, resources, days
        )
    return []
