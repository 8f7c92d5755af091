"""An account that leaves the API: its partition goes, its rows stay until they are forgotten."""

from __future__ import annotations

from analytics_assets.resources import ACCOUNT_RESOURCES
from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api, warehouse_table


@both_warehouses
def test_forget(home, sync, commands, api: SampleApi, instance):
    account, *others = api.data.account_ids
    assert sync().exit_code == 0
    listed = commands.analytics_assets("forget", account)
    assert (listed.returncode, listed.stderr.count("\n")) == (1, 1)
    assert f"the API still lists {account}" in listed.stderr

    rows = {name: warehouse_table(home, name) for name in ACCOUNT_RESOURCES}
    api.data.remove_account(account)
    assert sync().exit_code == 0
    assert set(instance.get_dynamic_partitions("accounts")) == set(others)
    assert {name: len(warehouse_table(home, name)) for name in rows} == {
        name: len(before) for name, before in rows.items()
    }

    dry = commands.analytics_assets("forget", account)
    assert dry.returncode == 0, dry.stderr
    assert "would be removed: run again with --yes" in dry.stdout
    assert len(warehouse_table(home, "campaigns")) == len(rows["campaigns"])

    done = commands.analytics_assets("forget", account, "--yes")
    assert done.returncode == 0, done.stderr
    assert_warehouse_equals_api(home, api.data)
    again = commands.analytics_assets("forget", account, "--yes")
    assert again.returncode == 1
    assert f"holds nothing of {account}" in again.stderr
