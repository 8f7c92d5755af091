"""Makes rows from the resource table: a pure function of an account, a parent and a place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from datetime import date
from functools import lru_cache
from itertools import count
from typing import Any, NamedTuple
from zlib import crc32

from analytics_assets.resources import ACCOUNTS
from analytics_assets.sample_api.values import Maker, awkward_values, maker
from analytics_assets.schema import ColumnType, Resource

Row = dict[str, Any]

_COMPANIES = ("acme", "globex", "initech", "umbrella", "hooli", "soylent", "stark", "wayne")
_NULL_SHARE = 16
_BEYOND_DOUBLE = 2**53 + 1
_AWKWARD_LISTS = 3
_AWKWARD_ROWS = 4


class _Cell(NamedTuple):
    """How the values of one column are made."""

    name: str
    nullable: bool
    make: Maker
    awkward: tuple[Any, ...]
    place: int
    """The place among the columns of its type: so that a row has several awkward values."""


class Generator:
    """Makes the rows of every list, the same for the same sizes.

    Rows are known by their ordinal: their place among all rows of a resource in an account.

    Args:
        resources: The resource table.
        sizes: How many rows a list of a resource has, by the resource's name.
        others: How many rows the lists of all other resources have.
    """

    def __init__(
        self, resources: Mapping[str, Resource], sizes: Mapping[str, int], others: int
    ) -> None:
        self._resources = resources
        self._sizes = sizes
        self._others = others
        self._cells = {name: _cells(resource) for name, resource in resources.items()}
        self._id_types: dict[str, ColumnType] = {
            name: column.type
            for name, resource in resources.items()
            for column in resource.columns
            if column.name == "id"
        }
        self.ordinals = lru_cache(maxsize=None)(self._ordinals)

    def account(self, index: int, account_id: str | None = None) -> Row:
        """The row of the account with this index."""
        company = _COMPANIES[index % len(_COMPANIES)]
        slug = account_id or f"{company}-{index + 1:04}-sc"
        known = {
            "id": 1_100_000 + 37 * index,
            "account_id": slug,
            "name": f"{company.title()} Media {index + 1}",
        }
        return self._row(ACCOUNTS, known, index if index < _AWKWARD_ROWS else None)

    def rows(
        self, resource: Resource, index: int, account_id: str | None, parent_id: str | None
    ) -> list[Row]:
        """The rows of one list of an account; none where the parent was not generated."""
        parent_ordinal = 0
        if parent_id is not None:
            parents = self.ordinals(resource.parent or "", index)
            if parent_id not in parents:
                return []
            parent_ordinal = parents[parent_id]
        rows = []
        for place, ordinal in enumerate(self._list_ordinals(resource, parent_ordinal)):
            known = {
                "id": self._row_id(resource, index, ordinal),
                "account_id": account_id,
                "advertiser_id": account_id,
                resource.parent_column or "": parent_id,
            }
            is_awkward = index == 0 and parent_ordinal < _AWKWARD_LISTS and place < _AWKWARD_ROWS
            rows.append(self._row(resource, known, place + parent_ordinal if is_awkward else None))
        return rows

    def day(self, report: Resource, account_id: str, day: date) -> list[Row]:
        """The rows that a report has of an account's day, as the report's columns say."""
        day_column = report.report.day_column if report.report else ""
        names = [name for name in report.key if name not in ("account_id", day_column)]
        types = {column.name: column.type for column in report.columns}
        rows = []
        for number in range(self._others if names else 1):
            keyed = {n: number if types[n] == "bigint" else f"{n} {number}" for n in names}
            known = {"account_id": account_id, day_column: f"{day} 00:00:00.0", **keyed}
            rows.append(self._row(report, known, None, f"{account_id}/{day}/{number}"))
        return rows

    def _ordinals(self, resource_name: str, index: int) -> Mapping[str, int]:
        """The ordinal by `id` of all rows of a resource in an account."""
        resource = self._resources[resource_name]
        parent_ordinals: Iterable[int] = (0,)
        if resource.has_parent_rows:
            parent_ordinals = self.ordinals(resource.parent or "", index).values()
        return {
            str(self._row_id(resource, index, ordinal)): ordinal
            for parent_ordinal in parent_ordinals
            for ordinal in self._list_ordinals(resource, parent_ordinal)
        }

    def _list_ordinals(self, resource: Resource, parent_ordinal: int) -> range:
        size = self._sizes.get(resource.name, self._others)
        is_empty = resource.has_parent_rows and parent_ordinal % 25 == 3
        return range(parent_ordinal * size, parent_ordinal * size + (0 if is_empty else size))

    def _row_id(self, resource: Resource, index: int, ordinal: int) -> int | str:
        # A pair of accounts shares the id of some rows: an id is unique within an account only.
        owner = index - index % 2 if ordinal % 4 == 1 else index
        number = 30_000_000 + owner * 10_000_000 + ordinal
        if ordinal % 5 == 0:
            number += _BEYOND_DOUBLE
        return number if self._id_types.get(resource.name) == "bigint" else str(number)

    def _row(self, resource: Resource, known: Row, awkwardness: int | None, name: str = "") -> Row:
        """A row with the known values; where an awkwardness is given, half the rest is awkward.

        The others follow from the row's id, or the name that stands for it.
        """
        seed = crc32(f"{resource.name}/{name or known['id']}".encode())
        row: Row = {}
        for number, cell in enumerate(self._cells[resource.name]):
            if cell.name in known:
                row[cell.name] = known[cell.name]
                continue
            if awkwardness is not None:
                turn, is_believable = divmod(cell.place + awkwardness, 2)
                if not is_believable:
                    row[cell.name] = deepcopy(cell.awkward[turn % len(cell.awkward)])
                    continue
            mixed = ((seed ^ number * 2654435761) * 2246822519 & 0xFFFFFFFF) >> 3
            is_null = cell.nullable and mixed % _NULL_SHARE == 0
            row[cell.name] = None if is_null else cell.make(mixed // _NULL_SHARE)
        return row


def _cells(resource: Resource) -> list[_Cell]:
    known = {"id", "account_id", "advertiser_id", resource.parent_column}
    places: dict[ColumnType, count[int]] = {}
    return [
        _Cell(
            name=column.name,
            nullable=column.nullable,
            make=maker(column),
            awkward=awkward_values(column),
            place=0 if column.name in known else next(places.setdefault(column.type, count())),
        )
        for column in resource.columns
    ]
