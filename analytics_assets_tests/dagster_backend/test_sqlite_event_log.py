"""Dagster's records are as Dagster's own event log makes them, and where it looks for them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from threading import Event

import dagster as dg
import pytest
from dagster import DagsterEvent, DagsterEventType
from dagster._core.definitions.asset_checks.asset_check_evaluation import (
    AssetCheckEvaluationPlanned,
)
from dagster._core.events import AssetMaterializationPlannedData, StepMaterializationData
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorage, SqliteEventLogStorage

from analytics_assets.dagster_backend.sqlite_event_log import SqliteEventLog
from analytics_assets_tests.testing.commands import CHECKOUT

RUN = "0d6e4a3e-0000-4000-8000-000000000000"
ASSETS = [dg.AssetKey("campaigns"), dg.AssetKey("audiences")]
ACCOUNTS = ["acme", "globex", "initech"]
CHECK = dg.AssetCheckKey(ASSETS[0], "keys_are_unique")
TAG = "dagster/data_version"


Logs = tuple[SqlEventLogStorage, SqlEventLogStorage]


@pytest.fixture
def logs(tmp_path: Path) -> Iterator[Logs]:
    """Our event log and Dagster's, both empty."""
    ours, stock = SqliteEventLog(str(tmp_path / "ours")), SqliteEventLogStorage(str(tmp_path))
    yield ours, stock
    ours.dispose()


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


def answers(log: SqlEventLogStorage) -> dict[str, object]:
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


def test_a_batch_is_stored_as_its_events_one_by_one(logs: Logs) -> None:
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

    assert answers(ours) == answers(stock)
    assert answers(ours)["partitions"] == {ASSETS[0]: set(ACCOUNTS), ASSETS[1]: set(ACCOUNTS[:-1])}


def test_a_batch_that_cannot_be_stored_leaves_nothing_behind(
    logs: Logs, monkeypatch: pytest.MonkeyPatch
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


def test_all_events_can_be_removed(logs: Logs) -> None:
    ours, _ = logs
    events = [entry(materialized(ASSETS[0], account_id), 0) for account_id in ACCOUNTS]
    ours.store_event_batch(events)
    ours.wipe()
    assert ours.get_records_for_run(RUN).records == []
    assert ours.get_asset_records() == []
    ours.store_event(events[0])
    [record] = ours.get_records_for_run(RUN).records
    assert record.event_log_entry == events[0]


@dg.job
def nothing() -> None:
    """A run of events only."""


def test_dagster_is_asked_for_batches_when_it_opens_the_records(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    with dg.DagsterInstance.get():
        assert int(os.environ["DAGSTER_EVENT_BATCH_SIZE"]) > 100


def test_records_from_before_are_kept_and_dagster_reads_ours(home: Path) -> None:
    """A home may change from Dagster's own event log to ours, and back."""
    run_ids: list[str] = []
    ours = (CHECKOUT / "dagster.yaml").read_text()
    for configuration in ("", ours, ""):
        (home / "dagster.yaml").write_text(configuration)
        with dg.DagsterInstance.get() as instance:
            for run_id in run_ids:
                assert instance.get_records_for_run(run_id).records
            run_ids.append(nothing.execute_in_process(instance=instance).run_id)
            assert [run.run_id for run in instance.get_runs()] == run_ids[::-1]
    files = {str(path.relative_to(home)) for path in home.rglob("*.db")}
    shared = {"history/runs.db", "history/runs/index.db", "schedules/schedules.db"}
    assert files == shared | {f"history/runs/{run_id}.db" for run_id in run_ids}


def test_another_process_reads_the_records(home: Path, instance: dg.DagsterInstance) -> None:
    run_id = nothing.execute_in_process(instance=instance).run_id

    stock = SqliteEventLogStorage(str(home / "history" / "runs"))

    expected = [record.event_log_entry for record in instance.get_records_for_run(run_id).records]
    records = stock.get_records_for_run(run_id).records
    assert expected
    assert [record.event_log_entry for record in records] == expected


def test_who_watches_a_run_hears_of_its_events(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(nothing)
    instance.report_engine_event("before", run)
    heard = Event()
    instance.watch_event_logs(run.run_id, None, lambda *_: heard.set())

    instance.report_engine_event("after", run)

    assert heard.wait(timeout=30)


def open_files(home: Path) -> set[Path]:
    """The files of the event log that this process holds open."""
    files = {link.resolve() for link in Path("/proc/self/fd").iterdir() if link.exists()}
    log = home.resolve() / "history" / "runs"
    return {file for file in files if file.suffix == ".db" and file.parent == log}


def test_the_files_of_few_runs_stay_open(home: Path) -> None:
    with dg.DagsterInstance.get() as instance:
        for _ in range(12):
            nothing.execute_in_process(instance=instance)
        opened = open_files(home)
        assert home.resolve() / "history" / "runs" / "index.db" in opened
        assert len(opened) <= 8
    assert open_files(home) == set()
