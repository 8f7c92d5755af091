"""Reads accounts from the API into Arrow files on disk: each resource whole, or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from threading import Condition, Event

from analytics_assets.api.account_reading import AccountRead, read_account
from analytics_assets.api.client import ApiClient
from analytics_assets.api.report_reading import ReportRead, report_reads
from analytics_assets.api.report_source import report_source
from analytics_assets.api.source import levels
from analytics_assets.days import Window
from analytics_assets.errors import CredentialsError, ReadError
from analytics_assets.resources import ACCOUNTS
from analytics_assets.rows.lists import KnownLists
from analytics_assets.settings import API_SECTION, setting_name
from analytics_assets.speedups import one_core

# Accounts read side by side; each may use all workers, so that one large account alone is fast.
_ACCOUNTS_AT_ONCE = 8
# Python sees a signal that comes just as its main thread begins to wait when the wait is over.
_LONGEST_WAIT = 1.0
# Bytes of files that wait to be taken, from which on no further account is begun.
_MOST_WAITING = 2**30


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
                f"{ACCOUNTS.name}: {failure.error} (are {base_url} and {version} right?)"
            )
        return read

    def read_accounts(
        self, wanted: Mapping[str, Sequence[str]], known: KnownLists | None = None
    ) -> Iterator[list[AccountRead]]:
        """Reads resources of accounts, in parallel, and yields accounts as they end.

        It goes on reading while whoever iterates does something else, until too much waits to be
        taken. About once a second it yields, even if no account has ended.

        Args:
            wanted: By account, the resources that are to be read.
            known: The lists that are left out if nothing has changed; None to leave out none, ever.

        Raises:
            CredentialsError: No account could be read, because the API gives no token.
        """
        sources = levels(self.client, {name for names in wanted.values() for name in names})
        stopped, without_token = Event(), 0
        backlog = _Backlog(stopped)

        def read(account_id: str, names: Sequence[str]) -> AccountRead:
            backlog.wait_for_room()
            found = read_account(
                self.client, sources, account_id, names, self.folder, stopped, known
            )
            backlog.add(size_on_disk(found))
            return found

        accounts = ThreadPoolExecutor(_ACCOUNTS_AT_ONCE, "account", one_core())
        pending = {accounts.submit(read, *account) for account in wanted.items()}
        try:
            while pending:
                ended, pending = wait(pending, _LONGEST_WAIT, FIRST_COMPLETED)
                reads = [future.result() for future in ended]
                backlog.add(-sum(map(size_on_disk, reads)))
                yield reads
                errors = [read.failures[0].error for read in reads if read.failures]
                without_token += sum(isinstance(error, CredentialsError) for error in errors)
                if errors and without_token == len(wanted):
                    raise errors[-1]
        finally:
            # A run that was cancelled begins no further request, and does not wait for those begun.
            stopped.set()
            backlog.add(0)
            accounts.shutdown(wait=False, cancel_futures=True)

    def read_reports(
        self, wanted: Mapping[str, Mapping[str, Sequence[Window]]]
    ) -> Iterator[ReportRead]:
        """Reads reports of accounts, in parallel, and yields each window as it ends.

        An account's windows are read one after another, each when the one before was taken. After
        one that fails, no later one of the report is read: the days held then say where to go on.

        Args:
            wanted: By account and report, the windows, the oldest first.

        Raises:
            CredentialsError: No account could be read, because the API gives no token.
        """
        reports = {name for names in wanted.values() for name in names}
        source = report_source(self.client, [self.client.resources[name] for name in reports])
        stopped, without_token = Event(), 0
        accounts = ThreadPoolExecutor(_ACCOUNTS_AT_ONCE, "account", one_core())
        reads = [
            report_reads(self.client, source, account_id, windows, self.folder, stopped)
            for account_id, windows in wanted.items()
        ]
        pending = {accounts.submit(next, each, None): each for each in reads}
        try:
            while pending:
                done, _ = wait(pending, _LONGEST_WAIT, FIRST_COMPLETED)
                for future in done:
                    account = pending.pop(future)
                    if (found := future.result()) is None:
                        continue
                    yield found
                    error = found.read.failures[0].error if found.read.failures else None
                    without_token += isinstance(error, CredentialsError)
                    if error and without_token == len(reads):
                        raise error
                    pending[accounts.submit(next, account, None)] = account
        finally:
            stopped.set()
            accounts.shutdown(wait=False, cancel_futures=True)


def size_on_disk(read: AccountRead) -> int:
    """The bytes of an account's files."""
    return sum(rows.path.stat().st_size for rows in read.rows.resources.values())


class _Backlog:
    """The bytes of what was read and not taken yet, which more threads than one count."""

    def __init__(self, stopped: Event) -> None:
        self._stopped = stopped
        self._bytes = 0
        self._changed = Condition()

    def add(self, size: int) -> None:
        with self._changed:
            self._bytes += size
            self._changed.notify_all()

    def wait_for_room(self) -> None:
        """Waits until there is less than the most that may wait, or nobody listens any more."""
        with self._changed:
            self._changed.wait_for(lambda: self._bytes < _MOST_WAITING or self._stopped.is_set())
