"""Dagster's records in PostgreSQL, by `deploy/dagster.yaml`."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from dagster import AssetKey, DagsterInstance

from analytics_assets.api.resources import ACCOUNT_RESOURCES
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.conftest import CHECKOUT
from analytics_assets_tests.postgres_server import PASSWORD

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
    assert "1 of 3 accounts failed" in result.stderr

    with DagsterInstance.get() as instance:
        assert set(instance.get_dynamic_partitions("accounts")) == {failing, *others}
        for name in ACCOUNT_RESOURCES:
            assert instance.get_materialized_partitions(AssetKey(name)) == set(others)
        states = {run.job_name: run.status.value for run in instance.get_runs()}
    assert states == {"refresh_accounts": "SUCCESS", "sync": "FAILURE"}
    assert not list(home_of_several.rglob("*.db"))
    written = [path.read_bytes() for path in home_of_several.rglob("*") if path.is_file()]
    assert not any(PASSWORD.encode() in content for content in written)
