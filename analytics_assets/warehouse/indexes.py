"""An index by account, so that a load finds its accounts' rows among many others'.

It is PostgreSQL's. DuckDB knows of each block of rows which values it has, and skips those without.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseException

from analytics_assets.schema import ResourceTable
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.destination import is_postgres
from analytics_assets.warehouse.failures import first_cause, is_refused
from analytics_assets.warehouse.locks import making_tables

# One of the user's own that begins with the account serves as well.
_INDEXED: Final = """
    SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
    JOIN pg_index ON indrelid = pg_class.oid
    JOIN pg_attribute a ON a.attrelid = pg_class.oid AND attnum = indkey[0]
    WHERE nspname = %s AND attname = 'account_id' AND indisvalid AND indpred IS NULL
    AND (SELECT amname FROM pg_am JOIN pg_class i ON i.relam = pg_am.oid WHERE i.oid = indexrelid)
    = 'btree'
"""


def index_accounts(settings: PlatformSettings, pipeline: Pipeline, tables: Iterable[str]) -> str:
    """Makes the index of each table that there is and that has none, where the database needs one.

    Writes to the table wait meanwhile: for seconds, if it holds millions of rows.

    Returns:
        Why tables have none, and what to do; empty where all have one.

    Raises:
        WarehouseError: Another run was not done with its tables in time.
    """
    if not is_postgres(pipeline) or not _without(pipeline, tables):
        return ""
    lacking = []
    with making_tables(settings, pipeline), pipeline.sql_client() as client:
        for name in _without(pipeline, tables):
            table = client.make_qualified_table_name(name)
            columns = _columns(settings.resources, name)
            quoted = ", ".join(map(client.escape_column_name, columns))
            try:
                client.execute_sql(f"CREATE INDEX ON {table} ({quoted})")
            except DatabaseException as error:
                if not is_refused(error):
                    raise
                lacking.append(
                    f"{table} has no index by account_id, so that a load takes longer the more rows"
                    f" there are ({first_cause(error)}): let its owner run CREATE INDEX ON {table}"
                    f" ({quoted})"
                )
    return "; ".join(lacking)


def _columns(resources: ResourceTable, table: str) -> list[str]:
    """The account and, in a report, the day: so that a load finds the rows of its window."""
    report = resources[table].report if table in resources else None
    return ["account_id", *([report.day_column] if report else [])]


def _without(pipeline: Pipeline, tables: Iterable[str]) -> list[str]:
    with pipeline.sql_client() as client:
        rows = client.execute_sql(_INDEXED, client.dataset_name) or []
        return sorted(set(tables) - {str(name) for (name,) in rows})
