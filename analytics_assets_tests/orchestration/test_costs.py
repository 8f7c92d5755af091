"""What a sync costs Dagster's records and the warehouse: counts that explain how long it takes."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from dagster import DagsterEventType, DagsterInstance
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient
from sqlalchemy import Engine
from sqlalchemy.event import listen, remove
from sqlalchemy.pool import Pool

from analytics_assets.orchestration.asset_checks import check_specs
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.commands import CHECKOUT

NAMES = AssetNames()


PER_ACCOUNT = (
    DagsterEventType.ASSET_MATERIALIZATION_PLANNED,
    DagsterEventType.ASSET_MATERIALIZATION,
)


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The statements that the warehouse gets, as they come."""
    seen: list[str] = []
    execute = DuckDbSqlClient.execute_query

    def execute_query(self: DuckDbSqlClient, query: str, *args: object, **kwargs: object):
        seen.append(str(query))
        return execute(self, query, *args, **kwargs)

    monkeypatch.setattr(DuckDbSqlClient, "execute_query", execute_query)
    return seen


def events_of_last_sync(instance: DagsterInstance) -> Counter[DagsterEventType]:
    run = next(run for run in instance.get_runs() if run.job_name == "sync")
    events = (entry.dagster_event for entry in instance.all_logs(run.run_id))
    return Counter(event.event_type for event in events if event is not None)


@pytest.mark.usefixtures("synced")
def test_two_events_for_each_account_and_asset(home, sync, api: SampleApi, instance):
    few = events_of_last_sync(instance)
    checks = len(check_specs(NAMES, list(RESOURCES.account_lists)))
    assert few[DagsterEventType.ASSET_CHECK_EVALUATION] == checks
    for kind in PER_ACCOUNT:
        assert few[kind] == len(api.data.account_ids) * len(RESOURCES.account_lists)
    for number in range(3):
        api.data.add_account(f"further-{number}")
    assert sync().exit_code == 0
    many = events_of_last_sync(instance)
    added = 3 * len(RESOURCES.account_lists)
    # nothing else grows with the number of accounts
    assert many - few == Counter(dict.fromkeys(PER_ACCOUNT, added))


def few_and_many(sync, api: SampleApi, *seen: list[Any]) -> list[tuple[int, int]]:
    """What a sync adds to each of `seen`, with the accounts of the API and with four more."""
    counts = []
    for further in ([], [f"further-{number}" for number in range(4)]):
        for account_id in further:
            api.data.add_account(account_id)
        assert sync().exit_code == 0
        for each in seen:
            each.clear()
        assert sync().exit_code == 0  # without what is made only once
        counts.append([len(each) for each in seen])
    assert all(counts[0])
    return list(zip(*counts, strict=True))


@contextmanager
def listening(target: object, event: str) -> Iterator[list[object]]:
    """What SQLAlchemy tells of, as it comes."""
    seen: list[object] = []

    def hear(told: object, *_: object) -> None:
        seen.append(told)

    listen(target, event, hear)
    try:
        yield seen
    finally:
        remove(target, event, hear)


def test_what_a_sync_costs_with_many_accounts_and_with_few(
    home, sync, api: SampleApi, statements: list[str]
):
    with listening(Engine, "commit") as commits:
        of_warehouse, of_records = few_and_many(sync, api, statements, commits)
    few, many = of_warehouse
    assert many == few
    # an account costs one transaction of the records, which is its line in the run's log
    few, many = of_records
    assert many == few + 4


def test_as_many_connections_to_postgres_for_many_accounts_as_for_few(
    home, sync, api: SampleApi, records_database: None
):
    shutil.copy(CHECKOUT / "deploy" / "dagster.yaml", home)
    with listening(Pool, "connect") as connections:
        ((few, many),) = few_and_many(sync, api, connections)
    assert many == few
