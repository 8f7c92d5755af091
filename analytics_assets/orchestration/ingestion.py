"""What the assets of a run share: its settings, its reader and its way into the warehouse."""

from __future__ import annotations

import shutil
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Final

import dagster as dg
from dagster_dlt import DagsterDltResource
from dlt import Pipeline
from dlt.extract import DltSource

from analytics_assets.api.account_reading import AccountRead
from analytics_assets.api.client import shared_client
from analytics_assets.api.reader import Reader, size_on_disk
from analytics_assets.errors import AnalyticsError, WarehouseError, telling_what_is_full
from analytics_assets.memory import give_back
from analytics_assets.metrics import RunFigures, pushed
from analytics_assets.orchestration.metadata import ERROR
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.recorded_audits import completed
from analytics_assets.orchestration.translator import AnalyticsTranslator
from analytics_assets.settings import PlatformSettings, api_settings, platform_settings
from analytics_assets.warehouse.audit import TableAudit
from analytics_assets.warehouse.destination import make_destination
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.load import load
from analytics_assets.warehouse.outcome import LoadOutcome
from analytics_assets.warehouse.publishing import publish, published_file
from analytics_assets.warehouse.working_folder import working_folder

# Bytes of files from which on they are loaded, because a load takes memory by its size.
_MOST_LOADED: Final = 2**26


@dataclass(frozen=True)
class Ingestion:
    """One run's reader and its way into the warehouse."""

    reader: Reader
    settings: PlatformSettings
    names: AssetNames
    folder: Path
    request: LockRequest
    reread_unchanged_days: int
    figures: RunFigures = field(default_factory=RunFigures)
    audits: dict[str, TableAudit] = field(default_factory=dict)

    def read_listing(self) -> AccountRead:
        """Reads the list of accounts: see `Reader.read_listing`."""
        with self.figures.during("reading"):
            listing = self.reader.read_listing()
        self.figures.read([listing])
        return listing

    def batches(
        self, reads: Iterable[list[AccountRead]]
    ) -> Generator[list[AccountRead], None, None]:
        """Yields those together that are to be loaded together.

        Those are what has ended within the setting `load_interval`, or as much as may wait.
        """
        waiting: list[AccountRead] = []
        size, began = 0, time.monotonic()
        for ended in self.figures.reading(reads):
            for read in ended:
                waiting.append(read)
                size += size_on_disk(read)
                if size >= _MOST_LOADED:
                    yield waiting
                    waiting, size, began = [], 0, time.monotonic()
            if waiting and time.monotonic() - began >= self.settings.load_interval:
                yield waiting
                waiting, size, began = [], 0, time.monotonic()
        if waiting:
            yield waiting

    def load(
        self,
        context: dg.AssetExecutionContext,
        dlt: DagsterDltResource,
        resource_names: Sequence[str],
        reads: Sequence[AccountRead],
        *,
        allow_empty: bool = False,
    ) -> LoadOutcome:
        """Replaces the accounts' rows, through Dagster's dlt integration.

        Accounts whose tables all became empty at once are left as they are, unless `allow_empty`.

        Raises:
            WarehouseError: The warehouse could not be written; each table is as it was or new.
        """
        translator = AnalyticsTranslator(self.settings, self.names, self.reader.client.version)

        def run(pipeline: Pipeline, source: DltSource) -> None:
            for _ in dlt.run(
                context=context,
                dlt_source=source,
                dlt_pipeline=pipeline,
                dagster_dlt_translator=translator,
                loader_file_format="parquet",
            ):
                pass  # what it tells of each table is told by account

        # what dlt has loaded and what was read for it is needed no longer
        own_folder = TemporaryDirectory(dir=self.folder, ignore_cleanup_errors=True)
        with own_folder as folder, self.figures.during("loading"):
            outcome = load(
                self.settings,
                Path(folder),
                resource_names,
                [read.rows for read in reads],
                self.request,
                run=run,
                allow_empty=allow_empty,
            )
        self.figures.load(outcome)
        for account in {rows.path.parent for r in reads for rows in r.rows.resources.values()}:
            shutil.rmtree(account, ignore_errors=True)
        if outcome.not_indexed and not self.audits:  # once a run
            context.log.warning(outcome.not_indexed)
        return completed(outcome, self.audits, context.instance, self.names, resource_names)

    def publish(self, context: dg.AssetExecutionContext) -> str:
        """Publishes what was loaded, where that is asked for; says why if it cannot."""
        try:
            publish(self.settings, self.request)
        except WarehouseError as error:
            context.log.error(str(error))
            return str(error)
        return ""


@contextmanager
def ingestion(context: dg.AssetExecutionContext, progress: Progress) -> Iterator[Ingestion]:
    """Prepares a run by its settings, and turns errors made for users into Dagster's failures."""
    give_back()
    with users_errors_as_failures():
        api, platform = api_settings(), platform_settings()
        # before anything is read for them
        make_destination(platform)
        published_file(platform)
        with telling_what_is_full(), working_folder() as folder:
            (folder / "read").mkdir()
            reader = Reader(shared_client(api), folder / "read")
            request = lock_request(context, progress, platform)
            names = AssetNames.of_run(context, platform)
            run = Ingestion(reader, platform, names, folder, request, api.reread_unchanged_days)
            step = f"{context.run.run_id}/{context.op_execution_context.op.name}"
            with pushed(run.figures, step, context.log.warning):
                yield run


@contextmanager
def users_errors_as_failures() -> Iterator[None]:
    """Turns errors that users are meant to read into failures that say the same.

    Raises:
        dagster.Failure: For each `AnalyticsError`; Dagster does not try the step again.
    """
    try:
        yield
    except AnalyticsError as error:
        metadata = {ERROR: type(error).__name__}
        raise dg.Failure(str(error), metadata=metadata, allow_retries=False) from None


def lock_request(
    context: dg.AssetExecutionContext, progress: Progress, settings: PlatformSettings
) -> LockRequest:
    """What a run that asks for the warehouse says about itself."""
    name = f"run {context.run.run_id}"
    return LockRequest.of(name, settings, lambda line: progress.waiting(context, line))


def selected_resources(context: dg.AssetExecutionContext, settings: PlatformSettings) -> list[str]:
    """The resources that the step materialises, parents first."""
    selected = {AssetNames.resource_name(key) for key in context.selected_asset_keys}
    return [name for name in settings.resources if name in selected]
