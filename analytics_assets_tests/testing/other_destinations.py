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

from analytics_assets_tests.testing.commands import CHECKOUT

Read = Callable[[str], tuple[list[str], list[str], list[tuple[Any, ...]]]]
"""Executes SQL, and gives the columns, their types and the rows."""

_PAGE: Final = (CHECKOUT / "docs" / "destinations.md").read_text(encoding="utf-8")
_FOLDER: Final = "/srv/analytics"
_TABLE: Final = re.compile(r'FROM analytics\."?(\w+)')
# SQLite has neither type, and says so of a column all the same
_AS_DECLARED: Final[dict[str, Callable[[Any], Any]]] = {
    "BOOLEAN": bool,
    "DATE": date.fromisoformat,
}


def settings_of_page(destination: str, folder: Path) -> dict[str, str]:
    """The settings that the page on destinations has for one, in a folder."""
    exports = f"export ANALYTICS__DESTINATION={destination}\n(?:export .*\n)+"
    (block,) = re.findall(exports, _PAGE)
    found = re.findall(r"export (\w+)=(\S+)", block)
    return {name: value.replace(_FOLDER, str(folder)) for name, value in found}


def statements_of_page() -> list[str]:
    """The page's SQL for DuckLake, with the lake where the settings have it."""
    blocks = re.findall(r"^-- DuckLake\n(.*?)^```$", _PAGE, re.MULTILINE | re.DOTALL)
    folder = str(Path(_catalog().removeprefix("sqlite:///")).parent)
    return [
        statement.strip().replace(_FOLDER, folder)
        for block in blocks
        for statement in block.split(";")
        if statement.strip()
    ]


def _catalog() -> str:
    return os.environ["DESTINATION__DUCKLAKE__CREDENTIALS__CATALOG"]


def install_extensions() -> None:
    """Puts the extensions of DuckDB where it looks for them; none is downloaded."""
    for name in ("ducklake", "sqlite_scanner", "postgres_scanner"):
        package = import_module(f"duckdb_extension_{name}")
        (file,) = Path(package.__path__[0]).rglob("*.duckdb_extension")
        duckdb.install_extension(str(file))


@contextmanager
def opened_lake() -> Iterator[Read]:
    """The lake that the settings name, as the page has readers open it."""
    attach, *_ = statements_of_page()
    if _catalog().startswith("postgresql:"):
        options = "READ_ONLY, METADATA_SCHEMA 'ducklake'"
        attach = f"ATTACH 'ducklake:postgres:{_catalog()}' AS lake ({options})"
    with duckdb.connect() as connection:
        connection.execute(attach)
        connection.execute("USE lake")

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
