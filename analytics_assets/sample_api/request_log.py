"""The record of every request, for tests to look into."""

from __future__ import annotations

import time
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock


@dataclass
class Entry:
    """One request.

    Attributes:
        method: HTTP method.
        path: Path as it was sent: with prefix, quoted.
        query: Query as it was sent.
        headers: The request's headers; names in any case.
        started: When it arrived, by `time.monotonic`.
        ended: When it was answered, or given up.
        status: The answer's status; None while there is none, and where the connection was cut.
        account_id: The account that was asked for.
        retry_after: Seconds that a refusal told the client to wait.
        port: The client's port, by which requests of one connection are known.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    started: float = field(default_factory=time.monotonic)
    ended: float | None = None
    status: int | None = None
    account_id: str | None = None
    retry_after: float | None = None
    port: int | None = None

    @property
    def has_token(self) -> bool:
        """Whether the request carried a token, valid or not."""
        return "Authorization" in self.headers

    @property
    def url(self) -> str:
        """Path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path


class RequestLog:
    """What was asked so far; safe to read while the server runs.

    Args:
        keep: How many entries are kept, the newest; None is all. Totals count every request.

    Attributes:
        requests: Requests that arrived.
        tokens_issued: Tokens that were issued.
        refused: Requests that were answered with 429.
        max_in_flight: Most requests that were in flight at one moment.
    """

    def __init__(self, keep: int | None = None) -> None:
        self._entries: deque[Entry] = deque(maxlen=keep)
        self._lock = Lock()
        self._in_flight = 0
        self.requests = 0
        self.tokens_issued = 0
        self.refused = 0
        self.max_in_flight = 0

    @property
    def entries(self) -> list[Entry]:
        """The requests in the order of their arrival; those in flight have not ended."""
        with self._lock:
            return list(self._entries)

    def count_by_path(self) -> Counter[str]:
        """How often each path was asked for."""
        return Counter(entry.path for entry in self.entries)

    def count_by_url(self) -> Counter[str]:
        """How often each path and query was asked for."""
        return Counter(entry.url for entry in self.entries)

    def count_by_status(self) -> Counter[int | None]:
        """How often each status was answered."""
        return Counter(entry.status for entry in self.entries)

    def clear(self) -> None:
        """Forgets what was asked so far."""
        with self._lock:
            self._entries.clear()
            self.requests = self.tokens_issued = self.refused = 0
            self.max_in_flight = self._in_flight

    def start(self, entry: Entry) -> None:
        """Records a request that arrived."""
        with self._lock:
            self._entries.append(entry)
            self.requests += 1
            self._in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self._in_flight)

    def end(self, entry: Entry) -> None:
        """Records that a request was answered, or given up."""
        with self._lock:
            entry.ended = time.monotonic()
            self._in_flight -= 1
            self.refused += entry.status == 429

    def count_token(self) -> None:
        """Records that a token was issued."""
        with self._lock:
            self.tokens_issued += 1
