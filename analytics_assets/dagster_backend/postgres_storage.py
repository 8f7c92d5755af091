"""Dagster's records in PostgreSQL, with a connection that stays open: see `deploy/dagster.yaml`.

Dagster connects anew for each statement, and stores an event with several. To start a server
process and to check the password takes many times as long as the statement does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorageTable
from dagster._serdes import ConfigurableClassData
from dagster_postgres import DagsterPostgresStorage, PostgresEventLogStorage
from sqlalchemy import Engine, create_engine

from analytics_assets.dagster_backend.batches import BatchedEventLog


class PostgresStorage(DagsterPostgresStorage):
    """Dagster's PostgreSQL storage, with `PostgresEventLog` for its events."""

    @classmethod
    def from_config_value(  # type: ignore[override]
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> DagsterPostgresStorage:
        """The storage that `dagster.yaml` configures."""
        storage = super().from_config_value(inst_data, config_value)  # type: ignore[arg-type]
        storage._event_log_storage = PostgresEventLog(storage._event_log_storage)
        return storage


class PostgresEventLog(BatchedEventLog, PostgresEventLogStorage):
    """Dagster's PostgreSQL event log, which keeps a connection.

    Args:
        stock: Dagster's own, whose database it is.
    """

    def __init__(self, stock: PostgresEventLogStorage) -> None:
        super().__init__(stock.postgres_url, should_autocreate_tables=False)
        self._engine = _keeping_a_connection(stock._engine)

    def dispose(self) -> None:
        """Closes the connection; the code location makes an instance for each question."""
        super().dispose()
        self._engine.dispose()

    def _insert(self, events: Sequence[EventLogEntry]) -> list[int]:
        insert = self.prepare_insert_event_batch(events).returning(SqlEventLogStorageTable.c.id)
        with self.index_connection() as connection:
            return [row[0] for row in connection.execute(insert)]


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
