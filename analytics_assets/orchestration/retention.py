"""Which runs can be removed: those that ended long ago and that nothing asks for any more.

With a run, Dagster removes its events. What is loaded, what failed and what is new is told from the
latest event of each partition, so that the runs of these stay, whatever their age.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain

import dagster as dg

from analytics_assets.orchestration.asset_checks import check_specs
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.recorded_loads import records_of
from analytics_assets.orchestration.sensors import REFRESH_TAG


def expired_runs(instance: dg.DagsterInstance, names: AssetNames, before: float) -> list[str]:
    """The runs that ended before a moment, in unix seconds, and that nothing asks for any more."""
    records = instance.get_run_records()
    needed = _needed_runs(instance, names, records)
    return [
        record.dagster_run.run_id
        for record in records
        if record.dagster_run.is_finished
        and (record.end_time or record.update_timestamp.timestamp()) < before
        and record.dagster_run.run_id not in needed
        # a list of accounts that has its sync is not synced again
        and record.dagster_run.tags.get(REFRESH_TAG) not in needed
    ]


def _needed_runs(
    instance: dg.DagsterInstance, names: AssetNames, records: Sequence[dg.RunRecord]
) -> set[str]:
    """The runs that hold the latest of something: of any asset, not only of ours."""
    keys = instance.get_asset_keys()
    of_assets = chain.from_iterable(_runs_of_asset(instance, key) for key in keys)
    return {*of_assets, *_runs_of_checks(instance, names), *_runs_of_jobs(records)}


def _runs_of_asset(instance: dg.DagsterInstance, key: dg.AssetKey) -> Iterator[str]:
    for record in instance.get_asset_records([key]):
        entry = record.asset_entry
        latest = (entry.last_materialization_record, entry.last_observation_record)
        yield from (event.run_id for event in latest if event is not None)
        if entry.last_planned_materialization_run_id is not None:
            yield entry.last_planned_materialization_run_id
    events = instance.event_log_storage
    attempts = events.get_latest_asset_partition_materialization_attempts_without_materializations
    yield from (run_id for run_id, _ in attempts(key).values())
    for event_type, fetch in (
        (dg.DagsterEventType.ASSET_MATERIALIZATION, instance.fetch_materializations),
        (dg.DagsterEventType.ASSET_OBSERVATION, instance.fetch_observations),
    ):
        newest = events.get_latest_storage_id_by_partition(key, event_type)
        yield from (record.run_id for record in records_of(fetch, key, newest.values()))


def _runs_of_checks(instance: dg.DagsterInstance, names: AssetNames) -> Iterator[str]:
    # of the resources that are skipped now, too
    everything = replace(names, resource_names=tuple(names.resources.lists))
    keys = [spec.key for spec in check_specs(everything, names.resources)]
    for summary in instance.event_log_storage.get_asset_check_summary_records(keys).values():
        for record in (
            summary.last_check_execution_record,
            summary.last_completed_check_execution_record,
        ):
            if record is not None:
                yield record.run_id


def _runs_of_jobs(records: Iterable[dg.RunRecord]) -> Iterator[str]:
    """The newest run of each job, of records that are newest first."""
    newest: dict[str, str] = {}
    for run in (record.dagster_run for record in records):
        newest.setdefault(run.job_name, run.run_id)
    yield from newest.values()
