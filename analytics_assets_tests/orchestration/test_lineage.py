"""What Dagster makes of the lineage: partitions that are up to date are shown as such."""

from __future__ import annotations

import pytest
from dagster import AssetKey, DagsterInstance, RunsFilter
from dagster._core.definitions.data_version import CachingStaleStatusResolver, StaleStatus
from dagster._core.loader import LoadingContextForTest

from analytics_assets.definitions import defs
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi


def statuses(instance: DagsterInstance, account: str) -> set[StaleStatus]:
    graph = defs.resolve_asset_graph()
    resolver = CachingStaleStatusResolver(instance, graph, LoadingContextForTest(instance))
    return {resolver.get_status(AssetKey(name), account) for name in RESOURCES.account_lists}


@pytest.mark.usefixtures("synced")
def test_to_list_the_accounts_anew_makes_no_partition_stale(
    home, sync, api: SampleApi, instance: DagsterInstance
):
    account = api.data.account_ids[0]
    assert statuses(instance, account) == {StaleStatus.FRESH}
    api.data.add_account()
    assert sync("--resource", "accounts").exit_code == 0
    assert statuses(instance, account) == {StaleStatus.FRESH}


@pytest.mark.usefixtures("synced")
def test_runs_of_the_command_line_are_found_on_the_page_of_their_job(home, sync, instance):
    # what that page asks for
    ours = RunsFilter(tags={".dagster/repository": "__repository__@analytics_assets"})
    assert {run.job_name for run in instance.get_runs(ours)} == {"refresh_accounts", "sync"}
