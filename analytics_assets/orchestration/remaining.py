"""How long the rest of a run's reading takes, by the requests left and the pace so far."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Final

from analytics_assets.api.account_reading import AccountRead
from analytics_assets.api.request_counts import RequestsByAccount

LINE_SECONDS: Final = 60.0
"""Whoever tells how long the rest takes does so as often. Shorter runs do not ask the records."""


class Remaining:
    """What is left to be read in a run.

    Args:
        wanted: By account, the resources that are to be read.
        requests: Counts the requests of accounts while they are read.
        recorded: Looks up what is on record: the requests that each resource of an account took
            when it was last read. It is asked once, in a run that is not over in a minute.
    """

    def __init__(
        self,
        wanted: Mapping[str, Sequence[str]],
        requests: RequestsByAccount,
        recorded: Callable[[], Mapping[tuple[str, str], int]],
    ) -> None:
        self._left = dict(wanted)
        self._accounts = len(wanted)
        self._requests = requests
        self._recorded = recorded
        self._known: dict[str, int] = {}
        self._sent = 0
        self._started = self._told_at = time.monotonic()

    def without(self, read: AccountRead) -> None:
        """Notes that an account was read."""
        account_id = str(read.rows.account_id)
        self._left.pop(account_id, None)
        self._known.pop(account_id, None)
        self._sent += read.requests.total

    def is_time(self) -> bool:
        """Whether a line is due that tells of it; then none is for a minute."""
        if not self._left or time.monotonic() - self._told_at < LINE_SECONDS:
            return False
        if self._told_at == self._started:
            self._look_up()
        self._told_at = time.monotonic()
        return True

    def seconds(self, further: int = 0) -> float | None:
        """How long the rest takes, with so many further accounts after it; None if unknown."""
        read = self._accounts - len(self._left)
        unknown = len(self._left) - len(self._known) + further
        if unknown and not read:
            return None
        mean = self._sent / read if read else 0.0
        sent, left = self._sent, sum(self._known.values()) + unknown * mean
        for account_id, begun in self._requests.under_way().items():
            if account_id in self._left:
                sent += begun
                left -= min(begun, self._known.get(account_id, mean))
        return left * (time.monotonic() - self._started) / sent if sent else None

    def __str__(self) -> str:
        read = f"{self._accounts - len(self._left)} of {self._accounts} accounts read"
        seconds = self.seconds()
        return read if seconds is None else f"{read}, ~{duration(seconds)} left"

    def _look_up(self) -> None:
        recorded = self._recorded()
        for account_id, names in self._left.items():
            found = [recorded[name, account_id] for name in names if (name, account_id) in recorded]
            if len(found) == len(names):
                self._known[account_id] = sum(found)


def duration(seconds: float) -> str:
    """A time for people: `89 s`, `2 min` or `1.5 h`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    if seconds < 90 * 60:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
