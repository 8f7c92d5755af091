"""One run over many accounts: a failing account harms no other, and Dagster shows which failed."""

from __future__ import annotations

import re

from dagster import DagsterInstance

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.records import metadata, states
from analytics_assets_tests.testing.tables import (
    assert_equal_tables,
    assert_warehouse_equals_api,
    served_table,
    warehouse_table,
)


def test_a_failing_list_harms_no_other(home, sync, api: SampleApi, instance: DagsterInstance):
    accounts = _, second, third = api.data.account_ids
    api.behaviour.faults += [
        Fault("status", f"/v1/{second}/universal_pixel/conversion_rule", value="403"),
        Fault("status", f"/v1/{third}/campaigns/", value="503"),
    ]
    lost = {
        "conversion_rules": {second},
        "campaigns": {third},
        "campaign_items": {third},
        "motion_ads": {third},
    }
    result = sync()
    assert result.exit_code == 1
    assert "4 of 18 partitions failed, in 2 of 3 accounts" in result.output
    cause = rf"{second}: conversion_rules: GET /v1/{second}/universal_pixel/\w+ answers 403: "
    assert re.search(cause, result.output)
    assert "(so nothing is changed of campaign_items, motion_ads either)" in result.output
    assert "To leave it out of a run, select the assets without conversion_rules (" in result.output
    for name in RESOURCES.account_lists:
        whole = set(accounts) - lost.get(name, set())
        assert_equal_tables(served_table(api.data, name, whole), warehouse_table(home, name), name)
        assert states(instance)[name] == (whole, lost.get(name, set()))
        for account in whole:
            rows = len(api.data.table(name, [account]))
            assert metadata(instance, name, account)["dagster/partition_row_count"] == rows

    api.behaviour.faults.clear()
    assert sync("--account", second, "--account", third).exit_code == 0
    assert states(instance) == {name: (set(accounts), set()) for name in RESOURCES.account_lists}
    assert_warehouse_equals_api(home, api.data)


@both_warehouses
def test_a_parent_that_goes_while_its_account_is_read(
    home, sync, api: SampleApi, instance, monkeypatch
):
    """Its lists are answered by 404; no failure, where a fresh list does not have it either."""
    account = api.data.account_ids[0]
    gone, *_ = [str(row["id"]) for row in api.data.rows("campaigns", account)]
    next_fault = api.behaviour.next_fault

    def remove(path: str) -> Fault | None:
        if path == f"/v1/{account}/campaigns/{gone}/items/":
            api.data.delete_row("campaigns", gone, account_id=account)
            return Fault("status", path, value=404)
        return next_fault(path)

    monkeypatch.setattr(api.behaviour, "next_fault", remove)
    result = sync()
    assert result.exit_code == 0, result.output
    assert_warehouse_equals_api(home, api.data)
    assert api.log.count_by_path()[f"/v1/{account}/campaigns/"] == 2
    (path,) = [path for path in api.log.count_by_path() if path.endswith(f"/{gone}/items/")]
    assert api.log.count_by_path()[path] == 1


def test_a_parent_that_stays_listed_without_its_lists(home, sync, api: SampleApi, instance):
    account = api.data.account_ids[0]
    campaign, *_ = api.data.rows("campaigns", account)
    path = f"/v1/{account}/campaigns/{campaign['id']}/items/"
    api.behaviour.faults.append(Fault("status", path, value=404))
    result = sync()
    assert f"{account}: campaign_items: GET {path} answers 404" in result.output
    assert states(instance)["campaign_items"][1] == {account}
    assert states(instance)["motion_ads"][1] == set()


def test_a_set_with_gaps_shows_its_own_partitions_only(
    home, sync, api: SampleApi, instance: DagsterInstance
):
    first, _, third = api.data.account_ids
    api.behaviour.faults.append(Fault("status", f"/v1/{third}/*", value="403"))
    assert sync("--account", third, "--account", first).exit_code == 1
    assert states(instance) == {name: ({first}, {third}) for name in RESOURCES.account_lists}
    runs = [run for run in instance.get_runs() if run.job_name == "sync"]
    assert len(runs) == 1
    api.behaviour.faults.clear()
    assert sync("--account", third, "--account", first).exit_code == 0
    assert states(instance) == {name: ({first, third}, set()) for name in RESOURCES.account_lists}
