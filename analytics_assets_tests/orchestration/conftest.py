"""The automation of the test's home."""

from __future__ import annotations

import pytest
from dagster import DagsterInstance

from analytics_assets_tests.testing.automation import Automation


@pytest.fixture
def automation(instance: DagsterInstance) -> Automation:
    return Automation(instance)
