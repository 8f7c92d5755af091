"""The sensor that decides which accounts to sync.

There is one, so that no two reasons lead to two runs over the same account. What it knows is in
Dagster's records, and not in a cursor: what was asked for and did not succeed is asked for again.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Final

import dagster as dg

from analytics_assets.dagster_backend.orphans import fail_orphans
from analytics_assets.errors import AnalyticsError
from analytics_assets.orchestration.jobs import Jobs
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import known_accounts
from analytics_assets.orchestration.presence import records_mark, unknown_loads
from analytics_assets.orchestration.recorded_attempts import (
    attempted_accounts,
    attempts_without_loads,
    failed_partitions,
)
from analytics_assets.orchestration.recorded_loads import Load, latest_loads
from analytics_assets.orchestration.recorded_runs import materializes, unfinished_runs
from analytics_assets.orchestration.run_requests import account_requests
from analytics_assets.orchestration.schedules import REASON_TAG, SYNC_ALL, THEN_TAG
from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets.warehouse.holdings import file_mark, held_loads

REFRESH_TAG: Final = "analytics/refresh"
RETRY_TAG: Final = "analytics/retry"
LOST: Final = "the warehouse does not hold what was loaded"

Requests = list[dg.RunRequest]
"""Runs that are asked for together; none where there is nothing to do."""


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
    idle = [
        of
        for of in (lists, reports)
        if of and not any(materializes(run, names, of) for run in under_way)
    ]
    if lists in idle:
        yield _refresh(instance, settings, names, now)
        yield _all_after_refresh(instance, settings, names)
    for of in idle:
        yield _new_accounts(instance, settings, names, of)
    if not under_way:
        yield _lost_loads(context, settings, names, now)
    for of in idle:
        yield _failed_accounts(instance, settings, names, of, now)


def _refresh(
    instance: dg.DagsterInstance, settings: PlatformSettings, names: AssetNames, now: float
) -> Requests | dg.SkipReason:
    """The first list of accounts, or another attempt at the last one, if that failed."""
    runs = instance.get_run_records(dg.RunsFilter(job_name=names.refresh_job), limit=1)
    if not runs:
        return [_refresh_request(names, "the accounts were never listed", retry=0)]
    run = runs[0].dagster_run
    if not run.is_finished:
        return dg.SkipReason(f"the accounts are being listed, by run {run.run_id}")
    if run.status != dg.DagsterRunStatus.FAILURE or run.tags.get(THEN_TAG) != SYNC_ALL:
        return []
    retry = _retries(run.tags)
    if not _is_due(settings, retry, runs[0].end_time or now, now):
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


def _lost_loads(
    context: dg.SensorEvaluationContext,
    settings: PlatformSettings,
    names: AssetNames,
    now: float,
) -> Requests:
    """What was loaded and the warehouse does not know: the list of accounts first.

    It looks again only if loads were recorded or the warehouse has changed since it found nothing,
    or after a while if it found what cannot be asked for now: the cursor holds that state.
    """
    instance = context.instance
    period = int(now // max(settings.account_retry_wait, 1))
    try:
        if not (recorded := records_mark(instance, names)):
            return []
        # a file is not touched if it is as it was: somebody may be about to write to it
        mark = file_mark(settings)
        held = None if mark else held_loads(settings)
        state = f"{recorded} {mark or (held and held.mark)}"
        if context.cursor in (state, f"{state} {period}"):
            return []
        held = held or held_loads(settings)
    except AnalyticsError as error:
        context.log.info(f"the warehouse was not asked for what it holds: {error}")
        return []
    lost = unknown_loads(latest_loads(instance, names).values(), held)
    reports = [load for load in lost if load.resource in names.report_names]
    asked_for = (
        _refresh_lost(instance, settings, names, lost, now)
        or _sync_lost(instance, settings, names, [x for x in lost if x not in reports], now)
        or _sync_lost(instance, settings, names, reports, now)
    )
    if not asked_for:
        context.update_cursor(f"{state} {period}" if lost else state)
    return asked_for


def _refresh_lost(
    instance: dg.DagsterInstance,
    settings: PlatformSettings,
    names: AssetNames,
    lost: list[Load],
    now: float,
) -> Requests:
    """Another list of accounts; if one was made for this reason and did not help, after a wait."""
    listing = next((load for load in lost if load.account_id is None), None)
    if listing is None:
        return []
    same = dg.RunsFilter(job_name=names.refresh_job, tags={REASON_TAG: LOST})
    retry = 0
    for run in instance.get_run_records(same, limit=1):
        started = run.create_timestamp.timestamp()
        if run.dagster_run.run_id == listing.run_id or started > listing.at:
            tried = _retries(run.dagster_run.tags)
            if not _is_due(settings, tried, run.end_time or now, now):
                return []
            retry = tried + 1
    tags = {REASON_TAG: LOST, RETRY_TAG: str(retry)}
    return [dg.RunRequest(job_name=names.refresh_job, tags=tags)]


def _sync_lost(
    instance: dg.DagsterInstance,
    settings: PlatformSettings,
    names: AssetNames,
    lost: list[Load],
    now: float,
) -> Requests:
    """A sync of what is lost; those who were synced for this reason before, after a wait.

    What an attempt has failed since, or was cancelled, is not for this rule to try again.
    """
    attempts = attempts_without_loads(instance, names)  # of the accounts that are listed
    loads = [
        load
        for load in lost
        if load.account_id in attempts and load.resource not in attempts[load.account_id]
    ]
    if not loads:
        return []
    same = dg.RunsFilter(run_ids=list({load.run_id for load in loads}), tags={REASON_TAG: LOST})
    tried = {run.dagster_run.run_id: run for run in instance.get_run_records(same)}
    found: dict[str, tuple[int, list[str]]] = {}
    for load in loads:
        retry = 0
        if (run := tried.get(load.run_id)) is not None:
            before = _retries(run.dagster_run.tags)
            if not _is_due(settings, before, run.end_time or now, now):
                continue
            retry = before + 1
        most, resources = found.setdefault(str(load.account_id), (0, []))
        found[str(load.account_id)] = (max(most, retry), [*resources, load.resource])
    for retry, resources in sorted(found.values())[:1]:
        accounts = [key for key, kind in found.items() if kind == (retry, resources)]
        tags = {RETRY_TAG: str(retry), REASON_TAG: LOST}
        return account_requests(
            instance, names, accounts, settings.accounts_per_run, tags, resources
        )
    return []


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
        retries = _retries(each.tags)
        is_meant = each.resource in resource_names and not each.permanent
        if is_meant and _is_due(settings, retries, each.at, now):
            kinds.setdefault((retries, each.days, each.account_id), []).append(each.resource)
    due = [(retries, days, tuple(of), account) for (retries, days, account), of in kinds.items()]
    for (retries, days, resources), alike in groupby(sorted(due), key=lambda kind: kind[:3]):
        accounts = [account for *_, account in alike]
        tags = {RETRY_TAG: str(retries + 1), REASON_TAG: "accounts that failed"}
        return account_requests(
            instance, names, accounts, settings.accounts_per_run, tags, resources, days
        )
    return []


def _retries(tags: Mapping[str, str]) -> int:
    return int(tags.get(RETRY_TAG, "0"))


def _is_due(settings: PlatformSettings, retries: int, ended_at: float, now: float) -> bool:
    wait = settings.account_retry_wait * 2**retries
    return retries < settings.account_retries and now >= ended_at + wait
