"""Our client under quotas of every kind, against the sample API, in real time."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from analytics_assets.api.client import make_client
from analytics_assets.sample_api import Behaviour, SampleApi
from analytics_assets.sample_api.data import SampleData
from analytics_assets.settings import ApiSettings
from analytics_assets_tests.testing.quotas import Clock, Simulation
from benchmarks.workloads import LATENCY

_WORKERS = 64
_KINDS: tuple[dict[str, Any], ...] = (
    {"quota_kind": "bucket"},
    {"quota_kind": "fixed"},
    {"quota_kind": "sliding"},
    {"quota_kind": "bucket", "quota_burst": 1},
)
# requests in seconds, and how many are sent
_SIZES = ((84, 6, 500), (40, 1, 1200))


def rows() -> list[dict[str, Any]]:
    """What came of each kind and size of quota, not told and told in headers."""
    return [
        _row(kind, size, headers)
        for kind in _KINDS
        for size in _SIZES
        for headers in ("none", "draft")
    ]


def table(found: list[dict[str, Any]]) -> list[list[str]]:
    """One row per quota."""
    header = ["quota", "told", "requests", "best s", "ours s", "refused"]
    return [
        header,
        *(
            [
                row["name"],
                "yes" if row["headers"] else "no",
                str(row["requests"]),
                f"{row['best']:.1f}",
                f"{row['wall']:.1f}",
                str(row["refused"]),
            ]
            for row in found
        ),
    ]


def _row(kind: dict[str, Any], size: tuple[int, int, int], headers: Any) -> dict[str, Any]:
    limit, seconds, total = size
    quota = {"quota": limit / seconds, "quota_burst": limit, **kind}
    behaviour = Behaviour(latency=LATENCY, quota_headers=headers, **quota)
    with SampleApi(SampleData.generate(accounts=1, campaigns=1), behaviour) as api:
        settings = ApiSettings(
            base_url=api.base_url,
            token_url=api.token_url,
            client_id=behaviour.client_id,
            client_secret=behaviour.client_secret,
            workers=_WORKERS,
            max_retries=50,
        )
        client = make_client(settings)
        started, clock = time.monotonic(), Clock(time.monotonic())
        url = f"{client.base_url.rstrip('/')}/v1/users/current/allowed-accounts"

        def ask(_: int) -> None:
            client.session.get(url, auth=client.auth).raise_for_status()

        ask(0)
        with ThreadPoolExecutor(_WORKERS) as pool:
            list(pool.map(ask, range(total - 1)))
        took = time.monotonic() - started
        refused = sum(entry.status == 429 for entry in api.log.entries)
    simulation = Simulation(clock, Behaviour(**quota), total)
    simulation.started = clock.now
    kind_name = "strict spacing" if kind.get("quota_burst") == 1 else kind["quota_kind"]
    return {
        "name": f"{kind_name}, {limit} in {seconds} s",
        "headers": headers != "none",
        "requests": total,
        "best": simulation.best,
        "wall": took,
        "refused": refused,
    }
