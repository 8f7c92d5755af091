"""Events in batches: an asset's events reach the event log together, and partitions are planned."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest
from dagster._core.events.log import EventLogEntry

from analytics_assets.dagster_backend import batches as batching
from analytics_assets.dagster_backend.batches import ask_for_batches, plan_partitions, reported

ASSETS = ("audiences", "campaigns")
ACCOUNTS = ("acme", "globex", "initech")
PARTITIONS = dg.DynamicPartitionsDefinition(name="accounts")
SETTING = "DAGSTER_EVENT_BATCH_SIZE"
PLANNED = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
MADE = dg.DagsterEventType.ASSET_MATERIALIZATION

Batch = list[tuple[dg.DagsterEventType, str, str | None]]
"""Kind, asset and partition of events that were stored together."""


@pytest.fixture
def records() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        instance.add_dynamic_partitions("accounts", ACCOUNTS)
        yield instance


@pytest.fixture
def batches(records: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> list[Batch]:
    """The batches that the event log gets of the assets' events."""
    found: list[Batch] = []
    store = records.event_log_storage.store_event_batch

    def store_event_batch(events: Sequence[EventLogEntry]) -> None:
        batch: Batch = []
        for event in (entry.dagster_event for entry in events):
            if event is not None and event.asset_key is not None:
                name = event.asset_key.to_user_string()
                batch.append((event.event_type, name, event.partition))
        if batch:
            found.append(batch)
        store(events)

    monkeypatch.setattr(records.event_log_storage, "store_event_batch", store_event_batch)
    return found


def run(records: dg.DagsterInstance, further: Sequence[str], *, fails: bool = False) -> None:
    """A run for acme that materialises its assets for these accounts, too."""

    @dg.multi_asset(specs=[dg.AssetSpec(name) for name in ASSETS], partitions_def=PARTITIONS)
    def assets(context):
        plan_partitions(context, further)
        if fails:
            raise dg.Failure("the API is away")
        made = [
            dg.AssetMaterialization(name, partition=account)
            for name in ASSETS
            for account in ("acme", *further)
        ]
        yield from reported(context, made)
        for name in ASSETS:
            yield dg.Output(None, name)

    result = dg.materialize([assets], instance=records, partition_key="acme", raise_on_error=False)
    assert result.success is not fails


def test_the_events_of_an_asset_are_one_batch(
    records: dg.DagsterInstance, batches: list[Batch], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, "500")
    run(records, ["globex", "initech"])
    planned: Batch = [(PLANNED, name, account) for name in ASSETS for account in ACCOUNTS[1:]]
    assert planned in batches
    for name in ASSETS:
        assert [(MADE, name, account) for account in ACCOUNTS] in batches
        assert records.get_materialized_partitions(dg.AssetKey(name)) == set(ACCOUNTS)


def test_each_event_of_an_asset_has_a_millisecond_of_its_own(
    records: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The UI takes two of a run for one, where neither asset nor millisecond tells them apart."""
    now, reported_at = [5.0], []

    def sleep(seconds: float) -> None:
        now[0] += seconds

    def report(*arguments: Any) -> dg.DagsterEvent:
        reported_at.append(int(now[0] * 1000))
        return made(*arguments)

    made = dg.DagsterEvent.asset_materialization
    monkeypatch.setattr(batching, "time", SimpleNamespace(time=lambda: now[0], sleep=sleep))
    monkeypatch.setattr(dg.DagsterEvent, "asset_materialization", report)
    run(records, ["globex", "initech"])
    by_account = zip(*[iter(reported_at[: len(ASSETS) * len(ACCOUNTS)])] * len(ASSETS), strict=True)
    assert [set(times) for times in by_account] == [{5000}, {5001}, {5002}]


def test_without_batches_the_events_are_the_same(
    records: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(SETTING, raising=False)
    run(records, ["initech"])
    for name in ASSETS:
        found = records.get_materialized_partitions(dg.AssetKey(name))
        assert found == {"acme", "initech"}


def test_a_partition_that_was_planned_and_not_made_has_failed(
    records: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(SETTING, "500")
    run(records, ["initech"], fails=True)
    events = records.event_log_storage
    for name in ASSETS:
        attempts = events.get_latest_storage_id_by_partition(dg.AssetKey(name), PLANNED)
        assert set(attempts) == {"acme", "initech"}
        assert records.get_materialized_partitions(dg.AssetKey(name)) == set()


def test_batches_are_asked_for_unless_somebody_has_said_how(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(SETTING, "7")
    ask_for_batches()
    assert os.environ[SETTING] == "7"
    monkeypatch.delenv(SETTING)
    ask_for_batches()
    assert int(os.environ[SETTING]) > 100
