"""What is found out about the tables as they are, and which of them can be judged."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from dlt import Pipeline

from analytics_assets.errors import WarehouseError
from analytics_assets.resources import RESOURCES
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse import stored
from analytics_assets.warehouse.columns import StoredColumn
from analytics_assets.warehouse.history import VALIDITY
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets.warehouse.read_lists import READ_LISTS
from analytics_assets.warehouse.replacement import DLT_COLUMNS, SOURCE_NAME
from analytics_assets.warehouse.stored import (
    StoredTables,
    forget_lacking,
    known_columns,
    make_stored,
    refuse_changed_keys,
    stored_history,
    stored_tables,
)
from analytics_assets_tests.testing.loading import RULES, load
from analytics_assets_tests.testing.tables import change_warehouse, query

TABLE, HISTORY = f"analytics.{RULES.name}", RULES.history.name


@pytest.fixture
def pipeline(home: Path, tmp_path: Path) -> Pipeline:
    return make_pipeline(platform_settings(), tmp_path / "pipeline")


@pytest.fixture
def loaded(home: Path) -> None:
    load(home, {"a": [{"id": 1, "brandNew": 1}, {"id": 2, "event_name": 7, "brandNew": 2}]})


def test_a_warehouse_without_tables(pipeline: Pipeline):
    assert stored_tables(pipeline, RESOURCES) == StoredTables({}, [])


def test_tables_are_told_with_their_columns(home: Path, loaded: None, pipeline: Pipeline):
    change_warehouse(
        home,
        f"ALTER TABLE {TABLE} ADD COLUMN theirs INTEGER",
        f"ALTER TABLE {TABLE} ALTER COLUMN audience_size TYPE VARCHAR",
        "CREATE TABLE analytics.of_others (id INTEGER)",
        f"CREATE TABLE analytics.{READ_LISTS} (resource VARCHAR)",
    )
    found = stored_tables(pipeline, RESOURCES)
    assert found.resources is RESOURCES
    assert found.has_read_lists
    assert found.lacking == []
    assert found.columns.keys() == {RULES.name}
    columns = found.columns[RULES.name]
    assert columns["id"] == StoredColumn("bigint")
    assert columns["brand_new"] == StoredColumn("bigint", "brandNew")
    assert columns["event_name__v_bigint"].variant
    assert not columns["event_name"].variant
    assert columns["audience_size"] == StoredColumn("text")
    assert columns["theirs"] == StoredColumn("INTEGER", known=False)
    assert columns["condition"].type == "json"
    assert list(columns)[-1] == "theirs"


def test_types_of_a_database_of_which_nothing_is_known(
    home: Path, loaded: None, pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch
):
    """They are those that dlt has made, or else those that are declared, or else text."""
    monkeypatch.setattr(stored, "_EXACT", {})
    change_warehouse(home, f"ALTER TABLE {TABLE} ADD COLUMN theirs INTEGER")
    columns = stored_tables(pipeline, RESOURCES).columns[RULES.name]
    assert columns["id"] == StoredColumn("bigint")
    assert columns["brand_new"] == StoredColumn("bigint", "brandNew")
    assert columns["theirs"] == StoredColumn("text", known=False)
    change_warehouse(home, "DELETE FROM analytics._dlt_version")
    pipeline.drop()
    columns = stored_tables(pipeline, RESOURCES).columns[RULES.name]
    assert columns["id"] == StoredColumn("bigint", known=False)
    assert columns["brand_new"] == StoredColumn("text", known=False)


def test_a_column_that_is_not_there_is_made_or_forgotten(
    home: Path, loaded: None, pipeline: Pipeline
):
    drop = f"ALTER TABLE {TABLE} DROP COLUMN brand_new"
    change_warehouse(home, drop)
    assert stored_tables(pipeline, RESOURCES).lacking == [f"{RULES.name}.brand_new"]
    make_stored(pipeline)
    assert stored_tables(pipeline, RESOURCES).lacking == []
    change_warehouse(home, drop)
    forget_lacking(pipeline, stored_tables(pipeline, RESOURCES))
    known = pipeline.schemas[SOURCE_NAME].tables[RULES.name]["columns"]
    assert "brand_new" not in known
    assert "event_name" in known


def test_tables_of_dlt_that_are_not_there_are_told(home: Path, loaded: None, pipeline: Pipeline):
    change_warehouse(home, "DROP TABLE analytics._dlt_loads")
    found = stored_tables(pipeline, RESOURCES)
    assert found.lacking == ["_dlt_loads"]
    assert not found.has_read_lists


def test_a_table_that_is_not_there_is_forgotten(home: Path, loaded: None, pipeline: Pipeline):
    change_warehouse(home, f"DROP TABLE {TABLE}")
    found = stored_tables(pipeline, RESOURCES)
    assert found.lacking == [RULES.name]
    forget_lacking(pipeline, found)
    assert RULES.name not in pipeline.schemas[SOURCE_NAME].tables
    # of others, as of those that nothing is remembered of, nothing is forgotten
    before = pipeline.schemas[SOURCE_NAME].tables.keys()
    forget_lacking(pipeline, StoredTables({}, ["audiences", "of_others", "of_others.name"]))
    assert pipeline.schemas[SOURCE_NAME].tables.keys() == before


def test_where_dlt_begins_anew_it_forgets_its_own_versions(
    home: Path, loaded: None, pipeline: Pipeline
):
    change_warehouse(
        home,
        "DELETE FROM analytics._dlt_pipeline_state",
        "INSERT INTO analytics._dlt_version SELECT * REPLACE ('of others' AS schema_name)"
        " FROM analytics._dlt_version",
    )
    found = stored_tables(pipeline, RESOURCES)
    assert SOURCE_NAME not in pipeline.schemas
    # it remembers all the same what it has made
    assert found.columns[RULES.name]["brand_new"] == StoredColumn("bigint", "brandNew")
    forget_lacking(pipeline, found)
    rows = query(home, "SELECT DISTINCT schema_name FROM analytics._dlt_version")
    assert rows == [("of others",)]
    forgotten = stored_tables(pipeline, RESOURCES)
    assert not forgotten.columns[RULES.name]["brand_new"].known


def columns_of(*names: str, **types: str) -> dict[str, StoredColumn]:
    return {name: StoredColumn("text") for name in names} | {
        name: StoredColumn(type_) for name, type_ in types.items()
    }


def test_tables_without_what_each_row_has_to_have_are_not_judged():
    whole = columns_of("account_id", *DLT_COLUMNS, id="bigint")
    assert [column.name for column in RULES.table_columns if not column.nullable] == [*RULES.key]
    found = StoredTables(
        {
            RULES.name: whole,
            HISTORY: whole,
            "audiences": columns_of("account_id", *DLT_COLUMNS),
        }
    )
    assert known_columns(found).keys() == {RULES.name}
    assert known_columns(found)[RULES.name].resource is RULES


@pytest.mark.parametrize("lacking", [*RULES.key, *VALIDITY, "_dlt_id"])
def test_a_history_without_what_tells_its_versions_is_not_judged(lacking: str):
    there = columns_of("account_id", "id", *DLT_COLUMNS, *VALIDITY)
    table = columns_of("account_id", *DLT_COLUMNS, id="bigint")
    del there[lacking]
    found = StoredTables({RULES.name: table, HISTORY: there})
    assert stored_history(found, known_columns(found)[RULES.name], frozenset()) is None


def test_a_history_is_judged_by_the_columns_that_both_have():
    table = columns_of("account_id", *DLT_COLUMNS, "status", "event_name", id="bigint")
    there = columns_of("account_id", *DLT_COLUMNS, *VALIDITY, "event_name", "other", id="bigint")
    found = StoredTables({RULES.name: table, HISTORY: there})
    columns = known_columns(found)[RULES.name]
    history = stored_history(found, columns, frozenset({"status"}))
    assert history is not None
    assert history.places == {name: name for name in ("account_id", "id", "event_name")}
    assert history.ignored == {"status"}
    assert stored_history(StoredTables({RULES.name: table}), columns, frozenset()) is None


SOUND: dict[str, Any] = {
    RULES.name: columns_of("account_id", *DLT_COLUMNS, id="bigint"),
    HISTORY: columns_of("account_id", *DLT_COLUMNS, *VALIDITY, id="bigint"),
}


@pytest.mark.parametrize("resource", [RULES, RULES.history], ids=lambda each: each.name)
def test_tables_whose_rows_can_be_told_apart_are_taken(resource):
    found = StoredTables(SOUND)
    refuse_changed_keys(found, [RESOURCES["audiences"], RULES, RULES.history], "analytics")
    needed = [*RULES.key, *DLT_COLUMNS, *(VALIDITY if resource.is_history else [])]
    for name in needed:
        there = {key: column for key, column in SOUND[resource.name].items() if key != name}
        with pytest.raises(WarehouseError) as error:
            refuse_changed_keys(replace(found, columns={resource.name: there}), [resource], "ads")
        assert str(error.value) == (
            f"the column {resource.name}.{name} is not there: put it back, or drop the table"
            f" ads.{resource.name}, which the next sync makes anew"
        )


def test_the_tables_of_dlt_that_cannot_be_read_are_named(
    home: Path, loaded: None, pipeline: Pipeline
):
    change_warehouse(home, "ALTER TABLE analytics._dlt_version DROP COLUMN engine_version")
    with pytest.raises(WarehouseError) as error:
        stored_tables(pipeline, RESOURCES)
    message = str(error.value)
    assert message.startswith("dlt's own tables in analytics cannot be read (")
    assert message.endswith(
        "): drop _dlt_version, _dlt_loads, _dlt_pipeline_state there; the next sync makes them"
        " anew, and no row is lost"
    )


def test_another_error_is_not_taken_for_one_of_the_tables(
    home: Path, loaded: None, pipeline: Pipeline
):
    (home / "warehouse.duckdb").write_bytes(b"no database")
    with pytest.raises(Exception, match="not a valid DuckDB database file") as error:
        stored_tables(pipeline, RESOURCES)
    assert not isinstance(error.value, WarehouseError)
