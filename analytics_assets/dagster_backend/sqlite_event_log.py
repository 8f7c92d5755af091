"""Dagster's event log in SQLite, with connections that stay open: see `dagster.yaml`.

Dagster opens its event log anew for each event: a connection whose end makes SQLite write its whole
log back and wait for the disk, and an engine that compiles each statement anew. A run over many
accounts writes hundreds of events, which takes longer than loading its rows.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import dagster as dg
from dagster._config.config_schema import UserConfigSchema
from dagster._core.events import ASSET_EVENTS
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorageTable, SqliteEventLogStorage
from dagster._serdes import ConfigurableClassData
from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.event import listen

from analytics_assets.dagster_backend.batches import ask_for_batches

# longest wait for another process that writes to the same file
_BUSY_SECONDS: Final = 30.0
# files held open at once: the index, and the runs that were used last
_MOST_OPEN: Final = 8
# Dagster's name for the file with the events of all runs about assets
_INDEX: Final = "index"


class SqliteEventLog(SqliteEventLogStorage):
    """Dagster's SQLite event log, which keeps the files that it used last open.

    It stores the events of a batch with a few statements.

    Args:
        base_dir: The folder of its files.
        inst_data: What `dagster.yaml` says of it.
    """

    def __init__(self, base_dir: str, inst_data: ConfigurableClassData | None = None) -> None:
        self._engines: dict[str, Engine] = {}
        self._tables: set[str] = set()
        super().__init__(base_dir, inst_data)

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """What `dagster.yaml` says: where DAGSTER_HOME is, below which Dagster has its records."""
        return {"dagster_home": dg.StringSource}

    @classmethod
    def from_config_value(
        cls, inst_data: ConfigurableClassData | None, config_value: Mapping[str, Any]
    ) -> SqliteEventLog:
        """The event log that `dagster.yaml` configures, in the files of Dagster's own."""
        ask_for_batches()
        return cls(str(Path(config_value["dagster_home"], "history", "runs")), inst_data)

    def store_event(self, event: EventLogEntry) -> None:
        """Stores an event."""
        super().store_event(event)
        self._touch(event.run_id)

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Stores events, those about assets together."""
        about_assets = [event for event in events if event.dagster_event_type in ASSET_EVENTS]
        # first: if they cannot be stored so, Dagster stores all of the batch one by one
        if about_assets:
            ids = self._insert(about_assets)
            self.store_asset_event_tags(about_assets, ids)
            # an asset's own record tells only of its latest event
            stored = zip(about_assets, ids, strict=True)
            latest = {event.get_dagster_event().asset_key: (event, id_) for event, id_ in stored}
            for event, id_ in latest.values():
                self.store_asset_event(event, id_)
        for event in events:
            if event.dagster_event_type not in ASSET_EVENTS:
                self.store_event(event)

    def has_table(self, table_name: str) -> bool:
        """Whether the index has a table; one that it has is not looked for again."""
        if table_name not in self._tables and super().has_table(table_name):
            self._tables.add(table_name)
        return table_name in self._tables

    def delete_events(self, run_id: str) -> None:
        """Removes a run's events, with the file that holds them alone."""
        with self.index_connection() as connection:
            self.delete_events_for_run(connection, run_id)
        if self.supports_global_concurrency_limits:
            self.free_concurrency_slots_for_run(run_id)
        with self._db_lock:
            if (engine := self._engines.pop(run_id, None)) is not None:
                engine.dispose()
            self._initialized_dbs.discard(run_id)
        for end in ("", "-wal", "-shm"):
            Path(f"{self.path_for_shard(run_id)}{end}").unlink(missing_ok=True)

    def compact(self) -> None:
        """Gives the disk what removed events have left in the index. Others may read meanwhile."""
        with self._db_lock:
            engine = self._engine(_INDEX).execution_options(isolation_level="AUTOCOMMIT")
            with engine.connect() as connection:
                connection.exec_driver_sql("VACUUM")
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")

    def wipe(self) -> None:
        """Removes all events."""
        self._close()
        super().wipe()

    def dispose(self) -> None:
        """Closes all files."""
        super().dispose()
        self._close()

    def _insert(self, events: Sequence[EventLogEntry]) -> list[int]:
        """Inserts the events themselves; their ids in the index."""
        insert = SqlEventLogStorageTable.insert()
        rows = [self._event_to_row(event) for event in events]
        with self.index_connection() as connection:
            # one by one: only newer releases of SQLite tell the ids of many
            ids = [int(connection.execute(insert, row).lastrowid) for row in rows]
        for run_id in {event.run_id for event in events}:
            with self.run_connection(run_id) as connection:
                connection.execute(insert, [row for row in rows if row["run_id"] == run_id])
            self._touch(run_id)
        return ids

    @contextmanager
    def _connect(self, shard: str) -> Iterator[Connection]:
        with self._db_lock, self._engine(shard).begin() as connection:
            yield connection

    def _engine(self, shard: str) -> Engine:
        engine = self._engines.pop(shard, None)
        if engine is None:
            engine = create_engine(
                self.conn_string_for_shard(shard), connect_args={"timeout": _BUSY_SECONDS}
            )
            listen(engine, "connect", _wait_less)
        if shard not in self._initialized_dbs:
            self._initdb(engine)
            self._initialized_dbs.add(shard)
        self._engines[shard] = engine  # in the order of their last use
        while len(self._engines) > _MOST_OPEN:
            self._engines.pop(next(iter(self._engines))).dispose()
        return engine

    def _touch(self, run_id: str) -> None:
        # The UI watches a run's file for changes, which SQLite at first writes beside it.
        os.utime(self.path_for_shard(run_id))

    def _close(self) -> None:
        with self._db_lock:
            while self._engines:
                self._engines.popitem()[1].dispose()


def _wait_less(connection: sqlite3.Connection, _: object) -> None:
    # A process that dies loses no event. After a power cut the last ones may be missing.
    connection.execute("PRAGMA synchronous=NORMAL")
