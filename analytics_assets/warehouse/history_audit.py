"""What histories hold, account by account, for checks to judge."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from analytics_assets.schema import Resource
from analytics_assets.warehouse.history import History, names_of
from analytics_assets.warehouse.history_differences import count_differences
from analytics_assets.warehouse.statements import SqlClient, in_chunks

_COUNTS: Final = """
    SELECT account, SUM(versions), SUM(valid), SUM(held), SUM(turned) FROM (
        SELECT {account_id} AS account, COUNT(*) AS versions,
            COUNT(*) - COUNT({valid_to}) AS valid, 0 AS held,
            SUM(CASE WHEN {valid_to} <= {valid_from} THEN 1 ELSE 0 END) AS turned
        FROM {history} WHERE {scope} GROUP BY {account_id}
        UNION ALL
        SELECT {account_id}, 0, 0, COUNT(*), 0 FROM {table} WHERE {scope} GROUP BY {account_id}
    ) counted GROUP BY account
"""
# To put versions in their order takes longest, and most keys have only one. By their number, not by
# what has ended, PostgreSQL does not take the others for so few that it looks up each by itself.
_OVERLAPPING: Final = """
    WITH several AS (
        SELECT {key} FROM {history} WHERE {scope} GROUP BY {key} HAVING COUNT(*) > 1
    ), placed AS (
        SELECT {account_id}, {valid_from}, {valid_to},
            LEAD({valid_from}) OVER (PARTITION BY {key} ORDER BY {valid_from}) AS next_from
        FROM {history} JOIN several USING ({key}) WHERE {scope}
    )
    SELECT {account_id}, COUNT(*) FROM placed
    WHERE ({valid_from} < {valid_to} AND next_from < {valid_to})
        OR ({valid_to} IS NULL AND next_from IS NOT NULL)
    GROUP BY {account_id}
"""


@dataclass(frozen=True, slots=True)
class VersionsAudit:
    """What a history holds of one account.

    Attributes:
        versions: Its versions.
        unequal: Rows without an open version, open versions without a row, and those that are
            not what the row is.
        overlapping: Versions that end before they begin, or after the next one begins.
    """

    versions: int = 0
    unequal: int = 0
    overlapping: int = 0


HistoryAudit = Mapping[str, VersionsAudit]
"""The accounts that have rows or versions, by account."""


def audit_loaded(
    client: SqlClient, resource: Resource, account_ids: Sequence[str]
) -> dict[str, VersionsAudit]:
    """Audits a history of accounts whose versions were just made equal to their rows.

    Rows and open versions are counted: they have just been compared.
    """
    chunks = (_audit(client, resource, some) for some in in_chunks(account_ids))
    return {account: found for chunk in chunks for account, found in chunk.items()}


def audit_history(
    client: SqlClient, resource: Resource, history: History
) -> dict[str, VersionsAudit]:
    """Audits a history as a whole, and compares its open versions with the table."""
    found = _audit(client, resource, ())
    unequal = count_differences(client, resource, history)
    return {key: replace(audit, unequal=unequal[key]) for key, audit in found.items()}


def _audit(
    client: SqlClient, resource: Resource, accounts: Sequence[str]
) -> dict[str, VersionsAudit]:
    names = names_of(client, resource, accounts)
    key = ", ".join(map(client.escape_column_name, resource.key))
    counts = client.execute_sql(_COUNTS.format(**names), *accounts, *accounts) or []
    overlapping = _OVERLAPPING.format(**names, key=key)
    rows = client.execute_sql(overlapping, *accounts, *accounts) or []
    found = {str(account): int(number) for account, number in rows}
    return {
        str(account): VersionsAudit(
            versions=int(versions),
            unequal=max(int(held) - int(valid), 0),
            overlapping=int(turned) + found.get(str(account), 0),
        )
        for account, versions, valid, held, turned in counts
    }
