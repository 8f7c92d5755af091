"""A table is replaced in one transaction, whatever happens meanwhile: nothing is ever half."""

from __future__ import annotations

from typing import Final

from dlt.common.destination import AnyDestination

from analytics_assets.errors import SettingsError
from analytics_assets.settings import PLATFORM_SECTION, setting_name
from analytics_assets.warehouse.location import POSTGRES_TYPE

_REPLACEMENT: Final = "delete-insert"
# Statements that are sent together, as dlt sends a replacement, are one transaction there. One that
# was begun would keep its locks for hours if the machine that began it were lost.
_TRANSACTION_OF_ITSELF: Final = (POSTGRES_TYPE, "dlt.destinations.redshift")


def replace_in_transactions(destination: AnyDestination) -> None:
    """Makes dlt delete an account's rows and insert those read in one transaction per table.

    Where dlt does not say of a destination that it has transactions, it runs each statement on its
    own, even if its client could begin one: DuckDB, Snowflake, SQL Server. A statement that names a
    column such as `created_at` counts as one that changes tables, so that transactions must be able
    to hold these, too.

    Raises:
        SettingsError: The destination cannot do it; a run that is killed would lose rows.
    """
    able = destination.capabilities()
    if (
        able.supports_transactions is False
        or not able.supports_ddl_transactions
        or _REPLACEMENT not in (able.supported_merge_strategies or [])
    ):
        raise SettingsError(
            f"{destination.destination_name} cannot replace a table's rows in one transaction, so"
            " that a run that is killed would lose rows: set"
            f" {setting_name(PLATFORM_SECTION, 'destination')} to one that can, such as duckdb,"
            " postgres or snowflake"
        )
    if destination.destination_type not in _TRANSACTION_OF_ITSELF:
        destination.caps_params["supports_transactions"] = True
