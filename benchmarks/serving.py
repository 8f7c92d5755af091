"""The sample API in a process of its own, and what it saw of a contender."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.managers import BaseManager
from typing import Any, cast

from analytics_assets.sample_api import Entry, SampleApi
from benchmarks.workloads import Workload

_REFUSED = 429
_CHANGED = "campaigns"


@dataclass(frozen=True)
class Requests:
    """The requests of one run, as the API saw them; times by `time.monotonic`.

    Attributes:
        total: Requests, token requests included.
        refused: Those answered with 429.
        refused_late: Those answered with 429 later than a second after the first one for a quota.
        quota_used: What was admitted, by what the quotas could have admitted in that time.
        side_by_side: Accounts that were being read at one moment, on average.
        first: When the first request arrived.
        first_of_account: When the first request for an account arrived.
        last: When the last was answered.
    """

    total: int = 0
    refused: int = 0
    refused_late: int = 0
    quota_used: float | None = None
    side_by_side: float = 0.0
    first: float = 0.0
    first_of_account: float = 0.0
    last: float = 0.0


class Host:
    """Serves one workload; lives in the manager's process."""

    def __init__(self, workload: Workload) -> None:
        self._workload = workload
        self._api = SampleApi(workload.data(), workload.behaviour())
        self._api.start()

    def settings(self) -> dict[str, str]:
        """The environment that leads a contender to the API."""
        return {
            "SOURCES__ANALYTICS__BASE_URL": self._api.base_url,
            "SOURCES__ANALYTICS__TOKEN_URL": self._api.token_url,
            "SOURCES__ANALYTICS__CLIENT_ID": self._api.behaviour.client_id,
            "SOURCES__ANALYTICS__CLIENT_SECRET": self._api.behaviour.client_secret,
            "SOURCES__ANALYTICS__QUOTA_SCOPE": self._workload.quota_scope,
        }

    def rows(self) -> dict[str, int]:
        """Rows by resource: what every contender must have in the end."""
        return {name: len(self._api.data.table(name)) for name in self._api.data.resources}

    def change_campaigns(self, share: float) -> None:
        """Changes that share of each account's campaigns, and nothing below them."""
        data = self._api.data
        for account_id in data.account_ids:
            campaigns = data.rows(_CHANGED, account_id)
            for campaign in campaigns[: round(share * len(campaigns))]:
                campaign["name"] = f"{campaign['name']} (changed)"
            data.set_rows(_CHANGED, campaigns, account_id=account_id)

    def announce(self, quota: int) -> None:
        """Admits that many requests in every second from now on, and says so in each answer."""
        behaviour = self._api.behaviour
        behaviour.quota_kind, behaviour.quota_headers = "sliding", "draft"
        behaviour.quota_burst, behaviour.quota = quota, quota

    def forget_requests(self) -> None:
        """Starts to count anew."""
        self._api.log.clear()

    def requests(self) -> Requests:
        """What was asked since then."""
        entries = self._api.log.entries
        of_accounts = [entry for entry in entries if entry.account_id is not None]
        if not entries:
            return Requests()
        spans = _spans(of_accounts, by_account=True)
        start, end = _whole(spans) if spans else (0.0, 0.0)
        return Requests(
            total=len(entries),
            refused=_refused(entries),
            refused_late=_refused([entry for entry in entries if entry.started > start + 1]),
            quota_used=self._quota_used(of_accounts),
            side_by_side=sum(b - a for a, b in spans.values()) / (end - start) if spans else 0.0,
            first=entries[0].started,
            first_of_account=start,
            last=max(entry.ended or entry.started for entry in entries),
        )

    def _quota_used(self, entries: Sequence[Entry]) -> float | None:
        quota = self._workload.quota
        if quota is None or not entries:
            return None
        # a quota admits its requests per second, and those of one second at once at the beginning
        spans = _spans(entries, by_account=self._workload.quota_scope == "account")
        could = sum(int(quota) + quota * (last - first) for first, last in spans.values())
        return (len(entries) - _refused(entries)) / could


class _Manager(BaseManager):
    pass


_Manager.register("Host", Host)


@contextmanager
def serving(workload: Workload) -> Iterator[Host]:
    """Serves the workload from a process of its own."""
    with _Manager() as manager:
        yield cast(Host, cast(Any, manager).Host(workload))


def _refused(entries: Sequence[Entry]) -> int:
    return sum(entry.status == _REFUSED for entry in entries)


def _spans(
    entries: Sequence[Entry], *, by_account: bool
) -> Mapping[str | None, tuple[float, float]]:
    """When the first and the last request arrived: of each account, or of all together."""
    started: dict[str | None, list[float]] = defaultdict(list)
    for entry in entries:
        started[entry.account_id if by_account else None].append(entry.started)
    return {key: (min(moments), max(moments)) for key, moments in started.items()}


def _whole(spans: Mapping[str | None, tuple[float, float]]) -> tuple[float, float]:
    return min(first for first, _ in spans.values()), max(last for _, last in spans.values())
