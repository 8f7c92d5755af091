"""How a table differs from the open versions of its history: by version, and by content.

A row and its open version have the same `_dlt_id`, unless one of them is missing. So their contents
are the same as well, as long as nobody changes them in the database.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Final

from analytics_assets.rows.versions import same_json
from analytics_assets.schema import SURPLUS, Resource
from analytics_assets.warehouse.history import History, names_of
from analytics_assets.warehouse.statements import SqlClient

_PAIRS: Final = """
    {table} t FULL JOIN (SELECT * FROM {history} WHERE {valid_to} IS NULL) h
    ON t.{account_id} = h.{account_id} AND t.{version} = h.{version}
"""
_DIFFERENT: Final = f"""
    SELECT COALESCE(t.{{account_id}}, h.{{account_id}}), COUNT(*) FROM {_PAIRS}
    WHERE t.{{account_id}} IS NULL OR h.{{account_id}} IS NULL OR {{values_differ}}
    GROUP BY 1
"""
_UNSURE: Final = f"""
    SELECT t.{{account_id}}, {{texts}} FROM {_PAIRS}
    WHERE {{texts_differ}} AND NOT COALESCE({{values_differ}}, 1 = 0)
"""


def count_differences(client: SqlClient, resource: Resource, history: History) -> Counter[str]:
    """Rows without an open version, versions without a row, and pairs that differ, by account.

    `history` has the columns that it and the table of the resource have in common.
    """
    names = names_of(client, resource, ())
    values_differ, texts_differ, texts = _conditions(client, history)
    different = _DIFFERENT.format(**names, values_differ=values_differ)
    found = Counter({str(key): int(number) for key, number in client.execute_sql(different) or []})
    if texts:
        conditions = {"values_differ": values_differ, "texts_differ": texts_differ}
        unsure = _UNSURE.format(**names, **conditions, texts=", ".join(texts))
        rows = client.execute_sql(unsure) or []
        found.update(str(account) for account, *pairs in rows if not _are_equal(pairs))
    return found


def _conditions(client: SqlClient, history: History) -> tuple[str, str, list[str]]:
    """Conditions under which a row `t` and its version `h` differ, and what has to be looked at.

    JSON that is not the same text may be the same. A value that one of them lacks may be in another
    column, where there is one for it.
    """
    known, escape = history.columns, client.escape_column_name
    ignored = {name for field in history.ignored for name in (field, *known.variants_of(field))}
    values, texts, cells = ["1 = 0"], ["1 = 0"], []
    for name, place in history.places.items():
        if name in ignored:
            continue
        row, version = f"t.{escape(name)}", f"h.{escape(place)}"
        may_move = place != name or place in known.variants or bool(known.variants_of(name))
        is_firm = not may_move and SURPLUS not in known.types
        if known.types[place] == "json":
            row, version = (f"CAST({cell} AS VARCHAR)" for cell in (row, version))
            cells += [row, version]
            texts.append(f"{row} <> {version}")
            values += [f"({row} IS NULL) <> ({version} IS NULL)"] if is_firm else []
        else:
            values.append(f"{row} {'IS DISTINCT FROM' if is_firm else '<>'} {version}")
    return f"({' OR '.join(values)})", f"({' OR '.join(texts)})", cells


def _are_equal(texts: Sequence[str | None]) -> bool:
    """Whether each text is the same JSON as that after it, where both are there."""
    pairs = zip(texts[::2], texts[1::2], strict=True)
    return all(row is None or version is None or same_json(row, version) for row, version in pairs)
