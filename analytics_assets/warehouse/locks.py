"""Who may write to the warehouse: one run after the other, or side by side where that is safe.

DuckDB admits one process at a time: our own runs queue for a lock file, and a reader that holds the
DuckDB file is waited for, too. In PostgreSQL, loads of different accounts go on side by side. Of
other destinations nothing is known: loads of one machine queue.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Final, TypeVar

from dlt import Pipeline

from analytics_assets.errors import AnalyticsError, WarehouseError, raise_if_disk_full
from analytics_assets.lookup import dagster_home
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.destination import is_postgres
from analytics_assets.warehouse.failures import explain, first_cause
from analytics_assets.warehouse.file_lock import LOCK_TIMEOUT, LockRequest, file_lock
from analytics_assets.warehouse.location import DUCKDB_TYPE, duckdb_file, is_missing
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets.warehouse.postgres_locks import account_locks, tables_lock
from analytics_assets.warehouse.staging import drop

_POLL_SECONDS: Final = 0.2
# DuckDB's words for a file that another process has open
_HOLDER: Final = re.compile(r"Conflicting lock is held in (.*?\(PID \d+\))")

Result = TypeVar("Result")


def run_locked(
    settings: PlatformSettings,
    pipeline: Pipeline,
    work: Callable[[], Result],
    request: LockRequest,
    account_ids: Iterable[str | None] | None = None,
) -> Result:
    """Runs `work` when no other run is in its way.

    Args:
        settings: Where the warehouse is.
        pipeline: What `work` uses.
        work: What reads or writes. It is called again after it found the DuckDB file taken.
        request: Who asks, and how long it waits.
        account_ids: The accounts that it replaces, where None stands for the list of accounts; None
            if it only reads.

    Raises:
        WarehouseError: The warehouse was not free in time, or the work failed.
    """
    try:
        with _locked(settings, pipeline, account_ids, request):
            return _while_readers_leave(pipeline, work, request)
    except AnalyticsError:
        raise
    except Exception as error:
        raise_if_disk_full(error)
        raise WarehouseError(explain(error, settings)) from error


def look_locked(
    settings: PlatformSettings,
    folder: Path,
    look: Callable[[Pipeline], Result],
    request: LockRequest,
) -> Result | None:
    """What `look` finds when no other run writes; None where there is no warehouse yet.

    Raises:
        WarehouseError: The warehouse could not be read.
    """
    if is_missing(settings):
        return None
    pipeline = make_pipeline(settings, folder)
    return run_locked(settings, pipeline, lambda: look(pipeline), request)


def holder_of(message: str) -> str | None:
    """The process that, by DuckDB's error message, has the file open: `python3.11 (PID 42)`."""
    found = _HOLDER.search(message)
    return found[1] if found else None


def making_tables(settings: PlatformSettings, pipeline: Pipeline) -> AbstractContextManager[None]:
    """Waits until no other run makes tables or columns, where runs write side by side.

    Raises:
        WarehouseError: The other run was not done within the setting `lock_timeout`.
    """
    if not is_postgres(pipeline):
        return nullcontext()
    return tables_lock(pipeline, settings.lock_timeout)


@contextmanager
def _locked(
    settings: PlatformSettings,
    pipeline: Pipeline,
    account_ids: Iterable[str | None] | None,
    request: LockRequest,
) -> Iterator[None]:
    file = duckdb_file(settings)
    if file is not None:
        with file_lock(file, request):
            yield
    elif account_ids is None:
        yield
    elif is_postgres(pipeline):
        with account_locks(pipeline, account_ids, request):
            yield
    else:
        with file_lock(dagster_home() / "warehouse", request):
            try:
                yield
            finally:
                with pipeline.sql_client() as client:
                    drop(client, client.staging_dataset_name)


def _while_readers_leave(
    pipeline: Pipeline, work: Callable[[], Result], request: LockRequest
) -> Result:
    deadline = time.monotonic() + request.timeout
    reported = False
    while True:
        try:
            with _kept_open(pipeline):
                return work()
        except Exception as error:
            holder = holder_of(first_cause(error))
            if holder is None:
                raise
            if time.monotonic() > deadline:
                raise WarehouseError(
                    f"the warehouse is still held by {holder} after {request.timeout:g} s: close it"
                    f" there and run again, or raise {LOCK_TIMEOUT}"
                ) from None
            if not reported:
                request.report(f"waiting for {holder}, which has the warehouse open")
                reported = True
        time.sleep(_POLL_SECONDS)


@contextmanager
def _kept_open(pipeline: Pipeline) -> Iterator[None]:
    """Keeps a DuckDB file open, which dlt would open and close for each step of a load.

    That takes from a twentieth to a tenth of a second each time, and lets readers in between.
    """
    if pipeline.destination.destination_type != DUCKDB_TYPE:
        yield
        return
    with pipeline.sql_client():
        yield
