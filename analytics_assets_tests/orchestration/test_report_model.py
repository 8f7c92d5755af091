"""Days of an API whose figures change, with runs that fail and backfills, against a model.

The model knows what was served of each day when it was last asked for, and what has to be asked.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import parse_qs

import dagster as dg
import pytest

from analytics_assets.days import Window
from analytics_assets.factory import compose
from analytics_assets.orchestration import report_windows
from analytics_assets.orchestration.ingestion import Ingestion
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import run_target
from analytics_assets.orchestration.progress import Progress
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets.settings import platform_settings
from analytics_assets_tests.testing.marks import IS_LONG, both_warehouses
from analytics_assets_tests.testing.reports import (
    CAMPAIGNS,
    DAY,
    FIRST_DAY,
    served,
    set_day,
    spelled,
    table,
)

LOOKBACK, HISTORY = 31, 60
DAYS = 60 if IS_LONG else 10
_ENDS = ("start", "end")
Days = dict[tuple[str, date], list[str]]
"""Rows by account and day, spelled out."""


@pytest.fixture
def api() -> Iterator[SampleApi]:
    data = SampleData.generate(accounts=2, campaigns=2, items=0)
    for account, zone in zip(data.account_ids, ("US/Eastern", "Asia/Tokyo"), strict=True):
        data.update_row("accounts", account, {"time_zone_name": zone})
    with SampleApi(data) as running:
        yield running


@dataclass
class World:
    """The API, the warehouse and what the model says that it holds."""

    home: Path
    api: SampleApi
    instance: dg.DagsterInstance
    patch: pytest.MonkeyPatch
    chance: Random = field(default_factory=lambda: Random(20260901))
    held: Days = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.defs = compose(platform_settings(), Progress())
        listing = self.defs.resolve_job_def("refresh_accounts")
        assert listing.execute_in_process(instance=self.instance).success

    def change(self) -> None:
        """What becomes of the API from one day to the next, beside that its figures change."""
        data, account = self.api.data, self.chance.choice(self.api.data.account_ids)
        today = data.reports.today(account)
        match self.chance.randrange(6):
            case 0:
                data.add_row("campaigns", {"id": f"7{today:%m%d}", "name": "x"}, account_id=account)
            case 1:
                gone = self.chance.choice(data.rows("campaigns", account))
                if len(data.rows("campaigns", account)) > 1:
                    data.delete_row("campaigns", gone["id"], account_id=account)
            case 2:
                first = today - self.chance.randrange(40) * DAY
                data.reports.pause(account, first, first + self.chance.randrange(3) * DAY)
            case 3:
                data.reports.resume(account)
            case 4:
                zone = self.chance.choice(["US/Eastern", "Pacific/Kiritimati", "Asia/Tokyo"])
                data.update_row("accounts", account, {"time_zone_name": zone})
                job = self.defs.resolve_job_def("refresh_accounts")
                assert job.execute_in_process(instance=self.instance).success

    def run(self, **config: Any) -> bool:
        """Reads the report of all accounts, and checks the table against the model."""
        self.api.log.clear()
        names = AssetNames.of_settings(platform_settings())
        accounts = self.api.data.account_ids
        target = run_target(self.instance, names.reports_op, accounts, **config)
        job = self.defs.resolve_job_def(names.performance_job)
        ended = job.execute_in_process(
            instance=self.instance,
            run_config={"ops": target.ops},
            tags=target.tags,
            raise_on_error=False,
        )
        self.compare(whole=ended.success)
        return ended.success

    def compare(self, *, whole: bool) -> None:
        """The table is as the model says: each window as it was, or as it was served."""
        found: Days = {}
        for row in table(self.home, CAMPAIGNS):
            found.setdefault((row["account_id"], row["date"]), []).extend(spelled([row]))
        for account, window in self.answered():
            now = {(account, day): self.served(account, day) for day in window.days}
            was = {key: self.held.get(key, []) for key in now}
            holds = {key: sorted(found.get(key, [])) for key in now}
            assert holds == now or (not whole and holds == was), (account, window)
            self.held |= now if holds == now else was
        self.held = {key: rows for key, rows in self.held.items() if rows}
        assert {key: sorted(rows) for key, rows in found.items()} == self.held

    def answered(self) -> Iterator[tuple[str, Window]]:
        """The windows that the API has served."""
        for entry in self.api.log.entries:
            if entry.path.endswith("/campaign_day_breakdown") and entry.status == 200:
                query = parse_qs(entry.query)
                first, last = (date.fromisoformat(query[f"{end}_date"][0]) for end in _ENDS)
                yield entry.path.split("/")[2], Window(first, last)

    def served(self, account: str, day: date) -> list[str]:
        return spelled(served(self.api, CAMPAIGNS, account, [day]))

    def assert_up_to_date(self) -> None:
        """What still changes, and what lacked rows, is as the API has it."""
        for account in self.api.data.account_ids:
            today = self.api.data.reports.today(account)
            for day in Window(today - (HISTORY - 1) * DAY, today).days:
                rows = self.served(account, day)
                if day >= today - LOOKBACK * DAY or (account, day) not in self.held:
                    assert self.held.get((account, day), []) == rows, (account, day)


@both_warehouses
def test_tables_equal_the_model_day_by_day(
    home: Path, api: SampleApi, instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
):
    for name, value in {
        "ANALYTICS__EXTRA_RESOURCES": CAMPAIGNS,
        "ANALYTICS__PERFORMANCE_LOOKBACK_DAYS": str(LOOKBACK),
        "ANALYTICS__PERFORMANCE_HISTORY_DAYS": str(HISTORY),
        "ANALYTICS__RECONCILE": "false",
        "SOURCES__ANALYTICS__MAX_RETRIES": "0",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(report_windows, "now", lambda: api.data.reports.now)
    set_day(api, FIRST_DAY)
    world = World(home, api, instance, monkeypatch)
    # older than what is asked for each time
    gap = FIRST_DAY - 50 * DAY, FIRST_DAY - 38 * DAY
    for account in api.data.account_ids:
        api.data.reports.pause(account, *gap)
    outcomes = []
    for number in range(DAYS):
        set_day(api, FIRST_DAY + number * DAY)
        world.change()
        match world.chance.randrange(6) if number else 1:
            case 0:  # nobody runs anything
                continue
            case 1:
                path = f"/v1/{world.chance.choice(api.data.account_ids)}/reports/*"
                api.behaviour.faults.append(Fault("status", path, value=500))
                outcomes.append(world.run())
                api.behaviour.faults.clear()
            case 2:
                with monkeypatch.context() as patch:
                    patch.setenv("ANALYTICS__LOAD_INTERVAL", "0")
                    patch.setattr(Ingestion, "load", _once(Ingestion.load))
                    outcomes.append(world.run())
            case 3:
                first = FIRST_DAY - world.chance.randrange(60) * DAY
                last = first + world.chance.randrange(40) * DAY
                last = min(last, FIRST_DAY + (number - 2) * DAY)
                if first <= last:
                    assert world.run(start_date=str(first), end_date=str(last), allow_empty=True)
            case _:
                outcomes.append(world.run())
                if outcomes[-1]:
                    world.assert_up_to_date()
    assert {True, False} == {*outcomes}
    assert world.run()
    world.assert_up_to_date()


def _once(load: Any) -> Any:
    """A load that the first call survives, and no other."""
    calls: list[object] = []

    def failing(self: Ingestion, *args: Any, **options: Any) -> Any:
        calls.append(args)
        if len(calls) > 1:
            raise RuntimeError("the process has been shot")
        return load(self, *args, **options)

    return failing
