"""What it took to read an account: counted where requests are sent, shown as metadata."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field

_current: ContextVar[RequestStatistics | None] = ContextVar("request_statistics", default=None)


@dataclass(slots=True)
class RequestStatistics:
    """Requests of one account's reading; safe to add to from many threads.

    Attributes:
        account_id: The account; None for requests of no account.
        requests: Requests sent, retries included; token requests not included.
        retries: Those of them that repeat a failed one.
        throttled: Seconds that requests waited for the API's quota, over all workers.
    """

    account_id: str | None = None
    requests: int = 0
    retries: int = 0
    throttled: float = 0.0
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def add(self, *, requests: int = 0, retries: int = 0, throttled: float = 0.0) -> None:
        """Adds to the counts."""
        with self._lock:
            self.requests += requests
            self.retries += retries
            self.throttled += throttled


@contextmanager
def collecting(statistics: RequestStatistics) -> Iterator[None]:
    """Counts the requests of this context, and of the threads that copy it, in `statistics`."""
    token = _current.set(statistics)
    try:
        yield
    finally:
        _current.reset(token)


def current() -> RequestStatistics:
    """The statistics to count in; a throw-away where nobody collects."""
    return _current.get() or RequestStatistics()
