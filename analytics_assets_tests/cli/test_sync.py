"""`analytics-assets sync` against the sample API."""

from __future__ import annotations

import pytest

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api, warehouse_table


@pytest.mark.parametrize("api", [SampleData.generate(accounts=20, campaigns=5)], indirect=True)
def test_every_table_equals_the_api_for_20_accounts(home, commands, api: SampleApi):
    first = commands.analytics_assets("sync")
    assert first.returncode == 0, first.stderr
    assert_warehouse_equals_api(home, api.data)

    second = commands.analytics_assets("sync")
    assert second.returncode == 0, second.stderr
    assert_warehouse_equals_api(home, api.data)
    assert "acme-0001-sc" in first.stdout
    for name in RESOURCES:
        assert name in first.stdout


def test_only_the_accounts_and_resources_asked_for(home, sync, api: SampleApi):
    first, _, third = api.data.account_ids
    result = sync("--account", first, "--account", third, "--resource", "campaign_items")
    assert result.exit_code == 0, result.output
    rows = warehouse_table(home, "campaign_items")
    assert {row["account_id"] for row in rows} == {first, third}
    assert len(rows) == len(api.data.table("campaign_items", [first, third]))


@pytest.mark.parametrize("unknown", ["acme-0001-sx", "nothing-like-it"])
def test_unknown_account(sync, unknown: str):
    result = sync("--account", unknown)
    assert result.exit_code == 1
    assert len(result.stderr.strip().splitlines()) == 1
    assert f"no such account: {unknown}" in result.stderr
