"""Whether a load could write to the warehouse, and its tables are as declared. Changes nothing."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryFile
from typing import Final

import duckdb
from dlt.common.configuration.exceptions import ConfigFieldMissingException

from analytics_assets.choice import EXTRA_RESOURCES_SETTING, HISTORY, chosen_reports, kept_histories
from analytics_assets.errors import AnalyticsError, WarehouseError, causes
from analytics_assets.settings import PlatformSettings
from analytics_assets.text import counted
from analytics_assets.warehouse.columns import stored_otherwise
from analytics_assets.warehouse.credentials import redacted
from analytics_assets.warehouse.destination import is_postgres, make_destination
from analytics_assets.warehouse.failures import explain
from analytics_assets.warehouse.file_lock import no_writing
from analytics_assets.warehouse.location import duckdb_file, is_duckdb, is_missing
from analytics_assets.warehouse.locks import holder_of
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets.warehouse.postgres_locks import refuse_other_encodings
from analytics_assets.warehouse.statements import SqlClient
from analytics_assets.warehouse.stored import (
    StoredTables,
    known_columns,
    refuse_changed_keys,
    stored_tables,
)
from analytics_assets.warehouse.working_folder import working_folder

# databases that take back a new table when its transaction is rolled back
_ROLL_BACK_TABLES: Final = ("postgres", "redshift", "mssql")


def probe_warehouse(settings: PlatformSettings) -> str:
    """Says where the warehouse is, if it can be reached and written.

    Raises:
        SettingsError: The settings lead to no warehouse.
        WarehouseError: It cannot be reached or written now.
    """
    make_destination(settings)
    file = duckdb_file(settings)
    with working_folder() as folder:
        return _probe_database(settings, folder) if file is None else _probe_file(file)


def _probe_file(file: Path) -> str:
    try:
        with TemporaryFile(dir=file.parent) as probe:
            probe.write(b"x")
    except OSError as error:
        raise no_writing(file, error) from None
    if not file.exists():
        return f"{file} is not there yet; its folder can be written"
    try:
        with duckdb.connect(str(file)) as connection:
            # what a killed load left is for the next one to tidy up
            connection.execute("PRAGMA disable_checkpoint_on_shutdown")
    except duckdb.Error as error:
        cause = _first_line(str(error))
        if (holder := holder_of(cause)) is not None:
            raise WarehouseError(
                f"{file} is held by {holder}: close it there, or a sync waits for it"
            ) from None
        raise WarehouseError(f"{file} cannot be opened: {cause}") from None
    return f"{file} can be written"


def _probe_database(settings: PlatformSettings, folder: Path) -> str:
    try:
        pipeline = make_pipeline(settings, folder)
        with pipeline.sql_client() as client:
            found = f"connected to {settings.destination}; {_probe_dataset(settings, client)}"
            if not is_postgres(pipeline):
                return f"{found}; loads take turns on one machine, and not across several"
            refuse_other_encodings(client, pipeline.destination.destination_name)
            return found
    except AnalyticsError:
        raise
    except ConfigFieldMissingException as error:
        cause = f"has no {' and no '.join(error.fields)}"
    except Exception as error:
        *_, first = causes(error)
        text = _first_line(redacted(str(first), settings)) or type(first).__name__
        cause = f"cannot be reached or written: {text}"
    raise WarehouseError(
        f"{settings.destination} {cause}: check section [destination.{settings.destination}] of"
        " the settings"
    )


def _probe_dataset(settings: PlatformSettings, client: SqlClient) -> str:
    there = client.has_dataset()
    if settings.destination.rpartition(".")[2] not in _ROLL_BACK_TABLES:
        state = "is there" if there else "is not there yet"
        return f"dataset {settings.dataset_name} {state}; a load will show if it can be written"
    with client.begin_transaction() as transaction:
        if not there:
            client.create_dataset()
        table = client.make_qualified_table_name("analytics_assets_probe")
        client.execute_sql(f"CREATE TABLE {table} (probe INTEGER)")
        transaction.rollback_transaction()
    return f"dataset {settings.dataset_name} can be written"


def _first_line(text: str) -> str:
    return next(iter(text.strip().splitlines()), "")


def inspect_tables(settings: PlatformSettings) -> str:
    """Says which tables there are, if rows can be loaded into them as they are declared.

    Raises:
        WarehouseError: A column is not stored as it is declared, or is not there and cannot be made
            anew; the message says what to do.
    """
    stored = _look(settings)
    kept, resources = kept_histories(settings), settings.resources
    histories = [resources[name].history for name in kept]
    refuse_changed_keys(stored, [*resources.values(), *histories], settings.dataset_name)
    if lines := stored_otherwise(known_columns(stored)):
        raise WarehouseError(
            f"{'; '.join(lines)}; what does not fit is in columns beside them: check docs/tables.md"
            " on how to change a column's type"
        )
    lacking = [
        (name, HISTORY, of.name) for name, of in resources.histories.items() if of.name not in kept
    ]
    chosen = chosen_reports(settings)
    lacking += [(n, EXTRA_RESOURCES_SETTING, n) for n in resources.reports if n not in chosen]
    idle = [
        f"; {name} is not written any more, because {setting} lacks {lacked}"
        for name, setting, lacked in lacking
        if name in stored.columns
    ]
    if stored.lacking:
        return f"{', '.join(stored.lacking)} not there any more; the next sync makes it anew"
    if not stored.columns:
        return "none yet"
    return f"{counted(len(stored.columns), 'table')}, as declared{''.join(idle)}"


def _look(settings: PlatformSettings) -> StoredTables:
    if is_missing(settings):
        return StoredTables({})
    with working_folder() as folder:
        try:
            pipeline = make_pipeline(settings, folder)
            with pipeline.sql_client() as client:
                stored = stored_tables(pipeline, settings.resources)
                if is_duckdb(settings):
                    # what a killed load left is for the next one to tidy up
                    client.execute_sql("PRAGMA disable_checkpoint_on_shutdown")
                return stored
        except AnalyticsError:
            raise
        except Exception as error:
            raise WarehouseError(explain(error, settings)) from error
