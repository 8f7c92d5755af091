"""When a load makes tables and columns itself, and when it leaves that to dlt."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import MagicMock

import pyarrow as pa
import pytest
from dlt import Pipeline

from analytics_assets.rows.account_rows import AccountRows
from analytics_assets.schema import ResourceTable
from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets.warehouse import tables
from analytics_assets.warehouse.columns import StoredColumn
from analytics_assets.warehouse.location import DUCKDB_TYPE, POSTGRES_TYPE
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets.warehouse.replacement import (
    DLT_COLUMNS,
    ROWS_OF_LOADED_ACCOUNTS_BY_INDEX,
    SOURCE_NAME,
    TableLoad,
)
from analytics_assets.warehouse.stored import StoredTables, stored_tables
from analytics_assets_tests.testing.loading import RULES, account_rows
from analytics_assets_tests.testing.tables import change_warehouse

SETTINGS = PlatformSettings()
Columns = Mapping[str, StoredColumn]


def declared(**changes: StoredColumn | None) -> Columns:
    """The rules' columns as dlt has made them, but for these; None is none."""
    known = {column.name: StoredColumn(column.type) for column in RULES.table_columns}
    known |= {name: StoredColumn("text") for name in DLT_COLUMNS}
    return {name: column for name, column in {**known, **changes}.items() if column is not None}


def stored(*lacking: str, **changes: StoredColumn | None) -> StoredTables:
    return StoredTables({RULES.name: declared(**changes)}, lacking)


@pytest.fixture
def rows(tmp_path: Path) -> Callable[..., list[AccountRows]]:
    """An account with one rule that has these fields."""

    def write(**fields: Any) -> list[AccountRows]:
        return [account_rows(tmp_path / "rows", "acme", {RULES.name: [{"id": 1, **fields}]})]

    return write


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What is done to the warehouse, in its order; a second look finds all that is declared."""
    done: list[str] = []

    @contextmanager
    def making_tables(settings: PlatformSettings, of: Pipeline) -> Iterator[None]:
        assert (settings, of.is_active) == (SETTINGS, False)
        done.append("lock")
        yield
        done.append("unlock")

    def look(of: Pipeline, resources: ResourceTable) -> StoredTables:
        assert (of.is_active, resources) == (False, SETTINGS.resources)
        done.append("look")
        return stored()

    def drop(client: Any, name: str) -> None:
        done.append(f"drop {client.staging_dataset_name}")
        assert name == client.staging_dataset_name

    def make(of: Pipeline, loads: list[TableLoad], found: StoredTables) -> None:
        assert (of.is_active, found) == (False, stored())
        done.append(f"make {', '.join(loads[0].columns.unknown)}")

    monkeypatch.setattr(tables, "making_tables", making_tables)
    monkeypatch.setattr(tables, "stored_tables", look)
    monkeypatch.setattr(tables, "drop", drop)
    monkeypatch.setattr(tables, "_make_tables", make)
    return done


def pipeline(destination_type: str, done: list[str]) -> Pipeline:
    client = MagicMock(staging_dataset_name="ads_staging", escape_column_name=json.dumps)
    client.__enter__.return_value = client
    made = SimpleNamespace(
        destination=SimpleNamespace(destination_type=destination_type),
        schemas={},
        is_active=False,
        drop=lambda: done.append("restore"),
        sql_client=lambda: client,
    )
    return cast(Pipeline, made)


def prepare(
    destination_type: str, done: list[str], accounts: list[AccountRows], found: StoredTables
) -> TableLoad:
    made = pipeline(destination_type, done)
    [load] = tables.prepare(SETTINGS, made, [RULES.name], accounts, found, {})
    assert (load.resource, load.accounts) == (RULES, accounts)
    assert load.quoted("order") == '"order"'
    return load


@pytest.mark.parametrize(
    ("kind", "fields", "found", "steps"),
    [
        (POSTGRES_TYPE, {}, stored(), []),
        (
            POSTGRES_TYPE,
            {"novel": 1},
            stored(),
            ["lock", "restore", "look", "make novel", "unlock"],
        ),
        (POSTGRES_TYPE, {}, stored(status=None), ["lock", "restore", "look", "unlock"]),
        (
            POSTGRES_TYPE,
            {},
            stored(status=StoredColumn("text", known=False)),
            ["lock", "restore", "look", "unlock"],
        ),
        (POSTGRES_TYPE, {}, stored("accounts"), ["lock", "restore", "look", "unlock"]),
        (DUCKDB_TYPE, {"novel": 1}, stored(), ["drop ads_staging"]),
        (
            DUCKDB_TYPE,
            {},
            stored("accounts"),
            ["lock", "restore", "look", "unlock", "drop ads_staging"],
        ),
    ],
    ids=[
        "as it should be",
        "a new field",
        "another run has made it meanwhile",
        "a column that dlt does not know",
        "a table that was dropped",
        "a new field on DuckDB",
        "a table that was dropped from DuckDB",
    ],
)
def test_what_is_done_before_a_load(
    rows, done: list[str], kind: str, fields: dict[str, Any], found: StoredTables, steps: list[str]
) -> None:
    load = prepare(kind, done, rows(**fields), found)
    assert done == steps
    assert load.columns.unknown == list(fields)


def test_what_postgresql_cannot_hold_is_replaced_on_the_way(rows, done: list[str]) -> None:
    table = pa.table({"name": ["a\0b"], "id": [1]})
    load = prepare(POSTGRES_TYPE, done, rows(), stored())
    assert load.stored(table).to_pylist() == [{"name": "a\ufffdb", "id": 1}]
    assert load.scope == ROWS_OF_LOADED_ACCOUNTS_BY_INDEX
    assert prepare(DUCKDB_TYPE, done, load.accounts, stored()).stored(table) is table  # type: ignore[arg-type]


def test_dlt_forgets_a_column_of_a_type_that_holds_nothing_of_ours(rows, done: list[str]) -> None:
    known: dict[str, Any] = {name: {} for name in declared()}
    made = pipeline(DUCKDB_TYPE, done)
    schema = SimpleNamespace(tables={RULES.name: {"columns": known}})
    made.schemas[SOURCE_NAME] = schema  # type: ignore[index]
    found, accounts = stored(status=StoredColumn("TIMESTAMP")), rows()
    for _ in range(2):  # then it knows neither the column nor the table of audiences
        tables.prepare(SETTINGS, made, [RULES.name, "audiences"], accounts, found, {})
    assert known.keys() == declared().keys() - {"status"}


def test_what_is_not_there_is_made_before_the_load(home: Path, tmp_path: Path, rows) -> None:
    """At first the history, which dlt does not load; then the table that someone has dropped."""
    settings, made = platform_settings(), make_pipeline(platform_settings(), tmp_path)
    found, accounts = StoredTables({}), rows(novel=1)
    for dropped in (RULES.name, RULES.history.name):
        kept: Any = {RULES.name: frozenset()}
        [load] = tables.prepare(settings, made, [RULES.name], accounts, found, kept)
        found = stored_tables(made, settings.resources)
        assert found.columns[RULES.name].keys() >= {*load.columns.filled, "novel"}
        assert found.columns[RULES.history.name].keys() >= {*load.history.columns.filled}  # type: ignore[union-attr]
        assert not found.lacking
        assert SOURCE_NAME in made.schemas
        assert not made.has_pending_data
        change_warehouse(home, f"DROP TABLE analytics.{dropped}")
        found = stored_tables(made, settings.resources)
        assert found.lacking
