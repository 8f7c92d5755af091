"""How a table differs from the open versions of its history: by version, and by content.

A row and its open version have the same `_dlt_id`, unless one of them is missing. So their contents
are the same as well, as long as nobody changes them in the database.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from dlt.destinations.sql_client import SqlClientBase

from analytics_assets.rows.versions import same_json
from analytics_assets.warehouse.columns import SURPLUS

if TYPE_CHECKING:
    from analytics_assets.warehouse.history import History

DIFFERENCES: Final = "_analytics_differences"
"""The temporary table: account and version of each row that has no open version (`begins`), of each
open version that has no row (`ends`), and of each pair whose contents differ (both)."""

_VALUES_PER_STATEMENT: Final = 500

_COMPARE: Final = """
    CREATE TEMP TABLE {differences} AS
    SELECT COALESCE(t.{account_id}, h.{account_id}) AS account_id,
        COALESCE(t.{version}, h.{version}) AS version,
        t.{account_id} IS NOT NULL AS begins, h.{account_id} IS NOT NULL AS ends,
        t.{account_id} = h.{account_id} AND NOT COALESCE({values_differ}, 1 = 0) AS is_unsure
    FROM (SELECT * FROM {table} WHERE {scope}) t
    FULL JOIN (SELECT * FROM {history} WHERE {scope} AND {valid_to} IS NULL) h
        ON t.{account_id} = h.{account_id} AND t.{version} = h.{version}
    WHERE t.{account_id} IS NULL OR h.{account_id} IS NULL OR {values_differ} OR {texts_differ}
"""
_UNSURE: Final = """
    SELECT d.version, {texts} FROM {differences} d
    JOIN (SELECT * FROM {table} WHERE {scope}) t
        ON t.{account_id} = d.account_id AND t.{version} = d.version
    JOIN (SELECT * FROM {history} WHERE {scope} AND {valid_to} IS NULL) h
        ON h.{account_id} = d.account_id AND h.{version} = d.version
    WHERE d.is_unsure
"""
_ANY_UNSURE: Final = f"SELECT 1 FROM {DIFFERENCES} WHERE is_unsure LIMIT 1"


@contextmanager
def differences(
    client: SqlClientBase[Any], history: History, names: Mapping[str, str], values: Sequence[str]
) -> Iterator[None]:
    """Makes the temporary table `DIFFERENCES`, and drops it in the end.

    Args:
        client: In whose connection it is.
        history: The history, whose columns are all there.
        names: What stands for tables and columns, and for the rows that are compared (`scope`).
        values: What the scope has as parameters.
    """
    values_differ, texts_differ, texts = _conditions(client, history)
    compare = _COMPARE.format(**names, values_differ=values_differ, texts_differ=texts_differ)
    client.execute_sql(compare, *values, *values)
    if client.execute_sql(_ANY_UNSURE):
        look = _UNSURE.format(**names, texts=", ".join(texts))
        unsure = client.execute_sql(look, *values, *values)
        equal = [version for version, *found in unsure or [] if _are_equal(found)]
        for some in in_chunks(equal):
            marks = ", ".join(["%s"] * len(some))
            client.execute_sql(f"DELETE FROM {DIFFERENCES} WHERE version IN ({marks})", *some)
    yield
    client.execute_sql(f"DROP TABLE {DIFFERENCES}")


def _conditions(client: SqlClientBase[Any], history: History) -> tuple[str, str, list[str]]:
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


def in_chunks(values: Sequence[str]) -> Iterator[Sequence[str]]:
    """The values, as many at a time as a statement names."""
    for start in range(0, len(values), _VALUES_PER_STATEMENT):
        yield values[start : start + _VALUES_PER_STATEMENT]
