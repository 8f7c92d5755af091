"""What was loaded, and the warehouse does not hold any more: what is asked for to have it again."""

from __future__ import annotations

from typing import Final

import dagster as dg

from analytics_assets.errors import AnalyticsError
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.presence import records_mark, unknown_loads
from analytics_assets.orchestration.recorded_attempts import attempts_without_loads
from analytics_assets.orchestration.recorded_loads import Load, latest_loads
from analytics_assets.orchestration.run_requests import (
    REASON_TAG,
    RETRY_TAG,
    Requests,
    account_requests,
    is_due,
    retries_of,
)
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.holdings import file_mark, held_loads

LOST: Final = "the warehouse does not hold what was loaded"
"""Why a run was asked for."""


def lost_load_requests(
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
            tried = retries_of(run.dagster_run.tags)
            if not is_due(settings, tried, run.end_time or now, now):
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
            before = retries_of(run.dagster_run.tags)
            if not is_due(settings, before, run.end_time or now, now):
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
