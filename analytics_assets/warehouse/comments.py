"""The resource table's descriptions, as comments on the warehouse's tables and columns.

dlt writes no comments on DuckDB and PostgreSQL.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

from dlt import Pipeline

from analytics_assets.schema import Resource
from analytics_assets.warehouse.destination import sql_dialect
from analytics_assets.warehouse.history import VALIDITY
from analytics_assets.warehouse.statements import SqlClient

Comments = Mapping[tuple[str, str], str | None]
"""Comment by table and column; the table's own has the column ''."""

_DUCKDB: Final = """
    WITH described AS (
        SELECT database_name, schema_name, table_name, '' AS column_name, comment
        FROM duckdb_tables()
        UNION ALL
        SELECT database_name, schema_name, table_name, column_name, comment FROM duckdb_columns()
    )
    SELECT table_name, column_name, comment FROM described
    WHERE database_name = current_database() AND schema_name = %s
"""
# only the tables on which the role may write comments
_POSTGRES: Final = """
    WITH tables AS (
        SELECT pg_class.oid, relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace
        WHERE relkind IN ('r', 'p') AND pg_has_role(relowner, 'USAGE') AND nspname = %s
    )
    SELECT relname, '', obj_description(oid, 'pg_class') FROM tables
    UNION ALL
    SELECT relname, attname, col_description(oid, attnum)
    FROM tables JOIN pg_attribute ON attrelid = oid AND attnum > 0 AND NOT attisdropped
"""
_QUERIES: Final = {"duckdb": _DUCKDB, "postgres": _POSTGRES}


def write_comments(pipeline: Pipeline, resources: Iterable[Resource]) -> None:
    """Comments on the resources' tables and declared columns as the resource table describes them.

    Writes what differs, in a transaction for each table, so that a load usually costs one query.
    Leaves alone what has no description, and destinations that speak neither DuckDB's SQL nor
    PostgreSQL's.
    """
    query = _QUERIES.get(sql_dialect(pipeline))
    if query is None:
        return
    with pipeline.sql_client() as client:
        rows = client.execute_sql(query, client.dataset_name)
        written = {(table, column): comment for table, column, comment in rows or []}
        for resource in resources:
            if statements := list(_statements(client, resource, written)):
                with client.begin_transaction():
                    client.execute_many(statements)


def _statements(client: SqlClient, resource: Resource, written: Comments) -> Iterator[str]:
    described = {"": resource.description}
    described |= {column.name: column.description for column in resource.table_columns}
    if resource.is_history:
        described |= VALIDITY
    table = client.make_qualified_table_name(resource.name)
    for column, text in described.items():
        if not text or written.get((resource.name, column), text) == text:
            continue  # also where there is no such table or column
        escaped = f"{table}.{client.escape_column_name(column)}"
        # not as dlt quotes text: DuckDB's comments keep the backslashes of E'...'
        quoted = text.replace("'", "''")
        yield f"COMMENT ON {f'COLUMN {escaped}' if column else f'TABLE {table}'} IS '{quoted}'"
