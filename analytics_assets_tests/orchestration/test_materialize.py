"""`dagster asset materialize`, as people run it."""

from __future__ import annotations

import pytest

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.tables import (
    assert_equal_tables,
    query,
    served_table,
    warehouse_table,
)

ALL_SIX = ",".join(RESOURCES.account_lists)


@pytest.fixture
def listed(sync):
    """The accounts, materialised."""
    assert sync("--resource", "accounts").exit_code == 0


@both_warehouses
def test_accounts_then_one_partition_then_a_range(home, commands, api: SampleApi, instance):
    first, second, third = api.data.account_ids
    result = commands.materialize("accounts")
    assert result.returncode == 0, result.stderr
    assert_equal_tables(
        served_table(api.data, "accounts"), warehouse_table(home, "accounts"), "accounts"
    )
    assert set(instance.get_dynamic_partitions("accounts")) == {first, second, third}

    assert commands.materialize(ALL_SIX, "--partition", first).returncode == 0
    for name in RESOURCES.account_lists:
        expected = served_table(api.data, name, [first])
        assert_equal_tables(expected, warehouse_table(home, name), name)

    keys = instance.get_dynamic_partitions("accounts")
    ranged = commands.materialize(ALL_SIX, "--partition-range", f"{keys[1]}...{keys[2]}")
    assert ranged.returncode == 0, ranged.stderr
    for name in RESOURCES.account_lists:
        assert_equal_tables(served_table(api.data, name), warehouse_table(home, name), name)


def test_children_alone_ask_for_campaigns_once_and_do_not_load_them(
    home, commands, listed, api: SampleApi
):
    account = api.data.account_ids[0]
    api.log.clear()
    assert commands.materialize("campaign_items", "--partition", account).returncode == 0
    campaigns = f"/v1/{account}/campaigns/"
    items = {f"{campaigns}{row['id']}/items/" for row in api.data.table("campaigns", [account])}
    assert api.log.count_by_path() == dict.fromkeys([campaigns, *items], 1) | {"/oauth/token": 1}
    tables = query(
        home, "SELECT table_name FROM information_schema.tables WHERE table_schema = 'analytics'"
    )
    assert ("campaign_items",) in tables
    assert ("campaigns",) not in tables


def test_a_reversed_range_fails(commands, listed, instance):
    keys = instance.get_dynamic_partitions("accounts")
    result = commands.materialize(ALL_SIX, "--partition-range", f"{keys[2]}...{keys[0]}")
    assert result.returncode != 0
    assert "names no account" in result.stderr
