"""Which column a field gets: one of its own, the same in every load, and never too many."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.errors import ReadError
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.arrow import DEEPEST, arrow_schema, to_arrow
from analytics_assets.warehouse.columns import (
    MOST_COLUMNS,
    SURPLUS,
    StoredColumn,
    TableColumns,
    stored_otherwise,
)

RULES = RESOURCES["audience_rules"]
Row = dict[str, Any]


def load(rows: Sequence[Row], stored: Mapping[str, StoredColumn]) -> tuple[list[Row], TableColumns]:
    """The rows as they would be stored, without nulls, and the table's columns afterwards."""
    table = to_arrow(RULES, [{"account_id": "a", "id": 1, **row} for row in rows])
    columns = TableColumns.of(RULES, stored)
    columns.extend([table])
    spread = columns.spread(table)
    found = []
    for row in spread.to_pylist():
        values = {name: value for name, value in row.items() if value is not None}
        for name in values.keys() - {"account_id", "id"}:
            if columns.types[name] == "json":
                values[name] = json.loads(values[name])
        found.append({name: values[name] for name in values if name not in ("account_id", "id")})
    return found, columns


def after(columns: TableColumns) -> dict[str, StoredColumn]:
    return {name: columns.as_stored(name) for name in columns.types}


FOLDED = {
    "case": ["CTR", "ctr", "Ctr"],
    "camel case": ["cpcGoal", "cpc_goal", "CPC-goal"],
    "signs": ["na!e", "na%e", "na e"],
    "other scripts": ["名前", "住所", "имя"],
    "no letters": ["", " ", "\t", "\u00a0", "$", "!!"],
    "dlt's own": ["_dlt_id", "_dlt_load_id", "_DLT_ID", "dlt_id"],
    "a declared column": ["Status", "status", "STATUS", "sta tus"],
    "reserved by PostgreSQL": ["xmin", "ctid", "tableoid", "XMAX"],
    "ours": [SURPLUS, "Surplus Fields", "_extras"],
    "long": ["x" * 80, "x" * 81, "X" * 80],
    "lone surrogates": ["a\ud800", "a\ud801"],
    "like a variant": ["spent__v_text", "spent_v_text"],
}


@pytest.mark.parametrize("names", FOLDED.values(), ids=FOLDED)
def test_fields_that_share_a_name_have_a_column_each(names: list[str]):
    row = {name: f"of {place}" for place, name in enumerate(names)}
    (stored,), columns = load([row], {})
    assert sorted(stored.values()) == sorted(row.values())
    assert not columns.variants
    reserved = {"xmin", "ctid", "tableoid", "xmax", SURPLUS}
    assert not reserved & stored.keys()
    assert not [name for name in stored if name.startswith("_dlt_") or len(name) > 63]
    # each keeps its column, whatever comes first, or alone
    for name in names:
        (alone,), later = load([{name: row[name]}], after(columns))
        assert alone.items() <= stored.items()
        assert later.types == columns.types
    (reverse,), _ = load([dict(reversed(row.items()))], after(columns))
    assert reverse == stored


def test_the_field_that_is_spelled_so_gets_the_plain_name():
    (stored,), _ = load([{"CpcGoal": 1, "cpc_goal": 2}], {})
    assert stored.pop("cpc_goal") == 2
    assert list(stored.values()) == [1]


def test_a_column_of_which_nobody_knows_what_it_was_made_for_goes_to_the_field_of_its_name():
    (stored,), columns = load([{"Fresh": 1, "fresh": 2}], {"fresh": StoredColumn("bigint")})
    assert stored["fresh"] == 2
    assert columns.as_stored("fresh") == StoredColumn("bigint", "fresh")


def test_somebodys_own_column_is_left_to_them_unless_a_field_has_its_name():
    theirs = {name: StoredColumn("text", known=False) for name in ("note", "My Note", "checked")}
    (stored,), columns = load([{"note": "from the API", "my note": "x"}], theirs)
    assert stored == {"note": "from the API", "my_note": "x"}
    assert {"note", "my_note"} <= set(columns.filled)
    assert not {"My Note", "checked"} & {*columns.filled, *columns.unknown}


def test_a_field_that_is_declared_later_leaves_the_column_to_the_declared_one():
    made_for_another = {"status": StoredColumn("text", "Status")}
    (stored,), columns = load([{"status": "of status", "Status": "of Status"}], made_for_another)
    assert stored.pop("status") == "of status"
    assert list(stored.values()) == ["of Status"]
    assert not columns.variants


@settings(deadline=None)
@given(st.dictionaries(st.text(max_size=6), st.integers() | st.text(max_size=3), max_size=8))
def test_fields_of_any_name(row: dict[str, Any]):
    declared = {column.name for column in RULES.table_columns}
    row = {name: value for name, value in row.items() if name not in declared}
    first, columns = load([row], {})
    again, later = load([row], after(columns))
    assert again == first
    assert later.types == columns.types
    assert sorted(map(str, first[0].values())) == sorted(map(str, row.values()))


def test_more_fields_than_there_is_room_for():
    row = {f"metric_{number}": number for number in range(1700)}
    (stored, few), columns = load([row, {"metric_3": 3, "metric_1699": 1699}], {})
    assert len(columns.types) <= MOST_COLUMNS + 1
    surplus = stored.pop(SURPLUS)
    assert {**stored, **surplus} == row
    assert not stored.keys() & surplus.keys()
    assert few == {"metric_3": 3, SURPLUS: {"metric_1699": 1699}}
    # a table that is full stays so
    (later,), again = load([{"fresh": 1, "metric_3": "text"}], after(columns))
    assert later == {SURPLUS: {"fresh": 1, "metric_3": "text"}}
    assert again.types == columns.types


def test_more_values_in_a_row_than_there_is_room_for():
    # a table that has got its columns by rows that had few of them each
    row = {f"metric_{number}": number for number in range(900)}
    stored = {name: StoredColumn("bigint", name) for name in row}
    (found,), _ = load([row], stored)
    surplus = found.pop(SURPLUS)
    assert {**found, **surplus} == row
    assert len(found) + len(RULES.table_columns) <= MOST_COLUMNS


STORED: dict[str, list[Any]] = {
    "text": ["007", ""],
    "bigint": [1, 2**60 + 1, 2, -3],
    "double": [1.5, -0.0, 1, 2**53],
    "bool": [True],
    "json": [{"a": 1}, []],
}


@pytest.mark.parametrize("stored_type", [*STORED, "TIMESTAMP", "numeric"])
def test_what_a_column_is_stored_as_comes_before_what_is_declared(stored_type: str):
    values = [value for several in STORED.values() for value in several]
    for name in ("display_name", "audience_size", "exclude_from_campaigns", "condition", "fresh"):
        rows, columns = load(
            [{name: value} for value in values], {name: StoredColumn(stored_type, None)}
        )
        for value, row in zip(values, rows, strict=True):
            ((column, kept),) = row.items()
            assert column == name or column in columns.variants_of(name)
            # JSON has one kind of number: a double may hold 1 as 1.0
            number = float(value) if type(value) is int else value
            assert json.dumps(kept) in (json.dumps(value), json.dumps(number))
            assert columns.types[column] != stored_type or column == name
        assert name not in columns.filled or stored_type in STORED


def test_columns_that_are_stored_otherwise_are_named():
    stored = {"audience_size": StoredColumn("double"), "status": StoredColumn("text")}
    columns = TableColumns.of(RULES, stored)
    assert columns.misfits == {"audience_size": "double"}
    assert stored_otherwise({RULES.name: columns}) == [
        "audience_rules.audience_size is declared bigint and stored as double"
    ]


@pytest.mark.parametrize("name", ["condition", "undeclared"])
@pytest.mark.parametrize("value", [1, 2**70, "\ud800"])
def test_a_value_that_is_nested_too_deep_is_refused_by_name(name: str, value: Any):
    for _ in range(DEEPEST - 1):
        value = {"a": value}
    row = {"account_id": "a", "id": 1}
    kept = to_arrow(RULES, [{**row, name: [value]}])
    assert kept.schema == arrow_schema(RULES)
    for levels in (20, 950):
        deep = value
        for _ in range(levels):
            deep = [deep]
        with pytest.raises(ReadError, match=f"the field '{name}' is nested more than {DEEPEST}"):
            to_arrow(RULES, [row, {**row, name: deep}])
