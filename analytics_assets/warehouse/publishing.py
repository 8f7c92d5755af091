"""A copy of the DuckDB file for readers, put in place whole after each run (`publish_to`).

DuckDB admits one process that writes, or several that read. Readers of the copy are in no load's
way: one that has it open keeps what it opened, and the next that opens it sees the new rows.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Final

from analytics_assets.errors import SettingsError, WarehouseError
from analytics_assets.settings import PLATFORM_SECTION, PlatformSettings, setting_name
from analytics_assets.warehouse.file_lock import LockRequest, file_lock
from analytics_assets.warehouse.location import catalog_name, duckdb_file, stored_name

PUBLISH_TO: Final = setting_name(PLATFORM_SECTION, "publish_to")

_MEGABYTE: Final = 1_000_000


def published_file(settings: PlatformSettings) -> Path | None:
    """Where the copy is put; None where none is asked for.

    Raises:
        SettingsError: The warehouse is no DuckDB file, or readers could not use a copy there.
    """
    if settings.publish_to is None:
        return None
    file = duckdb_file(settings)
    if file is None:
        raise SettingsError(
            f"{PUBLISH_TO} is for a warehouse in DuckDB, and {settings.destination} lets readers in"
            " by itself: remove it"
        )
    target = Path(settings.publish_to).resolve()
    beside = (file.resolve(), *(Path(f"{file.resolve()}{end}") for end in (".wal", ".lock")))
    if target in beside or (target.exists() and file.exists() and target.samefile(file)):
        raise SettingsError(
            f"{PUBLISH_TO} leads to the warehouse itself: set it to another path, in a folder of"
            " its own"
        )
    if target.is_dir():
        raise SettingsError(
            f"{PUBLISH_TO} is a folder: set it to the path of a file in it, such as"
            f" {target / 'published.duckdb'}"
        )
    if catalog_name(target).lower() == stored_name(settings.dataset_name):
        raise SettingsError(
            f"DuckDB could not tell a file {target.name} from the dataset {settings.dataset_name}:"
            f" set {PUBLISH_TO} to another name"
        )
    return target


def publish(settings: PlatformSettings, request: LockRequest) -> None:
    """Puts a copy of the warehouse in place, if one is asked for, while no run of ours writes.

    Raises:
        SettingsError: As `published_file` has it.
        WarehouseError: There is no new copy, and the one before is as it was.
    """
    target, file = published_file(settings), duckdb_file(settings)
    if target is not None and file is not None:
        with file_lock(file, request):
            _publish(file, target)


def _publish(file: Path, target: Path) -> None:
    import duckdb  # the code location loads without it

    try:
        with _unfinished(target) as copy:
            with _held(file), file.open("rb") as warehouse:
                shutil.copyfileobj(warehouse, copy, 16 * 2**20)
            copy.flush()
            os.fsync(copy.fileno())
            # left by somebody who wrote to the copy before: DuckDB opens no other file beside it
            Path(f"{target}.wal").unlink(missing_ok=True)
            Path(copy.name).replace(target)
        _sync_folder(target.parent)
    except (OSError, duckdb.Error) as error:
        cause = error.strerror if isinstance(error, OSError) else str(error).splitlines()[0]
        raise WarehouseError(
            f"the warehouse has new rows, and was not published to {target} ({cause}): check"
            f" {PUBLISH_TO}; the next run publishes them"
        ) from None


def probe_publication(settings: PlatformSettings) -> str:
    """Says where the copy is, if the next load could replace it.

    Raises:
        SettingsError: As `published_file` has it.
        WarehouseError: The folder cannot be written to, or has no room for a copy.
    """
    target, file = published_file(settings), duckdb_file(settings)
    if target is None or file is None:
        return "none is asked for"
    try:
        with TemporaryFile(dir=target.parent) as probe:
            probe.write(b"x")
        free = shutil.disk_usage(target.parent).free
    except OSError as error:
        raise WarehouseError(
            f"cannot write in {target.parent} ({error.strerror}): check {PUBLISH_TO}"
        ) from None
    needed = file.stat().st_size if file.exists() else 0
    if free < needed:
        raise WarehouseError(
            f"{target.parent} has {free // _MEGABYTE} MB left, and the warehouse has"
            f" {needed // _MEGABYTE} MB: check {PUBLISH_TO}, or free some space"
        )
    if not target.exists():
        return f"{target} is not there yet; its folder can be written"
    at = datetime.fromtimestamp(target.stat().st_mtime, timezone.utc)
    return f"{target} can be replaced; it is of {at:%Y-%m-%d %H:%M:%S} UTC"


@contextmanager
def _unfinished(target: Path) -> Iterator[IO[bytes]]:
    """The file that is to become the copy, beside it; one that a killed run left is begun anew.

    It is gone if that fails.

    Raises:
        OSError: The folder cannot be written to, or another warehouse is being published there.
    """
    path = target.parent / f".{target.name}.unfinished"
    with path.open("ab") as file:  # emptied only when it is ours
        if not _is_ours(file, path):
            raise OSError(errno.EBUSY, "another warehouse is being published there")
        try:
            file.truncate(0)
            if target.exists():
                shutil.copymode(target, path)
            yield file
        except BaseException:
            path.unlink(missing_ok=True)
            raise


def _is_ours(file: IO[bytes], path: Path) -> bool:
    """Whether nobody else writes to the file, nor has put it in the copy's place meanwhile."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return path.exists() and path.stat().st_ino == os.fstat(file.fileno()).st_ino


@contextmanager
def _held(file: Path) -> Iterator[None]:
    """Keeps the warehouse as it is, all of it in the file itself.

    The lock of ours does not keep out people, who may write to it with DuckDB alone.

    Raises:
        duckdb.Error: Another process has it open to write.
    """
    import duckdb

    wal = Path(f"{file}.wal")
    if wal.exists():
        with duckdb.connect(str(file)) as connection:
            connection.execute("FORCE CHECKPOINT")
    with duckdb.connect(str(file), read_only=True):
        if wal.exists():
            raise duckdb.IOException(f"{wal.name} is still in use")
        yield


def _sync_folder(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
