"""Destinations that have a lane of their own (`make test-destinations`), and their tables."""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import date
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import duckdb

Read = Callable[[str], tuple[list[str], list[str], list[tuple[Any, ...]]]]
"""Executes SQL, and gives the columns, their types and the rows."""

_TABLE: Final = re.compile(r'FROM analytics\."?(\w+)')
# SQLite has neither type, and says so of a column all the same
_AS_DECLARED: Final[dict[str, Callable[[Any], Any]]] = {
    "BOOLEAN": bool,
    "DATE": date.fromisoformat,
}


def lake_settings(folder: Path, catalog: str) -> dict[str, str]:
    """The settings of a DuckLake whose rows are in a folder, and which are whose in a catalog."""
    return {
        "ANALYTICS__DESTINATION": "ducklake",
        "DESTINATION__DUCKLAKE__CREDENTIALS__CATALOG": catalog,
        "DESTINATION__DUCKLAKE__CREDENTIALS__STORAGE__BUCKET_URL": f"file://{folder / 'lake'}",
    }


def sqlite_settings(folder: Path) -> dict[str, str]:
    return {
        "ANALYTICS__DESTINATION": "sqlalchemy",
        "DESTINATION__SQLALCHEMY__CREDENTIALS": f"sqlite:///{folder / 'warehouse.db'}",
    }


def install_extensions() -> None:
    """Puts the extensions of DuckDB where it looks for them; none is downloaded."""
    for name in ("ducklake", "sqlite_scanner", "postgres_scanner"):
        package = import_module(f"duckdb_extension_{name}")
        (file,) = Path(package.__path__[0]).rglob("*.duckdb_extension")
        duckdb.install_extension(str(file))


@contextmanager
def opened_lake() -> Iterator[Read]:
    """The lake that the settings name, as any reader opens it."""
    catalog = os.environ["DESTINATION__DUCKLAKE__CREDENTIALS__CATALOG"]
    place = catalog.replace("sqlite:///", "sqlite:").replace(
        "postgresql://", "postgres:postgresql://"
    )
    with duckdb.connect() as connection:
        schema = ", METADATA_SCHEMA 'ducklake'" if place.startswith("postgres") else ""
        connection.execute(f"ATTACH 'ducklake:{place}' AS lake (READ_ONLY{schema}); USE lake")

        def read(sql: str) -> tuple[list[str], list[str], list[tuple[Any, ...]]]:
            result = connection.sql(sql)
            return result.columns, [str(type_) for type_ in result.types], result.fetchall()

        yield read


@contextmanager
def opened_sqlite() -> Iterator[Read]:
    """The SQLite file that the settings name, in which dlt has a file for each dataset."""
    file = Path(os.environ["DESTINATION__SQLALCHEMY__CREDENTIALS"].removeprefix("sqlite:///"))
    dataset = file.with_name(f"{file.stem}__analytics{file.suffix}")
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("ATTACH ? AS analytics", [str(dataset)])

        def read(sql: str) -> tuple[list[str], list[str], list[tuple[Any, ...]]]:
            cursor = connection.execute(sql)
            columns = [column for column, *_ in cursor.description]
            found = _TABLE.search(sql)
            described = connection.execute(f"PRAGMA analytics.table_info({found and found[1]})")
            declared = {name: type_ for _, name, type_, *_ in described}
            types = [declared.get(column, "") for column in columns]
            makers = [_AS_DECLARED.get(type_, lambda value: value) for type_ in types]
            rows = [
                tuple(v if v is None else make(v) for make, v in zip(makers, row, strict=True))
                for row in cursor
            ]
            return columns, types, rows

        yield read


OPENED: Final = {"ducklake": opened_lake, "sqlalchemy": opened_sqlite}
