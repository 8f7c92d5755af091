"""Resources that a setting leaves out."""

from __future__ import annotations

import json
from typing import Any

import dagster as dg
import pytest
from dagster import AssetKey, DagsterInstance

from analytics_assets.errors import SettingsError
from analytics_assets.factory import compose
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi
from analytics_assets.settings import platform_settings
from analytics_assets_tests.testing.automation import Automation
from analytics_assets_tests.testing.commands import invoke
from analytics_assets_tests.testing.records import materialized, metadata
from analytics_assets_tests.testing.tables import (
    assert_warehouse_equals_api,
    query,
    warehouse_table,
)

SKIP = "ANALYTICS__SKIP_RESOURCES"
BELOW_CAMPAIGNS = {"campaign_items", "motion_ads"}


def graph() -> Any:
    return compose(platform_settings()).resolve_asset_graph()


def status() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(invoke("status", "--json").stdout)
    return document


def test_what_is_skipped_is_not_asked_for_and_nobody_misses_it(
    home, sync, doctor, api: SampleApi, instance: DagsterInstance, monkeypatch
):
    monkeypatch.setenv(SKIP, "motion_ads, audiences")
    kept = [name for name in RESOURCES.lists if name not in ("motion_ads", "audiences")]
    result = sync()
    assert result.exit_code == 0, result.output
    assert not [e for e in api.log.entries if "/performance-video/" in e.path]
    assert not [e for e in api.log.entries if "/audiences" in e.path]
    assert_warehouse_equals_api(home, api.data, kept)

    assert {account["state"] for account in status()["accounts"]} == {"ok"}
    assert status()["skipped_resources"] == ["motion_ads", "audiences"]
    said = invoke("status").stdout.splitlines()[-1]
    assert said == f"left out by {SKIP}, and not counted: motion_ads, audiences"
    checks = doctor()
    assert not [name for name, check in checks.items() if check["ok"] is False]
    assert checks["endpoint motion_ads"]["ok"] is None
    assert checks["endpoint audiences"]["detail"] == f"left out by {SKIP}"
    assert checks["loads on record"]["detail"].endswith("3 accounts on record as loaded")

    automation = Automation(instance)
    assert automation.run(automation.schedule("list_accounts_then_sync_all"))
    request = automation.tick()
    assert automation.run(request)
    assert request is not None
    assert request.asset_selection == [AssetKey(name) for name in kept if name != "accounts"]
    checked = {key.asset_key.path[-1] for key in request.asset_check_keys or ()}
    assert checked == {*kept} - {"accounts"}
    assert automation.tick() is None
    assert materialized(instance, "motion_ads") == set()


def test_there_is_no_asset_and_no_check_of_it(home, monkeypatch):
    monkeypatch.setenv(SKIP, "audiences")
    found = graph()
    assert {key.path[-1] for key in found.get_all_asset_keys()} == {*RESOURCES.lists} - {
        "audiences"
    }
    checked = {key.asset_key.path[-1] for key in found.asset_check_keys}
    assert checked == {*RESOURCES.lists} - {"audiences"}
    job = compose(platform_settings()).resolve_job_def("sync")
    synced = {key.path[-1] for key in job.asset_layer.executable_asset_keys}
    assert synced == {*RESOURCES.lists} - {"audiences", "accounts"}


def test_what_was_loaded_before_stays(synced, sync, api: SampleApi, monkeypatch):
    monkeypatch.setenv(SKIP, "audiences")
    before = warehouse_table(synced, "audiences")
    for account in api.data.account_ids:
        api.data.set_rows("audiences", [], account_id=account)
    assert sync().exit_code == 0
    assert warehouse_table(synced, "audiences") == before
    monkeypatch.delenv(SKIP)
    assert {account["state"] for account in status()["accounts"]} == {"ok"}
    assert sync().exit_code == 0
    assert_warehouse_equals_api(synced, api.data)


def test_a_skipped_parent_is_listed_for_the_ids_and_not_loaded(
    home, sync, doctor, api: SampleApi, instance: DagsterInstance, monkeypatch
):
    monkeypatch.setenv(SKIP, "campaigns")
    result = sync()
    assert result.exit_code == 0, result.output
    assert_warehouse_equals_api(home, api.data, [*BELOW_CAMPAIGNS])
    tables = query(home, "SELECT table_name FROM information_schema.tables")
    assert "campaigns" not in [name for (name,) in tables]
    assert doctor()["endpoint campaigns"]["ok"]

    found = graph()
    for name in BELOW_CAMPAIGNS:
        assert found.get(AssetKey(name)).parent_keys == {AssetKey("accounts")}
        lineage = metadata(instance, name, api.data.account_ids[0])["dagster/column_lineage"]
        account_id = dg.TableColumnDep(AssetKey("accounts"), "account_id")
        assert lineage.deps_by_column == {"account_id": [account_id]}
        (record,) = instance.fetch_materializations(AssetKey(name), limit=1).records
        assert record.asset_materialization is not None
        tags = record.asset_materialization.tags or {}
        assert tags["dagster/input_data_version/accounts"] == "1"
    assert "parents_exist" not in {key.name for key in found.asset_check_keys}


@pytest.mark.usefixtures("synced")
def test_the_checks_alone(sync, monkeypatch, instance: DagsterInstance):
    monkeypatch.setenv(SKIP, "campaigns")
    job = compose(platform_settings()).resolve_job_def("check")
    assert job.execute_in_process(instance=instance).success


def test_a_child_of_what_is_skipped_may_be_skipped_too(home, sync, api: SampleApi, monkeypatch):
    monkeypatch.setenv(SKIP, "campaigns,campaign_items,motion_ads")
    assert sync().exit_code == 0
    assert not [entry for entry in api.log.entries if "/campaigns" in entry.path]


def test_what_is_skipped_cannot_be_asked_for(sync, api: SampleApi, monkeypatch):
    monkeypatch.setenv(SKIP, "audiences")
    result = sync("--resource", "audiences", "--resource", "campaigns")
    assert result.exit_code == 1
    assert result.output == f"Error: audiences is left out by {SKIP}: remove it there\n"
    assert api.log.requests == 0


@pytest.mark.parametrize(
    ("skipped", "said"),
    [
        ("accounts", "cannot have accounts, by which all others are read: set it to resources"),
        ("audience", "has 'audience' (did you mean audiences?), which is no list of an account"),
        ("hunter2", "has a name, which is no list of an account: set it to"),
        (
            "campaigns,campaign_items,motion_ads,audiences,audience_rules,conversion_rules",
            "leaves no list of an account to read: set it to fewer resources",
        ),
    ],
)
def test_what_cannot_be_skipped(sync, doctor, monkeypatch, skipped: str, said: str):
    monkeypatch.setenv(SKIP, skipped)
    with pytest.raises(SettingsError) as error:
        compose(platform_settings())
    assert str(error.value).startswith(f"{SKIP} {said}")
    assert "hunter2" not in str(error.value)
    result = sync()
    assert (result.exit_code, result.output) == (1, f"Error: {error.value}\n")
    check = doctor()["platform settings"]
    assert (check["ok"], f"{check['detail']}: {check['advice']}") == (False, str(error.value))
