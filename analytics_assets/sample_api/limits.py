"""Which requests are too many: the quota and the number in flight."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Protocol

from analytics_assets.sample_api.behaviour import Behaviour


class _Count(Protocol):
    """Counts the requests of one quota."""

    def take(self, now: float) -> float | None:
        """Counts a request, or says how many seconds it must wait."""

    def left(self, now: float) -> tuple[float, float]:
        """Requests that are left, and the seconds until all are again."""


class Limits:
    """Admits or refuses requests, as the behaviour says."""

    def __init__(self, behaviour: Behaviour, clock: Callable[[], float] = time.monotonic) -> None:
        self._behaviour = behaviour
        self._clock = clock
        self._admitted = 0
        self._counts: dict[str | None, _Count] = {}

    def admit(self, account_id: str | None) -> float | None:
        """Admits a request, to be released at its end, or says how many seconds it must wait."""
        most, count = self._behaviour.max_concurrent, self._count(account_id)
        if most is not None and self._admitted >= most:
            return 1.0
        wait = count.take(self._clock()) if count else None
        if wait is None:
            self._admitted += 1
        return wait

    def release(self) -> None:
        """Ends a request that was admitted."""
        self._admitted -= 1

    def left(self, account_id: str | None) -> tuple[float, float] | None:
        """Requests that are left, and the seconds until all are again; None without a quota."""
        count = self._count(account_id)
        return count.left(self._clock()) if count else None

    def _count(self, account_id: str | None) -> _Count | None:
        """What counts the account's requests; None without a quota."""
        if self._behaviour.quota is None:
            return None
        scope = account_id if self._behaviour.quota_scope == "account" else None
        if scope not in self._counts:
            self._counts[scope] = _KINDS[self._behaviour.quota_kind](self._behaviour)
        return self._counts[scope]


class _Bucket:
    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._tokens = float(behaviour.burst)
        self._filled: float | None = None

    def take(self, now: float) -> float | None:
        rate = self._fill(now)
        if self._tokens < 1:
            return (1 - self._tokens) / rate
        self._tokens -= 1
        return None

    def left(self, now: float) -> tuple[float, float]:
        rate = self._fill(now)
        return self._tokens, (self._behaviour.burst - self._tokens) / rate

    def _fill(self, now: float) -> float:
        """Counts the tokens, and gives their rate."""
        rate = self._behaviour.quota or 0.0
        since = 0.0 if self._filled is None else now - self._filled
        self._tokens = min(self._behaviour.burst, self._tokens + since * rate)
        self._filled = now
        return rate


class _FixedWindows:
    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._window = 0.0
        self._taken = 0

    def take(self, now: float) -> float | None:
        left, wait = self.left(now)
        if left < 1:
            return wait
        self._taken += 1
        return None

    def left(self, now: float) -> tuple[float, float]:
        seconds = self._behaviour.quota_window
        window = now // seconds
        if window != self._window:
            self._window, self._taken = window, 0
        return self._behaviour.burst - self._taken, (window + 1) * seconds - now


class _SlidingWindow:
    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._moments: deque[float] = deque()

    def take(self, now: float) -> float | None:
        if self.left(now)[0] < 1:
            return self._moments[0] + self._behaviour.quota_window - now
        self._moments.append(now)
        return None

    def left(self, now: float) -> tuple[float, float]:
        seconds = self._behaviour.quota_window
        while self._moments and self._moments[0] <= now - seconds:
            self._moments.popleft()
        last = self._moments[-1] if self._moments else now - seconds
        return self._behaviour.burst - len(self._moments), last + seconds - now


_KINDS: dict[str, Callable[[Behaviour], _Count]] = {
    "bucket": _Bucket,
    "fixed": _FixedWindows,
    "sliding": _SlidingWindow,
}
