"""A sync of one account, in a small warehouse and among millions of other accounts' rows."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import duckdb

from analytics_assets.resources import RESOURCES
from analytics_assets_tests.testing.postgres_server import PostgresServer, running
from benchmarks.measuring import environment, new_home
from benchmarks.serving import Host, serving
from benchmarks.workloads import FEW

OTHER_ROWS = 10_000_000
"""Rows of other accounts, over all tables."""

_OTHER_ACCOUNTS = 1_000

Rows = list[tuple[object, ...]]
Execute = Callable[[str], Rows]


def in_both(other_rows: int = OTHER_ROWS, rounds: int = 5) -> Iterator[dict[str, object]]:
    """Measures both warehouses, each small and large by turns; yields a row for each.

    Raises:
        subprocess.CalledProcessError: A sync failed; it has printed why.
    """
    with serving(FEW) as api:
        for name, warehouse in {"DuckDB": _duckdb, "PostgreSQL": _postgres}.items():
            with warehouse() as (small, large):
                for place in (small, large):
                    place.sync(api)
                _add_rows(large.execute, other_rows)
                account = str(small.execute("SELECT min(account_id) FROM analytics.accounts")[0][0])
                taken: dict[str, list[float]] = {"small": [], "large": []}
                for round_ in range(rounds + 1):
                    for size, place in {"small": small, "large": large}.items():
                        started = time.monotonic()
                        place.sync(api, "--account", account)
                        if round_:  # the first does what is done only once
                            taken[size].append(time.monotonic() - started)
                yield {
                    "name": name,
                    "n": rounds,
                    "rows": _rows(large.execute),
                    **{size: median(seconds) for size, seconds in taken.items()},
                }


@dataclass(frozen=True)
class _Place:
    """A Dagster home and its warehouse, in which statements can be executed."""

    home: Path
    settings: Mapping[str, str]
    execute: Execute

    def sync(self, api: Host, *arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "analytics_assets.cli", "sync", *arguments],
            cwd=self.home,
            env={**environment(self.home, api), **self.settings},
            stdout=subprocess.DEVNULL,
            check=True,
        )


def _add_rows(execute: Execute, number: int) -> None:
    """Copies each table's rows under other accounts and ids, in the shares that the tables have."""
    counts = {name: _count(execute, name) for name in RESOURCES.account_lists}
    copies = -(-number // sum(counts.values()))
    for name in RESOURCES.account_lists:
        types = {column.name: column.type for column in RESOURCES[name].table_columns}
        found = execute(
            "SELECT column_name FROM information_schema.columns"
            f" WHERE table_schema = 'analytics' AND table_name = '{name}' ORDER BY ordinal_position"
        )
        columns = [str(column) for (column,) in found]
        names = ", ".join(f'"{column}"' for column in columns)
        values = ", ".join(_value(column, types.get(column)) for column in columns)
        execute(
            f"INSERT INTO analytics.{name} ({names}) SELECT {values}"
            f" FROM generate_series(1, {copies}) AS copies(n), analytics.{name} t"
        )
    execute("VACUUM ANALYZE")  # or PostgreSQL does it by itself, while the first syncs are measured


def _value(column: str, type_: str | None) -> str:
    """What a copy has in a column: ids of its own, by which parents have their children."""
    if column == "account_id":
        # not one account after the other: those of a load lie apart, as after many loads
        return f"'other-' || mod(n, {_OTHER_ACCOUNTS})"
    if column == "_dlt_id":
        return "t._dlt_id || '/' || n"
    if column in ("id", "campaign_id"):
        return "row_number() OVER ()" if type_ == "bigint" else f"t.{column} || '-' || n"
    return f't."{column}"'


def _count(execute: Execute, name: str) -> int:
    [(number,)] = execute(f"SELECT count(*) FROM analytics.{name}")
    return int(str(number))


def _rows(execute: Execute) -> int:
    return sum(_count(execute, name) for name in RESOURCES.account_lists)


@contextmanager
def _duckdb() -> Iterator[tuple[_Place, _Place]]:
    with new_home() as small, new_home() as large:
        yield _in_file(small), _in_file(large)


def _in_file(home: Path) -> _Place:
    def execute(sql: str) -> Rows:
        with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
            return list(connection.execute(sql).fetchall())

    return _Place(home, {}, execute)


@contextmanager
def _postgres() -> Iterator[tuple[_Place, _Place]]:
    with (
        TemporaryDirectory(prefix="postgres-") as folder,
        running(Path(folder)) as server,
        server.database() as small,
        server.database() as large,
        new_home() as home,
        new_home() as other,
    ):
        yield _in_database(home, server, small), _in_database(other, server, large)


def _in_database(home: Path, server: PostgresServer, database: str) -> _Place:
    settings = {
        "ANALYTICS__DESTINATION": "postgres",
        "DESTINATION__POSTGRES__CREDENTIALS": server.url(database),
    }
    return _Place(home, settings, partial(server.run, database=database))
