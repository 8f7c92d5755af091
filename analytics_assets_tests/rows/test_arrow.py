"""Values on their way into Arrow: each as it came, or whole in the column for what has none."""

from __future__ import annotations

import json
from datetime import date
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.errors import ReadError
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.arrow import (
    ARROW_TYPES,
    DEEPEST,
    EXTRAS,
    arrow_array,
    arrow_schema,
    holds,
    json_text,
    to_arrow,
    value_type,
)

RULES = RESOURCES["audience_rules"]
# by column of the rules: a value that it holds, and one that it does not
FITTING: dict[str, tuple[Any, Any]] = {
    "display_name": ("é\0", 7),
    "audience_size": (2**63 - 1, 2**63),
    "exclude_from_campaigns": (True, 1),
    "condition": ({"a": [1, None]}, "text"),
}


def nested(levels: int, innermost: Any = 0) -> Any:
    value = innermost
    for _ in range(levels):
        value = [value]
    return value


def row(**fields: Any) -> dict[str, Any]:
    return {"account_id": "acme", "id": 1, **fields}


@pytest.mark.parametrize(
    ("value", "type_"),
    [
        (True, "bool"),
        (0, "bigint"),
        (2**63 - 1, "bigint"),
        (-(2**63), "bigint"),
        (2**63, "json"),
        (-(2**63) - 1, "json"),
        (1.0, "double"),
        ("", "text"),
        ([], "json"),
        ({}, "json"),
        (None, "json"),
    ],
)
def test_the_type_that_holds_a_value(value: Any, type_: str) -> None:
    assert value_type(value) == type_


@pytest.mark.parametrize(
    ("type_", "value", "is_held"),
    [
        ("double", 1, True),
        ("double", 2**53, True),
        ("double", 2**53 + 1, False),
        ("double", 2**63, False),
        ("double", True, False),
        ("double", "1", False),
        ("bigint", 1.0, False),
        ("bigint", True, False),
        ("text", 1, False),
        ("json", "text", False),
        ("json", 2**63, True),
        ("TIMESTAMP", "2024-01-31", False),
        ("TIMESTAMP", None, True),
    ],
)
def test_whether_a_column_holds_a_value(type_: str, value: Any, is_held: bool) -> None:
    assert holds(type_, value) == is_held


@pytest.mark.parametrize("type_", ARROW_TYPES)
def test_null_is_held_by_all_columns(type_: str) -> None:
    assert holds(type_, None)
    array = arrow_array(type_, [None, None])
    assert (array.type, array.to_pylist()) == (ARROW_TYPES[type_], [None, None])


@pytest.mark.parametrize(
    ("type_", "values", "stored"),
    [
        ("text", ["a", None], ["a", None]),
        ("text", ["\ud83d half", None, "b"], ["\ufffd half", None, "b"]),
        ("bigint", [1, None], [1, None]),
        ("double", [1, 2.5, None], [1.0, 2.5, None]),
        ("bool", [False, None], [False, None]),
        ("json", [{"a": 1}, None, 2**70], ['{"a":1}', None, str(2**70)]),
    ],
)
def test_an_array_has_the_type_of_its_column(type_: str, values: Any, stored: list[Any]) -> None:
    array = arrow_array(type_, values)
    assert array.type == ARROW_TYPES[type_]
    assert array.to_pylist() == stored


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ({"b": 1, "a": [True, None, 1.5]}, '{"b":1,"a":[true,null,1.5]}'),
        ("é", '"é"'),
        ({"a": 2**70, "é": 1}, f'{{"a": {2**70}, "é": 1}}'),
        (["\ud83d"], '["\ufffd"]'),
    ],
)
def test_json_keeps_all_digits_and_letters(value: Any, text: str) -> None:
    assert json_text(value) == text
    json_text(value).encode()


@pytest.mark.parametrize("innermost", [0, 2**70])
def test_json_has_so_many_levels_and_no_more(innermost: int) -> None:
    deepest = nested(DEEPEST + 1, innermost)
    assert json.loads(json_text(deepest)) == deepest
    with pytest.raises(RecursionError):
        json_text(nested(DEEPEST + (10 if innermost == 0 else 2), innermost))


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists, max_leaves=8))
def test_json_reads_back_as_the_value(value: Any) -> None:
    assert json.loads(json_text(value)) == value


def test_the_schema_is_what_is_declared_and_the_rest() -> None:
    schema = arrow_schema(RULES)
    declared = {column.name: ARROW_TYPES[column.type] for column in RULES.table_columns}
    assert {field.name: field.type for field in schema} == {**declared, EXTRAS: pa.string()}
    assert schema.names[-1] == EXTRAS


@pytest.mark.parametrize("name", FITTING)
def test_a_value_is_in_its_column_or_whole_beside_it(name: str) -> None:
    fits, does_not = FITTING[name]
    table = to_arrow(RULES, [row(**{name: fits}), row(**{name: does_not}), row()])
    assert table.schema == arrow_schema(RULES)
    kept = '{"a":[1,null]}' if isinstance(fits, dict) else fits
    assert table[name].to_pylist() == [kept, None, None]
    assert [text and json.loads(text) for text in table[EXTRAS].to_pylist()] == [
        None,
        {name: does_not},
        None,
    ]


def test_fields_that_are_not_declared_are_beside_the_columns() -> None:
    given_row = row(fresh=1, display_name=2)
    halves = {f"a{half}": number for number, half in enumerate("\ud800\ud801", start=1)}
    table = to_arrow(RULES, [given_row, row(**halves)])
    extras = [json.loads(text) for text in table[EXTRAS].to_pylist()]
    assert extras == [{"display_name": 2, "fresh": 1}, {r"a\ud800": 1, r"a\ud801": 2}]
    assert given_row == row(fresh=1, display_name=2)


def test_no_rows_make_a_table_without_rows() -> None:
    assert to_arrow(RULES, []).schema == arrow_schema(RULES)
    assert to_arrow(RULES, []).num_rows == 0


@pytest.mark.parametrize("name", ["condition", "fresh"])
def test_a_field_that_is_nested_too_deep_is_named(name: str) -> None:
    rows = [row(other=nested(DEEPEST)), row(**{name: nested(DEEPEST + 10)})]
    with pytest.raises(ReadError, match=f"the field '{name}' is nested more than {DEEPEST} levels"):
        to_arrow(RULES, rows)


@pytest.mark.parametrize(
    "text",
    ["2026-09-29", "2026-09-29 00:00:00.0", "2026-09-29T00:00:00", "2026-09-29 00:00:00.000"],
)
def test_a_text_that_is_a_day(text: str) -> None:
    report = RESOURCES["campaign_performance"]
    table = to_arrow(report, [{"date": text}, {"date": date(2026, 9, 29)}])
    assert table["date"].to_pylist() == [date(2026, 9, 29)] * 2
    assert table[EXTRAS].null_count == 2


@pytest.mark.parametrize(
    "value",
    [
        "2026-09-29 12:30:00.0",
        "2026-09-29 00:00:00.1",
        "2026-02-30",
        "0000-01-01",
        "20260929",
        "\uff12026-09-29",
        " 2026-09-29",
        "",
        20260929,
        True,
    ],
)
def test_what_is_no_day_is_beside_the_column(value: Any) -> None:
    table = to_arrow(RESOURCES["campaign_performance"], [{"date": value}, {"date": None}])
    assert table["date"].to_pylist() == [None, None]
    assert table[EXTRAS].to_pylist() == [json_text({"date": value}), None]
