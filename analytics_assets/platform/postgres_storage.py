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
from dagster_postgres.utils import (
    create_pg_engine,
    get_token_provider_from_config,
    pg_url_from_config,
)
from sqlalchemy import Connection

from analytics_assets.platform.batches import BatchedEventLog


class PostgresStorage(DagsterPostgresStorage):
    """Dagster's PostgreSQL storage, with `PostgresEventLog` for its events."""

    def __init__(
        self,
        postgres_url: str,
        should_autocreate_tables: bool = True,
        inst_data: ConfigurableClassData | None = None,
        token_provider: Any = None,
    ) -> None:
        super().__init__(postgres_url, should_autocreate_tables, inst_data, token_provider)
        self._event_log_storage = PostgresEventLog(
            postgres_url, should_autocreate_tables, token_provider=token_provider
        )

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> PostgresStorage:
        """The storage that `dagster.yaml` configures."""
        return cls(
            pg_url_from_config(config_value),
            config_value.get("should_autocreate_tables", True),
            inst_data,
            get_token_provider_from_config(config_value),
        )


class PostgresEventLog(BatchedEventLog, PostgresEventLogStorage):
    """Dagster's PostgreSQL event log, which keeps a connection."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._engine = create_pg_engine(
            self.postgres_url,
            self._token_provider,
            isolation_level="AUTOCOMMIT",  # as Dagster has it
            pool_size=1,
            max_overflow=-1,  # further threads get further connections, which are closed again
            pool_pre_ping=True,  # a run reads for hours; the server may have been restarted since
        )

    def dispose(self) -> None:
        """Closes the connection; the code location makes an instance for each question."""
        super().dispose()
        self._engine.dispose()

    def _insert(self, connection: Connection, events: Sequence[EventLogEntry]) -> list[int]:
        insert = self.prepare_insert_event_batch(events).returning(SqlEventLogStorageTable.c.id)
        return [row[0] for row in connection.execute(insert)]
