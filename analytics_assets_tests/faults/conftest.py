"""A smaller API."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets_tests.testing.data import small_data


@pytest.fixture
def api(request: pytest.FixtureRequest) -> Iterator[SampleApi]:
    """A very small API; by parameter, a function that makes other data."""
    make: Callable[[], SampleData] = getattr(request, "param", small_data)
    with SampleApi(make()) as running:
        yield running
