"""dlt pipelines, each with a working folder of its own."""

from __future__ import annotations

import logging
import os
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Final

import dlt
from dlt import Pipeline
from filelock import FileLock, Timeout

from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.destination import make_destination

PIPELINE_NAME = "analytics_assets"

_PREFIX: Final = "analytics-assets-"
_FILES: Final = "files"
_LOCK: Final = "in-use.lock"
_MARK: Final = "analytics-assets.mark"


@contextmanager
def working_folder() -> Iterator[Path]:
    """A folder for one run's files. dlt's runs break each other where they share one.

    A run that was killed leaves its folder; the next run removes it.
    """
    _sweep()
    folder = Path(mkdtemp(prefix=_PREFIX))
    try:
        with FileLock(folder / _LOCK):
            (folder / _FILES).mkdir()
            # last: a folder that has its mark is in use, or its run is dead
            (folder / _MARK).write_text(_mark_of(folder))
            yield folder / _FILES
    finally:
        _remove(folder)


def _sweep() -> None:
    for folder in Path(gettempdir()).glob(f"{_PREFIX}*"):
        try:
            if _is_ours(folder):
                with FileLock(folder / _LOCK, blocking=False):
                    _remove(folder)
        except (Timeout, OSError, ValueError):
            continue  # in use, or not to be read


def _is_ours(folder: Path) -> bool:
    """Whether a run of this user made the folder, and nothing else has been put there.

    Nobody else's folder has the mark, which names the folder: a copy of one of ours is not ours.
    """
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid():
        return False
    kinds = {entry.name: stat.S_IFMT(entry.lstat().st_mode) for entry in folder.iterdir()}
    ours = {_FILES: stat.S_IFDIR, _LOCK: stat.S_IFREG, _MARK: stat.S_IFREG}
    is_all_ours = kinds.items() <= ours.items() and _MARK in kinds
    return is_all_ours and (folder / _MARK).read_text() == _mark_of(folder)


def _mark_of(folder: Path) -> str:
    return (
        f"Analytics Assets: a run's working folder, removed when it is over\n{folder.resolve()}\n"
    )


def _remove(folder: Path) -> None:
    shutil.rmtree(folder / _FILES, ignore_errors=True)
    with suppress(OSError):  # what is not ours stays, and the folder with it
        (folder / _LOCK).unlink(missing_ok=True)
        (folder / _MARK).unlink(missing_ok=True)
        folder.rmdir()


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
