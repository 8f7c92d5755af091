"""Where the DuckDB file is, and how DuckDB and dlt name what is in it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

from dlt.common.destination.reference import DestinationReference
from dlt.common.runtime.run_context import active
from dlt.common.schema import Schema
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials

from analytics_assets.errors import SettingsError
from analytics_assets.lookup import dagster_home, look_up, setting_name
from analytics_assets.settings import PLATFORM_SECTION, PlatformSettings

DUCKDB_TYPE: Final = "dlt.destinations.duckdb"
POSTGRES_TYPE: Final = "dlt.destinations.postgres"
SQLALCHEMY_TYPE: Final = "dlt.destinations.sqlalchemy"

_SECTION: Final = ("destination", "duckdb")
_CREDENTIALS: Final = setting_name(_SECTION, "credentials")
# DuckDB's own catalogs
_TAKEN_CATALOGS: Final = ("main", "system", "temp")
# what no table of ours can be told by: DuckDB's own catalogs and schemas
_TAKEN_DATASETS: Final = ("system", "temp", "information_schema", "pg_catalog")


def default_duckdb() -> Path:
    """The DuckDB file used where no other is set."""
    return dagster_home() / "warehouse.duckdb"


def is_duckdb(settings: PlatformSettings) -> bool:
    """Whether the tables lie in a DuckDB file of ours."""
    return bool(DestinationReference.normalize_type(settings.destination) == DUCKDB_TYPE)


def duckdb_file(settings: PlatformSettings) -> Path | None:
    """The DuckDB file that the settings lead to, or None where the destination is another one.

    The place is read as dlt reads it, and given to dlt: both always mean the same file. It is no
    secret, and may stand in `config.toml`.

    Raises:
        SettingsError: What is set is no place of a file.
    """
    if not is_duckdb(settings):
        return None
    place = look_up(_SECTION, "credentials")
    if place is not None and isinstance(place.value, str):
        return _path(_database(place.value))
    place = look_up((*_SECTION, "credentials"), "database")
    return default_duckdb() if place is None else _path(place.value)


def is_missing(settings: PlatformSettings) -> bool:
    """Whether there is no warehouse yet; to open a DuckDB file would make one."""
    file = duckdb_file(settings)
    return file is not None and not file.exists()


def catalog_name(file: Path) -> str:
    """DuckDB's name for a file that it has open."""
    name = re.split(r"[.?]", file.name)[0]
    return f"{name}_db" if name.lower() in _TAKEN_CATALOGS else name


def stored_name(dataset_name: str) -> str:
    """The name under which dlt keeps a dataset in the warehouse."""
    return str(Schema("analytics").naming.normalize_table_identifier(dataset_name))


def refuse_ambiguous_names(file: Path, settings: PlatformSettings) -> None:
    """Refuses names that DuckDB would not tell apart, which it compares without their case.

    Raises:
        SettingsError: The file is named as the dataset or its staging dataset, or the dataset as
            something of DuckDB's own.
    """
    name = setting_name(PLATFORM_SECTION, "dataset_name")
    dataset = stored_name(settings.dataset_name)
    if dataset in _TAKEN_DATASETS:
        raise SettingsError(
            f"DuckDB has a {dataset} of its own: set {name} to one such as analytics"
        )
    if catalog_name(file).lower() in (dataset, f"{dataset}_staging"):
        raise SettingsError(
            f"DuckDB cannot tell a file {file.name} from a dataset {settings.dataset_name}: set"
            f" {name} or {_CREDENTIALS} to another name"
        )


def _database(credentials: str) -> Any:
    try:
        parsed = DuckDbCredentials(credentials)
    except ValueError:
        return None
    return parsed.database if parsed.drivername == "duckdb" else None


def _path(database: Any) -> Path:
    if not isinstance(database, str) or not database or database.startswith((":", "md:")):
        # not what is set: it may be a connection string with a password
        raise SettingsError(
            f"{_CREDENTIALS} is no place of a DuckDB file: set it to a path such as"
            " /srv/analytics/warehouse.duckdb"
        )
    return Path(active().local_dir).absolute() / Path(database).expanduser()
