"""Runs that wait in the queue while an account leaves the list."""

from __future__ import annotations

import pytest
from dagster import DagsterInstance, DagsterRunStatus
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator

from analytics_assets.definitions import defs
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.records import materialized


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("gone", [0, 1, 2], ids=["first", "middle", "last"])
def test_a_range_is_read_as_far_as_it_is_left(
    sync, api: SampleApi, instance: DagsterInstance, gone: int
):
    assert sync("--resource", "accounts").exit_code == 0
    accounts = list(instance.get_dynamic_partitions("accounts"))
    job = defs.resolve_job_def("sync")
    ends = {
        "dagster/asset_partition_range_start": accounts[0],
        "dagster/asset_partition_range_end": accounts[-1],
    }
    run = instance.create_run_for_job(job_def=job, tags=ends)
    left = accounts.pop(gone)
    instance.delete_dynamic_partition("accounts", left)
    api.log.clear()
    for _ in execute_run_iterator(InMemoryJob(job), run, instance):
        pass
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status == DagsterRunStatus.SUCCESS
    for name in RESOURCES.account_lists:
        assert materialized(instance, name) == set(accounts)
    assert not any(f"/{left}/" in path for path in api.log.count_by_path())
    [warning] = [e for e in instance.all_logs(run.run_id) if "no longer" in e.user_message]
    assert warning.user_message.endswith(f"not read: {left}")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("gone", [0, 1], ids=["its own partition", "another"])
def test_a_set_with_gaps_is_read_as_far_as_it_is_left(
    sync, api: SampleApi, instance: DagsterInstance, gone: int
):
    assert sync("--resource", "accounts", "--resource", "campaigns").exit_code == 0
    named = list(instance.get_dynamic_partitions("accounts"))[::2]
    job = defs.resolve_job_def("sync")
    run = instance.create_run_for_job(
        job_def=job,
        tags={"dagster/partition": named[0]},
        run_config={"ops": {"account_resources": {"config": {"accounts": named}}}},
    )
    instance.delete_dynamic_partition("accounts", named[gone])
    for _ in execute_run_iterator(InMemoryJob(job), run, instance):
        pass
    ended = instance.get_run_by_id(run.run_id)
    assert ended is not None
    assert ended.status == DagsterRunStatus.SUCCESS
    assert materialized(instance, "audiences") == {named[1 - gone]}
