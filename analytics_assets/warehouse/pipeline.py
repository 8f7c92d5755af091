"""dlt pipelines, each with a working folder of its own."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

import dlt
from dlt import Pipeline
from filelock import FileLock, Timeout

from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.destination import make_destination
from analytics_assets.warehouse.replacement import SOURCE_NAME

PIPELINE_NAME = "analytics_assets"

_PREFIX = "analytics-assets-"
_LOCK = "in-use.lock"
_NEW_SECONDS = 60


@contextmanager
def working_folder() -> Iterator[Path]:
    """A folder for one run's files. dlt's runs break each other where they share one.

    A run that was killed leaves its folder; the next run removes it.
    """
    _sweep()
    with TemporaryDirectory(prefix=_PREFIX, ignore_cleanup_errors=True) as name:
        folder = Path(name)
        with FileLock(folder / _LOCK):
            yield folder


def _sweep() -> None:
    for folder in Path(gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if time.time() - folder.stat().st_mtime < _NEW_SECONDS:
                continue  # perhaps made just now, and not locked yet
            with FileLock(folder / _LOCK, blocking=False):
                shutil.rmtree(folder, ignore_errors=True)
        except (Timeout, OSError):
            continue  # in use, or somebody else's


def make_pipeline(settings: PlatformSettings, folder: Path) -> Pipeline:
    """A pipeline that works in `folder`; dlt restores its schema from the destination."""
    _quieten_dlt()
    pipeline: Pipeline = dlt.pipeline(
        PIPELINE_NAME,
        destination=make_destination(settings),
        dataset_name=settings.dataset_name,
        pipelines_dir=str(folder / "pipelines"),
    )
    return pipeline


def table_history(pipeline: Pipeline) -> dict[str, dict[str, str]]:
    """The columns that the warehouse's tables have got so far: dlt type by column by table."""
    pipeline.sync_destination()
    if SOURCE_NAME not in pipeline.schemas:
        return {}
    schema = pipeline.schemas[SOURCE_NAME]
    return {
        table: {
            name: str(column["data_type"])
            for name, column in schema.get_table_columns(table).items()
        }
        for table in schema.data_table_names()
    }


class _KnownWarnings(logging.Filter):
    """Keeps back a warning that is no news: a json column arrives as Arrow text, as it should."""

    def filter(self, record: logging.LogRecord) -> bool:
        return "several column hints were different" not in record.getMessage()


def _quieten_dlt() -> None:
    logger = logging.getLogger("dlt")
    if not any(isinstance(known, _KnownWarnings) for known in logger.filters):
        logger.addFilter(_KnownWarnings())
