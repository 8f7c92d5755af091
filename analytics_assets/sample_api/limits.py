"""Which requests are too many: the quota and the number in flight."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from analytics_assets.sample_api.behaviour import Behaviour


@dataclass
class _Bucket:
    tokens: float
    filled: float
    """When the tokens were last counted."""


class Limits:
    """Admits or refuses requests, as the behaviour says."""

    def __init__(self, behaviour: Behaviour, clock: Callable[[], float] = time.monotonic) -> None:
        self._behaviour = behaviour
        self._clock = clock
        self._admitted = 0
        self._buckets: dict[str | None, _Bucket] = {}

    def admit(self, account_id: str | None) -> float | None:
        """Admits a request, to be released at its end, or says how many seconds it must wait."""
        most = self._behaviour.max_concurrent
        wait = 1.0 if most is not None and self._admitted >= most else self._take(account_id)
        if wait is None:
            self._admitted += 1
        return wait

    def release(self) -> None:
        """Ends a request that was admitted."""
        self._admitted -= 1

    def _take(self, account_id: str | None) -> float | None:
        """Takes a token from the bucket, or says when there is one."""
        rate = self._behaviour.quota
        if rate is None:
            return None
        burst = self._behaviour.quota_burst or max(1, int(rate))
        scope = account_id if self._behaviour.quota_scope == "account" else None
        now = self._clock()
        bucket = self._buckets.setdefault(scope, _Bucket(burst, now))
        bucket.tokens = min(burst, bucket.tokens + (now - bucket.filled) * rate)
        bucket.filled = now
        if bucket.tokens < 1:
            return (1 - bucket.tokens) / rate
        bucket.tokens -= 1
        return None
