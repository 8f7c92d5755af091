"""Ids of odd shape: the right paths are asked for, and rows land under exactly their account."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from dagster import DagsterInstance

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets_tests.testing.records import states
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api, warehouse_table

ODD = [
    "with space",
    "sla/sh",
    "{}",
    "{account_id}",
    "{resources.campaigns.path_id}",
    "100%",
    "%2F",
    "a?page=2&b",
    "ha#sh",
    "semi;colon+plus",
    "Größe-日本-🏷",
    "o'neil'); --",
    '"quoted"',
    "back\\slash",
]


def odd_data() -> SampleData:
    """An account with campaigns of odd ids, and accounts of odd slugs."""
    data = SampleData.generate(accounts=1, campaigns=1, items=2, motion_ads=1, others=1)
    (plain,) = data.account_ids
    (campaign,) = data.rows("campaigns", plain)
    for odd in ODD:
        data.add_account(odd)
        data.add_row("campaigns", {**campaign, "id": odd}, account_id=plain)
        for name in ("campaign_items", "motion_ads"):
            row = {**data.rows(name, plain, campaign["id"])[0], "id": f"{name} of {odd}"}
            row["campaign_id"] = odd
            data.set_rows(name, [row], account_id=plain, parent_id=odd)
    return data


@pytest.mark.parametrize("api", [odd_data], indirect=True)
def test_odd_ids(home, sync, api: SampleApi, instance: DagsterInstance):
    result = sync()
    assert result.exit_code == 0, result.output
    assert_warehouse_equals_api(home, api.data)
    assert asked(api) == lists(api.data)
    accounts = set(api.data.account_ids)
    assert states(instance) == {name: (accounts, set()) for name in RESOURCES.account_lists}

    # Each account is replaced alone, also in a table where it has nothing left.
    emptied, changed, unseen = "o'neil'); --", '"quoted"', "sla/sh"
    api.data.set_rows("audiences", [], account_id=emptied)
    for account in (changed, unseen):
        row = api.data.rows("audiences", account)[0]
        api.data.set_rows("audiences", [{**row, "id": 4711}], account_id=account)
    before = warehouse_table(home, "audiences")
    result = sync("--account", emptied, "--account", changed)
    assert result.exit_code == 0, result.output
    for name in set(RESOURCES.account_lists) - {"audiences"}:
        assert_warehouse_equals_api(home, api.data, [name])
    rows = {row["account_id"]: row for row in warehouse_table(home, "audiences")}
    assert set(rows) == accounts - {emptied}
    assert rows.pop(changed)["id"] == 4711
    assert rows == {row["account_id"]: row for row in before if row["account_id"] in rows}


def asked(api: SampleApi) -> list[tuple[str, ...]]:
    """The paths of accounts that were asked for, each as its unquoted segments."""
    return sorted(
        tuple(unquote(segment) for segment in entry.path.strip("/").split("/"))
        for entry in api.log.entries
        if entry.account_id is not None
    )


def lists(data: SampleData) -> list[tuple[str, ...]]:
    """The path of every list of every account, as its unquoted segments."""
    paths = []
    for account in data.account_ids:
        campaigns = [row["id"] for row in data.rows("campaigns", account)]
        for resource in RESOURCES.account_lists.values():
            for parent in campaigns if "{parent_id}" in resource.path else [""]:
                segments = resource.path_in("v1").strip("/").split("/")
                ids = {"{account_id}": account, "{parent_id}": parent}
                paths.append(tuple(ids.get(segment, segment) for segment in segments))
    return sorted(paths)
