"""Reads accounts from the API, each whole or not at all, into Arrow files on disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import requests
from dlt.extract import DltSource
from dlt.extract.exceptions import ResourceExtractionError

from analytics_assets.api.client import Client
from analytics_assets.api.extraction import extract, one_core
from analytics_assets.api.request_counts import RequestStatistics, collecting
from analytics_assets.api.source import Row, analytics_source, parent_id_field, path_part
from analytics_assets.errors import (
    AnalyticsError,
    CredentialsError,
    ReadError,
    causes,
    raise_if_disk_full,
)
from analytics_assets.resources import ACCOUNTS, RESOURCES
from analytics_assets.rows.arrow import EXTRAS, arrow_schema, to_arrow
from analytics_assets.rows.keys import key_value, row_key
from analytics_assets.schema import Resource
from analytics_assets.settings import API_SECTION, extract_workers, setting_name
from analytics_assets.text import one_line

# Accounts read side by side; each may use all workers, so that one large account alone is fast.
_ACCOUNTS_AT_ONCE = 8
_ROWS_IN_MEMORY = 2_000


@dataclass(slots=True)
class ResourceRead:
    """What was read of one resource.

    Attributes:
        path: Arrow IPC stream of the rows, in the schema of `arrow_schema(resource)`.
        rows: Rows in it.
        extras: Rows with a field or a value that no declared column can hold.
        duplicates: Rows left out because an earlier row of the answer has the same key.
        keyless: Rows left out because they have no usable key.
        keyless_parents: Rows of the parent that were left out so, and that it was not asked for.
    """

    path: Path
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


@dataclass(slots=True)
class AccountRead:
    """An account that was read whole. `account_id` is None for resources of no account."""

    account_id: str | None
    resources: dict[str, ResourceRead]
    statistics: RequestStatistics
    seconds: float


@dataclass(slots=True)
class AccountFailure:
    """An account that could not be read whole; nothing of it may be loaded.

    Attributes:
        account_id: The account.
        resource: The resource that failed, where known.
        message: One line: the request and what the API said.
        permanent: Whether trying again soon is pointless (403 and 404).
        tokenless: Whether there was no access token to go on with.
    """

    account_id: str
    resource: str | None
    message: str
    permanent: bool
    tokenless: bool = False

    def __str__(self) -> str:
        return f"{one_line(self.account_id)}: {self.resource or 'account'}: {self.message}"


@dataclass(slots=True)
class Reader:
    """Reads from one API, into one folder.

    Attributes:
        client: The HTTP client.
        base_url: Where the API's paths start.
        folder: An existing folder for the files; whoever made it removes it.
    """

    client: Client
    base_url: str
    folder: Path
    _folders: int = field(default=0, init=False)

    def read_accounts_list(self) -> AccountRead:
        """Reads the resource `accounts`.

        Raises:
            CredentialsError: The API gives no token.
            ReadError: The list could not be had.
        """
        names = [ACCOUNTS.name]
        with ThreadPoolExecutor(extract_workers()) as threads:
            result = self._read(self._source(names), threads, None, names, self._new_folder())
        if isinstance(result, AccountFailure):
            if result.tokenless:
                raise CredentialsError(result.message)
            raise ReadError(
                f"{ACCOUNTS.name}: {result.message}. Is"
                f" {setting_name(API_SECTION, 'base_url')} right?"
            )
        return result

    def read_accounts(
        self, account_ids: Sequence[str], resource_names: Collection[str]
    ) -> Iterator[AccountRead | AccountFailure]:
        """Reads the named resources of each account, in parallel, and yields accounts as they end.

        Raises:
            CredentialsError: No account could be read, because the API gives no token.
        """
        source = self._source(resource_names)
        bind = one_core()
        pool = ThreadPoolExecutor(_ACCOUNTS_AT_ONCE, "account", initializer=bind)
        threads = ThreadPoolExecutor(_ACCOUNTS_AT_ONCE * extract_workers(), initializer=bind)
        try:
            futures = [
                pool.submit(
                    self._read, source, threads, account_id, resource_names, self._new_folder()
                )
                for account_id in account_ids
            ]
            tokenless: list[AccountFailure] = []
            for future in as_completed(futures):
                outcome = future.result()
                if isinstance(outcome, AccountFailure) and outcome.tokenless:
                    tokenless.append(outcome)
                yield outcome
            if tokenless and len(tokenless) == len(futures):
                raise CredentialsError(tokenless[0].message)
        finally:
            # A run that was cancelled begins no further request, and waits for those begun.
            threads.shutdown(wait=False, cancel_futures=True)
            pool.shutdown(cancel_futures=True)

    def _source(self, resource_names: Collection[str]) -> DltSource:
        return analytics_source(self.client, self.base_url, resource_names, _current.get)

    def _new_folder(self) -> Path:
        self._folders += 1
        folder = self.folder / str(self._folders)
        folder.mkdir()
        return folder

    def _read(
        self,
        source: DltSource,
        threads: ThreadPoolExecutor,
        account_id: str | None,
        names: Collection[str],
        folder: Path,
    ) -> AccountRead | AccountFailure:
        started = time.monotonic()
        statistics = RequestStatistics(account_id)
        reading = _Reading(account_id, names, folder)
        _current.set(reading)
        try:
            with collecting(statistics):
                extract(source, threads)
            resources = reading.close()
        except Exception as error:
            shutil.rmtree(folder, ignore_errors=True)
            return _failure(self.client, account_id or "", error)
        return AccountRead(account_id, resources, statistics, time.monotonic() - started)


class _Reading:
    """Sorts an account's rows into one file for each resource."""

    def __init__(self, account_id: str | None, names: Collection[str], folder: Path) -> None:
        self.account_path = path_part(account_id)
        self._account_id = account_id
        self._buffers = {name: _Buffer(RESOURCES[name], account_id, folder) for name in names}
        # a parent that is read only for its children's sake is checked, but not kept
        self._parents: dict[str, _Keys] = {}

    def collect(self, name: str, row: Row) -> Row | None:
        """Takes a row of a resource; gives it with its key, or None if it is left out."""
        if name in self._buffers:
            return self._buffers[name].add(row)
        keys = self._parents.setdefault(name, _Keys(RESOURCES[name], self._account_id))
        return keys.admit(row)

    def close(self) -> dict[str, ResourceRead]:
        """Ends the files."""
        reads = {name: buffer.close() for name, buffer in self._buffers.items()}
        keyless = {name: keys.keyless for name, keys in self._parents.items()}
        keyless |= {name: read.keyless for name, read in reads.items()}
        for name, read in reads.items():
            read.keyless_parents = keyless.get(str(RESOURCES[name].parent), 0)
        return reads


# what the thread reads
_current: ContextVar[_Reading] = ContextVar("reading")


class _Keys:
    """Gives rows their key columns, and lets each key through once."""

    def __init__(self, resource: Resource, account_id: str | None) -> None:
        self.duplicates = 0
        self.keyless = 0
        self._resource = resource
        self._account_id = account_id
        self._seen: set[tuple[Any, ...]] = set()
        columns = {column.name: column for column in resource.table_columns}
        self._key = [columns[name] for name in resource.key]
        # the parent's column holds what the parent's key holds
        parent = RESOURCES[str(resource.parent)] if resource.parent_column else resource
        self._parent_id = next(column for column in parent.columns if column.name == "id")

    def admit(self, row: Row) -> Row | None:
        """The row with its key, or None for a row without one or with one that came before."""
        row = self._complete(row)
        key = row_key(self._key, row)
        if key is None:
            self.keyless += 1
            return None
        if key in self._seen:
            self.duplicates += 1
            return None
        self._seen.add(key)
        row.update(zip(self._resource.key, key, strict=True))
        return row

    def _complete(self, row: Row) -> Row:
        self._name_parent(row)
        if self._account_id is None:
            return row
        own = row.get("account_id")
        if own not in (None, self._account_id):
            # A network account lists its children's rows too: they belong to the one asked.
            name = "api_account_id"
            while name in row:
                name = f"api_{name}"
            row[name] = own
        row["account_id"] = self._account_id
        return row

    def _name_parent(self, row: Row) -> None:
        """Fills the column with the parent's `id`, in the form that the parent's row has."""
        parent_id = row.pop(parent_id_field(self._resource), None)
        column = self._resource.parent_column
        if column is None:
            return
        own = row.get(column)
        if own is None:
            row[column] = parent_id
        elif (value := key_value(self._parent_id, own)) is not None:
            row[column] = value


class _Buffer:
    """Rows of one resource and account, on their way to an Arrow file."""

    def __init__(self, resource: Resource, account_id: str | None, folder: Path) -> None:
        self._resource = resource
        self._keys = _Keys(resource, account_id)
        self._pending: list[Row] = []
        self._read = ResourceRead(folder / f"{resource.name}.arrow")
        self._writer = pa.ipc.new_stream(self._read.path, arrow_schema(resource))

    def add(self, row: Row) -> Row | None:
        admitted = self._keys.admit(row)
        if admitted is not None:
            self._pending.append(admitted)
            if len(self._pending) >= _ROWS_IN_MEMORY:
                self._flush()
        return admitted

    def close(self) -> ResourceRead:
        self._flush()
        self._writer.close()
        self._read.duplicates = self._keys.duplicates
        self._read.keyless = self._keys.keyless
        return self._read

    def _flush(self) -> None:
        table = to_arrow(self._resource, self._pending)
        self._writer.write_table(table)
        self._read.rows += table.num_rows
        self._read.extras += table.num_rows - table[EXTRAS].null_count
        self._pending.clear()


def _failure(client: Client, account_id: str, error: Exception) -> AccountFailure:
    raise_if_disk_full(error)
    resource = next(
        (link.pipe_name for link in causes(error) if isinstance(link, ResourceExtractionError)),
        None,
    )
    cause = next(
        (
            link
            for link in causes(error)
            if isinstance(link, (AnalyticsError, requests.RequestException))
        ),
        error,
    )
    response = getattr(cause, "response", None)
    permanent = response is not None and response.status_code in (403, 404)
    tokenless = isinstance(cause, CredentialsError)
    return AccountFailure(account_id, resource, client.describe(cause), permanent, tokenless)
