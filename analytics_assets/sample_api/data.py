"""The data that the sample API serves: generated lists, and what a test has changed in them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from copy import deepcopy
from threading import RLock
from typing import Any, NamedTuple

from analytics_assets.resources import ACCOUNTS as LISTED
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api.generator import Generator, Row
from analytics_assets.sample_api.reports import SampleReports
from analytics_assets.schema import Resource

ACCOUNTS = LISTED.name


class ListKey(NamedTuple):
    """One list of the API: of a resource, in an account, below a parent."""

    resource: str
    account_id: str | None = None
    parent_id: str | None = None


class SampleData:
    """Every list that the API serves, of any size, changeable while it is served.

    Lists are made when they are asked for. Only changed ones are kept, and are never changed in
    place: whoever reads one in another thread sees it before or after a change.

    Attributes:
        resources: The resource table that the lists follow.
        reports: The reports of the accounts.
    """

    def __init__(
        self, resources: Mapping[str, Resource], generator: Generator, accounts: int
    ) -> None:
        self.resources = {n: of for n, of in resources.items() if of.report is None}
        own = {n: of for n, of in resources.items() if of.report and n not in RESOURCES}
        self._generator = generator
        self._changed: dict[ListKey, list[Row]] = {}
        self._changed_accounts: set[str] = set()
        self._lock = RLock()
        rows = [generator.account(index) for index in range(accounts)]
        self._indices = {str(row["account_id"]): index for index, row in enumerate(rows)}
        self._next_index = accounts
        self.set_rows(ACCOUNTS, rows)
        self.reports = SampleReports(self.rows, self.generated_ids, own, generator.day)

    @classmethod
    def generate(
        cls,
        accounts: int = 20,
        campaigns: int = 100,
        items: int = 5,
        motion_ads: int = 2,
        others: int = 5,
        *,
        resources: Mapping[str, Resource] | None = None,
    ) -> SampleData:
        """Data of a size: the same in every process.

        Args:
            accounts: How many accounts there are.
            campaigns: How many campaigns an account has.
            items: How many items a campaign has; a few campaigns have none.
            motion_ads: How many motion ads a campaign has; a few campaigns have none.
            others: How many rows every other list has.
            resources: The resource table; the package's by default.
        """
        table = RESOURCES if resources is None else resources
        sizes = {"campaigns": campaigns, "campaign_items": items, "motion_ads": motion_ads}
        return cls(table, Generator(table, sizes, others), accounts)

    @property
    def account_ids(self) -> list[str]:
        """The accounts that are listed now, in order."""
        return list(self._listed)

    def table(self, resource_name: str, accounts: Iterable[str] | None = None) -> list[Row]:
        """The rows that the warehouse should hold: all that the API serves, with `account_id`.

        Args:
            resource_name: The resource.
            accounts: The accounts whose rows are meant; all by default.
        """
        wanted = self.account_ids if accounts is None else list(accounts)
        if "{account_id}" not in self.resources[resource_name].path:
            rows = self.rows(resource_name)
            return [row for row in rows if "account_id" not in row or row["account_id"] in wanted]
        return [
            {"account_id": account_id, **row} | {"account_id": account_id}
            for account_id in wanted
            if self.has_account(account_id)
            for key in self._account_lists(resource_name, account_id)
            for row in self.rows(*key)
        ]

    def rows(
        self, resource_name: str, account_id: str | None = None, parent_id: str | None = None
    ) -> list[Row]:
        """The rows of one list as the API serves them now; a copy."""
        key = ListKey(resource_name, account_id, parent_id)
        rows = self._served(key)
        return deepcopy(rows) if self.is_changed(key) else rows

    def generated_ids(self, resource_name: str, account_id: str) -> list[str]:
        """The ids that an account's rows had at first."""
        index = self._indices.get(account_id)
        return [] if index is None else list(self._generator.ordinals(resource_name, index))

    def is_changed(self, key: ListKey) -> bool:
        """Whether a list no longer is what was generated."""
        return key in self._changed

    def has_account(self, account_id: str) -> bool:
        """Whether the account is listed now."""
        return account_id in self._listed

    def has_parent(self, key: ListKey) -> bool:
        """Whether the row that a list is asked for exists now; True for lists without a parent."""
        if key.account_id is None or key.parent_id is None:
            return True
        return key.parent_id in self._ids(self.resources[key.resource].parent or "", key.account_id)

    def set_rows(
        self,
        resource_name: str,
        rows: Iterable[Mapping[str, Any]],
        *,
        account_id: str | None = None,
        parent_id: str | None = None,
    ) -> None:
        """Makes these the rows of one list."""
        with self._lock:
            key = ListKey(resource_name, account_id, parent_id)
            self._changed[key] = deepcopy([dict(row) for row in rows])
            if account_id is not None:
                self._changed_accounts.add(account_id)
            if resource_name == ACCOUNTS:
                listed = self._changed[key]
                self._listed = {row["account_id"]: None for row in listed if "account_id" in row}

    def add_row(
        self,
        resource_name: str,
        row: Mapping[str, Any],
        *,
        account_id: str | None = None,
        parent_id: str | None = None,
    ) -> None:
        """Adds a row to the end of one list."""
        with self._lock:
            rows = [*self.rows(resource_name, account_id, parent_id), row]
            self.set_rows(resource_name, rows, account_id=account_id, parent_id=parent_id)

    def update_row(
        self,
        resource_name: str,
        row_id: object,
        changes: Mapping[str, Any],
        *,
        account_id: str | None = None,
    ) -> None:
        """Sets some fields of a row, known to the resource table or not.

        Args:
            resource_name: The resource.
            row_id: The row's `id`; of an account, its `account_id`.
            changes: The new values by field.
            account_id: The account that lists the row.

        Raises:
            KeyError: There is no such row.
        """
        self._edit(resource_name, row_id, account_id, lambda row: [{**row, **changes}])

    def remove_key(
        self, resource_name: str, row_id: object, key: str, *, account_id: str | None = None
    ) -> None:
        """Removes a field from a row."""
        self._edit(
            resource_name,
            row_id,
            account_id,
            lambda row: [{name: value for name, value in row.items() if name != key}],
        )

    def delete_row(
        self, resource_name: str, row_id: object, *, account_id: str | None = None
    ) -> None:
        """Deletes a row; what was listed below it is not found any more."""
        self._edit(resource_name, row_id, account_id, lambda row: [])

    def add_account(self, account_id: str | None = None, *, empty: bool = False) -> str:
        """Adds an account, with data unless it is to be empty, and returns its `account_id`.

        An account that was there before comes back with the lists that it had.
        """
        with self._lock:
            index = self._indices.get(account_id or "", self._next_index)
            row = self._generator.account(index, account_id)
            slug = str(row["account_id"])
            self._indices[slug] = index
            self._next_index = max(self._next_index, index + 1)
            if empty:
                self.empty_account(slug)
            self.add_row(ACCOUNTS, row)
            return slug

    def empty_account(self, account_id: str) -> None:
        """Empties every list of an account."""
        with self._lock:
            # Parents come first: without them, their children's lists are gone.
            for name, resource in self.resources.items():
                if resource.parent is not None:
                    for key in self._account_lists(name, account_id):
                        self.set_rows(name, [], account_id=account_id, parent_id=key.parent_id)

    def remove_account(self, account_id: str) -> None:
        """Removes an account from the list; its own lists are not found any more."""
        self.delete_row(ACCOUNTS, account_id)

    def _edit(
        self,
        resource_name: str,
        row_id: object,
        account_id: str | None,
        edit: Callable[[Row], list[Row]],
    ) -> None:
        """Puts what an edit makes of a row in the row's place."""
        column = self.resources[resource_name].key[-1]
        with self._lock:
            for key in self._account_lists(resource_name, account_id):
                rows = self.rows(*key)
                if any(row.get(column) == row_id for row in rows):
                    edited = [
                        new
                        for row in rows
                        for new in (edit(row) if row.get(column) == row_id else [row])
                    ]
                    self.set_rows(
                        resource_name, edited, account_id=account_id, parent_id=key.parent_id
                    )
                    return
        raise KeyError(f"no {resource_name} row {row_id!r} in account {account_id!r}")

    def _account_lists(self, resource_name: str, account_id: str | None) -> list[ListKey]:
        """The lists of a resource in an account: one, or one for each parent."""
        resource = self.resources[resource_name]
        if account_id is None or not resource.has_parent_rows:
            return [ListKey(resource_name, account_id)]
        parents = self._ids(resource.parent or "", account_id)
        return [ListKey(resource_name, account_id, parent_id) for parent_id in parents]

    def _ids(self, resource_name: str, account_id: str) -> Collection[str]:
        """The ids of all rows of a resource in an account, as a path spells them."""
        if account_id not in self._changed_accounts:
            index = self._indices.get(account_id)
            return () if index is None else self._generator.ordinals(resource_name, index)
        return {
            str(row["id"]): None
            for key in self._account_lists(resource_name, account_id)
            for row in self._served(key)
            if "id" in row
        }

    def _served(self, key: ListKey) -> list[Row]:
        """The rows of one list, to be read only: every request looks for its parent among them."""
        changed = self._changed.get(key)
        return self._generated(key) if changed is None else changed

    def _generated(self, key: ListKey) -> list[Row]:
        resource = self.resources[key.resource]
        if key.account_id is None:
            return self._generator.rows(resource, 0, None, None)
        index = self._indices.get(key.account_id)
        if index is None:
            return []
        return self._generator.rows(resource, index, key.account_id, key.parent_id)
