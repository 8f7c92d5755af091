"""What it took to read an account: counted where requests are sent, shown as metadata."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count


@dataclass(slots=True)
class RequestCounts:
    """Requests for one resource.

    Attributes:
        requests: Requests sent, retries included; token requests not included.
        retries: Those of them that repeat a failed one.
        refused: Those of them that the API's quota refused, with 429.
        throttled: Seconds that requests waited for the API's quota, over all workers.
        started: When the first was sent (`time.monotonic`); None if there was none.
        ended: When the last was answered.
    """

    requests: int = 0
    retries: int = 0
    refused: int = 0
    throttled: float = 0.0
    started: float | None = None
    ended: float | None = None

    @property
    def seconds(self) -> float:
        """From the first request to the last answer."""
        return 0.0 if self.started is None or self.ended is None else self.ended - self.started


@dataclass(slots=True)
class AccountRequests:
    """The requests for one account, while it is read; safe to add to from many threads.

    Attributes:
        account_id: The account; an empty text for the listing.
        by_resource: The counts by the name of the resource that was asked for.
        tokens: Access tokens that were asked for because its requests were refused, since one was
            accepted.
        lost_by_others: What `tokens_lost_by_others` told when the last of them was asked for.
        given_up: Whether it is refused whatever the token.
        stopped: Set when the run is stopped: nobody sends a further request.
        rank: How many accounts were begun before. Where requests wait for a quota, the account that
            was begun first is read first, so that it can soon be loaded.
    """

    account_id: str = ""
    by_resource: dict[str, RequestCounts] = field(default_factory=dict)
    tokens: int = 0
    lost_by_others: int = 0
    given_up: bool = False
    stopped: threading.Event = field(default_factory=threading.Event, repr=False)
    rank: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def of(self, resource_name: str) -> RequestCounts:
        """The counts of a resource, all zero if it was not asked for."""
        return self.by_resource.get(resource_name) or RequestCounts()

    @property
    def total(self) -> int:
        """The requests for all resources."""
        with self._lock:
            return sum(counts.requests for counts in self.by_resource.values())

    def sent(self, resource_name: str, now: float, *, retry: bool, throttled: float) -> None:
        """Notes a request at the time that it is sent, after it has waited `throttled` seconds."""
        with self._lock:
            counts = self.by_resource.setdefault(resource_name, RequestCounts())
            counts.requests += 1
            counts.retries += retry
            counts.throttled += throttled
            if counts.started is None:
                counts.started = now

    def answered(self, resource_name: str, now: float) -> None:
        """Notes the time of an answer, or of its failing to come."""
        with self._lock:
            self.by_resource[resource_name].ended = now

    def refused(self, resource_name: str) -> None:
        """Notes that the answer was a 429."""
        with self._lock:
            self.by_resource[resource_name].refused += 1


class RequestsByAccount:
    """The requests for the accounts that are being read."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._begun = count()
        self._accounts: dict[str, AccountRequests] = {}
        self._answered = threading.Condition(self._lock)
        self._in_flight = 0
        self._lost_tokens: Counter[str] = Counter()

    @contextmanager
    def counting(
        self, account_id: str, stopped: threading.Event | None = None
    ) -> Iterator[AccountRequests]:
        """Counts an account's requests anew until the end; an empty text stands for the listing.

        None is sent any more when `stopped` is set.
        """
        with self._lock:
            requests = AccountRequests(
                account_id, stopped=stopped or threading.Event(), rank=next(self._begun)
            )
            self._accounts[account_id] = requests
        try:
            yield requests
        finally:
            with self._lock:
                self._accounts.pop(account_id, None)

    def of(self, account_id: str) -> AccountRequests:
        """An account's requests; a throw-away where nobody counts them."""
        with self._lock:
            return self._accounts.get(account_id) or AccountRequests(account_id)

    @contextmanager
    def in_flight(self) -> Iterator[None]:
        """Notes that a request is sent, and that it was answered or was lost."""
        with self._lock:
            self._in_flight += 1
        try:
            yield
        finally:
            with self._answered:
                self._in_flight -= 1
                self._answered.notify_all()

    def wait_for_answers(self) -> None:
        """Blocks until no request is in flight."""
        with self._answered:
            self._answered.wait_for(lambda: self._in_flight == 0)

    def lost_token(self, account_id: str) -> None:
        """Notes that a request for an account was answered with 401."""
        with self._lock:
            self._lost_tokens[account_id] += 1

    def tokens_lost_by_others(self, account_id: str) -> int:
        """How many requests for other accounts were answered with 401 so far."""
        with self._lock:
            return self._lost_tokens.total() - self._lost_tokens[account_id]

    def under_way(self) -> dict[str, int]:
        """The requests so far for each account that is being read."""
        with self._lock:
            accounts = dict(self._accounts)
        return {account_id: requests.total for account_id, requests in accounts.items()}
