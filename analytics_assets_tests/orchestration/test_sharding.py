"""Many accounts as several runs of a bounded size."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import pytest
from dagster import DagsterInstance
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.orchestration import sharding
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.sharding import balanced
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.testing.automation import Automation, accounts_read
from analytics_assets_tests.testing.records import states
from analytics_assets_tests.testing.tables import (
    assert_warehouse_equals_api,
)

NAMES = AssetNames()


@given(
    rows=st.dictionaries(st.text(min_size=1, max_size=3), st.integers(0, 10_000), max_size=40),
    bound=st.integers(1, 12),
)
def test_shards_hold_each_account_once_within_the_bound(rows: dict[str, int], bound: int):
    found = balanced(list(rows), rows, bound)
    assert sorted(account for shard in found for account in shard) == sorted(rows)
    assert all(0 < len(shard) <= bound for shard in found)
    assert len(found) == -(-len(rows) // bound)


def test_shards_have_about_as_many_rows():
    rows = {str(number): size for number, size in enumerate([5, 5, 10, 10, 400, 500, 900, 1000])}
    for accounts in (list(rows), list(reversed(rows))):
        sums = [sum(rows[account] for account in shard) for shard in balanced(accounts, rows, 4)]
        assert sorted(sums) == [1415, 1415]


@pytest.mark.parametrize(
    ("accounts", "bound", "expected"),
    [
        ("", None, []),
        ("", 2, []),
        ("dcba", None, [["d", "c", "b", "a"]]),
        ("dcba", 4, [["d", "c", "b", "a"]]),
        ("abcd", 2, [["a", "d"], ["b", "c"]]),
        ("dc", 1, [["c"], ["d"]]),  # what no event tells of counts as none
    ],
)
def test_what_counts_are_the_rows_of_all_tables(
    monkeypatch, accounts: str, bound: int | None, expected: list[list[str]]
):
    rows: dict[tuple[str, str | None], int | None] = {
        ("accounts", None): 4,
        ("campaigns", "a"): 10,
        ("campaigns", "b"): 12,
        ("audiences", "a"): 5,
        ("campaigns", "c"): 2,
        ("campaigns", "d"): None,
    }
    loads = {key: SimpleNamespace(rows=number) for key, number in rows.items()}
    monkeypatch.setattr(sharding, "latest_loads", lambda instance, names: loads)
    assert sharding.shards(cast(DagsterInstance, None), NAMES, accounts, bound) == expected


def test_accounts_without_rows_are_shared_out_too():
    assert sorted(map(len, balanced("abcd", {}, 3))) == [2, 2]
    assert sorted(map(len, balanced("abcdef", {"a": 4}, 5))) == [1, 5]


def test_more_accounts_than_a_run_may_read_are_spread_over_several(
    home, automation: Automation, sync, api: SampleApi, instance, monkeypatch
):
    api.data.add_account()
    api.data.add_account()
    monkeypatch.setenv("ANALYTICS__ACCOUNTS_PER_RUN", "2")
    assert automation.run(automation.tick())
    requests = automation.tick_for_shards()
    assert len(requests) == 3
    read = []
    for request in requests:
        api.log.clear()
        assert automation.run(request)
        read.append(accounts_read(api))
    assert sorted(map(len, read)) == [1, 2, 2]
    assert set.union(*read) == set(api.data.account_ids)
    assert_warehouse_equals_api(home, api.data)
    everything: tuple[set[str], set[str]] = (set(api.data.account_ids), set())
    assert states(instance) == dict.fromkeys(RESOURCES.account_lists, everything)
    assert automation.tick() is None

    # the command does the same, run by run
    account = api.data.account_ids[0]
    api.behaviour.faults.append(Fault("status", f"/v1/{account}/*", value="403"))
    result = sync()
    assert result.exit_code == 1
    assert len([run for run in instance.get_runs() if run.job_name == "sync"]) == 6
    assert f"{account}: " in result.output
    assert_warehouse_equals_api(home, api.data)
