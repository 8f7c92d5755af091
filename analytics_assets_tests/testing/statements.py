"""The statements by which a load changes a warehouse, one by one.

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
from dlt.destinations.impl.postgres.sql_client import Psycopg2SqlClient
from dlt.destinations.sql_client import SqlClientBase

Client = SqlClientBase[Any]
See = Callable[[str, Any], object]

_CHANGES = re.compile(r"\s*(ALTER|BEGIN|COMMIT|CREATE|DELETE|DROP|INSERT|UPDATE)\b", re.IGNORECASE)
_READ_STAGED = re.compile(r"read_parquet\(.*", re.DOTALL)


@contextmanager
def each_statement(see: See) -> Iterator[None]:
    """Calls `see` before each statement that changes something, with its connection.

    Statements that are sent together to DuckDB are executed one after the other, as it does it.
    """
    lock = RLock()

    def tell(client: Client, statement: object) -> None:
        # psycopg2 composes those by which dlt copies rows
        if isinstance(statement, str) and _CHANGES.match(statement):
            with lock:
                see(statement, client.native_connection)

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LOAD__WORKERS", "1")  # one statement at a time
        for client_type in (DuckDbSqlClient, Psycopg2SqlClient):
            _listen(patch, client_type, tell)
        yield


def _listen(
    patch: pytest.MonkeyPatch, client_type: Any, tell: Callable[[Client, object], None]
) -> None:
    execute, begin, commit = (
        client_type.execute_query,
        client_type.begin_transaction,
        client_type.commit_transaction,
    )

    @contextmanager
    def execute_query(self: Client, query: str, *args: Any, **kwargs: Any):
        parts = [query]
        if isinstance(self, DuckDbSqlClient) and not args and not kwargs:
            parts = [part.query.strip() for part in duckdb.extract_statements(query)]
        for part in parts[:-1]:
            tell(self, part)
            with execute(self, part):
                pass
        tell(self, parts[-1])
        with execute(self, parts[-1], *args, **kwargs) as cursor:
            yield cursor

    @contextmanager
    def begin_transaction(self: Client):
        tell(self, "BEGIN")
        with begin(self) as transaction:
            yield transaction

    def commit_transaction(self: Client) -> None:
        tell(self, "COMMIT")
        commit(self)

    patch.setattr(client_type, "execute_query", execute_query)
    patch.setattr(client_type, "begin_transaction", begin_transaction)
    patch.setattr(client_type, "commit_transaction", commit_transaction)


def nth(number: int) -> str:
    """A MOMENT: the statement of that number, from 0."""
    return rf"(.*\n){{{number + 1}}}"


def in_short(statement: str) -> str:
    """A statement without what differs between two loads, on one line."""
    return " ".join(_READ_STAGED.sub("...", statement).split())[:120]


def main() -> None:
    from analytics_assets.cli import main as analytics_assets

    moment, file, *arguments = sys.argv[1:]

    def see(statement: str, _: object) -> None:
        with Path(file).open("a+") as lines:
            lines.write(in_short(statement) + "\n")
            lines.seek(0)
            if re.fullmatch(moment, lines.read()):
                os.kill(os.getpid(), signal.SIGKILL)

    with each_statement(see):
        analytics_assets(arguments)


if __name__ == "__main__":
    main()
