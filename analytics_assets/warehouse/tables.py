"""What a load puts into which table, and the tables themselves before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dlt import Pipeline

from analytics_assets.rows.account_rows import AccountRows
from analytics_assets.schema import Resource
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.columns import TableColumns
from analytics_assets.warehouse.destination import is_postgres, storable
from analytics_assets.warehouse.locks import making_tables
from analytics_assets.warehouse.replacement import (
    ROWS_OF_LOADED_ACCOUNTS_BY_INDEX,
    SOURCE_NAME,
    TableLoad,
    load_source,
    plan,
    tables_source,
)
from analytics_assets.warehouse.staging import drop
from analytics_assets.warehouse.stored import (
    StoredTables,
    forget_lacking,
    make_stored,
    stored_tables,
)


def prepare(
    settings: PlatformSettings,
    pipeline: Pipeline,
    resource_names: Sequence[str],
    accounts: Sequence[AccountRows],
    stored: StoredTables,
    kept: Mapping[str, frozenset[str]],
) -> list[TableLoad]:
    """What to load into each table; afterwards the tables have all columns that it takes.

    What someone has dropped is made anew. Where runs write side by side, one at a time decides on
    new columns and makes them. dlt would make them, too, but two runs that do it at once fail, or
    disagree on a column's type.

    `kept` are the tables whose history is kept, with the columns that it ignores.

    Raises:
        WarehouseError: Another run was not done with its tables in time.
    """
    resources = [settings.resources[name] for name in resource_names]
    loads = _plan(pipeline, resources, accounts, stored, kept)
    if _have_to_change(pipeline, loads, stored):
        with making_tables(settings, pipeline):
            pipeline.drop()  # so that dlt looks again at what the warehouse has
            stored = stored_tables(pipeline, settings.resources)
            loads = _plan(pipeline, resources, accounts, stored, kept)
            if _have_to_change(pipeline, loads, stored):
                _make_tables(pipeline, loads, stored)
    quoted = pipeline.sql_client().escape_column_name  # which asks nobody
    loads = [replace(load, quoted=quoted) for load in loads]
    if not is_postgres(pipeline):
        with pipeline.sql_client() as client:
            # what is staged there has the types of an earlier load, to which values would be cast
            drop(client, client.staging_dataset_name)
        return loads
    return [
        replace(
            load,
            stored=lambda table: storable(table, pipeline),
            scope=ROWS_OF_LOADED_ACCOUNTS_BY_INDEX,
        )
        for load in loads
    ]


def _plan(
    pipeline: Pipeline,
    resources: Sequence[Resource],
    accounts: Sequence[AccountRows],
    stored: StoredTables,
    kept: Mapping[str, frozenset[str]],
) -> list[TableLoad]:
    loads = plan(resources, accounts, stored.columns, kept)
    _leave_out_unfilled(pipeline, [load.columns for load in loads] + _of_histories(loads))
    return loads


def _of_histories(loads: Sequence[TableLoad]) -> list[TableColumns]:
    return [load.history.columns for load in loads if load.history is not None]


def _leave_out_unfilled(pipeline: Pipeline, tables: Sequence[TableColumns]) -> None:
    """Lets dlt forget the columns that have got a type that holds none of our values."""
    if SOURCE_NAME not in pipeline.schemas:
        return
    schema = pipeline.schemas[SOURCE_NAME].tables
    for columns in tables:
        known = schema.get(columns.resource.name, {"columns": {}})["columns"]
        for name in columns.types.keys() - set(columns.filled):
            known.pop(name, None)


def _have_to_change(pipeline: Pipeline, loads: Sequence[TableLoad], stored: StoredTables) -> bool:
    """Whether tables, or what dlt remembers of them, have to be others before the load.

    Of histories, which dlt does not load, all columns have to be there; of other tables it makes
    them itself, where runs do not write side by side.
    """
    of_loads = [load.columns for load in loads] if is_postgres(pipeline) else []
    return bool(stored.lacking) or any(
        columns.as_stored(name) != stored.columns.get(columns.resource.name, {}).get(name)
        for columns in [*of_loads, *_of_histories(loads)]
        for name in columns.filled
    )


def _make_tables(pipeline: Pipeline, loads: Sequence[TableLoad], stored: StoredTables) -> None:
    if stored.lacking:
        forget_lacking(pipeline, stored)
    if SOURCE_NAME not in pipeline.schemas:
        # the pipeline's state, without which later runs do not look for its schema
        pipeline.run(load_source([]))
    pipeline.extract(tables_source(loads), loader_file_format="parquet")
    pipeline.normalize()
    make_stored(pipeline)
    pipeline.drop()  # what is left to load are empty files
    pipeline.sync_destination()
