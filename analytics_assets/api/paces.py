"""Which requests share a pace, because one quota counts them."""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from threading import Event
from typing import Final

from analytics_assets.api.announced import Quota
from analytics_assets.api.pace import STOP_LOOK, Pace
from analytics_assets.api.paths import Asked

# How unlikely it must be that only one's requests are refused by chance: one in a million.
_SURPRISE: Final = math.log(1e6)


class Paces:
    """A pace for each quota: one for all requests, or one per account.

    Endpoints (a resource of an account) whose answers name other policies, or other partitions of
    them, have paces of their own. An answer that names none leaves it at what was named before, and
    where an endpoint's names change and are new, they are those of the same quota. A pace of its
    own also has a resource, and an account, that alone is refused again and again while the others
    are not. One that was not asked yet is taken to count as the resource does elsewhere, or else as
    the rest does.

    Args:
        per_account: Whether the API counts each account on its own.
        ceiling: The rate that no quota's requests exceed; None for no ceiling.
        longest_wait: Seconds after a refusal, at the most, until a request asks again.
    """

    def __init__(
        self, per_account: bool, ceiling: float | None, longest_wait: float = math.inf
    ) -> None:
        self._lock = threading.Lock()
        self._per_account = per_account
        self._ceiling = ceiling
        self._longest_wait = longest_wait
        # by scope, and what the answers name; nothing is named by those that tell of no quota
        self._paces: dict[tuple[_Scope, _Named], Pace] = {}
        self._named: dict[tuple[str, str], _Named] = {}
        # what an endpoint that was not asked yet is taken to name: by resource, account or neither
        self._usual: dict[tuple[_Scope, tuple[str, str]], _Named] = {}
        self._is_told = False
        # whether a resource was answered since an answer told of a quota: if one told of a
        # partition, by account
        self._has_partitions = False
        self._answered: dict[tuple[str, str], Event] = {}
        # the resources and accounts that are refused by themselves, and by pace, those that may be
        self._alone: set[tuple[str, str]] = set()
        self._suspects: dict[Pace, tuple[_Suspect, _Suspect]] = {}

    def of(self, asked: Asked) -> Pace:
        """The pace for a request."""
        with self._lock:
            return self._pace(*self._key(asked))

    def told(self, asked: Asked, quotas: Sequence[Quota]) -> Pace:
        """The pace for a request that succeeded, of which its answer tells these quotas."""
        named = frozenset((quota.name, quota.partition) for quota in quotas)
        with self._lock:
            scope, (resource, account) = self._scope(asked), _names(asked)
            before = self._named.get(_endpoint(asked), _NOTHING)
            named = named or before or self._usual.get((scope, resource), _NOTHING)
            if (scope, named) not in self._paces:
                if before:
                    self._paces[scope, named] = self._pace(scope, before)
                elif (nothing := (scope, _NOTHING)) in self._paces:
                    # requests in flight belong to what the first answer names
                    self._paces[scope, named] = self._paces.pop(nothing)
            self._named[_endpoint(asked)] = named
            self._is_told |= bool(named)
            partitioned = any(partition for _, partition in named)
            self._has_partitions |= partitioned
            for usual in (account,) if partitioned else (resource, _WHATEVER):
                self._usual[scope, usual] = named
            return self._pace(scope, named)

    def known(self, asked: Asked, quotas: Sequence[Quota]) -> Sequence[Quota]:
        """Those that count a request that failed: its answer may be a proxy's, about others."""
        with self._lock:
            named = self._key(asked)[1]
        return [quota for quota in quotas if not named or (quota.name, quota.partition) in named]

    @contextmanager
    def first_alone(self, asked: Asked, stopped: Event) -> Iterator[None]:
        """Has the others of a resource wait for its first answer, which may name another quota.

        Where no answer tells of any, nobody waits; where one tells of a partition, those of the
        same account do.
        """
        with self._lock:
            key = _endpoint(asked) if self._has_partitions else ("", asked.resource_name)
            is_first, answered = key not in self._answered, Event()
            if self._is_told:
                answered = self._answered.setdefault(key, answered)
        while not (is_first or answered.wait(STOP_LOOK) or stopped.is_set()):
            pass
        try:
            yield
        finally:
            answered.set()

    def accepted(self, asked: Asked, sent_at: float) -> None:
        """Notes that a request was accepted, which was sent at `sent_at` (`time.monotonic`)."""
        with self._lock:
            for suspect, name in zip(self._suspected(asked), _names(asked), strict=True):
                suspect.accepted(name, sent_at)

    def refused(self, asked: Asked, now: float) -> None:
        """Notes that a request was refused, and gives who is refused alone a pace of its own."""
        with self._lock:
            before = self._key(asked)
            for suspect, name in zip(self._suspected(asked), _names(asked), strict=True):
                if suspect.refused(name, now) and before[0] == self._scope(asked):
                    self._alone.add(name)
                    # what was found out is about the one that is alone
                    self._paces[self._scope(asked), before[1]] = self._paces.pop(before)

    def _suspected(self, asked: Asked) -> tuple[_Suspect, _Suspect]:
        return self._suspects.setdefault(self._pace(*self._key(asked)), (_Suspect(), _Suspect()))

    def _key(self, asked: Asked) -> tuple[_Scope, _Named]:
        scope = self._scope(asked)
        likely = (self._usual.get((scope, of)) for of in (*_names(asked), _WHATEVER))
        found = chain([self._named.get(_endpoint(asked))], likely, [_NOTHING])
        return scope, next(named for named in found if named is not None)

    def _pace(self, scope: _Scope, named: _Named) -> Pace:
        if (scope, named) not in self._paces:
            self._paces[scope, named] = Pace(self._ceiling, self._longest_wait)
        return self._paces[scope, named]

    def _scope(self, asked: Asked) -> _Scope:
        alone = {name for name in _names(asked) if name in self._alone}
        return frozenset(alone | {_names(asked)[1]} if self._per_account else alone)


_Scope = frozenset[tuple[str, str]]
_Named = frozenset[tuple[str, str]]
_NOTHING: _Named = frozenset()
_WHATEVER: Final = ("", "")


def _endpoint(asked: Asked) -> tuple[str, str]:
    return asked.account_id, asked.resource_name


def _names(asked: Asked) -> tuple[tuple[str, str], tuple[str, str]]:
    return ("resource", asked.resource_name), ("account", asked.account_id)


class _Suspect:
    """Who was refused the last times, and what was accepted since the first of them.

    If all share a quota, a refusal meets one as often as it asks. Counted are refusals after which
    another was accepted: what follows at once is about the same lack of room.
    """

    def __init__(self) -> None:
        self._name: tuple[str, str] | None = None
        self._refusals = self._own = self._others = 0
        self._is_open = False
        self._refused_at = -math.inf

    def accepted(self, name: tuple[str, str], sent_at: float) -> None:
        """Notes that a request was accepted."""
        if sent_at <= self._refused_at:
            return  # it says nothing of the time after
        if name == self._name:
            self._own += 1
        else:
            self._others += 1
            self._is_open = True

    def refused(self, name: tuple[str, str], now: float) -> bool:
        """Notes that a request was refused; returns whether its sender is refused by itself."""
        if name != self._name:
            self._name, self._refusals, self._own, self._others = name, 0, 0, 0
        self._refusals += self._is_open
        self._is_open, self._refused_at = False, now
        share = (self._own + 1) / (self._own + self._others + 1)
        return -math.log(share) * self._refusals > _SURPRISE
