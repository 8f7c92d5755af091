"""A report's first load and an hourly update of it: of some weeks, and of all its history."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import product
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any, Final

import duckdb

from analytics_assets.resources import RESOURCES
from analytics_assets_tests.testing.postgres_server import running
from benchmarks.contenders import DLT_REPORT, OURS, Contender, variant
from benchmarks.measuring import ContenderError, Measurement, measure, new_home
from benchmarks.serving import Host, serving
from benchmarks.workloads import Workload

DAYS: Final = (37, 370)
"""Days of the first load: a little more than an update asks for again, and ten times as many."""

_REPORT: Final = "campaign_performance"
_LISTS: Final = {
    "ANALYTICS__SKIP_RESOURCES": ",".join(n for n in RESOURCES.account_lists if n != "campaigns")
}
_REPORTS: Final = {
    **_LISTS,
    "ANALYTICS__EXTRA_RESOURCES": _REPORT,
}

Execute = Callable[[str], list[tuple[object, ...]]]


@dataclass(frozen=True)
class Size:
    """What is read; of 58 campaigns, some 50 have figures on a day.

    Attributes:
        accounts: Accounts that the API lists.
        campaigns: Campaigns of each.
        rounds: Updates that are measured in each table.
        days: Days that the tables hold.
    """

    accounts: int = 300
    campaigns: int = 58
    rounds: int = 3
    days: Sequence[int] = DAYS


SMOKE: Final = Size(accounts=2, campaigns=3, rounds=1, days=DAYS[:1])


@contextmanager
def in_file(home: Path) -> Iterator[tuple[Mapping[str, str], Execute]]:
    """The DuckDB file in a home: the settings that lead to it, and what executes statements."""

    def execute(sql: str) -> list[tuple[object, ...]]:
        # a process's peak counts as its children's, too
        with duckdb.connect(str(home / "warehouse.duckdb")) as connection:
            connection.execute("SET memory_limit = '100MB'")
            return list(connection.execute(sql).fetchall())

    yield {"ANALYTICS__DESTINATION": "duckdb"}, execute


@contextmanager
def in_server(home: Path) -> Iterator[tuple[Mapping[str, str], Execute]]:
    """The same of a PostgreSQL server of its own."""
    with (
        TemporaryDirectory(prefix="postgres-") as folder,
        running(Path(folder)) as server,
        server.database() as database,
    ):
        settings = {
            "ANALYTICS__DESTINATION": "postgres",
            "DESTINATION__POSTGRES__CREDENTIALS": server.url(database),
        }
        yield settings, partial(server.run, database=database)


WAREHOUSES: Final = {"DuckDB": in_file, "PostgreSQL": in_server}


def measured(size: Size, warehouses: Mapping[str, Any] = WAREHOUSES) -> Iterator[dict[str, Any]]:
    """Measures each contender in each warehouse; yields what `report.hourly_table` shows."""
    workload = Workload("hourly", size.accounts, size.campaigns)
    with serving(workload) as api:
        for (name, warehouse), contender, days in product(
            warehouses.items(), (OURS, DLT_REPORT), size.days
        ):
            title = f"{contender.title}, {name}"
            with new_home() as home, warehouse(home) as (settings, execute):
                place = _Place(api, home, settings, execute)
                rounds = 1 if contender.once else size.rounds
                try:
                    for step in _steps(place, contender, days, rounds):
                        yield {"title": title, **step}
                except ContenderError as error:
                    yield {"title": title, "gave_up": str(error).strip().splitlines()[-1]}


@dataclass(frozen=True)
class _Place:
    """A home and its warehouse, in which statements can be executed."""

    api: Host
    home: Path
    settings: Mapping[str, str]
    execute: Execute

    def run(self, contender: Contender, settings: Mapping[str, str]) -> Measurement:
        told = variant(contender, "", {**contender.settings, **self.settings, **settings})
        # rows are counted here: those that are filled in are not the API's
        return measure(replace(told, reads=False), self.api, {}, home=self.home)

    def rows(self) -> int:
        [(number,)] = self.execute(f"SELECT count(*) FROM analytics.{_REPORT}")
        return int(str(number))


def _steps(place: _Place, contender: Contender, days: int, rounds: int) -> Iterator[dict[str, Any]]:
    """A contender's first load of so many days, and its updates."""
    today = datetime.now(timezone.utc).date()
    settings = {
        **_REPORTS,
        "ANALYTICS__PERFORMANCE_HISTORY_DAYS": str(days),
        "BENCHMARK_FIRST_DAY": str(today - timedelta(days=days - 1)),
        "BENCHMARK_LAST_DAY": str(today),
    }
    if contender is OURS:
        place.run(contender, _LISTS)
        contender = replace(contender, arguments=(*contender.arguments, "--resource", _REPORT))
    first = place.run(contender, settings)
    rows = place.rows()
    yield {"step": f"first load, {days} days", **_step([first], rows, rows)}
    runs = [place.run(contender, settings) for _ in range(rounds)]
    yield {"step": f"update, {days} days", **_step(runs, place.rows(), rows)}


def _step(runs: list[Measurement], rows: int, due: int) -> dict[str, Any]:
    """What runs took: seconds in all, those after the last request, and of processor time."""
    return {
        "n": len(runs),
        "rows": rows,
        "wall": median(run.wall for run in runs),
        "after": median(run.started + run.wall - run.requests.last for run in runs),
        "cpu": median(run.cpu for run in runs),
        "requests": runs[-1].requests.total,
        "peak_mb": max(run.peak_mb for run in runs),
        "wrong_rows": {} if rows == due else {_REPORT: (rows, due)},
    }
