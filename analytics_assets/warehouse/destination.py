"""The destination, and what it can store."""

from __future__ import annotations

from importlib import import_module
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
from dlt import Pipeline
from dlt.common.configuration import configspec
from dlt.common.destination import AnyDestination, Destination
from dlt.common.destination.exceptions import UnknownDestinationModule
from dlt.destinations.impl.postgres.configuration import (
    PostgresClientConfiguration,
    PostgresCredentials,
)

from analytics_assets.choice import EXTRA_RESOURCES_SETTING, HISTORY, chosen_reports
from analytics_assets.errors import SettingsError
from analytics_assets.settings import PLATFORM_SECTION, PlatformSettings, setting_name
from analytics_assets.speedups import configure_once
from analytics_assets.warehouse.capabilities import refuse_unable
from analytics_assets.warehouse.credentials import refuse_unencoded_password
from analytics_assets.warehouse.location import (
    POSTGRES_TYPE,
    SQLALCHEMY_TYPE,
    duckdb_file,
    refuse_ambiguous_names,
    stored_name,
)
from analytics_assets.warehouse.staging import LONGEST_DATASET_NAME, own_layout

# what dlt needs to load Parquet files into PostgreSQL
_DRIVERS: Final = ("psycopg2", "adbc_driver_manager", "adbc_driver_postgresql")
# Where dlt does not say of a destination that it has transactions, it runs each statement of a
# replacement on its own, even if its client could begin one: DuckDB, Snowflake, SQL Server. In
# PostgreSQL, statements that are sent together, as dlt sends these, are one transaction; one that
# was begun would keep its locks for hours if the machine that began it were lost.
_REPLACES_IN_A_TRANSACTION: Final = POSTGRES_TYPE


@configspec(init=False)
class _PostgresCredentials(PostgresCredentials):
    """dlt's, as the drivers read a URL: they refuse a space in it, and take a + for a plus."""

    def to_native_representation(self) -> str:
        address, mark, query = super().to_native_representation().partition("?")
        return f"{address.replace(' ', '%20')}{mark}{query.replace('+', '%20')}"


@configspec(init=False)
class _PostgresConfiguration(PostgresClientConfiguration):
    credentials: _PostgresCredentials = None  # type: ignore[assignment]


def make_destination(settings: PlatformSettings) -> AnyDestination:
    """The destination of the settings; DuckDB lies in DAGSTER_HOME unless it is set elsewhere.

    Every other destination gets a staging dataset for itself: loads that share one lose rows, and
    report success.

    Raises:
        SettingsError: dlt knows no such destination, its packages are not installed, or it cannot
            hold the tables, or not those that are asked for.
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
    refuse_unable(destination)
    if destination.destination_type == POSTGRES_TYPE:
        _import_drivers()
        destination.spec = _PostgresConfiguration  # type: ignore[misc]
        if len(stored_name(settings.dataset_name)) > LONGEST_DATASET_NAME:
            raise SettingsError(
                f"{setting_name(PLATFORM_SECTION, 'dataset_name')} is too long for PostgreSQL: set"
                f" one of at most {LONGEST_DATASET_NAME} characters"
            )
    if destination.destination_type == SQLALCHEMY_TYPE:
        _refuse_moments(settings)
        from analytics_assets.warehouse.json_text import keep_json  # with SQLAlchemy, takes a while

        destination.caps_params["type_mapper"] = keep_json
    if destination.destination_type != _REPLACES_IN_A_TRANSACTION:
        destination.caps_params["supports_transactions"] = True
    configure_once(destination)
    return destination


def is_postgres(pipeline: Pipeline) -> bool:
    """Whether the pipeline loads into PostgreSQL, under whatever name."""
    return bool(pipeline.destination.destination_type == POSTGRES_TYPE)


def sql_dialect(pipeline: Pipeline) -> str:
    """The SQL that the destination speaks, by sqlglot's name; empty where only dlt knows it.

    DuckLake and MotherDuck speak that of `duckdb`.
    """
    return str(pipeline.destination.capabilities().sqlglot_dialect or "")


def storable(table: pa.Table, pipeline: Pipeline) -> pa.Table:
    """The table as the destination can hold it: PostgreSQL has no U+0000, it gets U+FFFD."""
    if is_postgres(pipeline):
        for index, field in enumerate(table.schema):
            if pa.types.is_string(field.type):
                text = pc.replace_substring(table[field.name], "\0", "\ufffd")
                table = table.set_column(index, field, text)
    return table


def _refuse_moments(settings: PlatformSettings) -> None:
    chosen = {HISTORY: settings.history, EXTRA_RESOURCES_SETTING: settings.extra_resources}
    named = [setting for setting, resources in chosen.items() if resources]
    own = set(chosen_reports(settings)).difference(settings.extra_resources)
    if named := [*named, *(f"the entry of {name}" for name in sorted(own))]:
        raise SettingsError(
            f"{settings.destination} tells days and times as its database does, some as text, so"
            f" that it can hold no histories and no reports: remove {' and '.join(named)}"
        )


def _import_drivers() -> None:
    for name in _DRIVERS:
        try:
            import_module(name)
        except ImportError:
            raise SettingsError(
                f"PostgreSQL as warehouse needs {name}, which is not installed: pip install"
                " 'analytics-assets[postgres]'"
            ) from None
