"""A table is replaced in one transaction, whatever happens meanwhile: nothing is ever half."""

from __future__ import annotations

from typing import Final

from dlt.common.destination import AnyDestination

from analytics_assets.warehouse.location import POSTGRES_TYPE

# Statements that are sent together, as dlt sends a replacement, are one transaction there. One that
# was begun would keep its locks for hours if the machine that began it were lost.
_TRANSACTION_OF_ITSELF: Final = POSTGRES_TYPE


def replace_in_transactions(destination: AnyDestination) -> None:
    """Makes dlt delete an account's rows and insert those read in one transaction per table.

    Where dlt does not say of a destination that it has transactions, it runs each statement on its
    own, even if its client could begin one: DuckDB, Snowflake, SQL Server.
    """
    if destination.destination_type != _TRANSACTION_OF_ITSELF:
        destination.caps_params["supports_transactions"] = True
