"""An account that leaves the API: its partition goes, its rows stay until they are forgotten."""

from __future__ import annotations

import pytest

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.commands import invoke
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.tables import (
    assert_warehouse_equals_api,
    change_warehouse,
    warehouse_table,
)


@pytest.mark.usefixtures("synced")
@both_warehouses
def test_forget(home, sync, api: SampleApi, instance):
    account, *others = api.data.account_ids
    listed = invoke("forget", account)
    assert (listed.exit_code, listed.stderr.count("\n")) == (1, 1)
    assert f"the API still lists {account}" in listed.stderr

    rows = {name: warehouse_table(home, name) for name in RESOURCES.account_lists}
    api.data.remove_account(account)
    assert sync().exit_code == 0
    assert set(instance.get_dynamic_partitions("accounts")) == set(others)
    assert {name: len(warehouse_table(home, name)) for name in rows} == {
        name: len(before) for name, before in rows.items()
    }

    dry = invoke("forget", account)
    assert dry.exit_code == 0, dry.stderr
    assert "would be removed: run again with --yes" in dry.stdout
    assert len(warehouse_table(home, "campaigns")) == len(rows["campaigns"])

    done = invoke("forget", account, "--yes")
    assert done.exit_code == 0, done.stderr
    assert_warehouse_equals_api(home, api.data)
    again = invoke("forget", account, "--yes")
    assert again.exit_code == 1
    assert f"holds nothing of {account}" in again.stderr


@both_warehouses
def test_its_versions_are_forgotten_too(home, sync, api: SampleApi, monkeypatch):
    monkeypatch.setenv("ANALYTICS__HISTORY", "campaigns")
    account = api.data.account_ids[0]
    assert sync().exit_code == 0
    versions = warehouse_table(home, "campaigns_history")
    kept = [row for row in versions if row["account_id"] != account]
    api.data.remove_account(account)
    assert sync().exit_code == 0
    monkeypatch.delenv("ANALYTICS__HISTORY")  # where it is switched off again, too

    dry = invoke("forget", account)
    assert f"{len(versions) - len(kept)}  campaigns_history\n" in dry.stdout
    assert warehouse_table(home, "campaigns_history") == versions
    assert invoke("forget", account, "--yes").exit_code == 0
    assert warehouse_table(home, "campaigns_history") == kept
    assert invoke("forget", account, "--yes").exit_code == 1


def test_versions_alone_are_forgotten(home, sync, api: SampleApi, monkeypatch):
    monkeypatch.setenv("ANALYTICS__HISTORY", "campaigns")
    account = api.data.account_ids[0]
    assert sync().exit_code == 0
    api.data.remove_account(account)
    assert sync().exit_code == 0
    tables = (*RESOURCES.account_lists,)
    change_warehouse(
        home, *(f"DELETE FROM analytics.{name} WHERE account_id = '{account}'" for name in tables)
    )
    assert invoke("forget", account, "--yes").exit_code == 0
    held = {row["account_id"] for row in warehouse_table(home, "campaigns_history")}
    assert held == set(api.data.account_ids)
