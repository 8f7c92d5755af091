"""The automation of the test's home, and lists that are read every seventh day."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from dagster import DagsterInstance

from analytics_assets.api import account_reading
from analytics_assets_tests.testing.automation import Automation


@pytest.fixture
def automation(instance: DagsterInstance) -> Automation:
    return Automation(instance)


@pytest.fixture
def seven_days(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOURCES__ANALYTICS__REREAD_UNCHANGED_DAYS", "7")
    clock = SimpleNamespace(time=lambda: 1.7e9, monotonic=time.monotonic)
    monkeypatch.setattr(account_reading, "time", clock)
