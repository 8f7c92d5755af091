"""The runs of the command `sync` look like those that Dagster starts itself."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from analytics_assets_tests.testing.deployment import LOCATION
from analytics_assets_tests.testing.scene import Scene

pytestmark = pytest.mark.browser


def test_they_stand_on_the_timeline(page: Page, scene: Scene):
    page.goto("/overview/activity/timeline")
    for job in ("refresh_accounts", "sync"):
        link = page.locator(f"a[href*='{LOCATION}/jobs/{job}']")
        expect(link.filter(has_text=job).first).to_be_visible()


def test_they_have_no_output_of_their_own(page: Page, scene: Scene):
    runs = scene.deployment.graphql("{ runsOrError { ... on Runs { results { runId jobName } } } }")
    [*_, first] = [run for run in runs["runsOrError"]["results"] if run["jobName"] == "sync"]
    page.goto(f"/runs/{first['runId']}")
    page.get_by_text("stderr", exact=True).click()
    page.get_by_role("combobox").click()
    page.get_by_role("menuitem", name="account_resources").click()
    expect(page.get_by_text("No log file available").last).to_be_visible()
