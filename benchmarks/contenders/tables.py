"""Rows into DuckDB by the shortest way: typed columns, Arrow, one insert per table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb
import pyarrow as pa

from analytics_assets.resources import RESOURCES
from analytics_assets.schema import Column

Row = dict[str, Any]

_ARROW = {"text": pa.string(), "bigint": pa.int64(), "double": pa.float64(), "bool": pa.bool_()}


def write_tables(warehouse: str, rows: Mapping[str, Sequence[Row]]) -> None:
    """Writes the rows of each resource to its table, which must not be there yet."""
    with duckdb.connect(warehouse) as connection:
        connection.execute("CREATE SCHEMA analytics")
        for name, resource in RESOURCES.lists.items():
            columns = resource.table_columns
            arrays = [_array(column, rows.get(name, ())) for column in columns]
            table = pa.table(arrays, names=[column.name for column in columns])
            casts = ", ".join(f"{column.name}::{_sql(column)}" for column in columns)
            connection.register("loaded", table)
            connection.execute(f"CREATE TABLE analytics.{name} AS SELECT {casts} FROM loaded")
            connection.unregister("loaded")


def _array(column: Column, rows: Sequence[Row]) -> pa.Array:
    values = [row.get(column.name) for row in rows]
    if column.type == "json":
        texts = [None if value is None else json.dumps(value) for value in values]
        return pa.array(texts, pa.string())
    return pa.array(values, _ARROW[column.type])


def _sql(column: Column) -> str:
    return {"text": "VARCHAR", "bool": "BOOLEAN"}.get(column.type, column.type.upper())
