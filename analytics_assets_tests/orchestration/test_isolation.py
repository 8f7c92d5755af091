"""One run over many accounts: a failing account harms no other, and Dagster shows which failed."""

from __future__ import annotations

import re

from dagster import DagsterInstance

from analytics_assets.resources import ACCOUNT_RESOURCES
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.records import metadata, states
from analytics_assets_tests.testing.tables import (
    assert_equal_tables,
    assert_warehouse_equals_api,
    served_table,
    warehouse_table,
)


@both_warehouses
def test_a_failing_account_harms_no_other(home, sync, api: SampleApi, instance: DagsterInstance):
    first, second, third = api.data.account_ids
    api.behaviour.faults.append(Fault("status", f"/v1/{second}/universal_pixel/*", value="403"))
    result = sync()
    assert result.exit_code == 1
    assert "1 of 3 accounts failed" in result.output
    cause = rf"{second}: \w+_rules: GET /v1/{second}/universal_pixel/\w+ answers 403: "
    assert re.search(cause, result.output)
    for name in ACCOUNT_RESOURCES:
        expected = served_table(api.data, name, [first, third])
        assert_equal_tables(expected, warehouse_table(home, name), name)
    assert states(instance) == {name: ({first, third}, {second}) for name in ACCOUNT_RESOURCES}
    for account in (first, third):
        for name in ACCOUNT_RESOURCES:
            rows = len(api.data.table(name, [account]))
            assert metadata(instance, name, account)["dagster/partition_row_count"] == rows

    api.behaviour.faults.clear()
    assert sync("--account", second).exit_code == 0
    assert states(instance) == {name: ({first, second, third}, set()) for name in ACCOUNT_RESOURCES}
    assert_warehouse_equals_api(home, api.data)


@both_warehouses
def test_a_set_with_gaps_shows_its_own_partitions_only(
    home, sync, api: SampleApi, instance: DagsterInstance
):
    first, _, third = api.data.account_ids
    api.behaviour.faults.append(Fault("status", f"/v1/{third}/*", value="403"))
    assert sync("--account", third, "--account", first).exit_code == 1
    assert states(instance) == {name: ({first}, {third}) for name in ACCOUNT_RESOURCES}
    runs = [run for run in instance.get_runs() if run.job_name == "sync"]
    assert len(runs) == 1
    api.behaviour.faults.clear()
    assert sync("--account", third, "--account", first).exit_code == 0
    assert states(instance) == {name: ({first, third}, set()) for name in ACCOUNT_RESOURCES}
