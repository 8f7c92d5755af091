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


_NO_NEWS = (
    "several column hints were different",  # a json column arrives as Arrow text, as it should
    "was not found in the destination",  # someone has dropped dlt's own tables: they are made anew
)


class _KnownWarnings(logging.Filter):
    """Keeps back warnings that are no news."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        return not any(text in message for text in _NO_NEWS)


def _quieten_dlt() -> None:
    logger = logging.getLogger("dlt")
    if not any(isinstance(known, _KnownWarnings) for known in logger.filters):
        logger.addFilter(_KnownWarnings())
