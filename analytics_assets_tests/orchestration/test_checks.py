"""The checks: each fails by name for what it is about, and passes otherwise."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from dagster import AssetCheckKey, AssetKey, DagsterInstance
from dagster._core.storage.asset_check_execution_record import (
    AssetCheckExecutionRecord,
    AssetCheckExecutionRecordStatus,
)

from analytics_assets.definitions import defs
from analytics_assets.orchestration.asset_checks import check_specs
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi

NAMES = AssetNames()


SUCCEEDED = AssetCheckExecutionRecordStatus.SUCCEEDED
FAILED = AssetCheckExecutionRecordStatus.FAILED


def latest(instance: DagsterInstance) -> dict[AssetCheckKey, AssetCheckExecutionRecord]:
    keys = [spec.key for spec in check_specs(NAMES, RESOURCES.lists)]
    return dict(instance.event_log_storage.get_latest_asset_check_execution_by_key(keys))


def failing(instance: DagsterInstance) -> dict[tuple[str, str], dict[str, Any]]:
    """What the checks that failed have found, by table and check."""
    found = {}
    for key, record in latest(instance).items():
        assert record.status in (SUCCEEDED, FAILED), key
        if record.status == FAILED:
            evaluation: Any = record.event.dagster_event.event_specific_data  # type: ignore[union-attr]
            findings = evaluation.metadata["findings"].value
            found[key.asset_key.to_user_string(), key.name] = findings
            assert evaluation.description
    return found


def check_again(instance: DagsterInstance) -> None:
    assert defs.resolve_job_def("check").execute_in_process(instance=instance).success


def change(home: Path, *statements: str) -> None:
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        for sql in statements:
            connection.execute(sql)


@pytest.mark.usefixtures("synced")
def test_all_pass_after_a_sync(home, api: SampleApi, instance: DagsterInstance):
    records = latest(instance)
    assert set(records) == {spec.key for spec in check_specs(NAMES, RESOURCES.lists)}
    assert {record.status for record in records.values()} == {SUCCEEDED}
    kinds = {
        name: {key.name for key in records if key.asset_key == AssetKey(name)}
        for name in RESOURCES.lists
    }
    for name in RESOURCES.lists:
        assert kinds[name] >= {"key_is_unique", "types_are_as_declared", "row_count_holds"}
        assert ("parents_exist" in kinds[name]) == (name in ("campaign_items", "motion_ads"))
    requests = api.log.requests
    check_again(instance)
    assert failing(instance) == {}
    assert api.log.requests == requests  # the API is not asked


# what is done, the check that finds it, and what it says
TAMPERING: list[tuple[str, tuple[str, str], object]] = [
    (
        (
            "INSERT INTO analytics.audiences SELECT * FROM analytics.audiences"
            " WHERE account_id = '{account}' LIMIT 2"
        ),
        ("audiences", "key_is_unique"),
        2,
    ),
    (
        "UPDATE analytics.accounts SET id = NULL WHERE account_id = '{account}'",
        ("accounts", "required_columns_are_filled"),
        {"id": 1},
    ),
    (
        (
            "UPDATE analytics.motion_ads SET campaign_id = 'gone' WHERE account_id = '{account}'"
            " AND id = (SELECT min(id) FROM analytics.motion_ads WHERE account_id = '{account}')"
        ),
        ("motion_ads", "parents_exist"),
        1,
    ),
    (
        "DELETE FROM analytics.conversion_rules WHERE account_id = '{account}'",
        ("conversion_rules", "row_count_holds"),
        "{rows} -> 0 rows",
    ),
    (
        (
            "UPDATE analytics.campaign_items SET _dlt_load_id = '1000000000.5'"
            " WHERE account_id = '{account}'"
        ),
        ("campaign_items", "rows_are_recent"),
        None,
    ),
    (
        (
            "INSERT INTO analytics.audiences (account_id, id, _dlt_load_id)"
            " VALUES ('{account}', 4711, 'by hand')"
        ),
        ("audiences", "rows_are_recent"),
        "_dlt_load_id is no time",
    ),
]


@pytest.mark.usefixtures("synced")
def test_what_happens_to_tables_behind_our_back(home, sync, api: SampleApi, instance):
    account = api.data.account_ids[1]
    change(home, *(sql.format(account=account) for sql, _, _ in TAMPERING))
    check_again(instance)
    findings = failing(instance)
    assert set(findings) == {check for _, check, _ in TAMPERING}
    for _, check, found in TAMPERING:
        rows = len(api.data.table(check[0], [account]))
        expected = found.format(rows=rows) if isinstance(found, str) else found
        assert findings[check] == {account: findings[check][account] if found is None else expected}
    assert sync().exit_code == 0
    assert failing(instance) == {}


@pytest.mark.usefixtures("synced")
def test_tables_that_cannot_be_judged_hold_up_no_other(home, sync, api: SampleApi, instance):
    change(home, "ALTER TABLE analytics.campaigns DROP COLUMN id")
    change(home, "ALTER TABLE analytics.campaign_items DROP COLUMN campaign_id")
    change(home, "UPDATE analytics.audiences SET _dlt_load_id = '1000000000.5'")
    check_again(instance)
    records = latest(instance)
    assert records[AssetCheckKey(AssetKey("audiences"), "rows_are_recent")].status == FAILED
    assert records[AssetCheckKey(AssetKey("audiences"), "key_is_unique")].status == SUCCEEDED
    result = sync("--resource", "campaign_items")
    assert result.exit_code == 0, result.output


@pytest.mark.usefixtures("synced")
def test_a_column_that_is_stored_otherwise(home, sync, api: SampleApi, instance):
    change(home, "ALTER TABLE analytics.campaigns ALTER COLUMN cpc TYPE float")
    for run in (sync, lambda: check_again(instance)):
        run()
        findings = failing(instance)
        assert findings["campaigns", "columns_are_as_declared"] == {
            "all accounts": {"cpc": "declared double, stored FLOAT"}
        }
        # the values that it cannot hold are elsewhere, so that they are not called missing
        assert findings.keys() - {("campaigns", "columns_are_as_declared")} == {
            ("campaigns", "types_are_as_declared")
        }


def update_first(api: SampleApi, account: str, fields: dict[str, Any]) -> None:
    row = api.data.table("campaigns", [account])[0]
    api.data.update_row("campaigns", row["id"], fields, account_id=account)


def lose_rows(api: SampleApi, account: str) -> None:
    rows = api.data.table("audiences", [account])
    for row in rows[: len(rows) // 2 + 1]:
        api.data.delete_row("audiences", row["id"], account_id=account)


# what changes in the API, the check that finds it, and what it says
DRIFT: list[tuple[Callable[[SampleApi, str], None], tuple[str, str], object]] = [
    (
        lambda api, account: update_first(api, account, {"cpc": "0.5"}),
        ("campaigns", "types_are_as_declared"),
        {"cpc__v_text": 1},
    ),
    (
        lambda api, account: update_first(api, account, {"brandNew": 1}),
        ("campaigns", "fields_are_declared"),
        {"brand_new": 1},
    ),
    (
        lose_rows,
        ("audiences", "row_count_holds"),
        "{before} -> {after} rows",
    ),
]


@pytest.mark.usefixtures("synced")
def test_what_a_sync_finds(home, sync, api: SampleApi, instance):
    account, other = api.data.account_ids[:2]
    before = len(api.data.table("audiences", [account]))
    for upstream, _, _ in DRIFT:
        upstream(api, account)
    after = len(api.data.table("audiences", [account]))
    # the checks are part of a run that fails for another account, too
    api.behaviour.faults.append(Fault("status", f"/v1/{other}/*", value="403"))
    assert sync().exit_code == 1
    told = failing(instance)
    assert all(told.pop((name, "every_account_is_read")) for name in RESOURCES.account_lists)
    assert told == {
        check: {
            account: found.format(before=before, after=after) if isinstance(found, str) else found
        }
        for _, check, found in DRIFT
    }


@pytest.mark.usefixtures("synced")
def test_what_counts_as_old_and_as_a_loss_is_set(home, sync, api, instance, monkeypatch):
    lose_rows(api, api.data.account_ids[0])
    monkeypatch.setenv("ANALYTICS__MAX_ROW_LOSS", "0.9")
    monkeypatch.setenv("ANALYTICS__MAX_AGE_HOURS", "0")
    assert sync("--resource", "audiences").exit_code == 0
    assert set(failing(instance)) == {
        ("audiences", "rows_are_recent"),
        ("accounts", "rows_are_recent"),
    }
    assert set(failing(instance)["audiences", "rows_are_recent"]) == set(api.data.account_ids)


@pytest.mark.usefixtures("synced")
def test_an_account_that_left_is_neither_old_nor_lost(home, sync, api, instance):
    gone = api.data.account_ids[0]
    api.data.remove_account(gone)
    assert sync("--resource", "accounts").exit_code == 0
    change(
        home,
        *(
            f"UPDATE analytics.{name} SET _dlt_load_id = '1000000000.5' WHERE account_id = '{gone}'"
            for name in RESOURCES.account_lists
        ),
    )
    check_again(instance)
    assert failing(instance) == {}


def refuse_all(home: Path, api: SampleApi, monkeypatch: pytest.MonkeyPatch) -> None:
    api.behaviour.forbidden_accounts.update(api.data.account_ids)


def refuse_the_client(home: Path, api: SampleApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__ANALYTICS__CLIENT_SECRET", "of yesterday")


def break_the_warehouse(home: Path, api: SampleApi, monkeypatch: pytest.MonkeyPatch) -> None:
    (home / "warehouse.duckdb").write_text("no warehouse")


@pytest.mark.usefixtures("synced")
@pytest.mark.parametrize("spoil", [refuse_all, refuse_the_client, break_the_warehouse])
def test_a_run_that_loads_nothing_fails_no_check(
    home, sync, api: SampleApi, instance: DagsterInstance, monkeypatch, spoil: Any
):
    account = api.data.account_ids[0]
    change(
        home, f"UPDATE analytics.campaigns SET _dlt_load_id = '1' WHERE account_id = '{account}'"
    )
    check_again(instance)
    old = failing(instance)
    assert set(old) == {("campaigns", "rows_are_recent")}
    spoil(home, api, monkeypatch)
    for name, partition in (("refresh_accounts", None), ("sync", account)):
        job = defs.resolve_job_def(name)
        job.execute_in_process(instance=instance, partition_key=partition, raise_on_error=False)
    found = failing(instance)
    unread = {key: accounts for key, accounts in found.items() if key[1] == "every_account_is_read"}
    assert {key: value for key, value in found.items() if key not in unread} == old
    if spoil is refuse_all:
        assert set(unread) == {(name, "every_account_is_read") for name in RESOURCES.account_lists}
        assert all(set(accounts) == {account} for accounts in unread.values())
    else:
        assert unread == {}


def test_a_first_run_that_loads_nothing_fails_no_check(
    home, sync, api: SampleApi, instance: DagsterInstance
):
    assert sync("--resource", "accounts").exit_code == 0
    api.behaviour.forbidden_accounts.update(api.data.account_ids)
    assert sync().exit_code == 1
    found = failing(instance)
    assert set(found) == {(name, "every_account_is_read") for name in RESOURCES.account_lists}
    assert all(accounts.keys() == set(api.data.account_ids) for accounts in found.values())


@pytest.mark.usefixtures("synced")
def test_an_account_that_failed_is_named_until_it_is_read(
    home, sync, api: SampleApi, instance: DagsterInstance
):
    first, second, _ = api.data.account_ids
    fault = Fault("status", f"/v1/{second}/campaigns/", value=403)
    api.behaviour.faults.append(fault)
    assert sync("--account", first, "--account", second).exit_code == 1
    lost = {
        (name, "every_account_is_read") for name in ("campaigns", "campaign_items", "motion_ads")
    }
    assert set(failing(instance)) == lost
    assert (
        sync("--account", first).exit_code == 0
    )  # another's run does not clear it, nor fails by it
    check_again(instance)
    found = failing(instance)
    assert set(found) == lost
    assert found["motion_ads", "every_account_is_read"].keys() == {second}
    api.behaviour.faults.clear()
    assert sync("--account", second).exit_code == 0
    assert failing(instance) == {}


def evaluated(instance: DagsterInstance, table: str, check: str) -> dict[str, Any]:
    """The figures of the latest evaluation."""
    record = latest(instance)[AssetCheckKey(AssetKey(table), check)]
    evaluation: Any = record.event.dagster_event.event_specific_data  # type: ignore[union-attr]
    return {name: value.value for name, value in evaluation.metadata.items()}


@pytest.mark.usefixtures("synced")
def test_a_sync_of_one_account_says_nothing_new_of_others(
    home, sync, api: SampleApi, instance: DagsterInstance
):
    """What was found of them still holds, and their rows count by the records."""
    first, second, _ = api.data.account_ids
    twice = "INSERT INTO analytics.audiences SELECT * FROM analytics.audiences"
    change(home, f"{twice} WHERE account_id = '{second}'")
    rows = len(api.data.table("audiences"))
    of_second = len(api.data.table("audiences", [second]))
    assert sync("--account", first).exit_code == 0
    assert failing(instance) == {}  # nobody has looked
    assert evaluated(instance, "audiences", "key_is_unique") == {
        "rows": rows,
        "rows_of_departed_accounts": 0,
        "accounts_with_findings": 0,
    }
    check_again(instance)
    found = {("audiences", "key_is_unique"): {second: of_second}}
    assert failing(instance) == found
    assert sync("--account", first).exit_code == 0
    assert failing(instance) == found
    assert evaluated(instance, "audiences", "key_is_unique")["rows"] == rows
    assert sync("--account", second).exit_code == 0
    assert failing(instance) == {}


@pytest.mark.usefixtures("synced")
def test_the_first_evaluation_is_of_the_whole_table(
    home, sync, api: SampleApi, instance: DagsterInstance
):
    first, second, _ = api.data.account_ids
    twice = "INSERT INTO analytics.audiences SELECT * FROM analytics.audiences"
    change(home, f"{twice} WHERE account_id = '{second}'")
    keys = [spec.key.asset_key for spec in check_specs(NAMES, ["audiences"])]
    for run in instance.get_runs():  # as in a new home, whose warehouse is an old one
        instance.delete_run(run.run_id)
    for key in set(keys):
        instance.wipe_assets([key])
    assert sync("--account", first).exit_code == 0
    assert set(failing(instance)) == {("audiences", "key_is_unique")}
    rows = len(api.data.table("audiences")) + len(api.data.table("audiences", [second]))
    assert evaluated(instance, "audiences", "key_is_unique")["rows"] == rows
