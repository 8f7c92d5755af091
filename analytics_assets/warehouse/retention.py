"""The old rows of `_dlt_loads`, dlt's own record of its loads, which grows by a row for each."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dlt.common.schema.typing import C_DLT_LOAD_ID, LOADS_TABLE_NAME, PIPELINE_STATE_TABLE_NAME
from dlt.destinations.job_client_impl import SqlJobClientBase

from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.audit import time_of_load
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.holdings import existing_tables, read_only_client
from analytics_assets.warehouse.locks import run_locked
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets.warehouse.replacement import SOURCE_NAME
from analytics_assets.warehouse.statements import in_chunks, marks


@dataclass(frozen=True, slots=True)
class RecordedLoads:
    """dlt's record of our loads.

    Attributes:
        number: How many there are.
        expired: dlt's names of those that can be removed.
    """

    number: int = 0
    expired: Sequence[str] = ()


def recorded_loads(
    settings: PlatformSettings, before: float, needed: Collection[str]
) -> RecordedLoads:
    """Looks for the loads from before a moment, in unix seconds, that nothing names.

    Those `needed` by others are named, those of which a table still has rows, and those of dlt's
    own state.

    Raises:
        SettingsError: The settings lead to no warehouse.
        WarehouseError: It cannot be asked now.
    """
    with read_only_client(settings) as client:
        if client is None:
            return RecordedLoads()
        names = [*settings.resources, *settings.resources.histories]
        names += [PIPELINE_STATE_TABLE_NAME, LOADS_TABLE_NAME]
        tables = existing_tables(client, names)
        if LOADS_TABLE_NAME not in tables:
            return RecordedLoads()
        loads = {
            str(load_id) for (load_id,) in _rows(client, LOADS_TABLE_NAME, "load_id", SOURCE_NAME)
        }
        named = {*needed, *_named(client, tables)}
    made_at = {load_id: time_of_load(load_id) for load_id in loads - named}
    expired = [load_id for load_id, at in made_at.items() if at is not None and at < before]
    return RecordedLoads(len(loads), sorted(expired))


def remove_loads(
    settings: PlatformSettings, folder: Path, load_ids: Sequence[str], request: LockRequest
) -> None:
    """Removes loads from dlt's record; tables are not touched.

    Raises:
        WarehouseError: The warehouse could not be written.
    """
    pipeline = make_pipeline(settings, folder)

    def remove() -> None:
        with pipeline.sql_client() as client, client.begin_transaction():
            table = client.make_qualified_table_name(LOADS_TABLE_NAME)
            column = client.escape_column_name("load_id")
            for some in in_chunks(load_ids):
                client.execute_sql(f"DELETE FROM {table} WHERE {column} IN ({marks(some)})", *some)

    run_locked(settings, pipeline, remove, request)


def _named(client: SqlJobClientBase, tables: Mapping[str, Collection[str]]) -> Iterator[str]:
    for name, columns in tables.items():
        if C_DLT_LOAD_ID in {column.lower() for column in columns}:
            yield from (str(load_id) for (load_id,) in _rows(client, name, C_DLT_LOAD_ID))


def _rows(
    client: SqlJobClientBase, table: str, column: str, schema_name: str | None = None
) -> Sequence[Sequence[Any]]:
    """The values of a column, each once; of our own schema, where one is given."""
    sql = client.sql_client
    statement = (
        f"SELECT DISTINCT {sql.escape_column_name(column)}"
        f" FROM {sql.make_qualified_table_name(table)}"
    )
    if schema_name is None:
        return sql.execute_sql(statement) or []
    where = f" WHERE {sql.escape_column_name('schema_name')} = %s"
    return sql.execute_sql(statement + where, schema_name) or []
