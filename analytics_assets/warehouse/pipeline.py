"""dlt pipelines, each with a working folder of its own."""

from __future__ import annotations

import logging
import os
import re
import shutil
import stat
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Final

import dlt
from dlt import Pipeline
from dlt.common.warnings import DltDeprecationWarning
from dlt.load import load as load_module
from filelock import FileLock, Timeout

from analytics_assets.errors import SettingsError, raise_if_disk_full
from analytics_assets.lookup import PIPELINE_NAME
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.destination import make_destination

_PREFIX: Final = "analytics-assets-"
_FILES: Final = "files"
_LOCK: Final = "in-use.lock"
_MARK: Final = "analytics-assets.mark"
# what dlt and the drivers do not escape in the paths that they write into statements
_UNFIT: Final = re.compile("['%]")


@contextmanager
def working_folder() -> Iterator[Path]:
    """A folder for one run's files. dlt's runs break each other where they share one.

    A run that was killed leaves its folder; the next run removes it.

    Raises:
        SettingsError: TMPDIR leads to no folder that will do.
        DiskFullError: It has no room.
    """
    place = Path(gettempdir())
    if _UNFIT.search(str(place)):
        raise SettingsError(
            f"dlt cannot load from {place}, whose path holds a ' or a %: set TMPDIR to a"
            " folder without"
        )
    _sweep(place)
    with ExitStack() as stack:
        try:
            folder = Path(mkdtemp(prefix=_PREFIX))
            stack.callback(_remove, folder)
            stack.enter_context(FileLock(folder / _LOCK))
            (folder / _FILES).mkdir()
            # last: a folder that has its mark is in use, or its run is dead
            (folder / _MARK).write_text(_mark_of(folder))
        except OSError as error:
            raise_if_disk_full(error)
            raise SettingsError(
                f"cannot write in {place} ({error.strerror}): set TMPDIR to a folder that can be"
            ) from None
        yield folder / _FILES


def _sweep(place: Path) -> None:
    for folder in place.glob(f"{_PREFIX}*"):
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
    "Due to normalization dataset name got changed",
    "was not found in the destination",  # someone has dropped dlt's own tables: they are made anew
    "Failed to create trace dump",  # on a full disk, whose load fails: nobody reads what dlt traces
)


class _KnownWarnings(logging.Filter):
    """Keeps back what is no news, and what our own error says in one line.

    With `runtime.log_level` at INFO or below, everything that dlt logs of a failed load is there.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if logging.getLogger("dlt").isEnabledFor(logging.INFO):
            return True
        is_of_a_job = record.pathname == load_module.__file__
        return not is_of_a_job and not any(text in record.getMessage() for text in _NO_NEWS)


def _quieten_dlt() -> None:
    logger = logging.getLogger("dlt")
    if not any(isinstance(known, _KnownWarnings) for known in logger.filters):
        logger.addFilter(_KnownWarnings())
    # dagster-dlt's use of dlt
    warnings.filterwarnings("ignore", "drop_pending_packages", DltDeprecationWarning)
