"""What Dagster's own records say of partitions and runs, and records made by hand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final

import dagster as dg
from dagster import AssetKey, DagsterInstance, DagsterRunStatus

from analytics_assets.orchestration.metadata import FAILED_PARTITIONS
from analytics_assets.orchestration.partitions import ACCOUNT_PARTITIONS
from analytics_assets.resources import RESOURCES

RETRIED: Final = MappingProxyType({"analytics/retry": "1"})


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


def load(
    records: dg.DagsterInstance, name: str, account: str | None, **metadata: dg.MetadataValue | Any
) -> None:
    told = {key.replace("__", "/"): value for key, value in metadata.items()}
    event = dg.AssetMaterialization(name, partition=account, metadata=told)
    records.report_runless_asset_event(event)


def attempt(
    records: dg.DagsterInstance,
    account: str,
    *names: str,
    failure: dg.Failure | None = None,
    tags: Mapping[str, str] = RETRIED,
    **metadata: Any,
) -> str:
    """A run over resources of an account, which fails if it is told how; gives its id."""

    def make(name: str) -> dg.AssetsDefinition:
        @dg.asset(name=name, partitions_def=ACCOUNT_PARTITIONS)
        def resource() -> dg.MaterializeResult:
            if failure is not None:
                raise failure
            return dg.MaterializeResult(metadata=metadata)

        return resource

    result = dg.materialize(
        [make(name) for name in names],
        instance=records,
        partition_key=account,
        tags=dict(tags),
        raise_on_error=False,
    )
    return result.run_id


def attempt_report(records: dg.DagsterInstance, account: str, name: str, **days: str) -> str:
    """A run that fails over a report of an account and names days, or none; gives its id."""

    @dg.multi_asset(
        name="account_reports",
        specs=[dg.AssetSpec(name, partitions_def=ACCOUNT_PARTITIONS)],
        config_schema={f"{end}_date": dg.Field(str, is_required=False) for end in ("start", "end")},
    )
    def account_reports() -> None:
        raise failure(account, "it broke off", "ReadError")

    result = dg.materialize(
        [account_reports],
        instance=records,
        partition_key=account,
        run_config={"ops": {"account_reports": {"config": days}}},
        raise_on_error=False,
    )
    return result.run_id


def not_begun(records: dg.DagsterInstance, accounts: Sequence[str], *names: str) -> dg.DagsterRun:
    """A run over a set of accounts with gaps that fails before it begins, as one without an image.

    Dagster plans the first of them.
    """

    @dg.multi_asset(
        name="account_resources",
        specs=[dg.AssetSpec(name, partitions_def=ACCOUNT_PARTITIONS) for name in names],
        config_schema={"accounts": dg.Field([str])},
    )
    def account_resources() -> None:
        raise AssertionError("the run begins")

    definitions = dg.Definitions([account_resources], jobs=[dg.define_asset_job("sync")])
    run = records.create_run_for_job(
        definitions.resolve_job_def("sync"),
        run_config={"ops": {"account_resources": {"config": {"accounts": [*accounts]}}}},
        tags={"dagster/partition": accounts[0], **RETRIED},
    )
    records.report_run_failed(run, "no such image")
    return run


def failure(account: str, cause: str, error: str) -> dg.Failure:
    failed = {"cause": f"campaigns: {cause}", "error": error}
    told = {account: {"campaigns": failed, "audiences": failed}}
    return dg.Failure("1 of 1 accounts failed", metadata={FAILED_PARTITIONS: told})
