"""Loads into one PostgreSQL database at once: side by side where they may, one by one where not.

Advisory locks, which the server drops with the session that holds them, say who may do what:

- A load holds one for each of its accounts: the later load of an account replaces it whole.
- Tables and columns are made by one run at a time.
- A run's staging schema is in use as long as its lock is held. A run that was killed leaves the
  schema, and the next one drops it. A load reads from its staging schema, so that this also ends
  whatever the server may still be doing for the killed run, before anything new is written.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Final

from dlt import Pipeline
from dlt.destinations.exceptions import DatabaseException

from analytics_assets.errors import WarehouseError
from analytics_assets.warehouse.file_lock import LockRequest, still_writes
from analytics_assets.warehouse.staging import any_layout, drop
from analytics_assets.warehouse.statements import SqlClient

Locks = Sequence[tuple[str, Sequence[int]]]

_MOST_ACCOUNTS: Final = 500
"""Accounts that are locked one by one: the server has room for some thousand locks. A load of more
has the dataset to itself."""

_UTF8: Final = "UTF8"
_BRIEFLY: Final = 0.2
_QUERY_CANCELED: Final = "57014"
_HOLDERS: Final = """
    SELECT string_agg(DISTINCT coalesce(nullif(application_name, ''), 'another session'), ' and ')
    FROM pg_locks JOIN pg_stat_activity USING (pid)
    WHERE locktype = 'advisory' AND granted AND pid <> pg_backend_pid()
    AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND (classid::bigint << 32 | objid::bigint) = ANY(%s::bigint[])
"""

# The session that holds the locks is idle while the load goes on over other connections.
_STAY_CONNECTED: Final = """
    SELECT set_config(name, CASE name WHEN 'idle_session_timeout' THEN '0' ELSE '60' END, false)
    FROM pg_settings WHERE name IN ('idle_session_timeout', 'tcp_keepalives_idle')
"""


@contextmanager
def account_locks(
    pipeline: Pipeline, account_ids: Iterable[str | None], request: LockRequest
) -> Iterator[None]:
    """Waits until no other load has one of the accounts; afterwards drops the staging schema.

    Args:
        pipeline: Where the load goes.
        account_ids: Accounts of the load; None stands for the list of accounts.
        request: Who asks, and how long it waits.

    Raises:
        WarehouseError: The other load was not done in time, or text would not arrive as it is.
    """
    names = [f"account {account_id}" if account_id else "accounts" for account_id in account_ids]
    few = len(names) <= _MOST_ACCOUNTS
    with pipeline.sql_client() as client:
        refuse_other_encodings(client, pipeline.destination.destination_name)
        dataset = client.dataset_name
        every = _key(dataset)
        keys = [_key(dataset, name) for name in names] if few else []
        take = ("pg_advisory_lock_shared" if few else "pg_advisory_lock", [every])
        # one run after the other, so that each goes on only when the dropping of a schema is over
        drop_stale = _key(dataset, "staging")
        locks = [take, ("pg_advisory_lock", keys), ("pg_advisory_lock", [drop_stale])]
        _wait(client, locks, dataset, request)
        client.execute_sql(_STAY_CONNECTED)
        client.execute_sql("SELECT pg_advisory_lock(%s)", _key(client.staging_dataset_name))
        _drop_stale_schemas(client)
        client.execute_sql("SELECT pg_advisory_unlock(%s)", drop_stale)
        try:
            yield
        finally:
            drop(client, client.staging_dataset_name)


@contextmanager
def tables_lock(pipeline: Pipeline, timeout: float) -> Iterator[None]:
    """Waits, for at most `timeout` seconds, until no other run makes tables or columns.

    Raises:
        WarehouseError: The other run was not done in time.
    """
    with pipeline.sql_client() as client:
        locks = [("pg_advisory_lock", [_key(client.dataset_name, "tables")])]
        if not _lock(client, locks, timeout, "a run that makes tables"):
            raise still_writes(_holders(client, locks), client.dataset_name, timeout)
        yield


def refuse_other_encodings(client: SqlClient, destination: str) -> None:
    """Checks that the database stores and takes text as UTF-8, in which rows are loaded.

    Rows and statements go over different connections, with different drivers. The one for rows
    never says that it sends UTF-8, so that the server takes it for whatever is set.

    Raises:
        WarehouseError: It does not: text would be changed, or fail.
    """
    rows = client.execute_sql(
        "SELECT current_database(), current_setting('server_encoding'),"
        " current_setting('client_encoding')"
    )
    ((database, stored, sent),) = rows or []
    credentials = f"DESTINATION__{destination.upper()}__CREDENTIALS"
    if stored != _UTF8:
        raise WarehouseError(
            f"the database {database} has the encoding {stored}, which cannot hold all text: set"
            f" {credentials} to a database that was made with ENCODING '{_UTF8}'"
        )
    if sent != _UTF8:
        raise WarehouseError(
            f"connections to the database {database} have the client_encoding {sent}, by which text"
            f" would be changed: set {credentials} to end with ?client_encoding=utf8"
        )


def _wait(client: SqlClient, locks: Locks, what: str, request: LockRequest) -> None:
    started = time.monotonic()
    if _lock(client, locks, min(_BRIEFLY, request.timeout), request.holder):
        return
    request.report(f"waiting for {_holders(client, locks)}, which writes to {what}")
    left = max(request.timeout - (time.monotonic() - started), 0.001)
    if not _lock(client, locks, left, request.holder):
        raise still_writes(_holders(client, locks), what, request.timeout)


def _lock(client: SqlClient, locks: Locks, seconds: float, holder: str) -> bool:
    # In the order of the keys, as in every other run: none waits for one that waits for it.
    deadline = time.monotonic() + seconds
    client.execute_sql("SELECT set_config('application_name', %s, false)", holder)
    try:
        for function, keys in locks:
            milliseconds = str(max(round((deadline - time.monotonic()) * 1000), 1))
            client.execute_sql("SELECT set_config('statement_timeout', %s, false)", milliseconds)
            in_order = "(SELECT key FROM unnest(%s::bigint[]) AS key ORDER BY key) AS keys"
            client.execute_sql(f"SELECT {function}(key) FROM {in_order}", list(keys))
    except DatabaseException as error:
        if getattr(error.dbapi_exception, "pgcode", None) != _QUERY_CANCELED:
            raise
        client.execute_sql("SELECT pg_advisory_unlock_all()")
        return False
    client.execute_sql("RESET statement_timeout")
    return True


def _holders(client: SqlClient, locks: Locks) -> str:
    rows = client.execute_sql(_HOLDERS, [key for _, keys in locks for key in keys])
    return str(rows[0][0]) if rows and rows[0][0] else "another run"


def _drop_stale_schemas(client: SqlClient) -> None:
    schemas = client.execute_sql(
        "SELECT nspname FROM pg_namespace WHERE nspname ~ %s AND pg_has_role(nspowner, 'USAGE')",
        any_layout(client.staging_dataset_name),
    )
    for (schema,) in schemas or []:
        taken = client.execute_sql("SELECT pg_try_advisory_lock(%s)", _key(schema))
        if taken and taken[0][0]:
            drop(client, schema)
            client.execute_sql("SELECT pg_advisory_unlock(%s)", _key(schema))


def _key(*parts: str) -> int:
    digest = hashlib.blake2b("\n".join(("analytics-assets", *parts)).encode(), digest_size=8)
    return int.from_bytes(digest.digest(), "big", signed=True)
