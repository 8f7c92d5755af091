"""Histories as assets: in the graph, in runs, in checks, and what they say of themselves."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from dagster import AssetKey, DagsterInstance

from analytics_assets.factory import compose
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets.settings import platform_settings
from analytics_assets_tests.testing.automation import Automation
from analytics_assets_tests.testing.data import change_every_table
from analytics_assets_tests.testing.kills import killed_at
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.records import failed, materialized, metadata
from analytics_assets_tests.testing.tables import (
    assert_warehouse_equals_api,
    change_warehouse,
    query,
    warehouse_table,
)

HISTORY = "campaigns_history"
KEPT = ("campaigns", "campaign_items")
HISTORIES = tuple(f"{name}_history" for name in KEPT)

# moments of the transaction that writes versions, as `testing.statements` explains them
_WRITE = """\
(.*\\n)*UPDATE "analytics"."campaigns_history".*
INSERT INTO "analytics"."campaigns_history".*
COMMIT
"""
BEFORE = ["\n".join(_WRITE.splitlines()[:number]) + "\n" for number in (1, 2, 4)]


@pytest.fixture(autouse=True)
def kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS__HISTORY", ",".join(KEPT))
    monkeypatch.setenv("ANALYTICS__HISTORY_IGNORE", "campaigns.spent")


@pytest.fixture
def synced_before(
    kept: None, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Syncs without histories, which are to be kept from now on."""
    with monkeypatch.context() as before:
        before.delenv("ANALYTICS__HISTORY")
        before.delenv("ANALYTICS__HISTORY_IGNORE")
        request.getfixturevalue("synced")


def definitions() -> dg.Definitions:
    return compose(platform_settings())


def assert_open_versions_equal_tables(home: Path) -> None:
    for name in KEPT:
        versions = warehouse_table(home, f"{name}_history")
        valid = [row for row in versions if row.pop("valid_to") is None]
        for row in valid:
            del row["valid_from"]
        assert sorted(map(str, valid)) == sorted(map(str, warehouse_table(home, name)))


def sorted_tables(home: Path, names: Iterable[str]) -> list[list[str]]:
    return [sorted(map(str, warehouse_table(home, name))) for name in names]


def judged(instance: DagsterInstance, check: str) -> dg.AssetCheckEvaluation:
    key = dg.AssetCheckKey(AssetKey(HISTORY), check)
    records = instance.event_log_storage.get_asset_check_summary_records([key])
    record = records[key].last_completed_check_execution_record
    assert record is not None
    assert record.event is not None
    assert record.event.dagster_event is not None
    evaluation = record.event.dagster_event.event_specific_data
    assert isinstance(evaluation, dg.AssetCheckEvaluation)
    return evaluation


def figures(instance: DagsterInstance, account: str) -> Mapping[str, Any]:
    found = metadata(instance, HISTORY, account)
    names = ("dagster/partition_row_count", "versions_begun", "versions_ended")
    return {name: found[name] for name in names}


def validity_of_items(home: Path, account: str) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """When each version of an item was valid, by campaign and item."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for row in warehouse_table(home, "campaign_items_history"):
        if row["account_id"] == account:
            of_item = found.setdefault((row["campaign_id"], row["id"]), [])
            of_item.append((str(row["valid_from"]), str(row["valid_to"])))
    return found


def numbers(versions: int, begun: int, ended: int) -> dict[str, int]:
    return {
        "dagster/partition_row_count": versions,
        "versions_begun": begun,
        "versions_ended": ended,
    }


def test_each_is_an_asset_after_its_resource(home, monkeypatch):
    monkeypatch.setenv("ANALYTICS__KEY_PREFIX", "ads")
    graph = definitions().resolve_asset_graph()
    key = AssetKey(["ads", HISTORY])
    assert graph.get(key).parent_keys == {AssetKey(["ads", "campaigns"])}
    partitions = graph.get(key).partitions_def
    assert isinstance(partitions, dg.DynamicPartitionsDefinition)
    assert partitions.name == "accounts"
    assert not graph.has(AssetKey(["ads", "audiences_history"]))
    columns = graph.get(key).metadata["dagster/column_schema"].columns
    described = {column.name: column.description for column in columns}
    assert all(described.values())
    assert {"account_id", "cpc", "valid_from", "valid_to"} <= described.keys()
    assert {check.name for check in graph.asset_check_keys if check.asset_key == key} == {
        "open_versions_equal_the_table",
        "versions_do_not_overlap",
    }
    job = definitions().resolve_job_def("ads__sync")
    assert key in job.asset_layer.executable_asset_keys


@pytest.mark.usefixtures("synced")
@both_warehouses
def test_a_run_tells_how_many_versions_began_and_ended(
    home, sync, api: SampleApi, instance: DagsterInstance
):
    account = api.data.account_ids[0]
    assert_open_versions_equal_tables(home)
    first, second, *others = api.data.table("campaigns", [account])
    count = len(others) + 2
    assert figures(instance, account) == numbers(count, count, 0)

    api.data.update_row("campaigns", first["id"], {"cpc": 0.99}, account_id=account)
    api.data.update_row("campaigns", second["id"], {"spent": 12.5}, account_id=account)
    assert sync("--resource", "campaigns").exit_code == 0
    assert figures(instance, account) == numbers(count + 1, 1, 1)
    bids = query(
        home,
        f"SELECT cpc, valid_to IS NULL FROM analytics.{HISTORY}"
        f" WHERE account_id = '{account}' AND id = '{first['id']}' ORDER BY valid_from",
    )
    assert bids == [(first["cpc"], False), (0.99, True)]

    api.data.delete_row("campaigns", first["id"], account_id=account)
    told = json.loads(sync("--account", account, "--json").stdout)
    assert figures(instance, account) == numbers(count + 1, 0, 1)
    # what is told of a run is its rows, and not its versions
    assert told["resources"]["campaigns"] == count - 1
    assert judged(instance, "open_versions_equal_the_table").passed


def test_it_is_written_with_its_resource_whichever_is_selected(
    home, synced_before: None, api: SampleApi, instance: DagsterInstance
):
    account = api.data.account_ids[0]
    assert materialized(instance, HISTORY) == set()
    job = definitions().resolve_job_def("sync")
    api.log.clear()
    for selected in (HISTORY, "campaigns"):
        result = job.execute_in_process(
            instance=instance, partition_key=account, asset_selection=[AssetKey(selected)]
        )
        assert result.success
        (history, resource) = (
            instance.get_latest_materialization_event(AssetKey(name))
            for name in (HISTORY, "campaigns")
        )
        assert history is not None
        assert resource is not None
        assert history.run_id == resource.run_id == result.run_id
    assert [entry.account_id for entry in api.log.entries if entry.account_id] == [account] * 2
    assert materialized(instance, HISTORY) == {account}


@pytest.mark.usefixtures("synced")
def test_what_fails_or_is_suddenly_empty_keeps_its_versions(
    home, sync, api: SampleApi, instance: DagsterInstance
):
    refused, emptied, _ = api.data.account_ids
    before = warehouse_table(home, HISTORY)
    api.behaviour.faults.append(Fault("status", f"/v1/{refused}/campaigns/", value="403"))
    api.data.empty_account(emptied)
    result = sync()
    assert result.exit_code == 1
    assert warehouse_table(home, HISTORY) == before
    assert failed(instance, HISTORY) == {refused, emptied}
    assert sync("--allow-empty", "--account", emptied).exit_code == 0
    ended = query(
        home,
        f"SELECT count(valid_to), count(*) FROM analytics.{HISTORY} WHERE account_id = '{emptied}'",
    )
    assert ended == [(4, 4)]
    api.behaviour.faults.clear()
    assert sync("--failed").exit_code == 0
    assert failed(instance, HISTORY) == set()


@pytest.mark.usefixtures("synced")
def test_the_checks_find_what_someone_did_and_the_next_load_makes_good(
    home, sync, api: SampleApi, instance: DagsterInstance
):
    accounts = api.data.account_ids
    where = f"WHERE account_id = '{accounts[0]}'"
    change_warehouse(
        home,
        f"DELETE FROM analytics.{HISTORY} {where} AND id IN"
        f" (SELECT min(id) FROM analytics.campaigns {where})",
        f"INSERT INTO analytics.{HISTORY} SELECT * REPLACE (valid_from - INTERVAL 1 DAY AS"
        f" valid_from) FROM analytics.{HISTORY} WHERE account_id = '{accounts[1]}'",
        f"UPDATE analytics.{HISTORY} SET cpc = 99 WHERE account_id = '{accounts[2]}' AND id IN"
        f" (SELECT min(id) FROM analytics.campaigns WHERE account_id = '{accounts[2]}')",
        # not compared
        f"UPDATE analytics.{HISTORY} SET spent = 99",
    )
    check = definitions().resolve_job_def("check")
    assert check.execute_in_process(instance=instance).success
    unequal = judged(instance, "open_versions_equal_the_table")
    assert unequal.metadata["findings"].value == {accounts[0]: 1, accounts[2]: 1}
    overlapping = judged(instance, "versions_do_not_overlap")
    assert overlapping.metadata["findings"].value == {accounts[1]: 4}
    assert sync("--account", accounts[0]).exit_code == 0
    assert judged(instance, "open_versions_equal_the_table").metadata["findings"].value == {
        accounts[2]: 1
    }
    # of an account that was not loaded, what was found still holds
    assert judged(instance, "versions_do_not_overlap").metadata["findings"].value == {
        accounts[1]: 4
    }


def test_lists_that_are_left_out_keep_their_versions(
    home, sync, api: SampleApi, instance: DagsterInstance, seven_days: None
):
    account = api.data.account_ids[0]
    assert sync().exit_code == 0
    before = validity_of_items(home, account)
    changed, gone, *kept = [row["id"] for row in api.data.rows("campaigns", account)]
    item, deleted, *_ = [row["id"] for row in api.data.rows("campaign_items", account, changed)]
    api.data.update_row("campaigns", changed, {"name": "new"}, account_id=account)
    api.data.update_row("campaign_items", item, {"title": "new"}, account_id=account)
    api.data.delete_row("campaign_items", deleted, account_id=account)
    api.data.delete_row("campaigns", gone, account_id=account)
    assert sync().exit_code == 0
    assert metadata(instance, "campaign_items", account)["lists_left_out"] == len(kept) > 0
    assert_warehouse_equals_api(home, api.data)
    assert_open_versions_equal_tables(home)
    after = validity_of_items(home, account)
    touched = {key for key in before if after[key] != before[key]}
    assert touched == {(changed, item), (changed, deleted)} | {
        key for key in before if key[0] == gone
    }
    assert {key for key in after if len(after[key]) > 1} == {(changed, item)}


@pytest.mark.usefixtures("synced")
@both_warehouses
def test_killed_while_versions_are_written(home, sync, api: SampleApi, tmp_path):
    ended: dict[str, list[str]] = {name: [] for name in KEPT}
    for number, moment in enumerate(BEFORE):
        rows, before = (sorted_tables(home, names) for names in (KEPT, HISTORIES))
        change_every_table(api, number)
        assert killed_at(moment, tmp_path / str(number)) == -signal.SIGKILL
        assert sorted_tables(home, HISTORIES) == before
        assert_warehouse_equals_api(home, api.data)
        result = sync()
        assert result.exit_code == 0, result.output
        assert_open_versions_equal_tables(home)
        for name, old in zip(KEPT, rows, strict=True):
            ended[name] += old
            versions = warehouse_table(home, f"{name}_history")
            gone = [row for row in versions if row.pop("valid_to") is not None]
            for row in gone:
                del row["valid_from"]
            assert sorted(map(str, gone)) == sorted(ended[name])


@pytest.mark.usefixtures("synced")
def test_switched_off_and_on_again(home, sync, api: SampleApi, doctor, monkeypatch):
    kept = warehouse_table(home, HISTORY)
    monkeypatch.setenv("ANALYTICS__HISTORY", "campaign_items")
    account, row = api.data.account_ids[0], api.data.table("campaigns")[0]
    api.data.update_row("campaigns", row["id"], {"name": "another"}, account_id=account)
    assert sync().exit_code == 0
    assert warehouse_table(home, HISTORY) == kept
    assert doctor()["tables"]["detail"].endswith(
        f"; {HISTORY} is not written any more, because ANALYTICS__HISTORY lacks campaigns"
    )
    monkeypatch.setenv("ANALYTICS__HISTORY", ",".join(KEPT))
    assert sync().exit_code == 0
    assert_open_versions_equal_tables(home)
    assert len(warehouse_table(home, HISTORY)) == len(kept) + 1


def test_switched_off_and_on_where_lists_are_left_out(
    home: Path, synced_before: None, sync, api: SampleApi, seven_days: None, monkeypatch
):
    def versions() -> int:
        return len(warehouse_table(home, "campaign_items_history"))

    account, items = api.data.account_ids[0], len(api.data.table("campaign_items"))
    campaign, *_ = [row["id"] for row in api.data.rows("campaigns", account)]
    item, *_ = [row["id"] for row in api.data.rows("campaign_items", account, campaign)]
    assert sync().exit_code == 0
    assert sync("--full").exit_code == 0
    assert versions() == items
    with monkeypatch.context() as without:
        without.delenv("ANALYTICS__HISTORY")
        without.delenv("ANALYTICS__HISTORY_IGNORE")
        api.data.update_row("campaigns", campaign, {"name": "new"}, account_id=account)
        api.data.update_row("campaign_items", item, {"title": "new"}, account_id=account)
        assert sync().exit_code == 0
    assert sync().exit_code == 0
    assert_open_versions_equal_tables(home)
    assert versions() == items + 1


def test_automation_asks_for_it_too(home, synced_before: None, instance: DagsterInstance):
    automation = Automation(instance)
    assert automation.run(automation.schedule("list_accounts_then_sync_all"))
    request = automation.tick()
    assert request is not None
    assert AssetKey(HISTORY) in (request.asset_selection or [])
    assert automation.run(request)
    assert materialized(instance, HISTORY) == materialized(instance, "campaigns")
