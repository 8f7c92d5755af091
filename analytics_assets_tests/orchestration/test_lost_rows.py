"""Rows that the records name and the warehouse lacks are read again."""

from __future__ import annotations

import shutil
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
from dagster import DagsterInstance

from analytics_assets.orchestration.lost_loads import LOST
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.recorded_loads import latest_loads
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault
from analytics_assets_tests.testing.automation import Automation, accounts_read
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.tables import (
    assert_warehouse_equals_api,
    change_warehouse,
    on_postgres,
    query,
    taken,
)

NAMES = AssetNames()


def heal(automation: Automation) -> list[tuple[str, set[str]]]:
    """Ticks and runs what is asked for until nothing is; the jobs with their resources."""
    asked = []
    while (request := automation.tick()) is not None:
        assert request.tags["analytics/reason"] == LOST
        resources = {key.to_user_string() for key in request.asset_selection or ()}
        asked.append((str(request.job_name), resources))
        assert automation.run(request)
        assert len(asked) < 5
    return asked


EVERYTHING = [("refresh_accounts", set()), ("sync", set(RESOURCES.account_lists))]


def move_away(home: Path) -> None:
    if on_postgres():
        query(home, "DROP SCHEMA analytics CASCADE")
    else:
        (home / "warehouse.duckdb").rename(home / "elsewhere.duckdb")


@pytest.mark.usefixtures("synced")
@both_warehouses
def test_a_warehouse_that_is_gone_is_filled_again(home, automation: Automation, api):
    assert automation.tick() is None
    move_away(home)
    assert heal(automation) == EVERYTHING
    assert_warehouse_equals_api(home, api.data)


@pytest.mark.usefixtures("synced")
def test_accounts_that_only_the_former_warehouse_holds(home, automation, sync, api):
    move_away(home)
    first, second, third = api.data.account_ids
    assert sync("--account", second).exit_code == 0
    api.log.clear()
    assert heal(automation) == EVERYTHING[1:]
    assert accounts_read(api) == {first, third}
    assert_warehouse_equals_api(home, api.data)


@pytest.mark.usefixtures("synced")
@both_warehouses
def test_a_dropped_table_and_another_dataset(home, automation: Automation, monkeypatch):
    monkeypatch.setenv("ANALYTICS__ACCOUNT_RETRY_WAIT", "0")
    monkeypatch.setenv("ANALYTICS__DATASET_NAME", "other")
    assert heal(automation) == EVERYTHING
    monkeypatch.delenv("ANALYTICS__DATASET_NAME")
    assert heal(automation) == EVERYTHING  # the newest loads are in the other dataset
    change_warehouse(home, "DROP TABLE analytics.audiences")
    request = automation.tick()
    assert request is not None
    assert {key.to_user_string() for key in request.asset_selection or ()} == {"audiences"}


@pytest.mark.usefixtures("synced")
def test_an_older_backup(home, automation: Automation, sync, api):
    account, *_ = api.data.account_ids
    shutil.copy(home / "warehouse.duckdb", home / "backup")
    row = api.data.rows("audiences", account)[0]
    api.data.delete_row("audiences", row["id"], account_id=account)
    assert sync("--account", account).exit_code == 0
    shutil.copy(home / "backup", home / "warehouse.duckdb")
    api.log.clear()
    assert heal(automation) == EVERYTHING
    assert accounts_read(api) == {account}
    assert_warehouse_equals_api(home, api.data)


@pytest.mark.usefixtures("synced")
def test_what_does_not_help_is_not_done_for_ever(home, automation: Automation, monkeypatch):
    monkeypatch.setenv("ANALYTICS__ACCOUNT_RETRIES", "1")
    now = [time.time()]
    monkeypatch.setattr(
        "analytics_assets.orchestration.sensors.time", SimpleNamespace(time=lambda: now[0])
    )
    asked = []
    for _ in range(8):
        (home / "warehouse.duckdb").unlink(missing_ok=True)  # as if runs wrote elsewhere
        if (request := automation.tick()) is not None:
            asked.append((request.job_name, request.tags["analytics/retry"]))
            assert automation.run(request)
        else:
            now[0] += 3600
    assert sorted(asked) == [
        (job, retry) for job in ("refresh_accounts", "sync") for retry in ("0", "1")
    ]


@pytest.mark.usefixtures("synced")
def test_lost_rows_of_an_account_that_fails_wait_as_it_does(home, automation, api, monkeypatch):
    monkeypatch.setenv("SOURCES__ANALYTICS__MAX_RETRIES", "0")
    move_away(home)
    refused = api.data.account_ids[0]
    api.behaviour.faults.append(Fault("status", f"/v1/{refused}/*", value="403"))
    assert automation.run(automation.tick())
    assert not automation.run(automation.tick())
    assert automation.tick() is None


@pytest.mark.usefixtures("synced")
def test_a_warehouse_that_cannot_be_asked(home, automation: Automation, monkeypatch):
    with taken(home / "warehouse.duckdb"):
        assert automation.tick() is None
    monkeypatch.setenv("ANALYTICS__DESTINATION", "nowhere")
    assert automation.tick() is None


def test_it_does_not_look_again_if_nothing_has_changed(home, automation, sync, monkeypatch):
    looked = []

    def look(instance: DagsterInstance, names: AssetNames) -> object:
        looked.append(instance)
        return latest_loads(instance, names)

    monkeypatch.setattr("analytics_assets.orchestration.lost_loads.latest_loads", look)
    assert automation.run(automation.tick())
    assert automation.run(automation.tick())
    assert looked == []
    for _ in range(3):
        assert automation.tick() is None
    assert len(looked) == 1
    with taken(home / "warehouse.duckdb"):
        assert automation.tick() is None  # the file is not even opened
    assert sync().exit_code == 0
    for _ in range(2):
        assert automation.tick() is None
    assert len(looked) == 2
