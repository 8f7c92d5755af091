"""The steps that the assets share: read from the API, load into the warehouse."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import dagster as dg
from dagster_dlt import DagsterDltResource
from dlt import Pipeline

from analytics_assets.api.client import shared_client
from analytics_assets.api.reader import AccountRead, Reader
from analytics_assets.errors import AnalyticsError, telling_what_is_full
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.translator import translator
from analytics_assets.settings import PlatformSettings, api_settings, platform_settings
from analytics_assets.warehouse.accounts import suddenly_empty
from analytics_assets.warehouse.audit import RowCounts, TableAudit, audit, row_counts
from analytics_assets.warehouse.columns import TableColumns
from analytics_assets.warehouse.destination import write
from analytics_assets.warehouse.location import is_missing
from analytics_assets.warehouse.pipeline import make_pipeline, working_folder
from analytics_assets.warehouse.replacement import TableLoad, load_source
from analytics_assets.warehouse.stored import known_columns, stored_tables
from analytics_assets.warehouse.tables import prepare

# new objects after which the garbage collector looks for cycles
_NEW_OBJECTS = 500_000

Done = TypeVar("Done")


@dataclass(frozen=True)
class Loaded:
    """What came of a load.

    Attributes:
        tables: What was loaded into each table.
        results: What dlt tells of each table.
        load_id: dlt's name for the load.
        suddenly_empty: The accounts that were not loaded, with the rows they keep.
        before: The rows that the tables held before.
        columns: The tables' columns.
        audits: What the tables hold now.
    """

    tables: Sequence[TableLoad]
    results: Sequence[dg.MaterializeResult]  # type: ignore[type-arg]
    load_id: str
    suddenly_empty: Mapping[str, int]
    before: RowCounts
    columns: Mapping[str, TableColumns]
    audits: Mapping[str, TableAudit]


@dataclass(frozen=True)
class Ingestion:
    """One run's reader and its way into the warehouse."""

    reader: Reader
    progress: Progress
    settings: PlatformSettings
    folder: Path

    def load(
        self,
        context: dg.AssetExecutionContext,
        dlt: DagsterDltResource,
        resource_names: Sequence[str],
        reads: Sequence[AccountRead],
        *,
        allow_empty: bool,
    ) -> Loaded:
        """Replaces the accounts' rows.

        Accounts whose tables all became empty at once are left as they are, unless `allow_empty`.

        Raises:
            WarehouseError: The warehouse could not be written; each table is as it was or new.
        """
        pipeline = make_pipeline(self.settings, self.folder)

        def load() -> Loaded:
            stored = stored_tables(pipeline)
            tables = [name for name in resource_names if name in stored.columns]
            before = row_counts(pipeline, tables)
            empty = {} if allow_empty else suddenly_empty(before, reads)
            sound = [read for read in reads if read.account_id not in empty]
            if not sound:
                return Loaded([], [], "", empty, before, {}, {})
            loads = prepare(self.settings, pipeline, resource_names, sound, stored)
            # `stored_tables` has just restored the pipeline: dlt need not do it a second time
            pipeline.config.restore_from_destination = not stored.columns
            results = dlt.run(
                context=context,
                dlt_source=load_source(loads),
                dlt_pipeline=pipeline,
                dagster_dlt_translator=translator(),
                loader_file_format="parquet",
            )
            told = [result for result in results if isinstance(result, dg.MaterializeResult)]
            columns = known_columns(stored)
            columns |= {load.resource.name: load.columns for load in loads}
            audits = audit(pipeline, columns, resource_names)
            return Loaded(loads, told, _load_id(pipeline), empty, before, columns, audits)

        account_ids = [read.account_id for read in reads]
        return _write(context, self.progress, self.settings, pipeline, load, account_ids)


def audit_tables(
    context: dg.AssetExecutionContext, progress: Progress, resource_names: Sequence[str]
) -> tuple[Mapping[str, TableAudit], Mapping[str, TableColumns]]:
    """Audits tables, and looks at their columns, without a load and without the API.

    Makes no warehouse where there is none.

    Raises:
        WarehouseError: The warehouse could not be read.
    """
    settings = platform_settings()
    if is_missing(settings):
        return {}, {}

    def look() -> tuple[Mapping[str, TableAudit], Mapping[str, TableColumns]]:
        columns = known_columns(stored_tables(pipeline))
        return audit(pipeline, columns, resource_names), columns

    with working_folder() as folder:
        pipeline = make_pipeline(settings, folder)
        return _write(context, progress, settings, pipeline, look)


@contextmanager
def ingestion(progress: Progress) -> Iterator[Ingestion]:
    """Prepares a run by its settings, and turns errors made for users into Dagster's failures."""
    try:
        settings = api_settings()
        with telling_what_is_full(), _rarely_collecting(), working_folder() as folder:
            (folder / "read").mkdir()
            reader = Reader(shared_client(settings), settings.base_url, folder / "read")
            yield Ingestion(reader, progress, platform_settings(), folder)
    except AnalyticsError as error:
        raise dg.Failure(str(error), allow_retries=False) from None


@contextmanager
def _rarely_collecting() -> Iterator[None]:
    """Lets the garbage collector look for cycles less often than every 700 new objects.

    A run's objects are its rows. To look through them and through all of Dagster and dlt, again and
    again, takes a sixth of a run's processor time.
    """
    before = gc.get_threshold()
    gc.set_threshold(_NEW_OBJECTS)
    try:
        yield
    finally:
        gc.set_threshold(*before)


def _write(
    context: dg.AssetExecutionContext,
    progress: Progress,
    settings: PlatformSettings,
    pipeline: Pipeline,
    work: Callable[[], Done],
    account_ids: Sequence[str | None] | None = None,
) -> Done:
    return write(
        settings,
        pipeline,
        work,
        who=f"run {context.run.run_id} (process {os.getpid()})",
        tell=lambda line: progress.waiting(context, line),
        account_ids=account_ids,
    )


def _load_id(pipeline: Pipeline) -> str:
    info = pipeline.last_trace.last_load_info if pipeline.last_trace else None
    return str(info.loads_ids[-1]) if info and info.loads_ids else ""


def selected_resources(context: dg.AssetExecutionContext, names: Collection[str]) -> list[str]:
    """Those of the resources that the run materialises, parents first."""
    return [name for name in names if dg.AssetKey(name) in context.selected_asset_keys]
