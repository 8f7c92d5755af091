"""Values come back from the warehouse as the API sent them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.records import metadata
from analytics_assets_tests.testing.tables import (
    assert_equal_tables,
    on_postgres,
    query,
    served_table,
    warehouse_table,
)

EXACT = {
    "audience_rules": {
        "audience_size": 2**63 - 1,
        "look_back_window": -(2**63),
        "display_name": "\u0000 null character",
        "last_modified_at": "2024-01-31 23:59:59.0",
        "condition": {"big": 2**80, "deep": [{"id": -(2**70), "rate": 0.30000000000000004}]},
    },
    "campaigns": {
        "cpc": 0.30000000000000004,
        "cpa_goal": 5e-324,
        "daily_cap": 1.7976931348623157e308,
        "spent": -0.0,
        "name": "007",
        "comments": "",
        "branding_text": "🏷️ مرحبا بالعالم",
        "start_date": "9999-12-31",
        "end_date": None,
        "performance_rule_ids": [],
        "policy_review": {},
        "activity_schedule": None,
        "conversion_rules": {"text": "", "nested": {"\u0000": "\u0000", "list": [None, 1, 1.0]}},
    },
}


@both_warehouses
@pytest.mark.parametrize("name", EXACT)
def test_exact_values(home, sync, api: SampleApi, name: str):
    account = api.data.account_ids[0]
    row_id = api.data.rows(name, account)[0]["id"]
    api.data.update_row(name, row_id, EXACT[name], account_id=account)
    assert sync("--account", account).exit_code == 0
    (row,) = [row for row in warehouse_table(home, name) if row["id"] == row_id]
    (served,) = [row for row in served_table(api.data, name) if row["id"] == row_id]
    assert {column: json.dumps(row[column]) for column in EXACT[name]} == {
        column: json.dumps(served[column]) for column in EXACT[name]
    }


@both_warehouses
def test_undeclared_fields_and_other_types_are_kept(home, sync, api: SampleApi, instance):
    account = api.data.account_ids[0]
    first, second, third, *_ = (row["id"] for row in api.data.rows("campaigns", account))
    api.data.update_row(
        "campaigns",
        first,
        {"newText": "x", "new number": 1, "new_object": {"a": [1]}, "cpc": "0.5", "is_active": 1},
        account_id=account,
    )
    api.data.update_row(
        "campaigns",
        second,
        {"newText": 7, "new number": 1.5, "spent": 2**53 + 1, "cpc": 3},
        account_id=account,
    )
    api.data.remove_key("campaigns", third, "name", account_id=account)
    assert sync("--account", account, "--resource", "campaigns").exit_code == 0
    rows = {row["id"]: row for row in warehouse_table(home, "campaigns")}
    expected: dict[str, dict[str, object]] = {
        first: {
            "new_text": "x",
            "new_number": 1.0,
            "new_object": {"a": [1]},
            "cpc": None,
            "cpc__v_text": "0.5",
            "is_active": None,
            "is_active__v_bigint": 1,
        },
        second: {
            "new_text": None,
            "new_text__v_bigint": 7,
            "new_number": 1.5,
            "spent": None,
            "spent__v_bigint": 2**53 + 1,
            "cpc": 3.0,
        },
        third: {"name": None, "new_text": None},
    }
    for row_id, values in expected.items():
        assert {column: rows[row_id][column] for column in values} == values
    told = metadata(instance, "campaigns", account)
    assert told["unknown_fields"] == ["new_number", "new_object", "new_text"]
    assert told["values_of_another_type"] == {
        "cpc__v_text": 1,
        "is_active__v_bigint": 1,
        "new_text__v_bigint": 1,
        "spent__v_bigint": 1,
    }

    # A later load finds the columns that the first one made, also where it begins otherwise.
    api.data.update_row("campaigns", first, {"newText": 8, "new number": 2}, account_id=account)
    assert sync("--account", account, "--resource", "campaigns").exit_code == 0
    (row,) = [row for row in warehouse_table(home, "campaigns") if row["id"] == first]
    assert (row["new_text"], row["new_text__v_bigint"], row["new_number"]) == (None, 8, 2.0)


ODD_FIELDS: dict[str, dict[str, object]] = {
    "names without a letter": {"": 1, " ": 2, "\t": 3, "$": 4, "名前": 5, "住所": 6},
    "names that are nearly the same": {"CTR": 0.5, "ctr": 1, "Name": "x", "na!e": 1, "na%e": 2},
    "names of the database's own": {"xmin": 1, "ctid": "x", "tableoid": 2, "_dlt_id": "x"},
    "many": {f"metric_{number}": number for number in range(1700)},
    "many long texts": {f"note_{number}": f"{number} " + "x" * 300 for number in range(500)},
    "many numbers": {f"metric_{number}": number + 0.5 for number in range(1100)},
}


@pytest.mark.usefixtures("synced")
@both_warehouses
def test_the_odd_fields_of_one_account(home, sync, api: SampleApi, instance):
    odd, *others = api.data.account_ids
    ids = [row["id"] for row in api.data.rows("campaigns", odd)]

    def campaigns() -> dict[str, dict[str, Any]]:
        rows = warehouse_table(home, "campaigns")
        return {row["id"]: row for row in rows if row["account_id"] == odd}

    plain = campaigns()
    for row_id, fields in zip(ids, ODD_FIELDS.values(), strict=False):
        api.data.update_row("campaigns", row_id, fields, account_id=odd)
    result = sync()
    assert result.exit_code == 0, result.output
    rows = campaigns()
    for row_id, fields in zip(ids, ODD_FIELDS.values(), strict=False):
        given = dict(rows[row_id])
        given |= given.pop("surplus_fields") or {}
        assert {name: given[name] for name in plain[row_id]} == plain[row_id]
        found = [given[name] for name in given.keys() - plain[row_id].keys()]
        assert sorted(map(str, (value for value in found if value is not None))) == sorted(
            map(str, fields.values())
        )
    served = served_table(api.data, "campaigns", others)
    declared = [
        {name: row[name] for name in served[0]}
        for row in warehouse_table(home, "campaigns")
        if row["account_id"] != odd
    ]
    assert_equal_tables(served, declared, "campaigns")
    assert "values_of_another_type" not in metadata(instance, "campaigns", odd)


def test_a_value_nested_too_deep_fails_its_account_alone(home, sync, api: SampleApi):
    odd, other, *_ = api.data.account_ids
    deep: object = 1
    for _ in range(300):
        deep = [deep]
    row_id = api.data.rows("campaigns", odd)[0]["id"]
    api.data.update_row("campaigns", row_id, {"layers": deep}, account_id=odd)
    result = sync("--account", odd, "--account", other)
    assert result.exit_code == 1
    assert f"{odd}: campaigns: the field 'layers' is nested more than 250 levels" in result.output
    assert {row["account_id"] for row in warehouse_table(home, "campaigns")} == {other}


@both_warehouses
def test_rows_without_a_key_and_keys_twice(home, sync, api: SampleApi, instance):
    account = api.data.account_ids[0]
    rows = api.data.rows("audiences", account)
    twice = {**rows[0], "audience_name": "the second of that id"}
    keyless = [{**rows[0], "id": value} for value in (None, "", "7.0", [7])]
    api.data.set_rows("audiences", [*rows, twice, *keyless], account_id=account)
    api.data.add_row("audiences", {**rows[0], "id": "4711"}, account_id=account)
    assert sync("--account", account, "--resource", "audiences").exit_code == 0
    loaded = {row["id"]: row for row in warehouse_table(home, "audiences")}
    assert set(loaded) == {row["id"] for row in rows} | {4711}
    assert loaded[rows[0]["id"]]["audience_name"] == rows[0].get("audience_name")
    told = metadata(instance, "audiences", account)
    assert (
        told["dagster/partition_row_count"],
        told["duplicate_rows"],
        told["rows_without_key"],
    ) == (
        len(rows) + 1,
        1,
        len(keyless),
    )


@both_warehouses
def test_an_account_without_its_number_is_an_account(home, sync, api: SampleApi, instance):
    account = api.data.account_ids[0]
    api.data.remove_key("accounts", account, "id", account_id=None)
    assert sync("--resource", "accounts").exit_code == 0
    rows = {row["account_id"]: row for row in warehouse_table(home, "accounts")}
    assert rows[account]["id"] is None
    assert account in instance.get_dynamic_partitions("accounts")


@pytest.mark.usefixtures("synced")
@both_warehouses
def test_every_column_has_its_type(home, api: SampleApi):
    types = dict(
        query(
            home,
            "SELECT column_name, data_type FROM information_schema.columns"
            " WHERE table_schema = 'analytics' AND table_name = 'campaigns'",
        )
    )
    expected = {
        "id": ("VARCHAR", "character varying"),
        "cpc": ("DOUBLE", "double precision"),
        "is_active": ("BOOLEAN", "boolean"),
        "country_targeting": ("JSON", "json"),
        "_dlt_load_id": ("VARCHAR", "character varying"),
    }
    assert {name: types[name] for name in expected} == {
        name: pair[on_postgres()] for name, pair in expected.items()
    }
