"""A sync leaves out the lists below parent rows that are unchanged, and says how many."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from dagster import AssetCheckKey, AssetKey, DagsterInstance
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus

from analytics_assets.definitions import defs
from analytics_assets.orchestration import ingestion
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import run_target
from analytics_assets.sample_api import SampleApi
from analytics_assets.warehouse.load import load
from analytics_assets.warehouse.outcome import LoadOutcome
from analytics_assets_tests.testing.records import metadata
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api, change_warehouse

BELOW = ("campaign_items", "motion_ads")


def asked_below(api: SampleApi) -> int:
    """The requests for lists below campaigns; the log is cleared."""
    asked = sum(path.endswith("/items/") for path in api.log.count_by_path().elements())
    api.log.clear()
    return asked


def test_a_sync_says_what_it_left_out(
    home: Path,
    sync: Callable[..., Result],
    api: SampleApi,
    instance: DagsterInstance,
    seven_days: None,
) -> None:
    assert sync().exit_code == 0
    lists = 2 * len(api.data.table("campaigns"))
    assert asked_below(api) == lists
    account, other = api.data.account_ids[:2]
    campaigns = [row["id"] for row in api.data.rows("campaigns", account)]
    api.data.update_row("campaigns", campaigns[0], {"name": "new"}, account_id=account)
    assert sync().exit_code == 0
    assert asked_below(api) == 2
    assert_warehouse_equals_api(home, api.data)
    left_out = {account: len(campaigns) - 1, other: len(api.data.rows("campaigns", other))}
    for name in BELOW:
        for key, number in left_out.items():
            told = metadata(instance, name, key)
            assert told["lists_left_out"] == number
            assert told["dagster/partition_row_count"] == len(api.data.table(name, [key]))
    assert "lists_left_out" not in metadata(instance, "audiences", account)
    assert sync("--full").exit_code == 0
    assert asked_below(api) == lists
    assert metadata(instance, "campaign_items", account)["lists_left_out"] == 0
    target = run_target(instance, AssetNames().accounts_op, [account], full=True)
    assert target.ops == {AssetNames().accounts_op: {"config": {"full": True}}}


def test_a_check_alone_calls_no_rows_old_that_were_left_out(
    home: Path,
    sync: Callable[..., Result],
    api: SampleApi,
    instance: DagsterInstance,
    seven_days: None,
) -> None:
    assert sync().exit_code == 0
    long_ago = [f"UPDATE analytics.{name} SET _dlt_load_id = '1700000000.5'" for name in BELOW]
    change_warehouse(home, *long_ago)
    check = AssetCheckKey(AssetKey("campaign_items"), "rows_are_recent")
    changed = api.data.account_ids[0]

    def are_recent() -> bool:
        assert defs.resolve_job_def("check").execute_in_process(instance=instance).success
        records = instance.event_log_storage.get_latest_asset_check_execution_by_key([check])
        return records[check].status == AssetCheckExecutionRecordStatus.SUCCEEDED

    assert not are_recent()
    assert sync().exit_code == 0
    assert are_recent()
    change_warehouse(
        home,
        "DELETE FROM analytics.campaign_items WHERE id IN (SELECT min(id) FROM"
        f" analytics.campaign_items WHERE account_id = '{changed}')",
    )
    assert not are_recent()


def test_rows_that_are_changed_while_others_are_read(
    home: Path,
    sync: Callable[..., Result],
    api: SampleApi,
    seven_days: None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert sync().exit_code == 0
    account = api.data.account_ids[0]

    def change_and_load(*args: Any, **options: Any) -> LoadOutcome:
        if "motion_ads" in args[2]:
            where = f"account_id = '{account}'"
            change_warehouse(home, f"DELETE FROM analytics.motion_ads WHERE {where}")
        return load(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(ingestion, "load", change_and_load)
        result = sync()
    assert result.exit_code == 1
    assert f"{account}: motion_ads: another load, or somebody, has changed" in result.output
    assert sync("--failed").exit_code == 0
    assert_warehouse_equals_api(home, api.data)


def test_without_the_setting_nothing_is_said_of_lists(
    synced: Path, instance: DagsterInstance, api: SampleApi
) -> None:
    for name in BELOW:
        assert "lists_left_out" not in metadata(instance, name, api.data.account_ids[0])
