"""Finds columns for what the resource table does not declare, by the table's history."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pyarrow as pa
from dlt.common.normalizers.naming.snake_case import NamingConvention

from analytics_assets.api.arrow import EXTRAS, arrow_array, holds, value_type
from analytics_assets.api.schema import ColumnType, Resource

# Which type gets a new field's column, if its values are of several: numbers with a fraction go
# before those without, because the column of the first holds the second too.
_ORDER: tuple[ColumnType, ...] = ("text", "double", "bigint", "bool", "json")
# as long as PostgreSQL takes them, so that the columns have the same names everywhere
_NAMING = NamingConvention(max_length=63)


@dataclass(slots=True)
class TableColumns:
    """The columns of one table, declared or not, and how they grow.

    A field that is new becomes a column of its value's type. A value that its column cannot hold
    goes to a column beside it, named as dlt names variants: `cpc__v_text`.

    Attributes:
        types: Type by column, of all columns that the table has or gets.
        unknown: Columns for fields that the resource does not declare.
    """

    types: dict[str, ColumnType]
    unknown: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, resource: Resource, history: Mapping[str, str]) -> TableColumns:
        """The declared columns, and those that the table has got over time (dlt type by name)."""
        types = {name: cast(ColumnType, type_) for name, type_ in history.items()}
        types |= {column.name: column.type for column in resource.table_columns}
        declared = {column.name for column in resource.table_columns}
        unknown = {name for name in types if name not in declared and "__v_" not in name}
        return cls(types, unknown={name for name in unknown if not name.startswith("_dlt_")})

    def admit(self, tables: Iterable[pa.Table]) -> None:
        """Makes columns for the extras of the tables."""
        fields = [
            (_NAMING.normalize_identifier(name), value)
            for table in tables
            for extras in _extras(table)
            for name, value in extras.items()
            if value is not None
        ]
        for type_ in _ORDER:
            for name, value in fields:
                if value_type(value) == type_ and not self._taken(name):
                    self.types[name] = type_
                    self.unknown.add(name)
        for name, value in fields:
            self._column(name, value)

    def spread(self, table: pa.Table) -> pa.Table:
        """The table with its extras in columns of their own; only for tables that were admitted."""
        cells: dict[str, list[Any]] = {}
        if table[EXTRAS].null_count < table.num_rows:
            for index, extras in enumerate(_extras(table)):
                for name, value in extras.items():
                    if value is not None:
                        column = self._column(_NAMING.normalize_identifier(name), value)
                        cells.setdefault(column, [None] * table.num_rows)[index] = value
        table = table.drop_columns([EXTRAS])
        for column, values in cells.items():
            table = table.append_column(column, arrow_array(self.types[column], values))
        return table

    def _taken(self, name: str) -> bool:
        return name in self.types or name.startswith("_dlt_")

    def _column(self, name: str, value: Any) -> str:
        if name in self.unknown and holds(self.types[name], value):
            return name
        variant = f"{name}__v_{value_type(value)}"
        variant = _NAMING.shorten_identifier(variant, variant, _NAMING.max_length)
        self.types.setdefault(variant, value_type(value))
        return variant


def _extras(table: pa.Table) -> Iterable[dict[str, Any]]:
    for text in table[EXTRAS]:
        yield json.loads(text.as_py()) if text.is_valid else {}
