"""A sync of one account, in a small warehouse and among millions of other accounts' rows."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import duckdb

from analytics_assets.resources import ACCOUNT_RESOURCES, RESOURCES
from analytics_assets_tests.testing.postgres_server import running
from benchmarks.measuring import environment, new_home
from benchmarks.serving import Host, serving
from benchmarks.workloads import FEW, Workload

OTHER_ROWS = 10_000_000
"""Rows of other accounts, over all tables."""

_OTHER_ACCOUNTS = 1_000
_ROUNDS = 3

Execute = Callable[[str], list[tuple[object, ...]]]


def in_both(other_rows: int = OTHER_ROWS, workload: Workload = FEW) -> Iterator[dict[str, object]]:
    """Measures both warehouses; yields a row for each.

    Raises:
        subprocess.CalledProcessError: A sync failed; it has printed why.
    """
    with serving(workload) as api:
        for warehouse in (_duckdb, _postgres):
            with new_home() as home, warehouse(home) as (settings, execute):
                sync = _sync(api, home, settings)
                sync()
                account = str(execute("SELECT min(account_id) FROM analytics.accounts")[0][0])
                times = {"small": _seconds(sync, account)}
                _add_rows(execute, other_rows)
                times["large"] = _seconds(sync, account)
                rows = sum(_count(execute, name) for name in ACCOUNT_RESOURCES)
                yield {"warehouse": warehouse.__name__.strip("_"), "rows": rows, **times}


def _seconds(sync: Callable[..., None], account: str) -> float:
    """The median of some syncs, after one that does what is done only once."""
    taken = []
    for _ in range(_ROUNDS + 1):
        started = time.monotonic()
        sync("--account", account)
        taken.append(time.monotonic() - started)
    return median(taken[1:])


def _sync(api: Host, home: Path, settings: Mapping[str, str]) -> Callable[..., None]:
    def sync(*arguments: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "analytics_assets.cli", "sync", *arguments],
            cwd=home,
            env={**environment(home, api), **settings},
            stdout=subprocess.DEVNULL,
            check=True,
        )

    return sync


def _add_rows(execute: Execute, number: int) -> None:
    """Copies each table's rows under other accounts and ids, in the shares that the tables have."""
    counts = {name: _count(execute, name) for name in ACCOUNT_RESOURCES}
    copies = number // sum(counts.values())
    for name in ACCOUNT_RESOURCES:
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


def _value(column: str, type_: str | None) -> str:
    """What a copy has in a column: ids of its own, by which parents have their children."""
    if column == "account_id":
        # not one account after the other: those of a load lie apart, as after many loads
        return f"'other-' || (n % {_OTHER_ACCOUNTS})"
    if column == "_dlt_id":
        return "t._dlt_id || '/' || n"
    if column in ("id", "campaign_id"):
        return "row_number() OVER ()" if type_ == "bigint" else f"t.{column} || '-' || n"
    return f't."{column}"'


def _count(execute: Execute, name: str) -> int:
    [(number,)] = execute(f"SELECT count(*) FROM analytics.{name}")
    return int(str(number))


@contextmanager
def _duckdb(home: Path) -> Iterator[tuple[Mapping[str, str], Execute]]:
    def execute(sql: str) -> list[tuple[object, ...]]:
        with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
            return list(connection.execute(sql).fetchall())

    yield {}, execute


@contextmanager
def _postgres(_: Path) -> Iterator[tuple[Mapping[str, str], Execute]]:
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="postgres-")))
        server = stack.enter_context(running(folder))
        database = stack.enter_context(server.database())
        settings = {
            "ANALYTICS__DESTINATION": "postgres",
            "DESTINATION__POSTGRES__CREDENTIALS": server.url(database),
        }
        yield settings, lambda sql: server.run(sql, database=database)
