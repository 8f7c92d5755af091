"""The accounts as partitions: which are there, which failed and why."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Locator, Page, expect

from analytics_assets_tests.testing.scene import Scene

pytestmark = pytest.mark.browser

FILTERS = ("Failed", "Materialized", "Materializing", "Missing")


def test_partitions_show_which_accounts_failed(page: Page, scene: Scene):
    accounts, failed = scene.api.data.account_ids, scene.failed
    page.goto("/assets/campaigns?view=partitions")
    for account_id in accounts:
        expect(page.get_by_title(account_id)).to_be_visible()
    counts = {"Failed": len(failed), "Materialized": len(accounts) - len(failed)}
    for name in FILTERS:
        expect(page.get_by_label(f"{name} ({counts.get(name, 0)})")).to_be_checked()

    show_only(page, "Failed")
    for account_id in accounts:
        expect(page.get_by_title(account_id)).to_have_count(int(account_id in failed))
    show_only(page, "Materialized")
    for account_id in accounts:
        expect(page.get_by_title(account_id)).to_have_count(int(account_id not in failed))


def test_a_failed_partition_is_red_beside_green_ones(page: Page, scene: Scene):
    page.goto("/assets/campaigns?view=partitions")
    for account_id in scene.api.data.account_ids:
        colour = "red" if account_id in scene.failed else "green"
        dot = page.get_by_title(account_id).locator("xpath=../following-sibling::div")
        expect(dot).to_have_attribute("style", re.compile(f"--color-accent-{colour}"))


def test_a_materialized_partition_shows_its_own_figures(page: Page, scene: Scene):
    page.goto("/assets/campaign_items?view=partitions")
    page.get_by_title(scene.untouched).click()
    rows = len(scene.api.data.table("campaign_items", [scene.untouched]))
    expect(figure(page, "dagster/partition_row_count")).to_have_text(str(rows))
    for warning in ("did not materialize", "Unsynced"):
        expect(page.get_by_text(warning)).to_have_count(0)


def test_a_failed_partition_leads_to_its_cause(page: Page, scene: Scene):
    page.goto("/assets/campaigns?view=partitions")
    page.get_by_title(scene.failing).click()
    message = page.get_by_text(re.compile("Run .* failed, and did not materialize this asset"))
    expect(message).to_be_visible()
    message.get_by_role("link").click()
    expect(page.get_by_text("Failure", exact=True)).to_be_visible()
    cause = f"{scene.failing}: [a-z_]+: GET /v1/{scene.failing}/.* answers 403"
    expect(page.get_by_text(re.compile(cause)).first).to_be_visible()


def test_each_materialization_is_a_row_of_the_events(page: Page, scene: Scene):
    page.goto("/assets/motion_ads?view=events")
    rows = page.locator("[data-index]")
    loaded = set(scene.api.data.account_ids) - scene.failed
    for account_id in loaded:
        expect(rows.filter(has_text=account_id)).to_have_count(1)
    expect(rows).to_have_count(len(loaded))


def show_only(page: Page, wanted: str) -> None:
    for name in FILTERS:
        label = re.compile(rf"^{name} \(")
        if page.get_by_label(label).is_checked() != (name == wanted):
            page.get_by_text(label).click()


def figure(page: Page, name: str) -> Locator:
    """The value of a metadata entry."""
    return page.get_by_role("row").filter(has_text=name).get_by_role("cell").nth(1)
