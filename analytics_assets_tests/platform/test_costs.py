"""What a sync costs Dagster's records and the warehouse: counts that explain how long it takes."""

from __future__ import annotations

from collections import Counter

import pytest
from dagster import DagsterEventType, DagsterInstance
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

from analytics_assets.api.resources import ACCOUNT_RESOURCES
from analytics_assets.platform.checks import check_specs
from analytics_assets.sample_api import SampleApi

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


def test_two_events_for_each_account_and_asset(home, sync, api: SampleApi, instance):
    assert sync().exit_code == 0
    few = events_of_last_sync(instance)
    checks = len(check_specs(list(ACCOUNT_RESOURCES)))
    assert few[DagsterEventType.ASSET_CHECK_EVALUATION] == checks
    for kind in PER_ACCOUNT:
        assert few[kind] == len(api.data.account_ids) * len(ACCOUNT_RESOURCES)
    for number in range(3):
        api.data.add_account(f"further-{number}")
    assert sync().exit_code == 0
    many = events_of_last_sync(instance)
    added = 3 * len(ACCOUNT_RESOURCES)
    # nothing else grows with the number of accounts
    assert many - few == Counter(dict.fromkeys(PER_ACCOUNT, added))


def test_as_many_statements_for_many_accounts_as_for_few(home, sync, api: SampleApi, statements):
    assert sync().exit_code == 0
    statements.clear()
    assert sync().exit_code == 0
    few = len(statements)
    for number in range(4):
        api.data.add_account(f"further-{number}")
    assert sync().exit_code == 0
    statements.clear()
    assert sync().exit_code == 0
    assert len(statements) == few > 0
