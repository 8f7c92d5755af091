"""Versions of rows: the same for the same values however they are stored, and for no others."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics_assets.resources import RESOURCES
from analytics_assets.rows.arrow import to_arrow
from analytics_assets.rows.versions import row_versions
from analytics_assets.schema import Column, Resource

RULES = RESOURCES["audience_rules"]
Row = dict[str, Any]

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=3)
numbers = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=2), st.dictionaries(texts, inner, max_size=2)),
    max_leaves=4,
)
fields = st.sampled_from(["display_name", "audience_size", "condition", "status", "new", "newer"])
rows = st.dictionaries(fields, values, max_size=4)
quietly = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def version(row: Row, resource: Resource = RULES, ignored: frozenset[str] = frozenset()) -> str:
    (found,) = row_versions(resource, to_arrow(resource, [row]), ignored).to_pylist()
    return str(found)


def in_other_words(value: Any) -> Any:
    """The same value, as another writer of JSON may have it."""
    if isinstance(value, dict):
        return {key: in_other_words(value[key]) for key in reversed(value)}
    if isinstance(value, list):
        return [in_other_words(part) for part in value]
    if type(value) is int and float(value) == value:
        return float(value)
    return value


def tagged(value: Any) -> Any:
    """A value that is equal to those of the same JSON type and value alone."""
    if isinstance(value, dict):
        return {key: tagged(part) for key, part in value.items()}
    if isinstance(value, list):
        return [tagged(part) for part in value]
    return (isinstance(value, bool), value)


@given(rows, rows)
@quietly
def test_rows_have_the_same_version_if_they_are_the_same(one: Row, another: Row):
    found = row_versions(RULES, to_arrow(RULES, [one, another, in_other_words(one)])).to_pylist()
    same = tagged(without_nulls(one)) == tagged(without_nulls(another))
    assert (found[0] == found[1]) is same
    assert found[0] == found[2] == version(one)


def without_nulls(row: Row) -> Row:
    return {name: value for name, value in row.items() if value is not None}


@given(rows)
@quietly
def test_a_column_that_is_declared_or_gets_another_type_changes_no_version(row: Row):
    columns = [column for column in RULES.columns if column.name != "condition"]
    columns = [
        Column("audience_size", "double") if column.name == "audience_size" else column
        for column in columns
    ]
    other = Resource(
        RULES.name,
        RULES.path,
        "",
        (*reversed(columns), Column("new", "json"), Column("newer", "text")),
    )
    assert version(row, other) == version(row)


@pytest.mark.parametrize(
    ("one", "another"),
    [
        ({"status": "1"}, {"status": 1}),
        ({"status": "true"}, {"status": True}),
        ({"condition": "[]"}, {"condition": []}),
        ({"status": "a", "type": "b"}, {"status": "b", "type": "a"}),
        ({"status": "6:type1:b"}, {"status": "6", "type": "b"}),
        ({"condition": {"a": None}}, {"condition": {}}),
        ({"audience_size": 2**53}, {"audience_size": 2**53 + 1}),
        ({"id": 1}, {"id": 2}),
    ],
    ids=json.dumps,
)
def test_what_differs_has_another_version(one: Row, another: Row):
    assert version(one) != version(another)


def test_what_is_ignored_is_not_seen():
    before, after = {"status": "on", "new": 1}, {"status": 7, "new": 1}
    assert version(before, ignored=frozenset({"status"})) == version(
        after, ignored=frozenset({"status"})
    )
    assert version(before) != version(after)
