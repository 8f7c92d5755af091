"""Which column a field gets: one of its own, the same in every load, and never too many."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from analytics_assets.errors import ReadError
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.arrow import DEEPEST, arrow_schema, to_arrow
from analytics_assets.schema import SURPLUS
from analytics_assets.warehouse.columns import (
    MOST_COLUMNS,
    StoredColumn,
    TableColumns,
    stored_otherwise,
)

RULES, CAMPAIGNS = RESOURCES["audience_rules"], RESOURCES["campaigns"]
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


def campaign_costs(values: Sequence[Any], stored_type: str) -> dict[str, list[Any]]:
    """What is stored of campaigns with these values of `cpc`, declared double, by column."""
    table = to_arrow(CAMPAIGNS, [{"account_id": "a", "id": "1", "cpc": value} for value in values])
    columns = TableColumns.of(CAMPAIGNS, {"cpc": StoredColumn(stored_type)})
    columns.extend([table])
    spread = columns.spread(table)
    return {name: spread[name].to_pylist() for name in spread.column_names if "cpc" in name}


def test_whole_numbers_of_a_double_fit_a_column_that_is_stored_as_bigint():
    values = [2, 2.0, None, -3.0, float(2**53), 2.5, -0.0, float(2**53 + 2)]
    stored = campaign_costs(values, "bigint")
    assert stored == {
        "cpc": [2, 2, None, -3, 2**53, None, None, None],
        "cpc__v_double": [None] * 5 + [2.5, -0.0, float(2**53 + 2)],
    }
    assert str(stored["cpc__v_double"][6]) == "-0.0"
    assert campaign_costs([2.0, 2.5], "text") == {"cpc__v_double": [2.0, 2.5]}


@pytest.mark.parametrize(
    ("values", "types"),
    [
        ([1, 1.5], {"fresh": "double"}),
        (
            [1.5, 1, "a"],
            {"fresh": "text", "fresh__v_double": "double", "fresh__v_bigint": "bigint"},
        ),
        ([2**53 + 1, 1.5], {"fresh": "double", "fresh__v_bigint": "bigint"}),
        ([{"a": 1}, True], {"fresh": "bool", "fresh__v_json": "json"}),
        ([2**70], {"fresh": "json"}),
        ([None, True], {"fresh": "bool"}),
    ],
)
def test_the_type_of_a_new_column_is_that_of_its_values(values: list[Any], types: dict[str, str]):
    _, columns = load([{"fresh": value} for value in values], {})
    declared = {column.name for column in RULES.table_columns}
    assert {name: columns.types[name] for name in columns.types.keys() - declared} == types
    assert columns.variants == types.keys() - {"fresh"}
    assert columns.unknown == ["fresh"]
    for name in types:
        assert columns.as_stored(name).variant == (name in columns.variants)


@pytest.mark.parametrize(
    ("field", "column"),
    [
        ("\t", "unnamed"),
        ("_own", "_own"),
        ("_dlt_id", "dlt_id"),
        ("CTR", "ctr"),
        ("x" * 63, "x" * 63),
    ],
)
def test_a_field_gets_the_name_that_dlt_would_give_it(field: str, column: str):
    (stored,), columns = load([{field: 1}], {})
    assert (stored, columns.fields) == ({column: 1}, {field: column})


@pytest.mark.parametrize(("fields", "stem"), [(("ctr", "CTR"), "ctr"), (("xmin",), "xmin")])
def test_a_name_that_is_taken_gets_a_digest(fields: tuple[str, ...], stem: str):
    (stored,), _ = load([dict.fromkeys(fields, 1)], {})
    stored.pop("ctr", None)
    [name] = stored
    assert re.fullmatch(f"{stem}_[0-9a-f]{{8}}", name)


def test_variants_of_a_long_name_have_names_of_their_own():
    values = [1, "a", True, {"a": 1}]
    rows, columns = load([{"x" * 63: value} for value in values], {})
    assert sorted(str(row.popitem()[1]) for row in rows) == sorted(map(str, values))
    assert len(columns.variants) == 3
    assert all(len(name) <= 63 for name in columns.variants)
    # known again as such, by what dlt has noted of them
    assert TableColumns.of(RULES, after(columns)).variants == columns.variants


@pytest.mark.parametrize("type_", ["text", "INTEGER"])
def test_a_column_for_other_values_that_somebody_has_retyped(type_: str):
    stored = {"event_name__v_bigint": StoredColumn(type_, variant=True)}
    found, columns = load([{"event_name": 7}, {"event_name": "a"}], stored)
    assert found == [{SURPLUS: {"event_name": 7}}, {"event_name": "a"}]
    assert columns.types["event_name__v_bigint"] == type_


@pytest.mark.parametrize("type_", ["text", "jsonb"])
def test_a_column_for_surplus_that_somebody_has_retyped(type_: str):
    room = MOST_COLUMNS - len(RULES.table_columns)
    row = {f"m{number}": 1 for number in range(room)}
    stored = {SURPLUS: StoredColumn(type_), "status__v_bigint": StoredColumn("text", variant=True)}
    (kept, other), columns = load([row, {"status": 7}], stored)
    assert list(kept.pop(f"{SURPLUS}__v_json").items()) == list(row.items())[len(kept) :]
    assert other == {f"{SURPLUS}__v_json": {"status": 7}}
    assert columns.types[SURPLUS] == type_
    # known again
    (again,), _ = load([{"status": 7}], after(columns))
    assert again == other


def test_a_column_is_for_other_values_by_its_name_or_by_what_dlt_has_noted():
    stored = {
        "status__v_bool": StoredColumn("bool"),
        "shortened": StoredColumn("bool", variant=True),
        "neither": StoredColumn("bool"),
    }
    columns = TableColumns.of(RULES, stored)
    assert columns.variants == {"status__v_bool", "shortened"}
    assert columns.unknown == ["neither"]


@pytest.mark.parametrize("name", ["status__v_bool", SURPLUS])
def test_somebodys_own_column_becomes_ours_when_it_is_needed(name: str):
    stored = {name: StoredColumn("bool" if name != SURPLUS else "json", known=False)}
    assert name not in TableColumns.of(RULES, stored).filled
    room = MOST_COLUMNS - len(RULES.table_columns)
    row = {"status": True} if name != SURPLUS else {f"m{number}": 1 for number in range(room + 1)}
    (kept,), columns = load([row], stored)
    assert name in kept
    assert name in columns.filled


def test_as_many_fields_as_there_is_room_for():
    room = MOST_COLUMNS - len(RULES.table_columns)
    row = {f"m{number}": number for number in range(room)}
    (kept,), columns = load([row], {})
    assert kept == row
    assert SURPLUS not in columns.types
    # one more, or a value of another type, has no column, whatever comes after it
    for extra in ({"z": 1}, {"m0": "text"}):
        rows, full = load([extra, {"m1": 1}, {"status": "s"}], after(columns))
        assert rows == [{SURPLUS: extra}, {"m1": 1}, {"status": "s"}]
        assert full.types.keys() - columns.types.keys() == {SURPLUS}
    smaller = {name: column for name, column in after(columns).items() if name != "m1"}
    _, columns = load([{"m0": "text"}], smaller)  # the last place
    assert "m0__v_text" in columns.types
    assert SURPLUS not in columns.types


def test_a_day_that_is_none_and_a_day_that_is_stored_as_text():
    report = RESOURCES["campaign_performance"]
    days = to_arrow(report, [{"date": "2026-09-29"}, {"date": "soon"}])
    columns = TableColumns.of(report, {})
    columns.extend([days])
    spread = columns.spread(days)
    assert spread["date"].to_pylist() == [date(2026, 9, 29), None]
    assert spread["date__v_text"].to_pylist() == [None, "soon"]

    columns = TableColumns.of(report, {"date": StoredColumn("text")})
    columns.extend([days])
    assert columns.misfits == {"date": "text"}
    assert columns.spread(days)["date"].to_pylist() == ["2026-09-29", "soon"]

    texts = to_arrow(RULES, [{"last_modified_at": "2026-09-29 00:00:00.0"}])
    columns = TableColumns.of(RULES, {"last_modified_at": StoredColumn("date")})
    columns.extend([texts])
    kept = columns.spread(texts)["last_modified_at__v_text"].to_pylist()
    assert kept == ["2026-09-29 00:00:00.0"]  # as it came
