"""The table of a resource's versions: its columns, and accounts more than a statement names."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from analytics_assets.schema import Column
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.columns import StoredColumn, TableColumns
from analytics_assets.warehouse.history import Changes, History, names_of, write_versions
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets.warehouse.stored import known_columns, stored_history, stored_tables
from analytics_assets_tests.testing.loading import RULES, load
from analytics_assets_tests.testing.tables import change_warehouse, query

Columns = dict[str, StoredColumn]


def history(table: Columns, there: Columns) -> History:
    return History.of(TableColumns.of(RULES, table), there, frozenset({"status"}))


def test_a_history_has_the_columns_of_its_table():
    found = history({"fresh": StoredColumn("bigint", "Fresh")}, {})
    assert found.name == "audience_rules_history"
    assert found.ignored == {"status"}
    declared = [column.name for column in RULES.table_columns]
    assert found.places == {name: name for name in (*declared, "fresh")}
    assert found.columns.types.keys() == found.places.keys()
    assert found.columns.types["fresh"] == "bigint"
    assert found.columns.fields == {"Fresh": "fresh"}
    assert found.columns.variants == set()


def test_a_column_of_another_type_gets_one_beside_it():
    there = {
        "status": StoredColumn("bigint"),
        "fresh": StoredColumn("text", "Fresh"),
        "event_name": StoredColumn("text"),
    }
    found = history({"fresh": StoredColumn("bigint", "Fresh")}, there)
    places = {name: place for name, place in found.places.items() if name != place}
    assert places == {"status": "status__v_text", "fresh": "fresh__v_bigint"}
    types = found.columns.types
    assert (types["status"], types["status__v_text"]) == ("bigint", "text")
    assert (types["fresh"], types["fresh__v_bigint"]) == ("text", "bigint")
    assert found.columns.variants == {"status__v_text", "fresh__v_bigint"}


def test_columns_beside_others_are_that_in_a_history_too():
    table = {"cpc__v_text": StoredColumn("text", variant=True), "odd": StoredColumn("INTERVAL")}
    found = history(table, {})
    assert found.columns.variants == {"cpc__v_text"}
    assert "odd" not in found.places  # no value of ours goes there


def test_a_field_that_is_named_as_a_validity_gets_another_column():
    table = {"valid_from": StoredColumn("text", "valid_from")}
    there = {name: StoredColumn("timestamp") for name in ("valid_from", "valid_to")}
    for known in ({}, there):
        found = history(table, known)
        assert found.places["valid_from"] == "valid_from__v_text"
        assert found.columns.types.keys() & {"valid_from", "valid_to"} == set()
        assert found.columns.variants == {"valid_from__v_text"}
        assert "valid_from" not in found.columns.fields


def test_a_declared_column_that_is_named_as_a_validity_gets_another_one():
    declared = replace(RULES, columns=(*RULES.columns, Column("valid_to", "text", True, "")))
    found = History.of(TableColumns.of(declared, {}), {}, frozenset())
    assert found.places["valid_to"] == "valid_to__v_text"
    assert found.columns.types["valid_to__v_text"] == "text"
    assert "valid_to" not in found.columns.types


def test_somebodys_column_becomes_ours_where_a_value_goes_into_it():
    theirs = {name: StoredColumn("text", known=False) for name in ("fresh", "theirs")}
    found = history({"fresh": StoredColumn("text", "fresh")}, theirs)
    assert found.columns.others == {"theirs"}
    assert found.places["fresh"] == "fresh"


def test_versions_of_named_accounts_follow_their_rows(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ANALYTICS__HISTORY", RULES.name)
    rows: list[dict[str, Any]] = [{"id": 1}, {"id": 2}]
    load(home, {"a": rows, "b": rows, "%s": rows})
    table, versions = f"analytics.{RULES.name}", f"analytics.{RULES.name}_history"
    change_warehouse(
        home,
        f"DELETE FROM {table} WHERE id = 1",
        f"UPDATE {table} SET _dlt_id = 'new' WHERE account_id = 'a'",
        f"INSERT INTO {table} SELECT * REPLACE (3 AS id, NULL AS _dlt_id) FROM {table}",
    )
    pipeline = make_pipeline(platform_settings(), tmp_path)
    stored = stored_tables(pipeline, platform_settings().resources)
    kept = stored_history(stored, known_columns(stored)[RULES.name], frozenset())
    assert kept is not None
    many = ["a", *(f"account {number}" for number in range(600)), "%s"]
    changes = write_versions(pipeline, RULES, kept, many)
    assert changes == {"a": Changes(begun=1, ended=2), "%s": Changes(begun=0, ended=1)}
    open_ones = f"SELECT account_id, id, _dlt_id = 'new' FROM {versions} WHERE valid_to IS NULL"
    assert sorted(query(home, open_ones)) == [
        ("%s", 2, False),
        ("a", 2, True),
        ("b", 1, False),  # nobody asked for it
        ("b", 2, False),
    ]
    # what ended did so as what began
    [(ended, begun)] = query(
        home,
        f"SELECT MAX(valid_to), MAX(valid_from) FROM {versions} WHERE account_id = 'a'",
    )
    assert ended == begun
    assert write_versions(pipeline, RULES, kept, ["a"]) == {"a": Changes()}


def test_without_accounts_all_rows_are_meant(home: Path):
    with make_pipeline(platform_settings(), home).sql_client() as client:
        some, every = names_of(client, RULES, ["a", "b"]), names_of(client, RULES, [])
    assert some["scope"] == '"account_id" IN (%s, %s)'
    assert every["scope"] == "1 = 1"
    assert some["history"].endswith('"audience_rules_history"')
