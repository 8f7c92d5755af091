"""Tables of resources that the settings do not have any more: counted, and removed if asked for."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from dlt import Schema
from dlt.common.destination.client import StorageSchemaInfo
from dlt.common.schema.typing import VERSION_TABLE_NAME
from dlt.pipeline.helpers import pipeline_drop

from analytics_assets.settings import PlatformSettings
from analytics_assets.text import counted
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.holdings import existing_tables, read_only_client
from analytics_assets.warehouse.locks import run_locked
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets.warehouse.replacement import SOURCE_NAME
from analytics_assets.warehouse.statements import count_rows

LEFT: Final = "run `analytics-assets forget --resource NAME`, or put the entry back"
"""What to do about such a table."""


def named_tables(tables: Mapping[str, int]) -> str:
    """Says which tables these are."""
    named = ", ".join(f"{name} ({counted(rows, 'row')})" for name, rows in tables.items())
    return f"of no resource that the settings have, and kept as they are: {named}"


def left_tables(settings: PlatformSettings) -> dict[str, int]:
    """The rows of each table that a load has made, of a resource that there is no longer.

    Raises:
        SettingsError: The settings lead to no warehouse.
        WarehouseError: It cannot be asked now.
    """
    with read_only_client(settings) as client:
        if client is None or not existing_tables(client, [VERSION_TABLE_NAME]):
            return {}
        stored: StorageSchemaInfo | None = client.get_stored_schema(SOURCE_NAME)
        if stored is None:  # though dlt says that it never is
            return {}
        made = Schema.from_dict(json.loads(stored.schema)).data_table_names()
        known = {*settings.resources, *settings.resources.histories}
        sql, left = client.sql_client, existing_tables(client, sorted({*made} - known))
        return {name: count_rows(sql, sql.make_qualified_table_name(name)) for name in left}


def remove_tables(
    settings: PlatformSettings, folder: Path, names: Iterable[str], request: LockRequest
) -> None:
    """Removes tables of resources that there are no longer, also from what dlt remembers.

    Raises:
        WarehouseError: The warehouse could not be written.
    """
    pipeline = make_pipeline(settings, folder)

    def remove() -> None:
        pipeline.sync_destination()
        pipeline_drop(pipeline, list(names), SOURCE_NAME)()

    run_locked(settings, pipeline, remove, request)
