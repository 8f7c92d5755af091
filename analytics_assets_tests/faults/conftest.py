"""A smaller API, a home that has synced it, and what the records of both look like."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets_tests.conftest import CHECKOUT


def small_data() -> SampleData:
    return SampleData.generate(accounts=3, campaigns=2, items=2, motion_ads=1, others=2)


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
        for name in list(os.environ):
            if name.startswith(("SOURCES__", "ANALYTICS__", "DESTINATION__")):
                patch.delenv(name)
        patch.setenv("DAGSTER_HOME", str(home))
        patch.setenv("SOURCES__ANALYTICS__BASE_URL", api.base_url)
        patch.setenv("SOURCES__ANALYTICS__TOKEN_URL", api.token_url)
        patch.setenv("SOURCES__ANALYTICS__CLIENT_ID", api.behaviour.client_id)
        patch.setenv("SOURCES__ANALYTICS__CLIENT_SECRET", api.behaviour.client_secret)
        result = CliRunner().invoke(main, ["sync"], catch_exceptions=False)
        assert result.exit_code == 0, result.output
    return home


@pytest.fixture
def synced(home: Path, synced_home: Path) -> Path:
    """The test's home, after a sync of the data that the API serves at first."""
    shutil.copytree(synced_home, home, dirs_exist_ok=True)
    return home
