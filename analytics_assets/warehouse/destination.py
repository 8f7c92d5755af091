"""What depends on the destination: where it is, and who may write to it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final, TypeVar, cast

import dlt
from dlt.common.destination import AnyDestination, Destination
from dlt.common.destination.exceptions import UnknownDestinationModule
from filelock import FileLock, Timeout

from analytics_assets.errors import (
    AnalyticsError,
    SettingsError,
    WarehouseError,
    causes,
    raise_if_disk_full,
)
from analytics_assets.settings import (
    PLATFORM_SECTION,
    PlatformSettings,
    dagster_home,
    setting_name,
)

DUCKDB: Final = "duckdb"
_DUCKDB_CREDENTIALS: Final = "destination.duckdb.credentials"
_LOCK_TIMEOUT: Final = setting_name(PLATFORM_SECTION, "lock_timeout")
_POLL_SECONDS: Final = 0.2
# DuckDB's words for a file that another process has open
_HOLDER: Final = re.compile(r"Conflicting lock is held in (.*?\(PID \d+\))")

Loaded = TypeVar("Loaded")


def make_destination(settings: PlatformSettings) -> AnyDestination:
    """The destination of the settings; DuckDB lies in DAGSTER_HOME unless it is set elsewhere.

    Raises:
        SettingsError: dlt knows no such destination, or it cannot hold the dataset.
    """
    file = duckdb_file(settings)
    if file is not None and file.stem == settings.dataset_name:
        raise SettingsError(
            f"DuckDB cannot tell a file {file.name} from a dataset {settings.dataset_name}: set"
            f" {setting_name(PLATFORM_SECTION, 'dataset_name')} or"
            " DESTINATION__DUCKDB__CREDENTIALS to another name"
        )
    if settings.destination == DUCKDB and not _duckdb_credentials():
        return cast(AnyDestination, dlt.destinations.duckdb(str(default_duckdb())))
    try:
        destination: AnyDestination | None = Destination.from_reference(settings.destination)
    except UnknownDestinationModule:
        raise SettingsError(
            f"dlt has no destination {settings.destination!r}: set"
            f" {setting_name(PLATFORM_SECTION, 'destination')} to one such as duckdb or postgres"
        ) from None
    assert destination is not None
    return destination


def default_duckdb() -> Path:
    """The DuckDB file used where no other is set."""
    return dagster_home() / "warehouse.duckdb"


def duckdb_file(settings: PlatformSettings) -> Path | None:
    """The DuckDB file that the settings lead to, or None where there is none."""
    if settings.destination != DUCKDB:
        return None
    credentials = _duckdb_credentials() or str(default_duckdb())
    location = str(credentials).removeprefix("duckdb:///").partition("?")[0]
    return None if location.startswith((":", "md:")) else Path(location)


def write(
    settings: PlatformSettings,
    load: Callable[[], Loaded],
    *,
    who: str,
    tell: Callable[[str], object],
) -> Loaded:
    """Runs `load` when the destination admits it: DuckDB admits one process at a time.

    Our own runs queue for a lock file. A reader that holds the DuckDB file is waited for, too.

    Args:
        settings: Where the warehouse is, and how long to wait for it.
        load: The load. It is called again after it found the DuckDB file taken.
        who: What waiting runs are told about this one.
        tell: Takes a line that says for whom this one waits.

    Raises:
        WarehouseError: The warehouse was not free within the setting `lock_timeout`, or the load
            failed.
    """
    deadline = time.monotonic() + settings.lock_timeout
    told = False
    with _queue(settings, who, tell):
        while True:
            try:
                return load()
            except AnalyticsError:
                raise
            except Exception as error:
                raise_if_disk_full(error)
                *_, first = causes(error)
                cause = " ".join(str(first).split()) or type(first).__name__
                holder = holder_of(cause)
                if holder is None:
                    raise WarehouseError(f"the warehouse could not be written: {cause}") from error
                if time.monotonic() > deadline:
                    raise WarehouseError(
                        f"the warehouse is still held by {holder} after"
                        f" {settings.lock_timeout:g} s: close it there and run again, or raise"
                        f" {_LOCK_TIMEOUT}"
                    ) from None
                if not told:
                    tell(f"waiting for {holder}, which has the warehouse open")
                    told = True
            time.sleep(_POLL_SECONDS)


def holder_of(message: str) -> str | None:
    """The process that, by DuckDB's error message, has the file open: `python3.11 (PID 42)`."""
    found = _HOLDER.search(message)
    return found[1] if found else None


def no_writing(file: Path, error: OSError) -> WarehouseError:
    """The error for a folder in which the DuckDB file cannot be written."""
    return WarehouseError(
        f"cannot write in {file.parent} ({error.strerror}): check DESTINATION__DUCKDB__CREDENTIALS"
        " or DAGSTER_HOME"
    )


@contextmanager
def _queue(settings: PlatformSettings, who: str, tell: Callable[[str], object]) -> Iterator[None]:
    file = duckdb_file(settings)
    if file is None:
        yield
        return
    lock = FileLock(f"{file}.lock")
    # beside the lock, because to look at the lock file is to empty it
    holder = Path(f"{file}.writer")
    try:
        Path(lock.lock_file).touch()  # the lock itself would wait for a folder that is not there
        try:
            lock.acquire(blocking=False)
        except Timeout:
            tell(f"waiting for {_read_text(holder)}, which writes to {file}")
            lock.acquire(timeout=settings.lock_timeout)
        holder.write_text(who)
    except Timeout:
        raise WarehouseError(
            f"{_read_text(holder)} still writes to {file} after {settings.lock_timeout:g} s: run"
            f" this one again later, or raise {_LOCK_TIMEOUT}"
        ) from None
    except OSError as error:
        raise no_writing(file, error) from None
    try:
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _read_text(holder: Path) -> str:
    try:
        return holder.read_text() or "another run"
    except OSError:
        return "another run"


def _duckdb_credentials() -> str | None:
    return dlt.secrets.get(_DUCKDB_CREDENTIALS, str)
