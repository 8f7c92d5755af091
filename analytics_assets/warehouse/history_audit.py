"""What histories hold, account by account, for checks to judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dlt.destinations.sql_client import SqlClientBase

from analytics_assets.schema import Resource
from analytics_assets.warehouse.history import in_chunks, names_of

_AUDIT: Final = """
    WITH placed AS (
        SELECT {key}, {version}, {valid_from}, {valid_to},
            LEAD({valid_from}) OVER (PARTITION BY {key} ORDER BY {valid_from}) AS next_from
        FROM {history} WHERE {scope}
    ), found AS (
        SELECT {account_id} AS account, 1 AS versions, 0 AS unequal,
            CASE WHEN {valid_to} <= {valid_from} OR next_from < {valid_to}
                OR ({valid_to} IS NULL AND next_from IS NOT NULL) THEN 1 ELSE 0 END AS overlapping
        FROM placed
        UNION ALL
        SELECT COALESCE(t.{account_id}, h.{account_id}), 0, 1, 0
        FROM (SELECT {account_id}, {version} FROM {table} WHERE {scope}) t
        FULL JOIN (SELECT {account_id}, {version} FROM placed WHERE {valid_to} IS NULL) h
            ON t.{account_id} = h.{account_id} AND t.{version} = h.{version}
        WHERE t.{account_id} IS NULL OR h.{account_id} IS NULL
    )
    SELECT account, SUM(versions), SUM(unequal), SUM(overlapping) FROM found GROUP BY account
"""


@dataclass(frozen=True, slots=True)
class VersionsAudit:
    """What a history holds of one account.

    Attributes:
        versions: Its versions.
        unequal: Rows without an open version, and open versions without a row.
        overlapping: Versions that end before they begin, or after the next one begins.
    """

    versions: int = 0
    unequal: int = 0
    overlapping: int = 0


HistoryAudit = Mapping[str, VersionsAudit]
"""The accounts that have rows or versions, by account."""


def audit_history(
    client: SqlClientBase[Any], resource: Resource, account_ids: Sequence[str] | None
) -> dict[str, VersionsAudit]:
    """Audits the history of a resource: of these accounts, or of all."""
    if account_ids is None:
        return _audit(client, resource, ())
    chunks = (_audit(client, resource, some) for some in in_chunks(account_ids))
    return {account: found for chunk in chunks for account, found in chunk.items()}


def _audit(
    client: SqlClientBase[Any], resource: Resource, accounts: Sequence[str]
) -> dict[str, VersionsAudit]:
    names = names_of(client, resource, accounts)
    scope = f"{names['account_id']} IN ({names['accounts']})" if accounts else "1 = 1"
    key = ", ".join(map(client.escape_column_name, resource.key))
    statement = _AUDIT.format(**names, scope=scope, key=key)
    rows = client.execute_sql(statement, *accounts, *accounts)
    return {str(account): VersionsAudit(*map(int, numbers)) for account, *numbers in rows or []}
