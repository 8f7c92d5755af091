"""What a load puts into which table, and the tables themselves before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from dlt import Pipeline

from analytics_assets.api.reader import AccountRead
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.destination import is_postgres, making_tables, storable
from analytics_assets.warehouse.pipeline import table_history
from analytics_assets.warehouse.replacement import SOURCE_NAME, TableLoad, load_source, plan


def prepare(
    settings: PlatformSettings,
    pipeline: Pipeline,
    resource_names: Sequence[str],
    reads: Sequence[AccountRead],
    history: Mapping[str, Mapping[str, str]],
) -> list[TableLoad]:
    """What to load into each table; afterwards the tables have all columns that it takes.

    Where runs write side by side, one at a time decides on new columns and makes them. dlt would
    make them, too, but two runs that do it at once fail, or disagree on a column's type.

    Args:
        settings: How long to wait for another run.
        pipeline: Where the tables are.
        resource_names: The tables.
        reads: What was read of the accounts.
        history: The tables' columns.

    Raises:
        WarehouseError: Another run was not done with its tables in time.
    """
    loads = plan(resource_names, reads, history)
    if not is_postgres(pipeline):
        return loads
    if _lack_columns(loads, history):
        with making_tables(settings, pipeline):
            pipeline.drop()  # so that dlt looks again at what the warehouse has
            history = table_history(pipeline)
            loads = plan(resource_names, reads, history)
            if _lack_columns(loads, history):
                _make_tables(pipeline, loads, history)
    return [replace(load, stored=lambda table: storable(table, pipeline)) for load in loads]


def _lack_columns(loads: Sequence[TableLoad], history: Mapping[str, Mapping[str, str]]) -> bool:
    return any(
        not load.columns.types.keys() <= history.get(load.resource.name, {}).keys()
        for load in loads
    )


def _make_tables(
    pipeline: Pipeline, loads: Sequence[TableLoad], history: Mapping[str, Mapping[str, str]]
) -> None:
    if not history:
        # the pipeline's state, without which later runs do not look for its schema
        pipeline.run(load_source([]))
    without_rows = [replace(load, reads=[]) for load in loads]
    pipeline.extract(load_source(without_rows), loader_file_format="parquet")
    pipeline.normalize()
    pipeline.sync_schema(SOURCE_NAME)
    pipeline.drop()  # what is left to load are empty files
    pipeline.sync_destination()
