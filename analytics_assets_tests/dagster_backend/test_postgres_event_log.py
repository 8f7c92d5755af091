"""Dagster's records in PostgreSQL, by `deploy/dagster.yaml`."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import click
import pytest
from dagster import AssetKey, DagsterInstance

from analytics_assets.cli.home import dagster_instance
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.testing.commands import CHECKOUT, invoke
from analytics_assets_tests.testing.postgres_server import PASSWORD, PostgresServer

CONFIGURATION = CHECKOUT / "deploy" / "dagster.yaml"


@pytest.fixture
def home_of_several(new_home: Path, records_database: None) -> Path:
    """The test's home, with Dagster's records in a database of their own."""
    shutil.copy(CONFIGURATION, new_home / "dagster.yaml")
    return new_home


def test_a_sync_is_recorded_in_postgres(home_of_several: Path, commands, api: SampleApi):
    failing, *others = api.data.account_ids
    api.behaviour.faults.append(Fault("status", f"/v1/{failing}/*", value="403"))
    result = commands.analytics_assets("sync")
    assert result.returncode == 1
    assert "in 1 of 3 accounts, and keep" in result.stderr

    with DagsterInstance.get() as instance:
        assert set(instance.get_dynamic_partitions("accounts")) == {failing, *others}
        for name in RESOURCES.account_lists:
            key = AssetKey(name)
            assert instance.get_materialized_partitions(key) == set(others)
            assert instance.get_latest_materialization_event(key) is not None
        states = {run.job_name: run.status.value for run in instance.get_runs()}
    assert states == {"refresh_accounts": "SUCCESS", "sync": "FAILURE"}
    assert not list(home_of_several.rglob("*.db"))
    written = [path.read_bytes() for path in home_of_several.rglob("*") if path.is_file()]
    assert not any(PASSWORD.encode() in content for content in written)


def test_dagster_is_asked_for_batches_when_it_opens_the_records(
    home_of_several: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv("DAGSTER_EVENT_BATCH_SIZE", raising=False)
    with DagsterInstance.get():
        assert int(os.environ["DAGSTER_EVENT_BATCH_SIZE"]) > 100


def test_an_instance_keeps_one_connection_and_ends_it(
    home_of_several: Path, postgres: PostgresServer
):
    with DagsterInstance.get() as instance:
        for _ in range(3):
            instance.get_dynamic_partitions("accounts")
        assert len(connections(postgres)) == 1
    assert not connections(postgres)


def test_a_connection_that_was_cut_is_made_anew(home_of_several: Path, postgres: PostgresServer):
    with DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("accounts", ["acme"])
        [process] = connections(postgres)
        postgres.run("SELECT pg_terminate_backend(%s)", process)
        assert list(instance.get_dynamic_partitions("accounts")) == ["acme"]


def test_a_server_that_refuses_is_told_by_its_own_words(
    home_of_several: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("DAGSTER_POSTGRES_PASSWORD", "not-the-password")
    result = invoke("status")
    assert result.exit_code == 1
    assert 'failed: FATAL: password authentication failed for user "postgres"' in result.stderr
    assert result.stderr.endswith(f": check dagster.yaml in {home_of_several}\n")
    assert "not-the-password" not in result.output


def test_a_server_that_goes_away_under_a_command(home_of_several: Path, postgres: PostgresServer):
    database = os.environ["DAGSTER_POSTGRES_DB"]

    def count_after_its_end(instance: DagsterInstance) -> None:
        postgres.run(f"ALTER DATABASE {database} ALLOW_CONNECTIONS false")
        for process in connections(postgres):
            postgres.run("SELECT pg_terminate_backend(%s)", process)
        instance.get_runs_count()

    told = f'^Dagster cannot open its records: .* "{database}" is not currently accepting'
    with pytest.raises(click.ClickException, match=told), dagster_instance() as instance:
        count_after_its_end(instance)


def test_the_web_ui_sets_its_own_time_limit(home_of_several: Path):
    with DagsterInstance.get() as instance:
        instance.add_dynamic_partitions("accounts", ["acme"])
        instance.optimize_for_webserver(statement_timeout=60_000, pool_recycle=60, max_overflow=5)
        assert list(instance.get_dynamic_partitions("accounts")) == ["acme"]
        with instance.event_log_storage.index_connection() as connection:  # type: ignore[attr-defined]
            assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "1min"


def connections(postgres: PostgresServer) -> list[int]:
    """The server's processes for connections to Dagster's records."""
    rows = postgres.run(
        "SELECT pid FROM pg_stat_activity WHERE datname = %s", os.environ["DAGSTER_POSTGRES_DB"]
    )
    return [process for (process,) in rows]
