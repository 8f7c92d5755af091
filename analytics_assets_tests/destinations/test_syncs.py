"""Syncs into DuckLake and SQLite: whole tables, value by value, as the API served them."""

from __future__ import annotations

import json
import os
from typing import Any

import duckdb
import pytest

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.testing.commands import invoke
from analytics_assets_tests.testing.data import change_every_table
from analytics_assets_tests.testing.other_destinations import statements_of_page
from analytics_assets_tests.testing.tables import (
    assert_equal_tables,
    assert_warehouse_equals_api,
    by_account,
    query,
    served_table,
    warehouse_table,
    warehouse_tables,
)

both = pytest.mark.parametrize("warehouse", ["ducklake", "sqlite"], indirect=True)

# what no column that is declared can hold; json with digits that no double keeps
DRIFT = {
    "newText": "x: %s",
    "new_object": {"a": [1.50, 2**80]},
    "cpc": "0.5",
    "policy_review": {"reasons": [{"code": "made \\ \"up\" :1 'x' %"}], "big": 2**70},
}
DRIFTED = {
    "new_text": DRIFT["newText"],
    "new_object": DRIFT["new_object"],
    "cpc__v_text": DRIFT["cpc"],
}


@both
def test_tables_equal_the_api(home, sync, api: SampleApi):
    assert_succeeds(sync())
    assert_warehouse_equals_api(home, api.data)

    first, second, third = api.data.account_ids
    change_every_table(api, 1)
    drifted = api.data.rows("campaigns", first)[0]["id"]
    api.data.update_row("campaigns", drifted, DRIFT, account_id=first)
    api.data.delete_row("audiences", api.data.rows("audiences", first)[0]["id"], account_id=first)
    api.data.delete_row("campaigns", api.data.rows("campaigns", second)[0]["id"], account_id=second)
    api.behaviour.faults.append(Fault("status", f"/v1/{third}/campaigns/", value="503"))
    old = warehouse_tables(home)
    assert sync().exit_code == 1
    for name in RESOURCES.account_lists:
        found = warehouse_rows(home, name, drifted)
        lost = {third} if name in ("campaigns", "campaign_items", "motion_ads") else set()
        assert {account: by_account(found).get(account) for account in lost} == {
            account: old[name][account] for account in lost
        }
        expected = served_rows(api, name, {first, second, third} - lost)
        kept = [row for row in found if row["account_id"] not in lost]
        assert_equal_tables(expected, kept, name)

    api.behaviour.faults.clear()
    assert_succeeds(sync())
    healed = {name: warehouse_rows(home, name, drifted) for name in RESOURCES.account_lists}
    for name, rows in healed.items():
        assert_equal_tables(served_rows(api, name, api.data.account_ids), rows, name)
    assert_succeeds(sync())
    for name, rows in healed.items():
        assert_equal_tables(rows, warehouse_rows(home, name, drifted), name)


def served_rows(api: SampleApi, name: str, accounts: Any) -> list[dict[str, Any]]:
    rows = served_table(api.data, name, accounts)
    return [{**row, "cpc": None} if row.get("cpc") == DRIFT["cpc"] else row for row in rows]


def warehouse_rows(home, name: str, drifted: str) -> list[dict[str, Any]]:
    """The table with the columns that are declared; what came beside them is as it came."""
    rows = warehouse_table(home, name)
    for row in rows if name == "campaigns" else ():
        found = {column: row.pop(column) for column in DRIFTED}
        assert found == (DRIFTED if row["id"] == drifted else dict.fromkeys(DRIFTED))
    return rows


@both
def test_json_is_json(home, sync, api: SampleApi):
    account = api.data.account_ids[0]
    campaign = api.data.rows("campaigns", account)[0]["id"]
    value = {"type": "x", "digits": 0.10, "in": [{"list": "found"}], "null": None}
    targets = {"country_targeting": value, "policy_review": None}
    api.data.update_row("campaigns", campaign, targets, account_id=account)
    assert_succeeds(sync("--account", account, "--resource", "campaigns"))
    inner = {
        "ducklake": "country_targeting ->> '$.in[0].list'",
        "sqlalchemy": "json_extract(country_targeting, '$.in[0].list')",
    }[os.environ["ANALYTICS__DESTINATION"]]
    ((found, text, none),) = query(
        home,
        f"SELECT {inner}, CAST(country_targeting AS VARCHAR), policy_review"
        f" FROM analytics.campaigns WHERE id = '{campaign}'",
    )
    assert (found, json.loads(text), none) == ("found", value, None)


@pytest.mark.parametrize("warehouse", ["ducklake"], indirect=True)
def test_the_page_on_ducklake(home, sync, api: SampleApi):
    """A reader in a transaction keeps what it saw; the files of old snapshots can be removed."""
    account = api.data.account_ids[0]
    assert_succeeds(sync("--account", account, "--resource", "campaigns"))
    attach, count, *maintain = statements_of_page()
    old = [(account, len(api.data.rows("campaigns", account)))]
    api.data.delete_row(
        "campaigns", api.data.rows("campaigns", account)[0]["id"], account_id=account
    )
    with duckdb.connect() as reader:
        reader.execute(attach)
        reader.execute("BEGIN")
        assert reader.sql(count).fetchall() == old
        assert_succeeds(sync("--account", account, "--resource", "campaigns"))
        assert reader.sql(count).fetchall() == old
        reader.execute("COMMIT")
        assert reader.sql(count).fetchall() == [(account, old[0][1] - 1)]
    with duckdb.connect() as owner:
        owner.execute(attach.replace(" (READ_ONLY)", ""))
        for statement in maintain:
            owner.execute(statement.replace("INTERVAL 7 DAY", "INTERVAL 0 DAY"))
        assert owner.sql(count).fetchall() == [(account, old[0][1] - 1)]
        assert len(owner.sql("FROM ducklake_snapshots('lake')").fetchall()) == 1


@pytest.mark.parametrize("warehouse", ["ducklake on postgres"], indirect=True)
def test_a_catalog_in_postgresql(home, sync, api: SampleApi):
    account = api.data.account_ids[0]
    assert_succeeds(sync("--account", account))
    for name in RESOURCES.account_lists:
        served = served_table(api.data, name, [account])
        assert_equal_tables(served, warehouse_table(home, name), name)


@pytest.mark.parametrize("warehouse", ["sqlite"], indirect=True)
def test_lists_below_unchanged_rows_are_left_out(home, sync, api: SampleApi, monkeypatch):
    monkeypatch.setenv("SOURCES__ANALYTICS__REREAD_UNCHANGED_DAYS", "7")
    assert_succeeds(sync())
    api.log.clear()
    assert_succeeds(sync())
    assert not [path for path in api.log.count_by_path() if path.endswith("/items/")]
    assert_warehouse_equals_api(home, api.data)


@pytest.mark.parametrize("warehouse", ["sqlite"], indirect=True)
def test_commands(home, sync, doctor, api: SampleApi):
    assert_succeeds(sync())
    gone = api.data.account_ids[0]
    api.data.remove_account(gone)
    assert_succeeds(sync("--resource", "accounts"))
    assert_succeeds(invoke("forget", gone, "--yes"))
    assert_warehouse_equals_api(home, api.data)
    assert "2 accounts (2 ok)" in invoke("status").output
    assert {name: check["ok"] for name, check in doctor().items() if not check["ok"]} == {}
    assert_succeeds(invoke("prune", "--older-than", "1d"))


def assert_succeeds(result) -> None:
    assert result.exit_code == 0, result.output
