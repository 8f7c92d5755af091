"""Finds a column for every field that the API sends, by what the table has.

A field that is not declared gets a column of its own, and keeps it: the schema that dlt stores in
the warehouse tells which field a column was made for. What a column is stored as comes before what
the resource table declares: a value that its column cannot hold goes to a column beside it, so that
no database casts it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any, Final

import pyarrow as pa
from dlt.common.normalizers.naming.snake_case import NamingConvention

from analytics_assets.rows.arrow import ARROW_TYPES, EXTRAS, arrow_array, holds, value_type
from analytics_assets.schema import SURPLUS, TAKEN, ColumnType, Resource

MOST_COLUMNS: Final = 320
"""Columns of a table, and values of a row that have a column of their own.

PostgreSQL has 8,160 bytes for a row, and needs up to 24 of them for a value, however long it is.
"""

# Which type gets a new field's column, if its values are of several: numbers with a fraction go
# before those without, because the column of the first holds the second too.
_ORDER: Final[tuple[ColumnType, ...]] = ("text", "double", "bigint", "bool", "json")
# as long as PostgreSQL takes them, so that the columns have the same names everywhere
_NAMING: Final = NamingConvention(max_length=63)
_HASH_BYTES: Final = 4
_OF_DLT: Final = "_dlt_"
_OF_VARIANTS: Final = "__v_"


@dataclass(frozen=True, slots=True)
class StoredColumn:
    """A column that a table has in the warehouse.

    Attributes:
        type: dlt's name of its type, or the database's own where no value of ours goes into it.
        field: The API's field that it was made for, if that is on record.
        variant: Whether it is for values that another column cannot hold.
        known: Whether dlt knows it. Somebody's own column is left to them.
    """

    type: str
    field: str | None = None
    variant: bool = False
    known: bool = True


@dataclass(slots=True)
class TableColumns:
    """The columns of one table, declared or not, and how they grow.

    Attributes:
        resource: The table's resource.
        types: Type by column, of all columns that the table has or gets, but dlt's own.
        fields: Column by field, of the fields that the resource does not declare.
        variants: The columns for values that another column cannot hold: `cpc__v_text`.
        others: The columns that are not ours, as long as no field has their name.
    """

    resource: Resource
    types: dict[str, str]
    fields: dict[str, str] = field(default_factory=dict)
    variants: set[str] = field(default_factory=set)
    others: set[str] = field(default_factory=set)

    @classmethod
    def of(cls, resource: Resource, stored: Mapping[str, StoredColumn]) -> TableColumns:
        """The columns that the table has, and those declared that it lacks."""
        declared = {column.name: column.type for column in resource.table_columns}
        undeclared = {
            name: column
            for name, column in stored.items()
            if name not in declared and not _is_dlts(name)
        }
        types = declared | {name: stored[name].type for name in declared if name in stored}
        return cls(
            resource,
            types | {name: column.type for name, column in undeclared.items()},
            {column.field: name for name, column in undeclared.items() if column.field is not None},
            {name for name, column in undeclared.items() if column.variant or _OF_VARIANTS in name},
            {name for name, column in undeclared.items() if not column.known},
        )

    @property
    def declared(self) -> dict[str, ColumnType]:
        """The declared columns with their declared types."""
        return {column.name: column.type for column in self.resource.table_columns}

    @property
    def unknown(self) -> list[str]:
        """The columns for fields that the resource does not declare, unless it may have others."""
        if self.resource.is_open:
            return []
        names = self.types.keys() - self.declared.keys() - self.variants - self.others
        return [name for name in self.types if name in names]

    @property
    def unfit(self) -> list[str]:
        """The columns for values of another type than declared; of any, unless it is open."""
        if not self.resource.is_open:
            return sorted(self.variants)
        return sorted(variant for name in self.declared for variant in self.variants_of(name))

    @property
    def misfits(self) -> dict[str, str]:
        """The stored types of the declared columns that are stored as another type."""
        return {
            name: self.types[name]
            for name, type_ in self.declared.items()
            if self.types[name] != type_
        }

    @property
    def filled(self) -> list[str]:
        """The columns that a load fills: ours, but for types that hold no value of ours."""
        ours = (name for name in self.types if name not in self.others)
        return [name for name in ours if self.types[name] in ARROW_TYPES]

    def as_stored(self, column: str) -> StoredColumn:
        """A column as it is stored after a load."""
        made_for = next((name for name, own in self.fields.items() if own == column), None)
        return StoredColumn(self.types[column], made_for, column in self.variants)

    def variants_of(self, column: str) -> list[str]:
        """The columns for values that a column cannot hold."""
        names = (variant_name(column, type_) for type_ in _ORDER)
        return [name for name in names if name in self.variants]

    def extend(self, tables: Iterable[pa.Table]) -> None:
        """Makes columns for the values of the tables that have none."""
        kinds: dict[str, dict[tuple[ColumnType, bool], None]] = {}
        surplus = False
        for table in tables:
            for values in self._without_column(table):
                surplus |= len(values) > self._room
                for name, value in values.items():
                    kind = value_type(value), holds("double", value)
                    kinds.setdefault(name, {})[kind] = None
        # of two fields with one name, the one that is spelled so gets it
        for name in sorted(kinds, key=lambda name: name != _column_name(name)):
            found = [type_ for type_, _ in kinds[name]]
            column = self._column(name) or self._claim(name, min(found, key=_ORDER.index))
            surplus |= column is None
            for type_, is_double in kinds[name] if column else ():
                stored = self.types[column or ""]
                if stored != type_ and not (stored == "double" and is_double):
                    surplus |= not self._make_variant(column or "", type_)
        if surplus:
            self.types.setdefault(self._surplus, "json")
            self.others.discard(self._surplus)

    def spread(self, table: pa.Table) -> pa.Table:
        """The table with each value in its column; only for tables that it was extended by."""
        cells: dict[str, list[Any]] = {}
        for index, values in enumerate(self._without_column(table)):
            for place, (name, value) in enumerate(values.items()):
                column = self._place(name, value) if place < self._room else self._surplus
                column_cells = cells.setdefault(column, [None] * table.num_rows)
                if column == self._surplus:
                    column_cells[index] = {**(column_cells[index] or {}), name: value}
                else:
                    column_cells[index] = value
        table = table.drop_columns([EXTRAS, *self.misfits])
        for column, column_cells in cells.items():
            table = table.append_column(column, arrow_array(self.types[column], column_cells))
        return table

    @property
    def _room(self) -> int:
        """Columns beside the declared ones for which there is room."""
        return max(MOST_COLUMNS - len(self.resource.table_columns), 1)

    @property
    def _surplus(self) -> str:
        """The column for what has none: another one where somebody has retyped the usual one."""
        retyped = self.types.get(SURPLUS, "json") != "json"
        return variant_name(SURPLUS, "json") if retyped else SURPLUS

    def _without_column(self, table: pa.Table) -> Iterator[dict[str, Any]]:
        """Row by row, the values by field that the table has in no column that will be stored."""
        misfits = {name: table[name].to_pylist() for name in self.misfits}
        if not misfits and table[EXTRAS].null_count == table.num_rows:
            return
        for index, text in enumerate(table[EXTRAS].to_pylist()):
            values = {name: self._read(name, column[index]) for name, column in misfits.items()}
            values.update(json.loads(text) if text else {})
            yield {name: value for name, value in values.items() if value is not None}

    def _read(self, column: str, value: Any) -> Any:
        """A value of a column of its declared type, as the API may have sent it."""
        declared, stored = self.declared[column], self.types[column]
        if declared == "json" and value is not None:
            return json.loads(value)
        if declared == "date" and value is not None:
            return value.isoformat()
        if declared == "double" and stored == "bigint" and value is not None:
            # 2 may have come as 2 or as 2.0, which is the same number; bigint has no -0.0
            is_whole = value.is_integer() and abs(value) <= 2**53 and str(value) != "-0.0"
            return int(value) if is_whole else value
        return value

    def _column(self, name: str) -> str | None:
        """The column of a field, if it has one."""
        return name if name in self.declared else self.fields.get(name)

    def _place(self, name: str, value: Any) -> str:
        column = self._column(name)
        if column is None:
            return self._surplus
        if holds(self.types[column], value):
            return column
        type_ = value_type(value)
        variant = variant_name(column, type_)
        return variant if self.types.get(variant) == type_ else self._surplus

    def _claim(self, name: str, type_: ColumnType) -> str | None:
        """A column for a new field; None if there is no room for one."""
        owned = {*self.declared, *self.variants, *self.fields.values(), SURPLUS}
        for column in _candidates(name):
            if column not in self.types and len(self.types) - len(self.declared) < self._room:
                self.types[column] = type_
            # also one of which nobody knows what it was made for
            if column in self.types and column not in owned:
                self.fields[name] = column
                self.others.discard(column)
                return column
        return None

    def _make_variant(self, column: str, type_: ColumnType) -> bool:
        variant = variant_name(column, type_)
        if variant not in self.types:
            if len(self.types) - len(self.declared) >= self._room:
                return False
            self.types[variant] = type_
        if self.types[variant] != type_:  # somebody has changed it
            return False
        self.variants.add(variant)
        self.others.discard(variant)
        return True


def stored_otherwise(columns: Mapping[str, TableColumns]) -> list[str]:
    """A line for each declared column that is stored as another type."""
    return [
        f"{table}.{name} is declared {known.declared[name]} and stored as {stored}"
        for table, known in columns.items()
        for name, stored in known.misfits.items()
    ]


def _is_dlts(column: str) -> bool:
    return column.startswith(_OF_DLT)


def _candidates(name: str) -> Collection[str]:
    """The names that a field's column may have, the nicest first."""
    plain = _column_name(name)
    digest = blake2b(name.encode(errors="backslashreplace"), digest_size=_HASH_BYTES).hexdigest()
    stem = plain[: _NAMING.max_length - len(digest) - 1].rstrip("_")
    unique = f"{stem}_{digest}"
    return [unique] if plain in TAKEN else [plain, unique]


def _column_name(name: str) -> str:
    try:
        column = _NAMING.normalize_identifier(name)
    except ValueError:  # of nothing but white space
        return "unnamed"
    return column.lstrip("_") if _is_dlts(column) else column


def variant_name(column: str, type_: str) -> str:
    """The column beside another for values of a type that the other cannot hold."""
    variant = f"{column}{_OF_VARIANTS}{type_}"
    return _NAMING.shorten_identifier(variant, variant, _NAMING.max_length)
