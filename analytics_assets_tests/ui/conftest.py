"""Dagster's web UI on a home that is filled once, with some accounts that failed."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets_tests.testing.deployment import Deployment, chromium, chromium_path
from analytics_assets_tests.testing.reports import CAMPAIGNS
from analytics_assets_tests.testing.scene import Scene

TIMEOUT_MS = 30_000


@pytest.fixture(scope="session")
def chromium_executable() -> str:
    path = chromium_path()
    if path is None:
        pytest.skip("no Chromium on this machine; on Debian: apt-get install chromium")
    return path


@pytest.fixture(scope="session")
def scene(
    chromium_executable: str, tmp_path_factory: pytest.TempPathFactory, worker_id: str
) -> Iterator[Scene]:
    """Five accounts: two failed in the first sync, and one sends a number as text.

    One report is read, too.
    """
    if worker_id != "master":  # fails in a second worker: one scene is dear enough
        (tmp_path_factory.getbasetemp().parent / "scene").mkdir()
    with SampleApi(SampleData.generate(accounts=5, campaigns=3, items=2)) as api:
        untouched, failing, changing, recovering, drifting = api.data.account_ids
        for account_id in (failing, recovering):
            path = f"/v1/{account_id}/*"
            api.behaviour.faults.append(Fault("status", path, value="403"))
        campaign = api.data.rows("campaigns", drifting)[0]
        api.data.update_row("campaigns", campaign["id"], {"cpc": "0.5"}, account_id=drifting)
        reports = {"EXTRA_RESOURCES": CAMPAIGNS, "PERFORMANCE_HISTORY_DAYS": "30"}
        settings = {f"ANALYTICS__{name}": value for name, value in reports.items()}
        deployment = Deployment(tmp_path_factory.mktemp("ui"), api, settings)
        synced = deployment.sync()
        assert synced.returncode == 1, synced.stderr
        assert synced.stderr.count("in 2 of 5 accounts, and keep") == 2  # lists, and the report
        with deployment.serving():
            yield Scene(deployment, untouched, changing, failing, recovering, drifting)


# Closed when the tests of this folder are done: while Playwright runs, its event loop would be in
# the way of other tests' own.
@pytest.fixture(scope="package")
def browser(chromium_executable: str) -> Iterator[Browser]:
    with chromium(chromium_executable) as browser:
        yield browser


@pytest.fixture
def page(browser: Browser, scene: Scene) -> Iterator[Page]:
    """A fresh page, tall enough for the whole graph: Dagster draws only what is in view."""
    expect.set_options(timeout=TIMEOUT_MS)
    with browser.new_context(
        base_url=scene.deployment.url, viewport={"width": 1600, "height": 1400}
    ) as context:
        context.set_default_timeout(TIMEOUT_MS)
        yield context.new_page()
