"""What Dagster's own records say of partitions and runs."""

from __future__ import annotations

from dagster import AssetKey, DagsterInstance, DagsterRunStatus

from analytics_assets.resources import RESOURCES


def materialized(instance: DagsterInstance, name: str) -> set[str]:
    return set(instance.get_materialized_partitions(AssetKey(name)))


def failed(instance: DagsterInstance, name: str) -> set[str]:
    """Partitions whose latest attempt, in a run that failed, made nothing."""
    events = instance.event_log_storage
    attempts = events.get_latest_asset_partition_materialization_attempts_without_materializations(
        AssetKey(name)
    )
    failed_runs = {
        run.run_id for run in instance.get_runs() if run.status == DagsterRunStatus.FAILURE
    }
    return {key for key, (run_id, _) in attempts.items() if run_id in failed_runs}


def states(instance: DagsterInstance) -> dict[str, tuple[set[str], set[str]]]:
    """Materialised and failed partitions of every asset."""
    return {
        name: (materialized(instance, name), failed(instance, name))
        for name in RESOURCES.account_lists
    }


def metadata(instance: DagsterInstance, name: str, partition: str | None) -> dict:
    records = instance.fetch_materializations(AssetKey(name), limit=1000).records
    for record in records:
        event = record.event_log_entry.asset_materialization
        if event is not None and event.partition == partition:
            return {key: value.value for key, value in event.metadata.items()}
    raise AssertionError(f"no materialisation of {name} for {partition}")
