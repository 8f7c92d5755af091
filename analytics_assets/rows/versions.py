"""The version of a row: a hash of its fields and values, by which two versions are told apart.

It is over what the API sent, not over how a table stores it: nulls are left out, numbers are equal
by value, and JSON is whatever the order of its keys. So a field that gets a column, or a column
that gets another type, makes no version of rows that did not change.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from hashlib import blake2b
from typing import Any, Final

import orjson
import pyarrow as pa
import pyarrow.compute as pc

from analytics_assets.rows.arrow import EXTRAS
from analytics_assets.schema import Column, Resource
from analytics_assets.text import sound_text

_HASH_BYTES: Final = 16
# before a text, so that it is no number and no JSON: none of these begins so
_TEXT: Final = '"'


def row_versions(resource: Resource, table: pa.Table, ignored: Collection[str] = ()) -> pa.Array:
    """The version of each row, as text.

    Args:
        resource: The rows' resource.
        table: The rows, in the schema of `arrow_schema(resource)`.
        ignored: Fields whose change makes no version.
    """
    cells = {column.name: _cells(column, table[column.name]) for column in resource.table_columns}
    for name, values in _extra_cells(table[EXTRAS]).items():
        cells[name] = pc.coalesce(values, cells[name]) if name in cells else values
    fields = [_labelled(name, cells[name]) for name in sorted(cells.keys() - set(ignored))]
    texts = pc.binary_join_element_wise(*fields, "")
    return pa.array(map(_hash, pc.cast(texts, pa.binary()).to_pylist()), pa.string())


def same_json(text: str, other: str) -> bool:
    """Whether two texts are the same JSON for a version."""
    return _canonical(_parsed(text)) == _canonical(_parsed(other))


def _cells(column: Column, values: pa.ChunkedArray) -> pa.Array:
    """The values in their canonical form."""
    values = values.combine_chunks()
    if column.type in ("text", "date"):
        return pc.binary_join_element_wise(_TEXT, pc.cast(values, pa.string()), "")
    if column.type in ("bigint", "bool"):
        return pc.cast(values, pa.string())
    encoded = values.dictionary_encode()  # each value once: most come again and again
    parsed = map(_parsed if column.type == "json" else _number, encoded.dictionary.to_pylist())
    return pa.array(map(_canonical, parsed), pa.string()).take(encoded.indices)


def _extra_cells(extras: pa.ChunkedArray) -> dict[str, pa.Array]:
    """By field, the canonical values of those that no declared column can hold."""
    if extras.null_count == len(extras):
        return {}
    encoded = extras.combine_chunks().dictionary_encode()
    cells: dict[str, list[str | None]] = {}
    for index, text in enumerate(encoded.dictionary.to_pylist()):
        for name, value in _parsed(text).items() if text else ():
            if name not in cells:
                cells[name] = [None] * len(encoded.dictionary)
            cells[name][index] = None if value is None else _canonical(value)
    return {
        name: pa.array(values, pa.string()).take(encoded.indices) for name, values in cells.items()
    }


def _number(value: str | float) -> int | float:
    number = float(value)
    return int(number) if number.is_integer() else number


_parsed: Final = json.JSONDecoder(parse_float=_number).decode


def _canonical(value: Any) -> str:
    """A text that equal values have, and no others."""
    if isinstance(value, str):
        return _TEXT + value
    try:
        return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # an integer of more than 64 bits
        return sound_text(json.dumps(value, ensure_ascii=False, sort_keys=True))


def _labelled(name: str, values: pa.Array) -> pa.Array:
    """Each value with its field and its length, so that no two rows read alike; '' for null."""
    encoded = values.dictionary_encode()
    label, values = f"{len(name)}:{name}", encoded.dictionary
    lengths = pc.cast(pc.binary_length(values), pa.string())
    labelled = pc.binary_join_element_wise(label, lengths, values, ":")
    return pc.fill_null(labelled.take(encoded.indices), "")


def _hash(text: bytes) -> str:
    return blake2b(text, digest_size=_HASH_BYTES).hexdigest()
