"""Runs that repeat what failed of another, and leave alone what that one has loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import dagster as dg

from analytics_assets.dagster_backend.internals import ASSET_RESUME_RETRY_TAG, RESUME_RETRY_TAG
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.recorded_loads import loaded_by

# Dagster's tags of a run that goes on where its parent failed; one that repeats all has neither
_GOES_ON = (RESUME_RETRY_TAG, ASSET_RESUME_RETRY_TAG)


def earlier_loads(context: dg.AssetExecutionContext) -> list[dg.AssetMaterialization]:
    """What the runs that this one goes on with have loaded of its assets, asset by asset.

    The records of the assets tell, as everywhere. A run whose process was killed may have events
    there that its own log lacks: SQLite has a file for each.
    """
    runs = list(_earlier_runs(context.instance, context.run))
    found: list[dg.AssetMaterialization] = []
    for key in sorted(context.selected_asset_keys) if runs else ():
        found += loaded_by(context.instance, key, runs).values()
    return found


def without_partitions(
    names: Sequence[str], account_ids: Sequence[str], loaded: Collection[dg.AssetMaterialization]
) -> dict[str, list[str]]:
    """By account, the resources that are not loaded yet; accounts of which all are have none."""
    done = {(AssetNames.resource_name(event.asset_key), event.partition) for event in loaded}
    wanted = {
        account_id: [name for name in names if (name, account_id) not in done]
        for account_id in account_ids
    }
    return {account_id: left for account_id, left in wanted.items() if left}


def _earlier_runs(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[dg.RunRecord]:
    while any(run.tags.get(tag) == "true" for tag in _GOES_ON) and run.parent_run_id:
        parent = instance.get_run_record_by_id(run.parent_run_id)
        if parent is None:  # someone has deleted it
            return
        yield parent
        run = parent.dagster_run
