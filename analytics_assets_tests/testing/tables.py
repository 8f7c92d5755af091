"""Whole tables, as the API served them and as the warehouse holds them, value by value."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import duckdb
import psycopg2
import psycopg2.extras

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleData
from analytics_assets_tests.testing.other_destinations import OPENED, Read

Row = dict[str, Any]
Tables = dict[str, dict[str, list[str]]]
"""Rows by account by table."""


def on_postgres() -> bool:
    return os.environ.get("ANALYTICS__DESTINATION") == "postgres"


@contextmanager
def opened_warehouse(home: Path) -> Iterator[Read]:
    """The warehouse that the settings name, by one connection."""
    if (of_lane := OPENED.get(os.environ.get("ANALYTICS__DESTINATION", ""))) is not None:
        with of_lane() as read:
            yield read
        return
    if not on_postgres():
        with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:

            def read_duckdb(sql: str) -> tuple[list[str], list[str], list[tuple[Any, ...]]]:
                result = connection.sql(sql)
                return result.columns, [str(type_) for type_ in result.types], result.fetchall()

            yield read_duckdb
        return
    with closing(psycopg2.connect(os.environ["DESTINATION__POSTGRES__CREDENTIALS"])) as server:
        # nothing is parsed: json is text here as it is in DuckDB
        psycopg2.extras.register_default_json(server, loads=lambda text: text)
        server.autocommit = True
        with server.cursor() as cursor:

            def read_postgres(sql: str) -> tuple[list[str], list[str], list[tuple[Any, ...]]]:
                cursor.execute(sql)
                described = cursor.description or ()
                columns = [column.name for column in described]
                oids = [column.type_code for column in described]
                rows = cursor.fetchall() if described else []
                cursor.execute("SELECT oid, upper(typname) FROM pg_type")
                names = dict(cursor.fetchall())
                return columns, [names[oid] for oid in oids], rows

            yield read_postgres


def query(home: Path, sql: str) -> list[tuple[Any, ...]]:
    with opened_warehouse(home) as read:
        return read(sql)[2]


def change_warehouse(home: Path, *statements: str) -> None:
    """What people do to their tables."""
    if on_postgres():
        query(home, "; ".join(statements))
        return
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        for statement in statements:
            connection.execute(statement)


@contextmanager
def taken(file: Path) -> Iterator[int]:
    """A DuckDB file that another process has open to write; yields its PID."""
    code = f"import duckdb; c = duckdb.connect({str(file)!r}); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.communicate(b"\n")


def warehouse_table(home: Path, name: str) -> list[Row]:
    """All rows and columns but dlt's own; `json` columns parsed."""
    with opened_warehouse(home) as read:
        return _table(read, name)


def _table(read: Read, name: str) -> list[Row]:
    columns, types, rows = read(f'SELECT * FROM analytics."{name}"')
    return [
        {
            column: json.loads(value) if type_ == "JSON" and value is not None else value
            for column, type_, value in zip(columns, types, row, strict=True)
            if not column.startswith("_dlt_")
        }
        for row in rows
    ]


def served_table(data: SampleData, name: str, accounts: Iterable[str] | None = None) -> list[Row]:
    """The rows that the API serves now, with the columns that the table must have."""
    resource = RESOURCES[name]
    return [
        {
            column.name: _expected(row.get(column.name), column.type)
            for column in resource.table_columns
        }
        for row in data.table(name, accounts)
    ]


def text_column(name: str) -> str:
    """A declared text column that tests may change."""
    resource = RESOURCES[name]
    return next(
        column.name
        for column in resource.columns
        if column.type == "text" and column.name not in (*resource.key, resource.parent_column)
    )


def assert_equal_tables(expected: list[Row], actual: list[Row], name: str) -> None:
    """Same rows, whatever their order, and the same values, types included."""
    key = RESOURCES[name].key
    assert _sorted(actual, key) == _sorted(expected, key)


def assert_warehouse_equals_api(
    home: Path, data: SampleData, names: Iterable[str] = tuple(RESOURCES.lists)
) -> None:
    with opened_warehouse(home) as read:
        for name in names:
            assert_equal_tables(served_table(data, name), _table(read, name), name)


def _expected(value: Any, column_type: str) -> Any:
    if column_type == "text" and isinstance(value, str) and on_postgres():
        return value.replace("\0", "\ufffd")  # PostgreSQL cannot store it
    return float(value) if column_type == "double" and type(value) is int else value


def _sorted(rows: list[Row], key: tuple[str, ...]) -> list[str]:
    # as JSON, in which 1, 1.0, true and "1" differ
    ordered = sorted(rows, key=lambda row: tuple(str(row[name]) for name in key))
    return [json.dumps(row, sort_keys=True) for row in ordered]


def rows_by_account(home: Path) -> dict[str, dict[str, list]]:
    """Every row of every table by account, dlt's own columns included."""
    accounts: dict[str, dict[str, list]] = {}
    with duckdb.connect(str(home / "warehouse.duckdb"), read_only=True) as connection:
        for name in RESOURCES.account_lists:
            result = connection.sql(f'SELECT * FROM analytics."{name}" ORDER BY account_id, id')
            place = result.columns.index("account_id")
            for row in result.fetchall():
                accounts.setdefault(row[place], {}).setdefault(name, []).append(row)
    return accounts


def by_account(rows: list[Row]) -> dict[str, list[str]]:
    """Each account's rows, in an order that does not depend on theirs."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row["account_id"], []).append(repr(sorted(row.items())))
    return {account: sorted(lines) for account, lines in found.items()}


def warehouse_tables(home: Path) -> Tables:
    with opened_warehouse(home) as read:
        return {name: by_account(_table(read, name)) for name in RESOURCES.lists}


def served_tables(data: SampleData) -> Tables:
    return {name: by_account(served_table(data, name)) for name in RESOURCES.lists}
