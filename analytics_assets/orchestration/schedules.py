"""The schedules: two list the accounts, after which the sensor decides; one reads reports."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Final

import dagster as dg

from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import known_accounts
from analytics_assets.orchestration.recorded_runs import UNFINISHED, materializes, unfinished_runs
from analytics_assets.orchestration.run_requests import REASON_TAG, account_requests
from analytics_assets.settings import PlatformSettings, platform_settings

THEN_TAG: Final = "analytics/then"
"""Tag of a run that lists the accounts: what is to follow it."""

SYNC_ALL: Final = "sync all"


def schedules(settings: PlatformSettings) -> list[dg.ScheduleDefinition]:
    """The schedules, switched on if the settings say so."""
    names = AssetNames.of_settings(settings)
    status = dg.DefaultScheduleStatus
    schedule = partial(
        dg.schedule,
        execution_timezone=settings.time_zone,
        default_status=status.RUNNING if settings.automation else status.STOPPED,
    )

    @schedule(
        name=names.of_definition("list_accounts_then_sync_all"),
        job_name=names.refresh_job,
        cron_schedule=settings.sync_cron,
        description="Lists the accounts; when that has succeeded, all of them are synced in one"
        " run (by the sensor sync_accounts_that_are_due).",
    )
    def list_then_sync(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return _list_accounts(context.instance, names, {THEN_TAG: SYNC_ALL})

    @schedule(
        name=names.of_definition("list_accounts_to_find_new"),
        job_name=names.refresh_job,
        cron_schedule=settings.refresh_cron,
        description="Lists the accounts, so that a new one gets its first data soon (by the sensor"
        " sync_accounts_that_are_due). One request.",
    )
    def list_only(context: dg.ScheduleEvaluationContext) -> dg.RunRequest | dg.SkipReason:
        return _list_accounts(context.instance, names, {})

    @schedule(
        name=names.of_definition("read_reports_of_all"),
        job_name=names.performance_job,
        cron_schedule=settings.performance_cron,
        description="Reads the reports of all accounts: the days that still change.",
    )
    def read_reports(context: dg.ScheduleEvaluationContext) -> list[dg.RunRequest] | dg.SkipReason:
        return _read_reports(context.instance, names)

    listing = [list_then_sync, list_only]
    return [*listing, read_reports] if names.report_names else listing


def _read_reports(
    instance: dg.DagsterInstance, names: AssetNames
) -> list[dg.RunRequest] | dg.SkipReason:
    for run in unfinished_runs(instance, names):
        if materializes(instance, run, names, names.report_names):
            return dg.SkipReason(f"run {run.run_id} over reports has not ended")
    accounts, per_run = known_accounts(instance), platform_settings().accounts_per_run
    if not accounts:
        return dg.SkipReason("no account is listed yet")
    tags = {REASON_TAG: "reports of all accounts, by schedule"}
    requests = account_requests(instance, names, accounts, per_run, tags, names.report_names)
    # a tick asks for several only by keys; in a sensor, each of them would start one run, ever
    return [
        request.with_replaced_attrs(run_key=f"{number} of {len(requests)}")
        for number, request in enumerate(requests, 1)
    ]


def _list_accounts(
    instance: dg.DagsterInstance, names: AssetNames, tags: Mapping[str, str]
) -> dg.RunRequest | dg.SkipReason:
    same = dg.RunsFilter(job_name=names.refresh_job, statuses=UNFINISHED, tags=dict(tags))
    if under_way := instance.get_runs(same, limit=1):
        return dg.SkipReason(f"the accounts are being listed, by run {under_way[0].run_id}")
    return dg.RunRequest(tags=dict(tags))
