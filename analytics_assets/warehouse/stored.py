"""The warehouse's tables as they are: the columns that are there, and what dlt remembers of them.

What is there counts. People drop and change tables, and dlt does not look again at what it made.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from dlt import Pipeline, Schema
from dlt.common.destination.client import StorageSchemaInfo
from dlt.common.schema.typing import (
    LOADS_TABLE_NAME,
    PIPELINE_STATE_TABLE_NAME,
    VERSION_TABLE_NAME,
    TTableSchemaColumns,
)
from dlt.destinations.job_client_impl import SqlJobClientBase

from analytics_assets.errors import WarehouseError
from analytics_assets.resources import RESOURCES
from analytics_assets.schema import Resource, ResourceTable
from analytics_assets.warehouse.columns import StoredColumn, TableColumns
from analytics_assets.warehouse.destination import sql_dialect
from analytics_assets.warehouse.failures import first_cause, tables_were_changed
from analytics_assets.warehouse.history import VALIDITY, History
from analytics_assets.warehouse.read_lists import READ_LISTS
from analytics_assets.warehouse.replacement import DLT_COLUMNS, FIELD_HINT, ROW_ID, SOURCE_NAME

# By dialect, the types of the database that hold the values of ours as they are. Others, such
# as FLOAT or numeric, make the database change a value without a word.
_DUCKDB: Final = {
    "VARCHAR": "text",
    "BIGINT": "bigint",
    "DOUBLE": "double",
    "BOOLEAN": "bool",
    "JSON": "json",
    "DATE": "date",
}
_POSTGRES: Final = {
    "character varying": "text",
    "text": "text",
    "bigint": "bigint",
    "double precision": "double",
    "boolean": "bool",
    "json": "json",
    "date": "date",
}
_EXACT: Final[Mapping[str, Mapping[str, str]]] = {"duckdb": _DUCKDB, "postgres": _POSTGRES}
_COLUMNS_SQL: Final = """
    SELECT table_name, column_name,
        CASE WHEN character_maximum_length IS NULL THEN data_type
        ELSE data_type || '(' || character_maximum_length || ')' END
    FROM information_schema.columns
    WHERE table_catalog = current_database() AND table_schema = %s
    ORDER BY table_name, ordinal_position
"""

_DLT_TABLES: Final = (VERSION_TABLE_NAME, LOADS_TABLE_NAME, PIPELINE_STATE_TABLE_NAME)

Columns = dict[str, dict[str, str | None]]
"""Type by column by table; None where only dlt knows it."""


@dataclass(frozen=True, slots=True)
class StoredTables:
    """The tables of the dataset.

    Attributes:
        columns: The tables of resources and histories that are there, with their columns.
        lacking: What dlt remembers and is not there: tables (`audiences`) and columns
            (`campaigns.name`).
        has_read_lists: Whether the table `READ_LISTS` is there.
        resources: Those that there are.
    """

    columns: Mapping[str, Mapping[str, StoredColumn]]
    lacking: Collection[str] = ()
    has_read_lists: bool = False
    resources: ResourceTable = RESOURCES


def stored_tables(pipeline: Pipeline, resources: ResourceTable) -> StoredTables:
    """Looks at the resources' tables, and brings the pipeline's own schema up to date.

    Raises:
        WarehouseError: dlt's own tables cannot be read; the message says what to do.
    """
    tables = _tables(resources)
    try:
        pipeline.sync_destination()
        with _client(pipeline) as client:
            remembered = _remembered(client)
            there = _there(pipeline, client, tables)
    except Exception as error:
        if not tables_were_changed(error):
            raise
        raise WarehouseError(
            f"dlt's own tables in {pipeline.dataset_name} cannot be read ({first_cause(error)}):"
            f" drop {', '.join(_DLT_TABLES)} there; the next sync makes them anew, and no row is"
            " lost"
        ) from error
    columns = {
        name: _stored_columns(resource, there[name], remembered.get(name, {}))
        for name, resource in tables.items()
        if name in there
    }
    lacking = list(_lacking(tables, remembered, there))
    return StoredTables(columns, lacking, READ_LISTS in there, resources)


def _tables(resources: ResourceTable) -> dict[str, Resource]:
    """What each table is of: of a resource, or of a history."""
    histories = {name: resource.history for name, resource in resources.histories.items()}
    return {**resources, **histories}


def known_columns(stored: StoredTables) -> dict[str, TableColumns]:
    """The columns of each table that can be judged: one that has what each row has to have."""
    return {
        name: TableColumns.of(resource, there)
        for name, there in stored.columns.items()
        if (resource := stored.resources.get(name))
        and all(c.nullable or c.name in there for c in resource.table_columns)
    }


def stored_history(
    stored: StoredTables, table: TableColumns, ignored: frozenset[str]
) -> History | None:
    """The history of a table, with the columns that both have; None if none can be judged."""
    resource = table.resource
    there = stored.columns.get(resource.history.name, {})
    if not {*resource.key, *VALIDITY, ROW_ID} <= there.keys():
        return None
    history = History.of(table, there, ignored)
    places = {
        column: place
        for column, place in history.places.items()
        if column in stored.columns[resource.name] and place in there
    }
    return replace(history, places=places)


def forget_lacking(pipeline: Pipeline, stored: StoredTables) -> None:
    """Lets the pipeline's schema forget what is not there, so that it is made as it is declared."""
    if SOURCE_NAME not in pipeline.schemas:
        # dlt begins anew, and must not believe that it did so before
        with _client(pipeline) as client:
            table = client.sql_client.make_qualified_table_name(VERSION_TABLE_NAME)
            sql = f"DELETE FROM {table} WHERE schema_name = %s"
            client.sql_client.execute_sql(sql, SOURCE_NAME)
        return
    tables, ours = pipeline.schemas[SOURCE_NAME].tables, _tables(stored.resources)
    for table, _, column in (name.partition(".") for name in stored.lacking):
        if table in ours and column:
            tables[table]["columns"].pop(column, None)
        elif table in ours:
            tables.pop(table, None)


def make_stored(pipeline: Pipeline) -> None:
    """Makes the tables and columns of the pipeline's schema that are not there.

    dlt does so when its schema is new to the warehouse; this looks at the tables themselves.
    """
    with _client(pipeline) as client:
        client.initialize_storage()
        client.update_stored_schema(force=True)


def refuse_changed_keys(
    stored: StoredTables, resources: Iterable[Resource], dataset_name: str
) -> None:
    """Refuses tables whose rows cannot be told apart.

    Raises:
        WarehouseError: A column of a key is not there, or has another type; the message says what
            to do.
    """
    for resource in resources:
        there = stored.columns.get(resource.name)
        if there is None:
            continue
        types = {column.name: column.type for column in resource.table_columns}
        wrong = {
            name: "is not there" for name in (*resource.key, *DLT_COLUMNS) if name not in there
        }
        if resource.is_history:
            wrong |= {name: "is not there" for name in VALIDITY if name not in there}
        for name in resource.key:
            if name in there and there[name].type != types[name]:
                wrong[name] = f"has the type {there[name].type}, not {types[name]}"
        for name, what in wrong.items():  # the first is enough to know what to do
            raise WarehouseError(
                f"the column {resource.name}.{name} {what}: put it back, or drop the table"
                f" {dataset_name}.{resource.name}, which the next sync makes anew"
            )


def _client(pipeline: Pipeline) -> SqlJobClientBase:
    names = [SOURCE_NAME] if SOURCE_NAME in pipeline.schemas else []
    client = pipeline.destination_client(*names)
    assert isinstance(client, SqlJobClientBase)
    return client


def _remembered(client: SqlJobClientBase) -> Mapping[str, TTableSchemaColumns]:
    """What the newest version of dlt's schema says of each table that it has made."""
    stored: StorageSchemaInfo | None = client.get_stored_schema(SOURCE_NAME)
    if stored is None:
        return {}
    schema = Schema.from_dict(json.loads(stored.schema))
    return {name: schema.get_table_columns(name) for name in schema.tables}


def _there(pipeline: Pipeline, client: SqlJobClientBase, names: Iterable[str]) -> Columns:
    exact = _EXACT.get(sql_dialect(pipeline))
    if exact is None:
        tables = client.get_storage_tables([*names, *_DLT_TABLES, READ_LISTS])
        # some databases tell the names in capitals; ours have none
        return {
            table: {name.lower(): None for name in columns} for table, columns in tables if columns
        }
    found: Columns = {}
    rows = client.sql_client.execute_sql(_COLUMNS_SQL, client.sql_client.dataset_name)
    for table, column, type_ in rows or []:
        found.setdefault(table, {})[column] = exact.get(type_, type_)
    return found


def _stored_columns(
    resource: Resource, there: Mapping[str, str | None], remembered: TTableSchemaColumns
) -> dict[str, StoredColumn]:
    declared = {column.name: column.type for column in resource.table_columns}
    found = {}
    for name, type_ in there.items():
        hints: Mapping[str, Any] = remembered.get(name, {})
        found[name] = StoredColumn(
            type_ or hints.get("data_type") or declared.get(name, "text"),
            hints.get(FIELD_HINT),
            bool(hints.get("variant")),
            known=bool(hints),
        )
    return found


def _lacking(
    names: Iterable[str], remembered: Mapping[str, TTableSchemaColumns], there: Columns
) -> Iterator[str]:
    for table in (*names, *_DLT_TABLES):
        columns = remembered.get(table, {})
        if columns and table not in there:
            yield table
        elif columns:
            yield from (f"{table}.{name}" for name in columns if name not in there[table])
