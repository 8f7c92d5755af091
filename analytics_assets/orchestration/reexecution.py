"""Runs that repeat what failed of another, and leave alone what that one has loaded."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence

import dagster as dg

from analytics_assets.dagster_backend.internals import ASSET_RESUME_RETRY_TAG, RESUME_RETRY_TAG
from analytics_assets.orchestration.naming import AssetNames

# Dagster's tags of a run that goes on where its parent failed; one that repeats all has neither
_GOES_ON = (RESUME_RETRY_TAG, ASSET_RESUME_RETRY_TAG)


def earlier_loads(context: dg.AssetExecutionContext) -> list[dg.AssetMaterialization]:
    """What the runs that this one goes on with have loaded of its assets, asset by asset."""
    found: dict[tuple[dg.AssetKey, str], dg.AssetMaterialization] = {}
    for earlier in _earlier_runs(context.instance, context.run):
        loaded = context.instance.all_logs(
            earlier.run_id, of_type=dg.DagsterEventType.ASSET_MATERIALIZATION
        )
        for entry in loaded:
            event = entry.asset_materialization
            if event and event.partition and event.asset_key in context.selected_asset_keys:
                found.setdefault((event.asset_key, event.partition), event)
    return [found[key] for key in sorted(found)]


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


def _earlier_runs(instance: dg.DagsterInstance, run: dg.DagsterRun) -> Iterator[dg.DagsterRun]:
    while any(run.tags.get(tag) == "true" for tag in _GOES_ON) and run.parent_run_id:
        parent = instance.get_run_by_id(run.parent_run_id)
        if parent is None:  # someone has deleted it
            return
        yield (run := parent)
