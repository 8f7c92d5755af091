"""A smaller API, a home that has synced it, and what the records of both look like."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets_tests.testing.commands import CHECKOUT
from analytics_assets_tests.testing.data import small_data
from analytics_assets_tests.testing.homes import sample_settings, use_settings


@pytest.fixture
def api(request: pytest.FixtureRequest) -> Iterator[SampleApi]:
    """A very small API; by parameter, a function that makes other data."""
    make: Callable[[], SampleData] = getattr(request, "param", small_data)
    with SampleApi(make()) as running:
        yield running


@pytest.fixture(scope="session")
def synced_home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home in which `small_data` has been synced, to be copied."""
    from analytics_assets.cli import main

    home = tmp_path_factory.mktemp("synced")
    shutil.copy(CHECKOUT / "dagster.yaml", home)
    with SampleApi(small_data()) as api, pytest.MonkeyPatch.context() as patch:
        use_settings(patch, sample_settings(home, api))
        result = CliRunner().invoke(main, ["sync"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    return home


@pytest.fixture
def synced(home: Path, synced_home: Path) -> Path:
    """The test's home, after a sync of the data that the API serves at first."""
    shutil.copytree(synced_home, home, dirs_exist_ok=True)
    return home
