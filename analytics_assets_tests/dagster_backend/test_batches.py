"""Events that are stored as a batch are what Dagster's storages make of them one by one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterEvent, DagsterEventType
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.events import AssetMaterializationPlannedData, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage
from dagster_postgres import PostgresEventLogStorage

from analytics_assets.dagster_backend.postgres_storage import PostgresEventLog
from analytics_assets.dagster_backend.sqlite_storage import EventLog
from analytics_assets_tests.testing.postgres_server import PostgresServer

RUN = "0d6e4a3e-0000-4000-8000-000000000000"
ASSETS = [dg.AssetKey("campaigns"), dg.AssetKey("audiences")]
ACCOUNTS = ["acme", "globex", "initech"]
CHECK = dg.AssetCheckKey(ASSETS[0], "keys_are_unique")
TAG = "dagster/data_version"


@pytest.fixture(params=["sqlite", "postgres"])
def logs(
    request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[tuple[SqlEventLogStorage, SqlEventLogStorage]]:
    """Our event log and Dagster's, both empty."""
    if request.param == "sqlite":
        ours, stock = EventLog(str(tmp_path / "ours")), SqliteEventLogStorage(str(tmp_path))
        yield ours, stock
        ours.dispose()
        return
    server: PostgresServer = request.getfixturevalue("postgres")
    with server.database() as one, server.database() as other:
        urls = [server.url(name).replace("://", "+psycopg2://", 1) for name in (one, other)]
        own = PostgresEventLog(PostgresEventLogStorage(urls[0]))
        yield own, PostgresEventLogStorage(urls[1])
        own._engine.dispose()


def entry(event: DagsterEvent, place: int) -> EventLogEntry:
    return EventLogEntry(
        error_info=None,
        user_message="",
        level=10,
        run_id=RUN,
        timestamp=1_700_000_000.0 + place,
        job_name="sync",
        dagster_event=event,
    )


def planned(asset_key: dg.AssetKey, account_id: str) -> DagsterEvent:
    data = AssetMaterializationPlannedData(asset_key, partition=account_id)
    return DagsterEvent.build_asset_materialization_planned_event("sync", "step", data)


def check_planned() -> DagsterEvent:
    return DagsterEvent(
        DagsterEventType.ASSET_CHECK_EVALUATION_PLANNED.value,
        "sync",
        event_specific_data=AssetCheckEvaluationPlanned(
            asset_key=CHECK.asset_key, check_name=CHECK.name
        ),
    )


def materialized(asset_key: dg.AssetKey, account_id: str) -> DagsterEvent:
    materialization = dg.AssetMaterialization(
        asset_key, partition=account_id, tags={TAG: account_id}, metadata={"rows": 3}
    )
    return DagsterEvent(
        DagsterEventType.ASSET_MATERIALIZATION.value,
        "sync",
        event_specific_data=StepMaterializationData(materialization),
    )


def told(log: SqlEventLogStorage) -> dict[str, object]:
    """What Dagster asks its log about assets and runs."""
    kind = DagsterEventType.ASSET_MATERIALIZATION
    records = {
        record.asset_entry.asset_key: record.asset_entry for record in log.get_asset_records()
    }
    return {
        "run": [record.event_log_entry for record in log.get_records_for_run(RUN).records],
        "latest": {key: records[key].last_materialization for key in ASSETS},
        "last_run": {key: records[key].last_run_id for key in ASSETS},
        "partitions": {key: log.get_materialized_partitions(key) for key in ASSETS},
        "ids": {key: log.get_latest_storage_id_by_partition(key, kind) for key in ASSETS},
        "tags": {key: log.get_latest_tags_by_partition(key, kind, [TAG]) for key in ASSETS},
        "failed": {
            key: log.get_latest_asset_partition_materialization_attempts_without_materializations(
                key
            )
            for key in ASSETS
        },
    }


def test_a_batch_is_stored_as_its_events_one_by_one(
    logs: tuple[SqlEventLogStorage, SqlEventLogStorage],
) -> None:
    ours, stock = logs
    attempts = [(key, account_id) for key in ASSETS for account_id in ACCOUNTS]
    batches = [
        [
            *(entry(planned(*attempt), place) for place, attempt in enumerate(attempts)),
            entry(check_planned(), 9),
        ],
        [entry(materialized(*attempt), 10 + place) for place, attempt in enumerate(attempts[:-1])],
    ]
    for batch in batches:
        ours.store_event_batch(batch)
        for event in batch:
            stock.store_event(event)

    assert told(ours) == told(stock)
    assert told(ours)["partitions"] == {ASSETS[0]: set(ACCOUNTS), ASSETS[1]: set(ACCOUNTS[:-1])}


def test_dagster_collects_batches_for_these_storages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    EventLog(str(tmp_path)).dispose()
    assert int(os.environ["DAGSTER_EVENT_BATCH_SIZE"]) > 100


def test_a_batch_that_cannot_be_stored_leaves_nothing_behind(
    logs: tuple[SqlEventLogStorage, SqlEventLogStorage], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dagster stores its events one by one then."""
    ours, _ = logs
    batch = [entry(planned(ASSETS[0], account_id), 0) for account_id in ACCOUNTS]
    batch.append(entry(check_planned(), 0))
    with monkeypatch.context() as patch:
        patch.setattr(ours, "_event_to_row", lambda _: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            ours.store_event_batch(batch)
    for event in batch:
        ours.store_event(event)

    assert [record.event_log_entry for record in ours.get_records_for_run(RUN).records] == batch
    [check] = ours.get_asset_check_execution_history(CHECK, limit=9)
    assert check.run_id == RUN
