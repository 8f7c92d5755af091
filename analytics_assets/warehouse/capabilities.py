"""What a destination has to be able to do, asked of dlt; no destination is known here by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from dlt.common.destination import AnyDestination, DestinationCapabilitiesContext
from dlt.common.exceptions import TerminalValueError

from analytics_assets.errors import SettingsError
from analytics_assets.settings import PLATFORM_SECTION, setting_name

_SERVING: Final = "duckdb, postgres, ducklake, motherduck, snowflake, mssql or sqlalchemy"


def refuse_unable(destination: AnyDestination) -> None:
    """Refuses a destination in which a run that is killed would lose rows, or which takes none.

    Raises:
        SettingsError: The destination lacks something; the message says what.
    """
    if lacking := list(_lacking(destination.capabilities())):
        raise SettingsError(
            f"{destination.destination_name} cannot hold the tables, because dlt has no"
            f" {' and no '.join(lacking)} for it: set"
            f" {setting_name(PLATFORM_SECTION, 'destination')} to {_SERVING}"
        )


def _lacking(able: DestinationCapabilitiesContext) -> Iterator[str]:
    if "parquet" not in (able.supported_loader_file_formats or ()):
        yield "loads of Parquet files"
    if "delete-insert" not in (able.supported_merge_strategies or ()):
        yield "merge strategy delete-insert with a destination_scope"
    # None is of those whose client has transactions, but for which dlt begins none by itself
    if able.supports_transactions is False:
        yield "transactions"
    elif not able.supports_ddl_transactions:
        # a statement that names a column such as `created_at` counts for dlt as one of these
        yield "transactions for statements that change tables"
    elif not _takes_json(able):
        yield "json columns from Parquet files"


def _takes_json(able: DestinationCapabilitiesContext) -> bool:
    if able.type_mapper is None:  # of files, which have no columns
        return True
    try:
        able.get_type_mapper().ensure_supported_type({"data_type": "json"}, {}, "parquet")
    except TerminalValueError:
        return False
    return True
