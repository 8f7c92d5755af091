"""Accounts that settings leave out."""

from __future__ import annotations

import json
from collections.abc import Collection
from typing import Any

import pytest
from dagster import AssetCheckKey, AssetKey, DagsterInstance

from analytics_assets.choice import skipped_accounts
from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets.settings import PlatformSettings
from analytics_assets_tests.testing.automation import Automation, accounts_read
from analytics_assets_tests.testing.commands import invoke
from analytics_assets_tests.testing.records import metadata
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api, warehouse_table

ACCOUNTS = "ANALYTICS__ACCOUNTS"
SKIP = "ANALYTICS__SKIP_ACCOUNTS"
TYPES = "ANALYTICS__SKIP_ACCOUNT_TYPES"


def status() -> dict[str, Any]:
    document: dict[str, Any] = json.loads(invoke("status", "--json").stdout)
    return document


def held(home) -> set[str]:
    """The accounts that have campaigns in the warehouse."""
    return {row["account_id"] for row in warehouse_table(home, "campaigns")}


@pytest.mark.parametrize(
    ("settings", "left"),
    [
        ({}, {"acme-1", "acme-2", "Globex", "net"}),
        ({"accounts": ("acme-?", "net")}, {"acme-1", "acme-2", "net"}),
        ({"accounts": ("acme-*",), "skip_accounts": ("*[2-9]",)}, {"acme-1"}),
        ({"skip_accounts": ("acme-1", "globex")}, {"acme-2", "Globex", "net"}),
        ({"skip_account_types": ("NETWORK", "partner")}, {"acme-1", "acme-2", "Globex"}),
        ({"skip_account_types": ("network",)}, {"acme-1", "acme-2", "Globex", "net"}),
        ({"accounts": ("net",), "skip_account_types": ("NETWORK",)}, set()),
    ],
)
def test_which_are_left(settings: dict[str, Any], left: Collection[str]):
    types = {"acme-1": "PARTNER", "acme-2": "", "Globex": "PARTNER", "net": "NETWORK"}
    skipped = skipped_accounts(PlatformSettings(**settings), types)
    assert types.keys() - skipped.keys() == left


def test_what_is_left_out_is_a_row_of_accounts_and_no_more(
    home, sync, doctor, api: SampleApi, instance: DagsterInstance, monkeypatch
):
    first, second, third = api.data.account_ids
    api.data.update_row("accounts", second, {"type": "NETWORK"})
    monkeypatch.setenv(TYPES, "NETWORK")
    monkeypatch.setenv(SKIP, f"{first[:8]}*")
    result = sync()
    assert result.exit_code == 0, result.output
    assert accounts_read(api) == held(home) == {third}
    assert instance.get_dynamic_partitions("accounts") == [third]
    assert_warehouse_equals_api(home, api.data, ["accounts"])
    skipped = {first: SKIP, second: TYPES}
    assert metadata(instance, "accounts", None)["skipped_accounts"] == skipped

    report = status()
    assert [account["account_id"] for account in report["accounts"]] == [third]
    found = {account["account_id"]: account["setting"] for account in report["skipped_accounts"]}
    assert found == skipped
    assert report["departed_accounts"] == []
    lines = invoke("status").stdout.splitlines()
    assert f"left out by {SKIP}: 1 account ({first})" in lines
    checks = doctor()
    assert not [name for name, check in checks.items() if not check["ok"]]
    assert checks["accounts left out"]["detail"] == f"2 of 3 (1 by {SKIP}, 1 by {TYPES})"
    assert f"/v1/{third}/" in checks["endpoint campaigns"]["detail"]

    automation = Automation(instance)
    assert automation.run(automation.schedule("list_accounts_then_sync_all"))
    api.log.clear()
    assert automation.run(automation.tick())
    assert accounts_read(api) == {third}
    assert automation.tick() is None


def test_the_rows_of_before_stay_and_it_is_not_called_departed(
    synced, sync, api: SampleApi, instance: DagsterInstance, monkeypatch
):
    first, second, third = api.data.account_ids
    monkeypatch.setenv(ACCOUNTS, first)
    api.data.remove_account(third)
    assert sync().exit_code == 0  # two of three leave the partitions, one of them the API's list
    assert instance.get_dynamic_partitions("accounts") == [first]
    assert held(synced) == {first, second, third}

    report = status()
    (skipped,), (departed,) = report["skipped_accounts"], report["departed_accounts"]
    assert (skipped["account_id"], departed["account_id"]) == (second, third)
    assert skipped["rows"] == departed["rows"] > 0
    line = f"left out by {ACCOUNTS}: 1 account ({second}), whose {skipped['rows']:,} rows stay"
    assert line in invoke("status").stdout.splitlines()
    key = AssetCheckKey(AssetKey("campaigns"), "rows_are_recent")
    (record,) = instance.event_log_storage.get_latest_asset_check_execution_by_key([key]).values()
    assert record.event is not None
    evaluation = record.event.asset_check_evaluation
    assert evaluation is not None
    rows = len([r for r in warehouse_table(synced, "campaigns") if r["account_id"] == third])
    assert evaluation.metadata["rows_of_departed_accounts"].value == rows
    told = metadata(instance, "campaigns", first)["rows_of_departed_accounts"]
    assert told == rows

    assert invoke("forget", second, "--yes").exit_code == 0
    assert held(synced) == {first, third}
    monkeypatch.delenv(ACCOUNTS)
    assert sync().exit_code == 0
    assert held(synced) == {first, second, third}
    assert status()["skipped_accounts"] == []


def ten_accounts() -> SampleData:
    return SampleData.generate(accounts=10, campaigns=1, items=1, motion_ads=0, others=1)


@pytest.mark.parametrize("api", [ten_accounts()], indirect=True, ids=["ten accounts"])
def test_a_loss_is_what_the_api_lacks(home, sync, api: SampleApi, instance, monkeypatch):
    listing = ("--resource", "accounts")
    assert sync(*listing).exit_code == 0
    kept, gone = api.data.account_ids[:2], api.data.account_ids[2:8]
    monkeypatch.setenv(ACCOUNTS, ",".join(kept))
    assert sync(*listing).exit_code == 0
    assert sorted(instance.get_dynamic_partitions("accounts")) == sorted(kept)
    monkeypatch.delenv(ACCOUNTS)
    assert sync(*listing).exit_code == 0
    monkeypatch.setenv(ACCOUNTS, ",".join(kept))
    for account in gone:
        api.data.remove_account(account)
    result = sync(*listing)  # as long as it is not on record that these were left out
    assert result.exit_code == 1
    assert "6 of 10 accounts are gone from the API's list" in result.output


def test_one_that_is_left_out_cannot_be_asked_for(synced, sync, doctor, api, monkeypatch):
    account = api.data.account_ids[0]
    monkeypatch.setenv(SKIP, account)
    said = f"{account} is left out by {SKIP}: change that to read it"
    result = sync("--account", account)
    assert (result.exit_code, result.stderr) == (1, f"Error: {said}\n")
    assert accounts_read(api) == set()
    assert invoke("status", "--account", account).stderr == f"Error: {said}\n"
    check = doctor("--account", account)["account"]
    assert (check["ok"], f"{check['detail']}: {check['advice']}") == (False, said)


def test_all_left_out_is_a_slip(synced, sync, doctor, api: SampleApi, instance, monkeypatch):
    known = instance.get_dynamic_partitions("accounts")
    monkeypatch.setenv(ACCOUNTS, "nobody-*")
    result = sync()
    assert result.exit_code == 1
    said = "all accounts that the API lists are left out; nothing was changed: check "
    assert said + ACCOUNTS in result.output
    assert instance.get_dynamic_partitions("accounts") == known
    checks = doctor()
    assert checks["accounts left out"]["ok"] is False
    assert checks["accounts left out"]["advice"] == f"check {ACCOUNTS}"
    assert checks["endpoint campaigns"]["ok"] is None


@pytest.mark.parametrize(
    ("setting", "value"), [(ACCOUNTS, "*,globex"), (SKIP, "globex"), (TYPES, "network")]
)
def test_what_fits_no_account_is_told(doctor, api: SampleApi, monkeypatch, setting, value):
    monkeypatch.setenv(setting, value)
    check = doctor()["accounts left out"]
    assert (check["ok"], check["detail"]) == (True, "none")
    assert check["advice"] == f"{value.rpartition(',')[2]} in {setting} fits none"
