"""Tables that are not as they are declared: by their history, or by someone's hand."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from dlt.destinations.impl.duckdb.duck import DuckDbClient

from analytics_assets.errors import WarehouseError
from analytics_assets.schema import columns
from analytics_assets.warehouse import stored
from analytics_assets.warehouse.columns import StoredColumn
from analytics_assets.warehouse.replacement import DLT_COLUMNS
from analytics_assets_tests.testing.loading import RULES, load
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.tables import change_warehouse, query, warehouse_table

VALUES: dict[str, list[Any]] = {
    "text": ["007", "1.50", ""],
    "bigint": [2, 2**60 + 1],
    "double": [1.5, 2.25, -0.0, 1e300],
    "bool": [True, False],
    "json": [{"a": [1, 2.0]}, []],
}
PAIRS = [pair for pair in product(VALUES, VALUES) if pair[0] != pair[1]]


def kept(home: Path, account: str = "a") -> dict[int, dict[str, Any]]:
    """An account's rows by id, without keys and nulls."""
    return {
        row["id"]: {
            name: value
            for name, value in row.items()
            if value is not None and name not in ("account_id", "id")
        }
        for row in warehouse_table(home, RULES.name)
        if row["account_id"] == account
    }


def same(sent: Any, found: Any) -> bool:
    number = float(sent) if type(sent) is int else sent
    return json.dumps(found) in (json.dumps(sent), json.dumps(number))


@both_warehouses
def test_a_column_that_is_declared_otherwise_than_it_is_stored(home):
    """For each pair of types: values arrived undeclared as one, and are then declared the other."""
    undeclared = {f"{stored}_as_{declared}": VALUES[stored][0] for stored, declared in PAIRS}
    load(home, {"a": [{"id": 1, **undeclared}], "other": [{"id": 1, **undeclared}]})
    before = kept(home, "other")
    declared = columns(", ".join(f"{one}_as_{other} {other}" for one, other in PAIRS))
    further = replace(RULES, columns=(*RULES.columns, *declared))
    values = [value for several in VALUES.values() for value in several]
    sent = {
        number: {f"{one}_as_{other}": value for one, other in PAIRS}
        for number, value in enumerate(values)
    }
    for _ in range(2):
        load(home, {"a": [{"id": number, **row} for number, row in sent.items()]}, resource=further)
        for number, row in kept(home).items():
            assert len(row) == len(PAIRS)
            for name, value in row.items():
                field, _, variant = name.partition("__v_")
                stored = field.partition("_as_")[0]
                assert variant != stored
                assert same(sent[number][field], value), (name, value)
    assert kept(home, "other") == before


def types_of(home: Path) -> dict[str, str]:
    return dict(
        query(
            home,
            "SELECT column_name, data_type FROM information_schema.columns"
            f" WHERE table_schema = 'analytics' AND table_name = '{RULES.name}'",
        )
    )


# by column: another type, and a value that arrives
RETYPED: list[dict[str, tuple[str, Any]]] = [
    {
        "audience_size": ("integer", 2**40),
        "last_modified_at": ("timestamp", "2024-01-31 23:59:59.0"),
        "display_name": ("varchar(3)", "longer"),
        "look_back_window": ("varchar", 30),
        "status": ("double precision", "007"),
        "condition": ("varchar", {"a": 1}),
        "exclude_from_campaigns": ("json", True),
    },
    {
        "audience_size": ("real", 16777217),
        "last_modified_at": ("date", "2024-01-31 23:59:59.0"),
    },
    {"audience_size": ("numeric(10, 2)", 7)},
]


@both_warehouses
@pytest.mark.parametrize("retyped", RETYPED)
def test_columns_whose_type_someone_has_changed(home, retyped: dict[str, tuple[str, Any]]):
    load(home, {"a": [{"id": 1, "event_name": "x"}], "b": [{"id": 1, "event_name": "x"}]})
    for column, (type_, _) in retyped.items():
        change_warehouse(
            home,
            f"ALTER TABLE analytics.{RULES.name} ALTER COLUMN {column} TYPE {type_} USING NULL",
        )
    sent = {column: value for column, (_, value) in retyped.items()}
    types = types_of(home)
    for number in range(2):
        load(home, {"a": [{"id": 1, **sent, "event_name": str(number)}]})
        row = kept(home)[1]
        assert row.pop("event_name") == str(number)
        found = {name.partition("__v_")[0]: value for name, value in row.items()}
        assert len(found) == len(row)
        assert found.keys() == sent.keys()
        for column, value in sent.items():
            assert same(value, found[column]), column
        assert {column: types_of(home)[column] for column in types} == types
    assert kept(home, "b") == {1: {"event_name": "x"}}


@both_warehouses
def test_a_column_gets_its_declared_type_as_the_readme_says(home):
    load(home, {"a": [{"id": 1, "score": 1}], "b": [{"id": 1, "score": 2}]})
    declared = replace(RULES, columns=(*RULES.columns, *columns("score double")))
    load(home, {"a": [{"id": 1, "score": 1.5}]}, resource=declared)
    assert kept(home) == {1: {"score__v_double": 1.5}}
    for name in ("score", "score__v_double"):
        change_warehouse(home, f"ALTER TABLE analytics.{RULES.name} DROP COLUMN {name}")
    load(home, {"a": [{"id": 1, "score": 1.5}]}, resource=declared)
    assert kept(home) == {1: {"score": 1.5}}
    assert kept(home, "b") == {1: {}}
    assert types_of(home)["score"].lower().startswith("double")
    assert "score__v_double" not in types_of(home)


@both_warehouses
def test_somebodys_own_columns_are_left_to_them(home):
    load(home, {"a": [{"id": 1, "event_name": "x"}]})
    theirs = {"checked": "boolean DEFAULT true", "Note": "varchar DEFAULT 'none'"}
    for name, type_ in theirs.items():
        change_warehouse(home, f'ALTER TABLE analytics.{RULES.name} ADD COLUMN "{name}" {type_}')
        change_warehouse(
            home, f'ALTER TABLE analytics.{RULES.name} ALTER COLUMN "{name}" SET NOT NULL'
        )
    for _ in range(2):
        load(home, {"a": [{"id": 1, "event_name": "y"}, {"id": 2}]})
        rows = kept(home)
        assert rows[1] == {"event_name": "y", "checked": True, "Note": "none"}
        assert rows[2] == {"checked": True, "Note": "none"}


DROPPED = {
    "a table": "DROP TABLE analytics.{rules}",
    "a column": "ALTER TABLE analytics.{rules} DROP COLUMN event_name",
    "a column for a field that is not declared": (
        "ALTER TABLE analytics.{rules} DROP COLUMN not_declared"
    ),
    "a column by another name": (
        "ALTER TABLE analytics.{rules} RENAME COLUMN event_name TO the_event"
    ),
    "a column of the loads": "ALTER TABLE analytics._dlt_loads DROP COLUMN schema_name",
    "the dataset": "DROP SCHEMA analytics CASCADE",
    "the loads": "DROP TABLE analytics._dlt_loads",
    "the state": "DROP TABLE analytics._dlt_pipeline_state",
    "the versions": "DROP TABLE analytics._dlt_version",
    "what the versions say": "DELETE FROM analytics._dlt_version",
    "what the state says": "DELETE FROM analytics._dlt_pipeline_state",
    "what the loads say": "DELETE FROM analytics._dlt_loads",
}


@both_warehouses
@pytest.mark.parametrize("statement", DROPPED.values(), ids=DROPPED)
def test_what_someone_has_dropped_is_made_anew(home, statement: str):
    rows = [{"id": 1, "event_name": "x", "not declared": 1, "Not declared": 2}]
    load(home, {"a": rows, "b": rows})
    before = kept(home, "b")
    change_warehouse(home, statement.format(rules=RULES.name))
    # also without a field that is new
    for fresh in ({}, {"fresh": 1}):
        load(home, {"a": [{**rows[0], **fresh}]})
        (row,) = kept(home).values()
        assert sorted(map(str, row.values())) == sorted(["x", "1", "2", *map(str, fresh.values())])
    left = kept(home, "b")
    assert left in ({}, before) or left[1].items() <= (before[1] | {"the_event": "x"}).items()


NOT_WITHOUT = {
    "the key": (
        "ALTER TABLE analytics.{rules} DROP COLUMN id",
        "the column audience_rules.id is not there: put it back, or drop the table",
    ),
    "the account": (
        "ALTER TABLE analytics.{rules} RENAME COLUMN account_id TO account",
        "the column audience_rules.account_id is not there",
    ),
    "the load": (
        "ALTER TABLE analytics.{rules} DROP COLUMN _dlt_load_id",
        "the column audience_rules._dlt_load_id is not there",
    ),
    "the key's type": (
        "ALTER TABLE analytics.{rules} ALTER COLUMN id TYPE varchar",
        "the column audience_rules.id has the type text, not bigint",
    ),
    "the key's length": (
        "ALTER TABLE analytics.{rules} ALTER COLUMN id TYPE integer",
        "the column audience_rules.id has the type integer, not bigint",
    ),
    "a column of the versions": (
        "ALTER TABLE analytics._dlt_version DROP COLUMN engine_version",
        "drop _dlt",
    ),
    "a column of the state": (
        "ALTER TABLE analytics._dlt_pipeline_state DROP COLUMN state",
        "drop _dlt",
    ),
}


@both_warehouses
@pytest.mark.parametrize(("statement", "said"), NOT_WITHOUT.values(), ids=NOT_WITHOUT)
def test_what_cannot_be_made_anew_is_named_with_the_way_out(home, statement: str, said: str):
    rows = [{"id": 1, "event_name": "x"}]
    load(home, {"a": rows, "b": rows})
    change_warehouse(home, statement.format(rules=RULES.name))
    with pytest.raises(WarehouseError) as error:
        load(home, {"a": [{"id": 1, "event_name": "y"}]})
    message = str(error.value)
    assert said.casefold() in message.casefold()
    assert "\n" not in message
    # the way out works
    names = ("_dlt_version", "_dlt_loads", "_dlt_pipeline_state", RULES.name)
    tables = [name for name in names if name in message.partition("drop ")[2]]
    assert tables
    for name in tables:
        change_warehouse(home, f"DROP TABLE IF EXISTS analytics.{name}")
    load(home, {"a": [{"id": 1, "event_name": "y"}]})
    assert kept(home) == {1: {"event_name": "y"}}


def test_a_destination_of_whose_types_nothing_is_known(home, monkeypatch):
    """And which tells the names of columns in capitals, as Snowflake does."""
    tell = DuckDbClient.get_storage_tables

    def in_capitals(self: DuckDbClient, names: Iterable[str]) -> Iterator[tuple[str, Any]]:
        for table, there in tell(self, names):
            yield table, {name.upper(): column for name, column in there.items()}

    monkeypatch.setattr(stored, "_EXACT", {})
    monkeypatch.setattr(DuckDbClient, "get_storage_tables", in_capitals)
    load(home, {"a": [{"id": 1, "event_name": "x", "CTR": 1, "ctr": 2}], "b": [{"id": 1}]})
    load(home, {"a": [{"id": 1, "event_name": 7, "CTR": 3, "ctr": 1.5}]})
    row = kept(home)[1]
    assert row.pop("event_name__v_bigint") == 7
    assert sorted(row.values()) == [1.5, 3]
    change_warehouse(home, f"ALTER TABLE analytics.{RULES.name} DROP COLUMN event_name")
    load(home, {"a": [{"id": 1, "event_name": "y"}]})
    assert kept(home) == {1: {"event_name": "y"}}


@pytest.mark.parametrize(
    ("column", "said"), [(None, "is not there"), (StoredColumn("text"), "has the type text, not")]
)
def test_a_key_that_someone_has_changed(column: StoredColumn | None, said: str):
    there = {name: StoredColumn("text") for name in ("account_id", *DLT_COLUMNS)}
    there |= {} if column is None else {"id": column}
    found = stored.StoredTables({RULES.name: there})
    with pytest.raises(WarehouseError, match=rf"audience_rules\.id {said}"):
        stored.refuse_changed_keys(found, [RULES], "analytics")
