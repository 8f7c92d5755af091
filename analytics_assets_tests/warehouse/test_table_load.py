"""What dlt is given of a load: the rows and markers of each table, and what it knows of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from analytics_assets.resources import ACCOUNTS, RESOURCES
from analytics_assets.rows.account_rows import AccountRows, Part, no_rows
from analytics_assets.warehouse.columns import StoredColumn
from analytics_assets.warehouse.replacement import TableLoad, load_source, plan, tables_source
from analytics_assets_tests.testing.loading import RULES, account_rows

REPORT = RESOURCES["campaign_performance"]


class Reads:
    """Accounts that were read, each with rows of one resource."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.number = folder, 0

    def __call__(
        self,
        account_id: str | None,
        rows: Sequence[Mapping[str, Any]],
        part: Part | None = None,
        name: str = RULES.name,
    ) -> AccountRows:
        self.number += 1
        account = account_rows(self.folder / str(self.number), account_id, {name: rows})
        account.resources[name].part = part
        return account


@pytest.fixture
def read(tmp_path: Path) -> Reads:
    return Reads(tmp_path)


def tables_of(load: TableLoad) -> list[pa.Table]:
    return list(load_source([load]))


def planned(*accounts: AccountRows, name: str = RULES.name, **more: Any) -> TableLoad:
    [load] = plan([RESOURCES[name]], accounts, more.pop("stored", {}), **more)
    return load


def keys(load: TableLoad, *names: str) -> list[tuple[Any, ...]]:
    """What is staged, by account, what dlt tells the row by, and further columns."""
    rows = [row for table in tables_of(load) for row in table.to_pylist()]
    return [tuple(row[name] for name in ("account_id", "_dlt_id", *names)) for row in rows]


def hints(load: TableLoad) -> Mapping[str, Any]:
    [resource] = load_source([load]).resources.values()
    return dict(resource.compute_table_schema())


def test_an_account_without_rows_is_staged_by_a_marker(read: Reads):
    load = planned(read("a", [{"id": 7}, {"id": 8}]), read("b", []), no_rows("c", ["audiences"]))
    assert keys(load, "id") == [("a", "a/7", 7), ("a", "a/8", 8), ("b", None, 0)]
    assert (load.part_column, load.part_values) == (None, [])
    [name] = [account.account_id for account in planned(no_rows("c", [RULES.name])).accounts]
    assert name == "c"


def test_each_value_of_a_part_is_staged_by_a_marker(read: Reads):
    load = planned(
        read("a", [{"id": 7, "event_name": "x"}], Part("event_name", ["x", "y"])),
        read("b", [{"id": 8, "event_name": "z"}]),
        read("c", []),
        read("d", [], Part("event_name", [])),
    )
    assert load.part_column == "event_name"
    assert load.part_values == ["x", "y"]
    assert keys(load, "id", "event_name") == [
        ("a", "", 0, "x"),
        ("a", "", 0, "y"),
        ("a", "a/7", 7, "x"),
        ("b", None, 0, None),
        ("b", "b/8", 8, "z"),
        ("c", None, 0, None),
        ("", "", 0, None),  # of "d", which is not to lose a row
    ]


def test_markers_of_a_report_have_its_days(read: Reads):
    days = [date(2026, 1, 1), date(2026, 1, 2)]
    load = planned(read("a", [], Part("date", days), REPORT.name), name=REPORT.name)
    [table] = tables_of(load)
    assert table.to_pylist() == [
        {"account_id": "a", "date": day, "campaign": "", "_dlt_id": ""} for day in days
    ]
    assert table.schema.field("date").type == pa.date32()


def test_the_list_of_accounts_without_any_is_staged_by_a_marker(read: Reads):
    load = planned(read(None, [], name=ACCOUNTS.name), name=ACCOUNTS.name)
    assert keys(load) == [("", None)]
    [table] = tables_of(load)
    assert table.schema.types == [pa.string(), pa.string()]


def test_dlt_gets_few_and_large_tables(read: Reads):
    rows = [{"id": number} for number in range(25_000)]
    first, second, third, none = (*(read(key, rows) for key in "abc"), read("d", []))
    tables = tables_of(planned(first, none, second, none, third))
    assert [table.num_rows for table in tables] == [50_001, 25_001]
    staged = [table["account_id"].unique().to_pylist() for table in tables]
    assert staged == [["a", "d", "b"], ["d", "c"]]
    # where there is nothing more, no table without rows is staged
    assert [table.num_rows for table in tables_of(planned(first, second))] == [50_000]


def test_what_the_destination_cannot_hold_is_replaced_on_the_way(read: Reads):
    def stored(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index("account_id")
        return table.set_column(place, "account_id", pa.array(["stored"] * len(table)))

    small = planned(read("a", [{"id": 7}]), read("b", []))
    large = planned(read("c", [{"id": number} for number in range(50_000)]))
    for load in (small, large):
        assert {key for key, _ in keys(replace(load, stored=stored))} == {"stored"}


def test_without_accounts_only_the_columns_are_given():
    [table] = tables_of(planned(stored={RULES.name: {"fresh": StoredColumn("double", "fresh")}}))
    assert table.num_rows == 0
    assert {"account_id", "id", "event_name", "fresh", "_dlt_id"} <= {*table.column_names}
    types = [table.schema.field(name).type for name in ("id", "fresh", "_dlt_id")]
    assert types == [pa.int64(), pa.float64(), pa.string()]


def test_columns_say_what_they_are_for(read: Reads):
    stored = {RULES.name: {"event_name": StoredColumn("bigint")}}
    load = planned(read("a", [{"id": 7, "brandNew": 1, "event_name": "x"}]), stored=stored)
    columns = hints(load)["columns"]
    assert {name for name, column in columns.items() if not column["nullable"]} == {*RULES.key}
    assert all(columns[name]["primary_key"] for name in RULES.key)
    told = {name: column.get("x-field") for name, column in columns.items()}
    assert (told["brand_new"], told["event_name"]) == ("brandNew", None)
    assert {name for name, column in columns.items() if column.get("variant")} == {
        "event_name__v_text"
    }
    assert columns["brand_new"]["data_type"] == "bigint"
    assert columns["_dlt_id"]["data_type"] == "text"
    assert columns["_dlt_id"]["nullable"]
    assert all(column["name"] == name for name, column in columns.items())


def test_rows_are_merged_by_deleting_and_inserting(read: Reads):
    found = hints(planned(read("a", [{"id": 7}])))
    assert found["name"] == RULES.name
    assert found["write_disposition"] == "merge"
    assert found["x-merge-strategy"] == "delete-insert"
    assert found["x-stage-data-deduplicated"] is True
    # of the list of accounts, all rows give way; and no marker gets into a table
    assert RULES.parent is not None
    assert ACCOUNTS.parent is None
    of_list = hints(planned(read(None, [], name=ACCOUNTS.name), name=ACCOUNTS.name))
    assert of_list["x-merge-destination-scope"] == "1 = 1"
    assert "account_id IN" in found["x-merge-destination-scope"]
    assert found["x-merge-source-filter"] == "_dlt_id IS NOT NULL"


def test_a_plan_has_the_accounts_that_were_read_of_each_resource(read: Reads):
    audiences = RESOURCES["audiences"]
    first, second = read("a", [{"id": 7, "fresh": 1}]), read("b", [{"id": 7, "novel": 1}])
    other = read("c", [], name=audiences.name)
    loads = plan([RULES, audiences], [first, other, second], {}, {audiences.name: frozenset()})
    assert [load.resource for load in loads] == [RULES, audiences]
    assert [load.accounts for load in loads] == [[first, second], [other]]
    assert loads[0].columns.unknown == ["fresh", "novel"]
    assert loads[0].history is None
    assert loads[1].history is not None
    assert loads[1].history.name == audiences.history.name


def test_values_that_a_column_cannot_hold_any_more_get_one_beside_it(read: Reads):
    """Also where all fields are declared, so that the rows themselves tell of no extras."""
    account = read("a", [{"id": 7, "event_name": "x"}])
    assert account.resources[RULES.name].extras == 0
    load = planned(account, stored={RULES.name: {"event_name": StoredColumn("bigint")}})
    assert load.columns.unfit == ["event_name__v_text"]
    assert keys(load, "event_name__v_text") == [("a", "a/7", "x")]


def test_where_a_history_is_kept_rows_are_told_by_their_version(read: Reads):
    def versions(*rows: Mapping[str, Any]) -> list[str]:
        load = planned(read("a", rows), kept={RULES.name: frozenset({"status"})})
        return [version for _, version in keys(load)]

    one, ignored, other = versions(
        {"id": 1, "event_name": "x", "status": "on"},
        {"id": 2, "event_name": "x"},
        {"id": 3, "event_name": "y"},
    )
    assert len({one, ignored, other}) == 3
    assert versions({"id": 1, "event_name": "x", "status": "off"}) == [one]
    assert versions({"id": 1, "event_name": "y", "status": "on"}) != [one]


def test_a_history_has_the_columns_of_its_table_and_when_they_were_valid(read: Reads):
    kept = {RULES.name: frozenset[str]()}
    stored = {RULES.history.name: {"event_name": StoredColumn("bigint")}}
    load = planned(read("a", [{"id": 7, "event_name": "x"}]), kept=kept, stored=stored)
    source = tables_source([load, planned(no_rows("a", ["audiences"]), name="audiences")])
    assert [*source.resources] == [RULES.name, "audiences", RULES.history.name]
    assert [table.num_rows for table in source] == [0, 0, 0]
    made = dict(source.resources[RULES.history.name].compute_table_schema())
    assert made["write_disposition"] == "append"
    columns: Any = made["columns"]
    assert {"account_id", "id", "event_name__v_text", "_dlt_id"} <= columns.keys()
    for name in ("valid_from", "valid_to"):
        assert columns[name] == {"name": name, "data_type": "timestamp", "nullable": True}
