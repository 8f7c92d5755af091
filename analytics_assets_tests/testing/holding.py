"""Accounts whose reading does not end until a test lets it."""

from __future__ import annotations

import pytest

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi


def hold(api: SampleApi, account_id: str, patch: pytest.MonkeyPatch) -> Fault:
    """Has an account's audiences asked for again and again, until the fault is taken away."""
    patch.setenv("SOURCES__ANALYTICS__MAX_RETRIES", "100")
    patch.setenv("SOURCES__ANALYTICS__BACKOFF_FACTOR", "0.05")
    patch.setenv("SOURCES__ANALYTICS__MAX_RETRY_DELAY", "0.5")
    path = RESOURCES["audiences"].path_in("v1").format(account_id=account_id)
    fault = Fault("status", path, value=503)
    api.behaviour.faults.append(fault)
    return fault
