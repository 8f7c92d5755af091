"""The folder in which a run's files are, and which nobody else's run uses."""

from __future__ import annotations

import os
import re
import shutil
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import gettempdir, mkdtemp
from typing import Final

from filelock import FileLock, Timeout

from analytics_assets.errors import SettingsError, raise_if_disk_full

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
