"""The automation of the test's home, lists that are read every seventh day, and a report."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from dagster import DagsterInstance

from analytics_assets.api import account_reading
from analytics_assets.orchestration import report_windows
from analytics_assets.orchestration.partitions import keep_partitions
from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets_tests.testing.automation import Automation
from analytics_assets_tests.testing.commands import invoke
from analytics_assets_tests.testing.homes import use_settings
from analytics_assets_tests.testing.recorded_automation import LISTED, SUCCESS, Records
from analytics_assets_tests.testing.records import attempt
from analytics_assets_tests.testing.reports import (
    CAMPAIGNS,
    EASTERN,
    FIRST_DAY,
    HISTORY,
    TOKYO,
    set_day,
)


@pytest.fixture
def automation(instance: DagsterInstance) -> Automation:
    return Automation(instance)


@pytest.fixture
def seven_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__ANALYTICS__REREAD_UNCHANGED_DAYS", "7")
    clock = SimpleNamespace(time=lambda: 1.7e9, monotonic=time.monotonic)
    monkeypatch.setattr(account_reading, "time", clock)


@pytest.fixture
def report_api() -> Iterator[SampleApi]:
    """Two accounts of two time zones, with which a module replaces `api`."""
    data = SampleData.generate(accounts=2, campaigns=3, items=2)
    for account, zone in ((EASTERN, "US/Eastern"), (TOKYO, "Asia/Tokyo")):
        data.update_row("accounts", account, {"time_zone_name": zone})
    with SampleApi(data) as running:
        yield running


@pytest.fixture
def performance(home: Path, api: SampleApi, monkeypatch: pytest.MonkeyPatch) -> None:
    """One report is read, and it is the sample API's day."""
    monkeypatch.setenv("ANALYTICS__EXTRA_RESOURCES", CAMPAIGNS)
    monkeypatch.setenv("ANALYTICS__PERFORMANCE_HISTORY_DAYS", str(HISTORY))
    monkeypatch.setattr(report_windows, "now", lambda: api.data.reports.now)
    set_day(api, FIRST_DAY)


@pytest.fixture
def read(home: Path) -> Callable[..., str]:
    """Reads the report, and gives what the command says."""

    def run(*arguments: str, exit_code: int = 0) -> str:
        result = invoke("sync", "--resource", CAMPAIGNS, *arguments)
        assert result.exit_code == exit_code, result.output
        return result.output

    return run


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Records]:
    """Records of three accounts and a clock; the waits are 300 s, 600 s and no more."""
    settings = {
        "DAGSTER_HOME": str(tmp_path),
        "ANALYTICS__ACCOUNT_RETRIES": "2",
        "ANALYTICS__ACCOUNT_RETRY_WAIT": "300",
    }
    use_settings(monkeypatch, settings)
    with DagsterInstance.ephemeral() as instance:
        keep_partitions(instance, LISTED)
        found = Records(instance)
        clock = SimpleNamespace(time=lambda: found.now)
        monkeypatch.setattr("analytics_assets.orchestration.sensors.time", clock)
        yield found


@pytest.fixture
def listed(recorded: Records) -> Records:
    """The accounts were listed, and each was read."""
    recorded.refresh(SUCCESS)
    for account in LISTED:
        attempt(recorded.instance, account, "campaigns")
    return recorded
