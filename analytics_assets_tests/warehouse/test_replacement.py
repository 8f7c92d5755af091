"""The load itself: what goes in as rows comes out of the DuckDB file as the same values."""

from __future__ import annotations

import json
import math
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import pyarrow as pa
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from analytics_assets.api.arrow import arrow_schema, to_arrow
from analytics_assets.api.reader import AccountRead, ResourceRead
from analytics_assets.api.resources import RESOURCES
from analytics_assets.api.statistics import RequestStatistics
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.pipeline import make_pipeline, table_history
from analytics_assets.warehouse.replacement import load_source, plan

RULES = RESOURCES["audience_rules"]
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


def load(folder: Path, accounts: dict[str, list[Row]]) -> None:
    """Loads rows of each account, as a run does, with a pipeline folder of its own."""
    reads = []
    for number, (account_id, account_rows) in enumerate(accounts.items()):
        path = folder / f"{number}.arrow"
        complete = [{**row, "account_id": account_id} for row in account_rows]
        table = to_arrow(RULES, complete)
        with pa.ipc.new_stream(path, arrow_schema(RULES)) as writer:
            writer.write_table(table)
        read = ResourceRead(path, rows=len(complete), extras=table.num_rows)
        reads.append(AccountRead(account_id, {RULES.name: read}, RequestStatistics(), 0.0))
    with TemporaryDirectory(dir=folder) as working:
        pipeline = make_pipeline(PlatformSettings(), Path(working))
        loads = plan([RULES.name], reads, table_history(pipeline))
        pipeline.run(load_source(loads), loader_file_format="parquet")


def loaded(folder: Path) -> dict[tuple[str, int], Row]:
    """Rows by key, without nulls and dlt's columns, `json` columns parsed."""
    with duckdb.connect(str(folder / "warehouse.duckdb")) as connection:
        result = connection.sql("SELECT * FROM analytics.audience_rules")
        types = dict(zip(result.columns, map(str, result.types), strict=True))
        found = [dict(zip(result.columns, row, strict=True)) for row in result.fetchall()]
    return {
        (row["account_id"], row["id"]): {
            name: json.loads(value) if types[name] == "JSON" else value
            for name, value in row.items()
            if value is not None and not name.startswith("_dlt_")
        }
        for row in found
    }


def same(sent: Any, kept: Any) -> bool:
    """Equal in value and in JSON type; a number without fraction may come back as a double."""
    if isinstance(kept, float) and type(sent) is int:
        return sent == kept
    if isinstance(sent, float):
        return math.copysign(1, sent) == math.copysign(1, kept) and sent == kept
    return json.dumps(sent) == json.dumps(kept)


@given(st.lists(rows, max_size=4), st.lists(rows, max_size=4))
@settings(
    max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_no_value_is_lost_or_changed(tmp_path_factory, monkeypatch, first, second):
    folder = tmp_path_factory.mktemp("load")
    monkeypatch.setenv("DAGSTER_HOME", str(folder))
    # two loads: the second meets the columns that the first has made
    for batch in (first, second):
        sent = [{**row, "id": number} for number, row in enumerate(batch)]
        load(folder, {"acme": sent, "o'neil'); --": sent[:1]})
        kept = loaded(folder)
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


def test_accounts_that_are_not_in_the_load_keep_their_rows(tmp_path, monkeypatch):
    monkeypatch.setenv("DAGSTER_HOME", str(tmp_path))
    load(tmp_path, {"a": [{"id": 1}, {"id": 2}], "b": [{"id": 1}], "c": [{"id": 9}]})
    load(tmp_path, {"a": [{"id": 2}, {"id": 3}], "b": []})
    assert set(loaded(tmp_path)) == {("a", 2), ("a", 3), ("c", 9)}
    load(tmp_path, {"a": [], "c": []})
    assert loaded(tmp_path) == {}
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        versions = connection.sql("SELECT count(*) FROM analytics._dlt_version").fetchall()
    assert versions == [(1,)]  # the schema does not grow with every set of accounts
