"""Our client under quotas of every kind, against the sample API, in real time."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from http import HTTPStatus
from multiprocessing.managers import BaseManager
from typing import Any, Final, cast

from analytics_assets.api.client import make_client
from analytics_assets.sample_api import Behaviour, SampleApi
from analytics_assets.sample_api.data import SampleData
from analytics_assets.settings import ApiSettings
from analytics_assets_tests.testing.quotas import Clock, Simulation
from benchmarks.workloads import LATENCY

_WORKERS = 64
_LIST: Final = "/v1/users/current/allowed-accounts"
_KINDS: dict[str, dict[str, Any]] = {
    "bucket": {"quota_kind": "bucket"},
    "fixed windows": {"quota_kind": "fixed"},
    "sliding window": {"quota_kind": "sliding"},
    "strict spacing": {"quota_kind": "bucket", "quota_burst": 1},
}
# requests in seconds, and how many are sent
_SIZES = ((84, 60, 500), (84, 6, 500), (10, 0.25, 129), (10, 0.25, 1200))
# Those of so many seconds and more run side by side, for they mostly wait.
_SLOW = 60
# how the API tells of its quota
_TOLD: dict[str, dict[str, Any]] = {
    "Retry-After": {"retry_after": "seconds"},
    "nothing": {"retry_after": "none"},
    "headers": {"quota_headers": "draft"},
}


# headers tell of whole seconds, and not of a spacing
EACH = [
    (kind, size, told)
    for size in _SIZES
    for kind in _KINDS
    for told in _TOLD
    if told != "headers" or (size[1] >= 1 and kind != "strict spacing")
]
"""Each kind and size of quota, and how the API tells of it."""


def table(found: list[dict[str, Any]]) -> list[list[str]]:
    """One row per quota."""
    header = ["quota", "told by", "requests", "best s", "ours s", "used", "refused"]
    return [
        header,
        *(
            [
                f"{row['kind']}, {row['size']}",
                row["told"],
                f"{row['requests']:,}",
                f"{row['best']:.1f}",
                f"{row['wall']:.1f}",
                f"{row['best'] / row['wall']:.0%}",
                f"{row['refused']}, {row['refused_late']}",
            ]
            for row in found
        ),
    ]


def rows() -> Iterator[dict[str, Any]]:
    """What came of each of them."""
    slow = [each for each in EACH if each[1][1] >= _SLOW]
    with ProcessPoolExecutor(len(slow)) as processes:
        for future in [processes.submit(row, *each) for each in slow]:
            yield future.result()
    for each in EACH:
        if each not in slow:
            yield row(*each)


def row(kind: str, size: tuple[int, float, int], told: str) -> dict[str, Any]:
    """What came of one of them: from the first request's arrival to the last one's."""
    limit, seconds, total = size
    quota = {"quota": limit / seconds, "quota_burst": limit, **_KINDS[kind]}
    with _Manager() as manager:
        host = cast(_Host, cast(Any, manager).Host({"latency": LATENCY, **quota, **_TOLD[told]}))
        client = make_client(ApiSettings(**host.settings(), workers=_WORKERS))
        url = f"{client.base_url.rstrip('/')}{_LIST}"

        def ask(_: int) -> None:
            client.session.get(url, auth=client.auth).raise_for_status()

        ask(0)
        with ThreadPoolExecutor(_WORKERS) as pool:
            list(pool.map(ask, range(total - 1)))
        requests = host.requests()
    started = requests[0][0]
    refused = [moment for moment, is_refused in requests if is_refused]
    simulation = Simulation(Clock(started), Behaviour(**quota), total)
    simulation.started = started
    return {
        "kind": kind,
        "size": f"{limit} in {seconds:g} s",
        "told": told,
        "requests": total,
        "best": simulation.best,
        "wall": requests[-1][0] - started,
        "refused": len(refused),
        "refused_late": sum(moment > started + seconds + 1 for moment in refused),
    }


class _Host:
    """Serves the list of accounts; lives in the manager's process."""

    def __init__(self, behaviour: dict[str, Any]) -> None:
        data = SampleData.generate(accounts=1, campaigns=1)
        self._api = SampleApi(data, Behaviour(**behaviour))
        self._api.start()

    def settings(self) -> dict[str, Any]:
        """Those that lead the client to it."""
        return {
            "base_url": self._api.base_url,
            "token_url": self._api.token_url,
            "client_id": self._api.behaviour.client_id,
            "client_secret": self._api.behaviour.client_secret,
        }

    def requests(self) -> list[tuple[float, bool]]:
        """When each request arrived, by `time.monotonic`, and whether it was refused."""
        entries = [entry for entry in self._api.log.entries if entry.path.endswith(_LIST)]
        return [(entry.started, entry.status == HTTPStatus.TOO_MANY_REQUESTS) for entry in entries]


class _Manager(BaseManager):
    pass


_Manager.register("Host", _Host)
