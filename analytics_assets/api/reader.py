"""Reads accounts from the API into Arrow files on disk: each resource whole, or not at all."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from analytics_assets.api.account_reading import AccountRead, read_account
from analytics_assets.api.client import ApiClient
from analytics_assets.api.source import levels
from analytics_assets.errors import CredentialsError, ReadError
from analytics_assets.resources import ACCOUNTS
from analytics_assets.rows.lists import KnownLists
from analytics_assets.settings import API_SECTION, setting_name
from analytics_assets.speedups import one_core

# Accounts read side by side; each may use all workers, so that one large account alone is fast.
_ACCOUNTS_AT_ONCE = 8
# Python sees a signal that comes just as its main thread begins to wait when the wait is over.
_LONGEST_WAIT = 1.0


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
        sources = levels(self.client, names)
        read = read_account(self.client, sources, None, names, self.folder, Event())
        for failure in read.failures:
            if isinstance(failure.error, CredentialsError):
                raise failure.error
            base_url, version = (setting_name(API_SECTION, k) for k in ("base_url", "api_version"))
            raise ReadError(
                f"{ACCOUNTS.name}: {failure.error}. Are {base_url} and {version} right?"
            )
        return read

    def read_accounts(
        self, wanted: Mapping[str, Sequence[str]], known: KnownLists | None = None
    ) -> Iterator[AccountRead]:
        """Reads resources of accounts, in parallel, and yields accounts as they end.

        Args:
            wanted: By account, the resources that are to be read.
            known: The lists that are left out if nothing has changed; None to leave out none, ever.

        Raises:
            CredentialsError: No account could be read, because the API gives no token.
        """
        sources = levels(self.client, {name for names in wanted.values() for name in names})
        stopped, without_token = Event(), 0
        accounts = ThreadPoolExecutor(_ACCOUNTS_AT_ONCE, "account", one_core())
        futures = [
            accounts.submit(
                read_account, self.client, sources, account_id, names, self.folder, stopped, known
            )
            for account_id, names in wanted.items()
        ]
        try:
            for future in _as_they_end(futures):
                read = future.result()
                yield read
                error = read.failures[0].error if read.failures else None
                without_token += isinstance(error, CredentialsError)
                if error and without_token == len(futures):
                    raise error
        finally:
            # A run that was cancelled begins no further request, and does not wait for those begun.
            stopped.set()
            accounts.shutdown(wait=False, cancel_futures=True)


def _as_they_end(futures: Collection[Future[AccountRead]]) -> Iterator[Future[AccountRead]]:
    pending = set(futures)
    while pending:
        done, pending = wait(pending, _LONGEST_WAIT, FIRST_COMPLETED)
        yield from done
