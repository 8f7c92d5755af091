"""The runs over accounts that Dagster's own records say have not ended."""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import dagster as dg

from analytics_assets.orchestration.naming import AssetNames

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
