"""The load itself: what goes in as rows comes out of the warehouse as the same values."""

from __future__ import annotations

import json
import math
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics_assets.resources import RESOURCES
from analytics_assets.rows.account_rows import Part
from analytics_assets.warehouse.columns import TableColumns
from analytics_assets.warehouse.replacement import (
    ROWS_OF_LOADED_ACCOUNTS_BY_INDEX,
    TableLoad,
    load_source,
)
from analytics_assets_tests.testing.loading import RULES, account_rows, load
from analytics_assets_tests.testing.marks import both_warehouses
from analytics_assets_tests.testing.tables import on_postgres, query, warehouse_table

Row = dict[str, Any]

# text that UTF-8 can hold; U+0000 included
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
numbers = st.one_of(st.integers(-(2**70), 2**70), st.floats(allow_nan=False, allow_infinity=False))
values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)
fields = st.one_of(
    st.sampled_from([column.name for column in RULES.columns if column.name != "id"]),
    st.sampled_from(["fresh", "brandNew", "with space"]),
)
rows = st.dictionaries(fields, values, max_size=6)


def loaded(home: Path) -> dict[tuple[str, int], Row]:
    """Rows by key, without nulls and dlt's columns, `json` columns parsed."""
    return {
        (row["account_id"], row["id"]): {
            name: value for name, value in row.items() if value is not None
        }
        for row in warehouse_table(home, "audience_rules")
    }


def same(sent: Any, kept: Any) -> bool:
    """Equal in value and in JSON type; a number without fraction may come back as a double."""
    if isinstance(sent, str) and on_postgres():
        sent = sent.replace("\0", "\ufffd")
    if isinstance(kept, float) and type(sent) is int:
        return sent == kept
    if isinstance(sent, float):
        return math.copysign(1, sent) == math.copysign(1, kept) and sent == kept
    return json.dumps(sent) == json.dumps(kept)


@both_warehouses
@given(st.lists(rows, max_size=4), st.lists(rows, max_size=4))
@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_value_is_lost_or_changed(home, first, second):
    if on_postgres():
        query(home, "DROP SCHEMA IF EXISTS analytics CASCADE")
    (home / "warehouse.duckdb").unlink(missing_ok=True)
    # two loads: the second meets the columns that the first has made
    for batch in (first, second):
        sent = [{**row, "id": number} for number, row in enumerate(batch)]
        load(home, {"acme": sent, "o'neil'); --": sent[:1]})
        kept = loaded(home)
        assert set(kept) == {("acme", row["id"]) for row in sent} | {
            ("o'neil'); --", row["id"]) for row in sent[:1]
        }
        for row in sent:
            given_values = {name: value for name, value in row.items() if value is not None}
            stored = dict(kept["acme", row["id"]])
            stored.pop("account_id")
            assert len(stored) == len(given_values)
            for name, value in given_values.items():
                column = {"brandNew": "brand_new", "with space": "with_space"}.get(name, name)
                (match,) = [
                    kept_value
                    for kept_name, kept_value in stored.items()
                    if kept_name == column or kept_name.startswith(f"{column}__v_")
                ]
                assert same(value, match), (name, value, match)


@both_warehouses
def test_accounts_that_are_not_in_the_load_keep_their_rows(home):
    load(home, {"a": [{"id": 1}, {"id": 2}], "b": [{"id": 1}], "c": [{"id": 9}]})
    versions = query(home, "SELECT count(*) FROM analytics._dlt_version")
    load(home, {"a": [{"id": 2}, {"id": 3}], "b": []})
    assert set(loaded(home)) == {("a", 2), ("a", 3), ("c", 9)}
    load(home, {"a": [], "c": []})
    assert loaded(home) == {}
    # the schema does not grow with every set of accounts
    assert query(home, "SELECT count(*) FROM analytics._dlt_version") == versions


@both_warehouses
def test_names_of_any_length(home):
    long, longer = "x" * 70, "x" * 300
    for number in range(2):
        load(home, {"a": [{"id": number, long: number, longer: "text"}, {"id": 2, long: "text"}]})
        (row, odd) = (loaded(home)["a", key] for key in (number, 2))
        assert set(row.values()) == {"a", number, "text"}
        assert set(odd.values()) == {"a", 2, "text"}
        assert len(row) == 4
        assert len(odd) == 3


@pytest.mark.postgres
@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    ("name", "column", "values"),
    [
        ("campaign_items", "campaign_id", ["1"]),
        ("campaign_performance", "date", [date(2026, 1, 1)]),
    ],
)
def test_no_row_is_compared_with_each_staged_one(
    home: Path, tmp_path: Path, name: str, column: str, values: list[Any]
):
    resource = RESOURCES[name]
    part = account_rows(tmp_path / "part", "a", {name: []})
    part.resources[name].part = Part(column, values)
    in_parts = [part, account_rows(tmp_path / "whole", "b", {name: []})]
    for accounts in ([part], in_parts):
        planned = TableLoad(
            resource,
            accounts,
            TableColumns.of(resource, {}),
            scope=ROWS_OF_LOADED_ACCOUNTS_BY_INDEX,
        )
        [loaded] = load_source([planned]).resources.values()
        condition = str(dict(loaded.compute_table_schema())["x-merge-destination-scope"])
        table = ", ".join(f"{key} text" for key in {*resource.key, column, "_dlt_id"})
        for schema in ("there", "staged"):
            query(home, f"CREATE TABLE {schema}_{len(accounts)} ({table}); SELECT 1")
        delete = condition.format(
            table=f"there_{len(accounts)}", staging_table=f"staged_{len(accounts)}"
        )
        plan = query(home, f"EXPLAIN DELETE FROM there_{len(accounts)} WHERE {delete}")
        # one that PostgreSQL has no memory for is executed anew for each row
        assert "SubPlan" not in "\n".join(line for (line,) in plan)
