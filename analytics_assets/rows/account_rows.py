"""An account's rows on their way from the API to the warehouse: one Arrow file per resource."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from analytics_assets.errors import ReadError
from analytics_assets.rows.arrow import EXTRAS, Row, arrow_schema, to_arrow
from analytics_assets.rows.keys import fill, key_value, parent_id_field, row_key
from analytics_assets.rows.lists import AccountLists, ReadList, parent_version
from analytics_assets.schema import ACCOUNT_ID, Column, Resource, ResourceTable

_ROWS_IN_MEMORY = 2_000


@dataclass(frozen=True, slots=True)
class Part:
    """A part of an account's rows: those with certain values in a column.

    Attributes:
        column: The column, which is never null; all parts of a resource have the same.
        values: The values, of the column's type.
    """

    column: str
    values: Collection[Any]


@dataclass(slots=True)
class ResourceRows:
    """The rows of one resource.

    Attributes:
        path: Arrow IPC stream of the rows, in the schema of `arrow_schema(resource)`.
        part: What was read, and is replaced; None for all that there is of the account.
        rows: Rows in it.
        extras: Rows with a field or a value that no declared column can hold.
        duplicates: Rows left out because an earlier row of the answer has the same key.
        keyless: Rows left out because they have no usable key.
        keyless_parents: Rows of the parent that were left out so, or have no usable id, and that it
            was not asked for.
    """

    path: Path
    part: Part | None = None
    rows: int = 0
    extras: int = 0
    duplicates: int = 0
    keyless: int = 0
    keyless_parents: int = 0

    @property
    def left_out(self) -> dict[str, int]:
        """The rows that the API has and the table does not, by reason."""
        counts = {
            "rows without a key": self.keyless,
            "rows with the key of another": self.duplicates,
            "parent rows without a key": self.keyless_parents,
        }
        return {reason: rows for reason, rows in counts.items() if rows}

    def table(self) -> pa.Table:
        """The rows of the file, which is there until they are loaded."""
        with pa.memory_map(str(self.path)) as file:
            return pa.ipc.open_stream(file).read_all()


@dataclass(frozen=True, slots=True)
class AccountRows:
    """The rows of an account, of the resources that were read whole.

    Attributes:
        account_id: The account; None for resources of no account.
        resources: The rows by the resource's name.
        lists: What became of the lists below parent rows, also of resources that failed; of none,
            if no list is ever left out.
    """

    account_id: str | None
    resources: Mapping[str, ResourceRows]
    lists: Mapping[str, AccountLists] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """The rows of all resources."""
        return sum(resource.rows for resource in self.resources.values())


def no_rows(account_id: str, resource_names: Iterable[str]) -> AccountRows:
    """An account that has no row of the named resources."""
    return AccountRows(account_id, {name: ResourceRows(Path()) for name in resource_names})


class AccountWriter:
    """Writes an account's rows, each key once, to files in a folder.

    Args:
        resources: The resources that there are.
        account_id: The account; None for resources of no account.
        resource_names: The resources to write. Of others, which are read for their children's sake,
            nothing but the ids is kept.
        folder: An existing folder.
    """

    def __init__(
        self,
        resources: ResourceTable,
        account_id: str | None,
        resource_names: Collection[str],
        folder: Path,
    ) -> None:
        self._resources = resources
        self._account_id = account_id
        self._files = {name: _File(resources[name], folder) for name in resource_names}
        self._keys = {name: _Keys(resources, name, account_id) for name in resource_names}
        self._listed: dict[str, Set[str]] = {}

    def add(self, resource_name: str, rows: Iterable[Row]) -> None:
        """Takes rows of a resource as the API sent them; they are not changed.

        Raises:
            ReadError: A value is nested too deep.
        """
        if resource_name not in self._keys:
            self._keys[resource_name] = _Keys(self._resources, resource_name, self._account_id)
        keys, file = self._keys[resource_name], self._files.get(resource_name)
        for row in rows:
            keyed = keys.keyed(row)
            if keyed is not None and file is not None:
                file.add(keyed)

    def ids(self, resource_name: str) -> list[Any]:
        """The ids of the rows of a resource that have a key, each once, in their order."""
        return list(self.versions(resource_name))

    def versions(self, resource_name: str) -> Mapping[Any, str]:
        """The version of each of these rows; empty for one that tells nothing of its lists."""
        keys = self._keys.get(resource_name)
        if keys is None or not self._listed:
            return keys.versions if keys else {}
        own = self._listed.get(resource_name)
        above = self._listed.get(str(self._resources[resource_name].parent))
        return {
            row_id: version
            for row_id, version in keys.versions.items()
            if (own is None or str(row_id) in own)
            and (above is None or not above.isdisjoint(keys.parents.get(row_id, ())))
        }

    def has_strays(self, resource_name: str) -> bool:
        """Whether a row names another parent than the one whose list it is in."""
        keys = self._keys.get(resource_name)
        return keys is not None and keys.strays

    def lists(
        self, resource_name: str, kept: Mapping[Any, ReadList], read_at: float
    ) -> AccountLists:
        """What became of a resource's lists, of which those kept were not asked for."""
        versions = self.versions(str(self._resources[resource_name].parent))
        asked = [row_id for row_id in versions if row_id not in kept]
        keys, read = self._keys.get(resource_name), {}
        for row_id in asked:
            rows = keys.settled(row_id) if keys else 0
            if versions[row_id] and rows is not None:
                read[str(row_id)] = ReadList(versions[row_id], read_at, rows)
        still_there = {str(row_id): kept[row_id] for row_id in versions if row_id in kept}
        return AccountLists(asked, read, still_there)

    def keep_listed(self, resource_name: str, ids: Set[str]) -> None:
        """Leaves out, in the end, the rows that have another id, as text, and those below them.

        From now on they have no id and no version, so that nothing further below is asked for.
        """
        self._listed[resource_name] = ids

    def drop(self, resource_name: str) -> None:
        """Takes back what came of a resource, if it was to be written."""
        if (file := self._files.pop(resource_name, None)) is not None:
            file.remove()

    def close(self, resource_name: str) -> ResourceRows:
        """Ends a resource's file.

        Raises:
            ReadError: A value is nested too deep.
        """
        resource, rows = self._resources[resource_name], self._files[resource_name].close()
        self._leave_out_unlisted(rows, resource)
        keys, parent = self._keys[resource_name], self._keys.get(str(resource.parent))
        rows.duplicates, rows.keyless = keys.duplicates, keys.keyless
        rows.keyless_parents = parent.keyless + parent.without_id if parent else 0
        return rows

    def _leave_out_unlisted(self, rows: ResourceRows, resource: Resource) -> None:
        if resource.name in self._listed:
            _keep_rows(rows, "id", self._listed[resource.name])
        if resource.parent_column is not None and resource.parent in self._listed:
            _keep_rows(rows, resource.parent_column, self._listed[resource.parent])


def _keep_rows(rows: ResourceRows, column: str, values: Set[str]) -> None:
    """Keeps the rows whose column has one of the values, as text."""
    with pa.ipc.open_stream(rows.path) as file:
        table = file.read_all()
    kept = table.filter(pc.is_in(table[column].cast(pa.string()), pa.array(values, pa.string())))
    with pa.ipc.new_stream(rows.path, table.schema) as writer:
        writer.write_table(kept)
    rows.rows = kept.num_rows
    rows.extras = kept.num_rows - kept[EXTRAS].null_count


class _Keys:
    """Gives rows their key columns, and lets each key through once."""

    def __init__(
        self, resources: ResourceTable, resource_name: str, account_id: str | None
    ) -> None:
        resource = resources[resource_name]
        self.duplicates = 0
        self.keyless = 0
        self.without_id = 0
        self.strays = False
        self.versions: dict[Any, str] = {}
        # by the same ids, the parents that the rows name, as text
        self.parents: dict[Any, set[str]] = {}
        self._resource = resource
        self._account_id = account_id
        # by key, the parent in whose list it came
        self._seen: dict[tuple[Any, ...], Any] = {}
        self._rows_below: dict[Any, int] = {}
        # lists of which not all rows could be kept, or that have a key with another in common
        self._unsettled: set[Any] = set()
        self._has_lists = any(
            other.has_parent_rows and other.parent == resource.name for other in resources.values()
        )
        columns = {column.name: column for column in resource.table_columns}
        self._key = [columns[name] for name in resource.key]
        # the parent's column holds what the parent's key holds
        parent = resources[str(resource.parent)] if resource.parent_column else resource
        self._parent_id = _id_column(parent)
        self._id = _id_column(resource)

    def keyed(self, row: Row) -> Row | None:
        """The row with its key, or None for a row without one or with one that came before."""
        row = dict(row)
        below = row.pop(parent_id_field(self._resource), None)
        row = self._with_parent(row, below)
        if self._account_id is not None:
            # A network account lists its children's rows too: they belong to the one asked.
            fill(row, ACCOUNT_ID.name, self._account_id)
        key = row_key(self._key, row)
        if key is None:
            self.keyless += 1
            self._unsettled.add(below)
            return None
        row.update(zip(self._resource.key, key, strict=True))
        if key in self._seen:
            self.duplicates += 1
            self._unsettled |= {below, self._seen[key]}
            if (row_id := self._id_of(row)) in self.versions:
                self.versions[row_id] = ""
            return None
        self._seen[key] = below
        self._rows_below[below] = self._rows_below.get(below, 0) + 1
        column = self._resource.parent_column
        self.strays |= column is not None and row.get(column) != below
        self._note_version(row)
        return row

    def settled(self, parent_id: Any) -> int | None:
        """The rows of the list below a parent; None if they may be others another time."""
        if self.strays or parent_id in self._unsettled:
            return None
        return self._rows_below.get(parent_id, 0)

    def _note_version(self, row: Row) -> None:
        if (row_id := self._id_of(row)) is None:
            self.without_id += 1
        else:
            is_new = row_id not in self.versions
            self.versions[row_id] = parent_version(row) if is_new and self._has_lists else ""
            if self._has_lists and self._resource.parent_column is not None:
                parent_id = str(row[self._resource.parent_column])
                self.parents.setdefault(row_id, set()).add(parent_id)

    def _id_of(self, row: Row) -> Any:
        """The id that lists below the row are asked for by, which need not be part of its key."""
        return key_value(self._id, row.get("id")) if self._id else None

    def _with_parent(self, row: dict[str, Any], parent_id: Any) -> dict[str, Any]:
        """Fills the column with the parent's `id`, in the form that the parent's row has."""
        column = self._resource.parent_column
        if column is None:
            return row
        own = row.get(column)
        if own is None:
            row[column] = parent_id
        elif self._parent_id and (value := key_value(self._parent_id, own)) is not None:
            row[column] = value
        return row


def _id_column(resource: Resource) -> Column | None:
    return next((column for column in resource.columns if column.name == "id"), None)


class _File:
    """Rows of one resource and account, on their way to an Arrow file."""

    def __init__(self, resource: Resource, folder: Path) -> None:
        self._resource = resource
        self._pending: list[Row] = []
        self._rows = ResourceRows(folder / f"{resource.name}.arrow")
        self._writer = pa.ipc.new_stream(self._rows.path, arrow_schema(resource))

    def add(self, row: Row) -> None:
        self._pending.append(row)
        if len(self._pending) >= _ROWS_IN_MEMORY:
            self._flush()

    def close(self) -> ResourceRows:
        self._flush()
        self._writer.close()
        return self._rows

    def remove(self) -> None:
        self._writer.close()
        self._rows.path.unlink()

    def _flush(self) -> None:
        try:
            table = to_arrow(self._resource, self._pending)
        except ReadError as error:
            raise ReadError(str(error), self._resource.name) from None
        self._writer.write_table(table)
        self._rows.rows += table.num_rows
        self._rows.extras += table.num_rows - table[EXTRAS].null_count
        self._pending.clear()
