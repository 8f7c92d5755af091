"""Reads accounts from the API, each whole or not at all, into Arrow files on disk."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from threading import Event

import requests
from dlt.extract import DltSource
from dlt.extract.exceptions import ResourceExtractionError

from analytics_assets.api.client import ApiClient
from analytics_assets.api.request_counts import AccountRequests
from analytics_assets.api.source import levels, pages
from analytics_assets.errors import (
    AnalyticsError,
    CredentialsError,
    PermanentError,
    ReadError,
    RefusedError,
    causes,
    raise_if_disk_full,
)
from analytics_assets.resources import ACCOUNTS
from analytics_assets.rows.account_rows import AccountRows, AccountWriter
from analytics_assets.settings import API_SECTION, setting_name
from analytics_assets.speedups import one_core
from analytics_assets.text import one_line

# Accounts read side by side; each may use all workers, so that one large account alone is fast.
_ACCOUNTS_AT_ONCE = 8
_REFUSED_FOR_GOOD = (403, 404)


@dataclass(frozen=True, slots=True)
class AccountRead:
    """An account that was read whole.

    Attributes:
        rows: Its rows.
        requests: What it took to read them.
        seconds: How long that took.
    """

    rows: AccountRows
    requests: AccountRequests
    seconds: float


@dataclass(frozen=True, slots=True)
class AccountFailure:
    """An account that could not be read whole; nothing of it may be loaded.

    Attributes:
        account_id: The account.
        resource_name: The resource that failed, where known.
        error: What happened; its message is one line without secrets.
    """

    account_id: str
    resource_name: str | None
    error: AnalyticsError

    @property
    def permanent(self) -> bool:
        """Whether trying again soon is pointless."""
        return isinstance(self.error, PermanentError)

    def __str__(self) -> str:
        return f"{one_line(self.account_id)}: {self.resource_name or 'account'}: {self.error}"


@dataclass(frozen=True, slots=True)
class Reader:
    """Reads from one API, into one folder.

    Attributes:
        client: The HTTP client.
        folder: An existing folder for the files; whoever made it removes it.
    """

    client: ApiClient
    folder: Path

    def read_listing(self) -> AccountRead:
        """Reads the list of accounts.

        Raises:
            CredentialsError: The API gives no token.
            ReadError: The listing could not be had.
        """
        names = [ACCOUNTS.name]
        outcome = self._read(levels(self.client, names), None, names, Event())
        if isinstance(outcome, AccountRead):
            return outcome
        if isinstance(outcome.error, CredentialsError):
            raise outcome.error
        raise ReadError(
            f"{ACCOUNTS.name}: {outcome.error}. Is {setting_name(API_SECTION, 'base_url')} right?"
        )

    def read_accounts(
        self, account_ids: Sequence[str], resource_names: Collection[str]
    ) -> Iterator[AccountRead | AccountFailure]:
        """Reads the named resources of each account, in parallel, and yields accounts as they end.

        Raises:
            CredentialsError: No account could be read, because the API gives no token.
        """
        sources, stopped = levels(self.client, resource_names), Event()
        accounts = ThreadPoolExecutor(_ACCOUNTS_AT_ONCE, "account", one_core())
        futures = [
            accounts.submit(self._read, sources, account_id, resource_names, stopped)
            for account_id in account_ids
        ]
        try:
            without_token = 0
            for future in as_completed(futures):
                outcome = future.result()
                yield outcome
                if isinstance(outcome, AccountFailure):
                    without_token += isinstance(outcome.error, CredentialsError)
                    if without_token == len(futures):
                        raise outcome.error
        finally:
            # A run that was cancelled begins no further request, and does not wait for those begun.
            stopped.set()
            accounts.shutdown(wait=False, cancel_futures=True)

    def _read(
        self,
        sources: Sequence[DltSource],
        account_id: str | None,
        names: Collection[str],
        stopped: Event,
    ) -> AccountRead | AccountFailure:
        started, folder = time.monotonic(), Path(mkdtemp(dir=self.folder))
        try:
            with self.client.requests.counting(account_id or "") as requests_of_account:
                writer = AccountWriter(account_id, names, folder)
                for level in sources:
                    for page in pages(level, account_id, writer.ids):
                        if stopped.is_set():
                            raise ReadError("the run was stopped")
                        writer.add(page.resource_name, page.rows)
                rows = writer.close()
        except Exception as error:
            shutil.rmtree(folder, ignore_errors=True)
            return self._failure(account_id or "", error)
        return AccountRead(rows, requests_of_account, time.monotonic() - started)

    def _failure(self, account_id: str, error: Exception) -> AccountFailure:
        raise_if_disk_full(error)
        chain = list(causes(error))
        cause = next(
            (e for e in chain if isinstance(e, (AnalyticsError, requests.RequestException))), error
        )
        resource_name = next(
            (e.pipe_name for e in chain if isinstance(e, ResourceExtractionError)),
            getattr(cause, "resource_name", None),
        )
        kind = type(cause) if isinstance(cause, AnalyticsError) else _kind(cause)
        return AccountFailure(account_id, resource_name, kind(self.client.describe(cause)))


def _kind(error: Exception) -> type[ReadError]:
    response: requests.Response | None = getattr(error, "response", None)
    refused = response is not None and response.status_code in _REFUSED_FOR_GOOD
    return RefusedError if refused else ReadError
