"""A day in the life: a full sync under a small quota, where most is as it was the day before.

Time is compressed: the quota that the API gives in a minute it gives in a fraction of one, and what
the peers wait after a refusal is as much shorter. Requests are counted as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from analytics_assets.warehouse.read_lists import READ_LISTS
from benchmarks.contenders import AIRBYTE, DLT_PARALLEL, OURS, Contender, variant
from benchmarks.measuring import ContenderError, measure, new_home
from benchmarks.serving import Host, serving
from benchmarks.workloads import Workload

QUOTA = 84
"""Requests a minute, which the API announces."""

UNCHANGED_SHARE = 0.85
"""Campaigns that are on the second day as they were on the first."""

UNCHANGED_DAYS = 7
_DAY = 86_400  # seconds
_UNCHANGED = {"SOURCES__ANALYTICS__REREAD_UNCHANGED_DAYS": str(UNCHANGED_DAYS)}


@dataclass(frozen=True)
class Agency:
    """What is read, and how much faster its time goes.

    Attributes:
        accounts: Accounts that the API lists.
        campaigns: Campaigns of each.
        faster: By how much.
    """

    accounts: int = 300
    campaigns: int = 100
    faster: int = 60

    @property
    def workload(self) -> Workload:
        """The data, and no quota."""
        return Workload("a day in the life", self.accounts, self.campaigns, latency=0.0)

    @property
    def quota(self) -> int:
        """Requests a second, in compressed time."""
        return QUOTA * self.faster // 60

    def hours(self, seconds: float) -> float:
        """Hours in time that is not compressed."""
        return seconds * self.faster / 3600


SMOKE = Agency(accounts=3, campaigns=20)


def simulate(agency: Agency) -> dict[str, Any]:
    """The second day of each contender; those that are ours have had a first one.

    Returns:
        What `report.day_table` shows.
    """
    with serving(agency.workload) as api, ExitStack() as stack:
        rows = api.rows()
        ours = [
            variant(OURS, "", {}),
            variant(OURS, f", unchanged every {UNCHANGED_DAYS} days", _UNCHANGED),
        ]
        homes = {contender: stack.enter_context(new_home()) for contender in ours}
        for contender, home in homes.items():
            measure(contender, api, rows, home=home)
        _let_a_day_pass(homes[ours[-1]])
        api.change_campaigns(1 - UNCHANGED_SHARE)
        api.announce(agency.quota)
        found = [
            _second_day(agency, contender, api, rows, homes.get(contender))
            for contender in (*ours, *_peers(agency))
        ]
    return {
        "accounts": agency.accounts,
        "campaigns": agency.campaigns,
        "faster": agency.faster,
        "needed": agency.workload.requests,
        "rows": found,
    }


def _peers(agency: Agency) -> list[Contender]:
    patience = {
        "RUNTIME__REQUEST_MAX_ATTEMPTS": "1000",
        "RUNTIME__REQUEST_BACKOFF_FACTOR": f"{1 / agency.faster:f}",
    }
    return [
        variant(DLT_PARALLEL, ", patient when refused", patience),
        variant(AIRBYTE, ", told the quota", {"BENCHMARK_QUOTA": str(agency.quota)}),
    ]


def _second_day(
    agency: Agency, contender: Contender, api: Host, rows: Mapping[str, int], home: Path | None
) -> dict[str, Any]:
    try:
        run = measure(contender, api, rows, home=home)
    except ContenderError as error:
        return {"title": contender.title, "gave_up": str(error).strip().splitlines()[-1]}
    return {
        "title": contender.title,
        "requests": run.requests.total,
        "refused": run.requests.refused,
        "hours": agency.hours(run.requests.last - run.requests.first),
        "wrong_rows": run.wrong_rows,
    }


def _let_a_day_pass(home: Path) -> None:
    """Dates what was read on the first day a day back."""
    with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
        connection.execute(f"UPDATE analytics.{READ_LISTS} SET read_at = read_at - {_DAY}")
