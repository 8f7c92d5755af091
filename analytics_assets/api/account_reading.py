"""One account while it is read: which of its resources came whole, and which did not."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from threading import Event
from typing import Any, Final

import requests
from dlt.extract import DltSource

from analytics_assets.api.client import ApiClient
from analytics_assets.api.request_counts import AccountRequests
from analytics_assets.api.source import MissingList, pages, with_parents
from analytics_assets.errors import (
    AnalyticsError,
    PermanentError,
    ReadError,
    RefusedError,
    causes,
    raise_if_disk_full,
)
from analytics_assets.rows.account_rows import AccountRows, AccountWriter, ResourceRows
from analytics_assets.rows.lists import AccountLists, KnownLists, ReadList
from analytics_assets.schema import ResourceTable
from analytics_assets.text import one_line

_GONE: Final = 404
_REFUSED_FOR_GOOD: Final = (403, _GONE)


@dataclass(frozen=True, slots=True)
class ReadFailure:
    """Resources of an account that could not be read whole: what is loaded of them stays.

    Attributes:
        account_id: The account.
        resource_name: The resource whose list could not be had; None if all failed alike.
        lost: The resources that were to be read and were not: that one, and those below its rows.
        error: What happened; its message is one line without secrets.
    """

    account_id: str
    resource_name: str | None
    lost: tuple[str, ...]
    error: AnalyticsError

    @property
    def permanent(self) -> bool:
        """Whether trying again soon is pointless."""
        return isinstance(self.error, PermanentError)

    def __str__(self) -> str:
        line = f"{one_line(self.account_id)}: {self.resource_name or 'account'}: {self.error}"
        others = [name for name in self.lost if name != self.resource_name]
        if self.resource_name is None or not others:
            return line
        return f"{line} (so nothing is changed of {', '.join(others)} either)"


@dataclass(frozen=True, slots=True)
class AccountRead:
    """What came of an account.

    Attributes:
        rows: The rows of the resources that were read whole.
        failures: Why others were not.
        requests: What it took to read them.
        seconds: How long that took.
    """

    rows: AccountRows
    failures: Sequence[ReadFailure]
    requests: AccountRequests
    seconds: float


def read_account(
    client: ApiClient,
    levels: Sequence[DltSource],
    account_id: str | None,
    names: Sequence[str],
    folder: Path,
    stopped: Event,
    known: KnownLists | None = None,
) -> AccountRead:
    """Reads the named resources of an account; one that fails takes no other along.

    Args:
        client: Reads.
        levels: Sources of all that is named, and of its parents.
        account_id: The account; None for the list of accounts.
        names: The resources.
        folder: An existing folder, in which the files get one of their own.
        stopped: When it is set, nothing further is asked for.
        known: The lists that are left out if nothing has changed; None to leave out none, ever.

    Raises:
        DiskFullError: There is no room for the rows.
    """
    started, own_folder = time.monotonic(), Path(mkdtemp(dir=folder))
    lists: Mapping[str, AccountLists] = {}
    with client.requests.counting(account_id or "", stopped) as counts:
        reading = _Reading(client, levels, account_id, names, own_folder, stopped, known)
        try:
            rows = reading.read()
            lists = reading.lists()
            failures = list(_failures(client.resources, account_id or "", names, reading.errors))
        except Exception as error:
            shutil.rmtree(own_folder, ignore_errors=True)
            rows, cause = {}, described_error(client, error)
            failures = [ReadFailure(account_id or "", None, tuple(names), cause)]
    seconds = time.monotonic() - started
    return AccountRead(AccountRows(account_id, rows, lists), failures, counts, seconds)


class _Reading:
    """Reads an account, level by level."""

    def __init__(
        self,
        client: ApiClient,
        levels: Sequence[DltSource],
        account_id: str | None,
        names: Sequence[str],
        folder: Path,
        stopped: Event,
        known: KnownLists | None,
    ) -> None:
        self.errors: dict[str, AnalyticsError] = {}
        self._client = client
        self._resources = client.resources
        self._levels = levels
        self._account_id = account_id
        self._names = names
        self._folder = folder
        self._stopped = stopped
        self._writer = AccountWriter(client.resources, account_id, names, folder)
        self._listed_anew: dict[str, Set[str]] = {}
        self._known = known
        self._began = time.time()
        # by resource and parent's id, the lists that are not asked for
        self._kept: dict[str, dict[Any, ReadList]] = {}

    def read(self) -> Mapping[str, ResourceRows]:
        """The rows of the resources that came whole; `errors` tells of those that did not."""
        needed = {resource.name for resource in with_parents(self._resources, self._names)}
        for level in self._levels:
            names = [name for name in level.selected_resources if name in needed]
            self._ask(level, names, self._ids_to_ask)
            # it cannot be told which of the rows that are kept these rows replace
            strays = [name for name in self._kept if self._writer.has_strays(name)]
            self._ask(level, strays, self._kept.pop)
        return dict(self._close())

    def lists(self) -> Mapping[str, AccountLists]:
        """What became of the lists below parent rows; of none, if no list is ever left out."""
        return {
            name: self._writer.lists(name, self._kept.get(name, {}), self._began)
            for name in self._names
            if self._known is not None and self._has_lists(name)
        }

    def _ask(
        self, level: DltSource, names: Sequence[str], parent_ids: Callable[[str], Collection[Any]]
    ) -> None:
        if not names:
            return
        for found in pages(self._client, level, names, self._account_id, parent_ids, self.errors):
            if self._stopped.is_set():
                raise ReadError("the run was stopped")
            if isinstance(found, MissingList):
                if not self._parent_is_gone(found):
                    self._give_up(found.resource_name, found.error)
            elif found.resource_name not in self.errors:
                self._add(found.resource_name, found.rows)

    def _add(self, name: str, rows: Iterable[Mapping[str, Any]]) -> None:
        try:
            self._writer.add(name, rows)
        except ReadError as error:
            self._give_up(name, error)

    def _close(self) -> Iterator[tuple[str, ResourceRows]]:
        for name in self._names:
            if not _first_failed(self._resources, name, self.errors):
                try:
                    yield name, self._writer.close(name)
                except ReadError as error:
                    self._give_up(name, error)

    def _give_up(self, name: str, error: Exception) -> None:
        self.errors[name] = described_error(self._client, error)
        self._writer.drop(name)

    def _has_lists(self, name: str) -> bool:
        """Whether a resource's lists are below rows, and these are known."""
        resource = self._resources[name]
        return resource.has_parent_rows and not _first_failed(
            self._resources, str(resource.parent), self.errors
        )

    def _parent_ids(self, name: str) -> list[Any]:
        """The ids of the rows below which a resource may have lists."""
        return self._writer.ids(str(self._resources[name].parent)) if self._has_lists(name) else []

    def _ids_to_ask(self, name: str) -> list[Any]:
        """The same without those whose lists are left out, which are noted."""
        ids, account = self._parent_ids(name), str(self._account_id)
        needed = with_parents(self._resources, self._names)
        has_children = any(each.parent == name for each in needed if each.has_parent_rows)
        if self._known is None or name not in self._names or has_children:
            return ids
        versions = self._writer.versions(str(self._resources[name].parent))
        for row_id in ids:
            of_row = name, account, str(row_id), versions[row_id]
            if (found := self._known.unchanged(*of_row, self._began)) is not None:
                self._kept.setdefault(name, {})[row_id] = found
        return [row_id for row_id in ids if row_id not in self._kept.get(name, {})]

    def _parent_is_gone(self, missing: MissingList) -> bool:
        """Whether there is no such list because its parent row went while the account was read.

        The parents are listed anew, unless they were and the row was not among them.
        """
        resource = self._resources[missing.resource_name]
        response = _response(missing.error)
        if not resource.has_parent_rows or response is None or response.status_code != _GONE:
            return False
        asked = self._client.asked_by(response.request.path_url or "")
        parent, row_id = str(resource.parent), asked.parent_id
        if row_id not in self._listed_anew.get(parent, [row_id]):
            return True
        if (listed := self._list_anew(parent)) is None:
            return False
        self._listed_anew[parent] = listed
        self._writer.keep_listed(parent, listed)
        return row_id not in listed

    def _list_anew(self, name: str) -> Set[str] | None:
        """The ids, as text, of a resource's rows as the API has them now; None if it fails."""
        level = next(level for level in self._levels if name in level.selected_resources)
        writer = AccountWriter(self._resources, self._account_id, [], self._folder)
        for found in pages(self._client, level, [name], self._account_id, self._parent_ids):
            if isinstance(found, MissingList):
                if not self._parent_is_gone(found):
                    return None
                continue
            writer.add(name, found.rows)
        return {str(row_id) for row_id in writer.ids(name)}


def _failures(
    resources: ResourceTable,
    account_id: str,
    names: Sequence[str],
    errors: Mapping[str, AnalyticsError],
) -> Iterator[ReadFailure]:
    """A failure for each error, with all that was lost by it; those that say the same are one."""
    failed_by = {name: _first_failed(resources, name, errors) for name in names}
    alike: dict[str, dict[str, str]] = {}
    for name, failed in failed_by.items():
        if failed is not None:
            alike.setdefault(str(errors[failed]), {})[name] = failed
    for lost in alike.values():
        failed, *others = dict.fromkeys(lost.values())
        yield ReadFailure(account_id, None if others else failed, tuple(lost), errors[failed])


def _first_failed(
    resources: ResourceTable, name: str, errors: Mapping[str, AnalyticsError]
) -> str | None:
    """The resource by which a resource is lost: itself, or one above it; None if it is not."""
    if name in errors:
        return name
    resource = resources[name]
    if not resource.has_parent_rows:
        return None
    return _first_failed(resources, str(resource.parent), errors)


def _response(error: BaseException) -> requests.Response | None:
    found = (getattr(cause, "response", None) for cause in causes(error))
    return next((response for response in found if response is not None), None)


def described_error(client: ApiClient, error: Exception) -> AnalyticsError:
    """The error as users read it.

    Raises:
        DiskFullError: It is none of the account's.
    """
    raise_if_disk_full(error)
    known = (AnalyticsError, requests.RequestException)
    cause = next((each for each in causes(error) if isinstance(each, known)), error)
    kind = type(cause) if isinstance(cause, AnalyticsError) else _kind(cause)
    return kind(client.describe(cause))


def _kind(error: BaseException) -> type[ReadError]:
    response: requests.Response | None = getattr(error, "response", None)
    refused = response is not None and response.status_code in _REFUSED_FOR_GOOD
    return RefusedError if refused else ReadError
