"""The runs over accounts that Dagster's own records say have not ended."""

from __future__ import annotations

from collections.abc import Collection, Set
from itertools import chain
from typing import Final

import dagster as dg

from analytics_assets.orchestration.naming import AssetNames

UNFINISHED: Final = [
    status
    for status in dg.DagsterRunStatus
    if status
    not in (dg.DagsterRunStatus.SUCCESS, dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)
]
"""The states of a run that has not ended: in the queue, under way or being cancelled."""


def unfinished_runs(instance: dg.DagsterInstance, names: AssetNames) -> list[dg.DagsterRun]:
    """The runs over accounts that have not ended, those in the queue included, newest first."""
    runs = instance.get_runs(dg.RunsFilter(statuses=UNFINISHED))
    return [run for run in runs if materializes(instance, run, names, names.partitioned)]


def materializes(
    instance: dg.DagsterInstance,
    run: dg.DagsterRun,
    names: AssetNames,
    resource_names: Collection[str],
) -> bool:
    """Whether a run is to make partitions of one of these resources."""
    return not made_assets(instance, run).isdisjoint(names.keys(resource_names))


def made_assets(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Set[dg.AssetKey]:
    """The assets that a run is to make; a job of somebody else may have ours among its own.

    Of a run over all of a job's assets, only its plan names them.
    """
    if run.asset_selection is not None:
        return run.asset_selection
    if run.execution_plan_snapshot_id is None:
        return frozenset()
    plan = instance.get_execution_plan_snapshot(run.execution_plan_snapshot_id)
    outputs = chain.from_iterable(step.outputs for step in plan.steps)
    found = (output.properties.asset_key for output in outputs if output.properties)
    return set(filter(None, found))
