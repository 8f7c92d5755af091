"""What depends on the destination: where it is, what it can store, and who may write to it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Final, TypeVar

import pyarrow as pa
import pyarrow.compute as pc
from dlt import Pipeline
from dlt.common.destination import (
    AnyDestination,
    Destination,
    DestinationCapabilitiesContext,
)
from dlt.common.destination.client import DestinationClientConfiguration
from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.common.normalizers.naming import NamingConvention

from analytics_assets.errors import (
    AnalyticsError,
    SettingsError,
    WarehouseError,
    raise_if_disk_full,
)
from analytics_assets.lookup import dagster_home
from analytics_assets.settings import PLATFORM_SECTION, PlatformSettings, setting_name
from analytics_assets.warehouse.credentials import refuse_unencoded_password
from analytics_assets.warehouse.failures import explain, first_cause
from analytics_assets.warehouse.location import (
    DUCKDB_TYPE,
    duckdb_file,
    refuse_ambiguous_names,
    stored_name,
)
from analytics_assets.warehouse.locks import LOCK_TIMEOUT, turn_at
from analytics_assets.warehouse.postgres_locks import turn_of_accounts, turn_of_tables
from analytics_assets.warehouse.staging import LONGEST_DATASET_NAME, drop, own_layout
from analytics_assets.warehouse.transactions import replace_in_transactions

_POSTGRES: Final = "dlt.destinations.postgres"
# what dlt needs to load Parquet files into PostgreSQL
_POSTGRES_DRIVERS: Final = ("psycopg2", "adbc_driver_manager", "adbc_driver_postgresql")
_POLL_SECONDS: Final = 0.2
# DuckDB's words for a file that another process has open
_HOLDER: Final = re.compile(r"Conflicting lock is held in (.*?\(PID \d+\))")

Loaded = TypeVar("Loaded")


def make_destination(settings: PlatformSettings) -> AnyDestination:
    """The destination of the settings; DuckDB lies in DAGSTER_HOME unless it is set elsewhere.

    Every other destination gets a staging dataset for itself: loads that share one lose rows, and
    report success.

    Raises:
        SettingsError: dlt knows no such destination, its packages are not installed, or it cannot
            hold the dataset.
    """
    options: dict[str, str] = {}
    if (file := duckdb_file(settings)) is not None:
        refuse_ambiguous_names(file, settings)
        options["credentials"] = str(file)
    else:
        refuse_unencoded_password(settings)
        options["staging_dataset_name_layout"] = own_layout()
    try:
        destination: AnyDestination | None = Destination.from_reference(
            settings.destination, **options
        )
    except UnknownDestinationModule:
        raise SettingsError(
            f"dlt has no destination {settings.destination!r}: set"
            f" {setting_name(PLATFORM_SECTION, 'destination')} to one such as duckdb or postgres"
        ) from None
    assert destination is not None
    if destination.destination_type == _POSTGRES:
        _import_drivers()
        if len(stored_name(settings.dataset_name)) > LONGEST_DATASET_NAME:
            raise SettingsError(
                f"{setting_name(PLATFORM_SECTION, 'dataset_name')} is too long for PostgreSQL: set"
                f" one of at most {LONGEST_DATASET_NAME} characters"
            )
    return _with_known_configuration(destination)


def _with_known_configuration(destination: AnyDestination) -> AnyDestination:
    """The destination, with its configuration and what it can do worked out once.

    dlt asks for both at each step of a load, and resolves each setting anew to answer: half of a
    small load's time.

    Raises:
        SettingsError: It cannot replace the rows of a table in one transaction.
    """
    _remember_configuration(destination)
    replace_in_transactions(destination)
    work_out = destination.capabilities
    known: dict[str, DestinationCapabilitiesContext] = {}

    def capabilities(
        config: DestinationClientConfiguration | None = None,
        naming: NamingConvention | None = None,
    ) -> DestinationCapabilitiesContext:
        if config is not None:
            return work_out(config, naming)
        key = naming.name() if naming else ""
        if key not in known:
            known[key] = work_out(naming=naming)
        return known[key].copy()

    destination.capabilities = capabilities  # type: ignore[method-assign]
    return destination


def _remember_configuration(destination: AnyDestination) -> None:
    resolve = destination.configuration
    known: dict[str, DestinationClientConfiguration] = {}

    def configuration(
        initial_config: DestinationClientConfiguration | None, accept_partial: bool = False
    ) -> DestinationClientConfiguration:
        key = repr(initial_config and sorted(vars(initial_config).items()))
        if key not in known:
            known[key] = resolve(initial_config, accept_partial)  # type: ignore[arg-type]
            return known[key]
        config = known[key].copy()
        if config.credentials is not None:
            config.credentials.resolve()  # makes what must not be shared, such as connections
        return config

    destination.configuration = configuration  # type: ignore[method-assign]


def is_postgres(pipeline: Pipeline) -> bool:
    """Whether the pipeline loads into PostgreSQL, under whatever name."""
    return bool(pipeline.destination.destination_type == _POSTGRES)


def storable(table: pa.Table, pipeline: Pipeline) -> pa.Table:
    """The table as the destination can hold it: PostgreSQL has no U+0000, it gets U+FFFD."""
    if is_postgres(pipeline):
        for index, field in enumerate(table.schema):
            if pa.types.is_string(field.type):
                text = pc.replace_substring(table[field.name], "\0", "\ufffd")
                table = table.set_column(index, field, text)
    return table


def write(
    settings: PlatformSettings,
    pipeline: Pipeline,
    load: Callable[[], Loaded],
    *,
    who: str,
    tell: Callable[[str], object],
    account_ids: Iterable[str | None] | None = None,
) -> Loaded:
    """Runs `load` when the destination admits it.

    DuckDB admits one process at a time: our own runs queue for a lock file, and a reader that holds
    the DuckDB file is waited for, too. In PostgreSQL, loads of different accounts go on side by
    side. Of other destinations nothing is known: loads of one machine queue.

    Args:
        settings: Where the warehouse is, and how long to wait for it.
        pipeline: What `load` works with.
        load: The load. It is called again after it found the DuckDB file taken.
        who: What waiting runs are told about this one.
        tell: Takes a line that says for whom this one waits.
        account_ids: The accounts that it replaces, where None stands for the list of accounts; None
            if it only reads.

    Raises:
        WarehouseError: The warehouse was not free within the setting `lock_timeout`, or the load
            failed.
    """
    try:
        with _turn(settings, pipeline, account_ids, who, tell):
            return _while_readers_leave(settings, pipeline, load, tell)
    except AnalyticsError:
        raise
    except Exception as error:
        raise_if_disk_full(error)
        raise WarehouseError(explain(error, settings)) from error


def holder_of(message: str) -> str | None:
    """The process that, by DuckDB's error message, has the file open: `python3.11 (PID 42)`."""
    found = _HOLDER.search(message)
    return found[1] if found else None


@contextmanager
def making_tables(settings: PlatformSettings, pipeline: Pipeline) -> Iterator[None]:
    """Waits until no other run makes tables or columns, where runs write side by side.

    Raises:
        WarehouseError: The other run was not done within the setting `lock_timeout`.
    """
    if not is_postgres(pipeline):
        yield
        return
    with turn_of_tables(pipeline, timeout=settings.lock_timeout):
        yield


@contextmanager
def _turn(
    settings: PlatformSettings,
    pipeline: Pipeline,
    account_ids: Iterable[str | None] | None,
    who: str,
    tell: Callable[[str], object],
) -> Iterator[None]:
    file, timeout = duckdb_file(settings), settings.lock_timeout
    if file is not None:
        with turn_at(file, timeout=timeout, who=who, tell=tell):
            yield
    elif account_ids is None:
        yield
    elif is_postgres(pipeline):
        with turn_of_accounts(pipeline, account_ids, timeout=timeout, who=who, tell=tell):
            yield
    else:
        with turn_at(dagster_home() / "warehouse", timeout=timeout, who=who, tell=tell):
            try:
                yield
            finally:
                with pipeline.sql_client() as client:
                    drop(client, client.staging_dataset_name)


def _while_readers_leave(
    settings: PlatformSettings,
    pipeline: Pipeline,
    load: Callable[[], Loaded],
    tell: Callable[[str], object],
) -> Loaded:
    deadline = time.monotonic() + settings.lock_timeout
    told = False
    while True:
        try:
            with _kept_open(pipeline):
                return load()
        except Exception as error:
            holder = holder_of(first_cause(error))
            if holder is None:
                raise
            if time.monotonic() > deadline:
                raise WarehouseError(
                    f"the warehouse is still held by {holder} after"
                    f" {settings.lock_timeout:g} s: close it there and run again, or raise"
                    f" {LOCK_TIMEOUT}"
                ) from None
            if not told:
                tell(f"waiting for {holder}, which has the warehouse open")
                told = True
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


def _import_drivers() -> None:
    for name in _POSTGRES_DRIVERS:
        try:
            import_module(name)
        except ImportError:
            raise SettingsError(
                f"PostgreSQL as warehouse needs {name}, which is not installed: pip install"
                " 'analytics-assets[postgres]'"
            ) from None
