"""A lock at a file, for runs of one machine that must not write at the same time."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from filelock import FileLock, Timeout

from analytics_assets.errors import WarehouseError
from analytics_assets.settings import PLATFORM_SECTION, PlatformSettings, setting_name

LOCK_TIMEOUT: Final = setting_name(PLATFORM_SECTION, "lock_timeout")


@dataclass(frozen=True, slots=True)
class LockRequest:
    """What a run that asks for a lock says about itself.

    Attributes:
        holder: The name under which it holds the lock: what runs that wait for it are shown.
        timeout: The longest wait in seconds.
        report: Takes a line that says for which holder it waits.
    """

    holder: str
    timeout: float
    report: Callable[[str], object]

    @classmethod
    def of(
        cls, name: str, settings: PlatformSettings, report: Callable[[str], object]
    ) -> LockRequest:
        """That of this process under a name, which waits as long as the setting `lock_timeout`."""
        return cls(f"{name} (process {os.getpid()})", settings.lock_timeout, report)


@contextmanager
def file_lock(file: Path, request: LockRequest) -> Iterator[None]:
    """Waits until no other run holds the lock of `file`, which need not exist; the lock is beside.

    Raises:
        WarehouseError: The other run was not done in time, or the folder cannot be written to.
    """
    lock = FileLock(f"{file}.lock")
    # beside the lock, because to look at the lock file is to empty it
    holder = Path(f"{file}.writer")
    try:
        Path(lock.lock_file).touch()  # the lock itself would wait for a folder that is not there
        try:
            lock.acquire(blocking=False)
        except Timeout:
            request.report(f"waiting for {_read_text(holder)}, which writes to {file}")
            lock.acquire(timeout=request.timeout)
        holder.write_text(request.holder)
    except Timeout:
        raise still_writes(_read_text(holder), str(file), request.timeout) from None
    except OSError as error:
        lock.release()  # by its frames, whoever keeps the error would keep the lock
        raise no_writing(file, error) from None
    try:
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def no_writing(file: Path, error: OSError) -> WarehouseError:
    """The error for a folder in which the DuckDB file cannot be written."""
    return WarehouseError(
        f"cannot write in {file.parent} ({error.strerror}): check DESTINATION__DUCKDB__CREDENTIALS"
        " or DAGSTER_HOME"
    )


def still_writes(holder: str, what: str, timeout: float) -> WarehouseError:
    """The error of a run that waited in vain."""
    return WarehouseError(
        f"{holder} still writes to {what} after {timeout:g} s: run this one again later, or raise"
        f" {LOCK_TIMEOUT}"
    )


def _read_text(holder: Path) -> str:
    try:
        return holder.read_text() or "another run"
    except OSError:
        return "another run"
