"""Requests that are tried again."""

from __future__ import annotations

import random
import time
from collections.abc import Callable

import pytest

from analytics_assets.api.client import make_client
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets.settings import api_settings

BACKOFF = 8.0


@pytest.fixture
def waited(home, api: SampleApi, monkeypatch: pytest.MonkeyPatch) -> Callable[[float], float]:
    """The seconds that a client waits before its second attempt, with luck of 0 to 1."""
    monkeypatch.setenv("SOURCES__ANALYTICS__BACKOFF_FACTOR", str(BACKOFF))
    url = f"{api.base_url}/v1/users/current/allowed-accounts"

    def with_luck(luck: float) -> float:
        seconds: list[float] = []
        api.behaviour.faults[:] = [Fault("status", "*/allowed-accounts", times=1, value=503)]
        client = make_client(api_settings())
        with monkeypatch.context() as patch:
            patch.setattr(random, "uniform", lambda low, high: low + luck * (high - low))
            patch.setattr(time, "sleep", seconds.append)
            assert client.session.get(url, auth=client.auth).status_code == 200
        return sum(seconds)

    return with_luck


def test_workers_that_failed_together_do_not_come_back_together(waited):
    soonest, latest = waited(0), waited(1)
    assert 0 < latest - soonest <= BACKOFF
