"""The statements by which a load changes a DuckDB file, one by one.

As a program, it is `analytics-assets` in a process that is killed at one of them:

    python -m analytics_assets_tests.testing.statements MOMENT FILE sync ...

FILE gets the statements, one a line. The process dies before a statement is executed with which
the whole file matches the regular expression MOMENT.
"""

from __future__ import annotations

import os
import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import RLock
from typing import Any

import duckdb
import pytest
from dlt.destinations.impl.duckdb.sql_client import DuckDbSqlClient

See = Callable[[str, duckdb.DuckDBPyConnection], object]

_CHANGES = re.compile(r"\s*(ALTER|BEGIN|COMMIT|CREATE|DELETE|DROP|INSERT|UPDATE)\b", re.IGNORECASE)
_READ_STAGED = re.compile(r"read_parquet\(.*", re.DOTALL)


@contextmanager
def each_statement(see: See) -> Iterator[None]:
    """Calls `see` before each statement that changes something, with its connection.

    Statements that are sent together are executed one after the other, as DuckDB does it.
    """
    execute, begin, commit = (
        DuckDbSqlClient.execute_query,
        DuckDbSqlClient.begin_transaction,
        DuckDbSqlClient.commit_transaction,
    )
    lock = RLock()

    def tell(client: DuckDbSqlClient, statement: str) -> None:
        if _CHANGES.match(statement):
            with lock:
                see(statement, client.native_connection)

    @contextmanager
    def execute_query(self: DuckDbSqlClient, query: str, *args: Any, **kwargs: Any):
        parts = [query]
        if not args and not kwargs:
            parts = [part.query.strip() for part in duckdb.extract_statements(query)]
        for part in parts[:-1]:
            tell(self, part)
            with execute(self, part):
                pass
        tell(self, parts[-1])
        with execute(self, parts[-1], *args, **kwargs) as cursor:
            yield cursor

    @contextmanager
    def begin_transaction(self: DuckDbSqlClient):
        tell(self, "BEGIN")
        with begin(self) as transaction:
            yield transaction

    def commit_transaction(self: DuckDbSqlClient) -> None:
        tell(self, "COMMIT")
        commit(self)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOAD__WORKERS", "1")  # one statement at a time
        patch.setattr(DuckDbSqlClient, "execute_query", execute_query)
        patch.setattr(DuckDbSqlClient, "begin_transaction", begin_transaction)
        patch.setattr(DuckDbSqlClient, "commit_transaction", commit_transaction)
        yield


def nth(number: int) -> str:
    """A MOMENT: the statement of that number, from 0."""
    return rf"(.*\n){{{number + 1}}}"


def in_short(statement: str) -> str:
    """A statement without what differs between two loads, on one line."""
    return " ".join(_READ_STAGED.sub("...", statement).split())[:120]


def main() -> None:
    from analytics_assets.cli import main as analytics_assets

    moment, file, *arguments = sys.argv[1:]

    def see(statement: str, _: duckdb.DuckDBPyConnection) -> None:
        with Path(file).open("a+") as lines:
            lines.write(in_short(statement) + "\n")
            lines.seek(0)
            if re.fullmatch(moment, lines.read()):
                os.kill(os.getpid(), signal.SIGKILL)

    with each_statement(see):
        analytics_assets(arguments)


if __name__ == "__main__":
    main()
