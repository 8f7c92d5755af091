"""Dagster's event log in PostgreSQL, with a connection that stays open: see `deploy/dagster.yaml`.

Dagster connects anew for each statement, and stores an event with several. To start a server
process and to check the password takes many times as long as the statement does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dagster._serdes import ConfigurableClassData
from dagster_postgres import PostgresEventLogStorage
from sqlalchemy import Engine, create_engine

from analytics_assets.dagster_backend.batches import ask_for_batches


class PostgresEventLog(PostgresEventLogStorage):
    """Dagster's PostgreSQL event log, which keeps a connection, and is given batches of events.

    Args:
        stock: Dagster's own, whose database it is.
    """

    def __init__(self, stock: PostgresEventLogStorage) -> None:
        # all of its state, also what a release adds, as a provider of tokens for the password
        vars(self).update(vars(stock))
        self._engine = _keeping_a_connection(stock._engine)

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PostgresEventLog:
        """The event log that `dagster.yaml` configures."""
        ask_for_batches()
        return cls(super().from_config_value(inst_data, config_value))

    def has_table(self, table_name: str) -> bool:
        """Whether the database has a table; Dagster's own left a connection open before 0.29.21."""
        with self._connect() as connection:
            return bool(self._engine.dialect.has_table(connection, table_name))

    def dispose(self) -> None:
        """Closes the connection; the code location makes an instance for each question."""
        super().dispose()
        self._engine.dispose()


def _keeping_a_connection(engine: Engine) -> Engine:
    """An engine that has its connections from another one, which knows the password, and keeps one.

    Further threads get further connections, which are closed after their use.
    """

    def connect() -> Any:
        connection = engine.raw_connection()
        connection.detach()
        return connection.dbapi_connection

    return create_engine(
        engine.url,
        creator=connect,
        isolation_level="AUTOCOMMIT",  # as Dagster has it
        pool_size=1,
        max_overflow=-1,
        pool_pre_ping=True,  # a run reads for hours; the server may have been restarted since
    )
