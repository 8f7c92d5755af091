"""Runs that are launched by clicking: of the job `sync`, and of a single asset."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from analytics_assets.resources import RESOURCES
from analytics_assets_tests.testing.deployment import LOCATION
from analytics_assets_tests.testing.launched_runs import succeeded_run, view_launched_run
from analytics_assets_tests.testing.scene import Scene
from analytics_assets_tests.testing.tables import assert_equal_tables, served_table, warehouse_table

pytestmark = pytest.mark.browser


def test_the_job_sync_heals_a_failed_account(page: Page, scene: Scene):
    account_id = scene.recovering
    assert not rows_of(scene, "audience_rules", account_id)
    scene.heal(account_id)
    scene.api.log.clear()

    page.goto(f"/locations/{LOCATION}/jobs/sync")
    page.get_by_role("button", name="Materialize all").click()
    dialog = launch_dialog(page, "6 assets")
    dialog.get_by_text("Select a partition").click()
    page.get_by_role("menuitem", name=account_id).click()
    dialog.get_by_text("Launch runs to materialize").click()
    launch(page, dialog)

    assert accounts_asked_for(scene) == {account_id}
    for name in RESOURCES.account_lists:
        assert_partition_equals_api(scene, name, account_id)
    page.goto(f"/assets/audience_rules?view=partitions&partition={account_id}")
    expect(page.get_by_text("Materialized", exact=True)).to_be_visible()
    expect(page.get_by_text(f"Failed ({len(scene.failed)})", exact=True)).to_be_visible()
    page.goto(f"/locations/{LOCATION}/jobs/sync/runs")
    expect(page.get_by_text(account_id).first).to_be_visible()


def test_one_partition_of_one_asset(page: Page, scene: Scene):
    account_id, data = scene.changing, scene.api.data
    first, second, *_ = data.rows("campaigns", account_id)
    data.update_row("campaigns", first["id"], {"daily_cap": 1234.5}, account_id=account_id)
    data.delete_row("campaigns", second["id"], account_id=account_id)
    items = rows_of(scene, "campaign_items", account_id)
    scene.api.log.clear()

    page.goto("/assets/campaigns?view=partitions")
    page.get_by_title(account_id).click()
    page.get_by_role("button", name="Materialize…").click()
    launch(page, launch_dialog(page, "campaigns"))

    assert accounts_asked_for(scene) == {account_id}
    assert_partition_equals_api(scene, "campaigns", account_id)
    assert rows_of(scene, "campaign_items", account_id) == items


def launch_dialog(page: Page, what: str) -> Locator:
    dialog = page.get_by_role("dialog").filter(has_text=f"Launch runs to materialize {what}")
    expect(dialog).to_be_visible()
    return dialog


def launch(page: Page, dialog: Locator) -> None:
    """Launches one run, and watches it succeed."""
    expect(dialog.get_by_text("1 partition", exact=True)).to_be_visible()
    dialog.get_by_role("button", name="Launch 1 run").click()
    view_launched_run(page)
    succeeded_run(page)


def accounts_asked_for(scene: Scene) -> set[str]:
    return {
        entry.path.split("/")[2] for entry in scene.api.log.entries if entry.path.startswith("/v1/")
    }


def rows_of(scene: Scene, name: str, account_id: str) -> list[dict]:
    """The account's rows, without the column that holds what another account sends as text."""
    declared = {column.name for column in RESOURCES[name].table_columns}
    return [
        {column: value for column, value in row.items() if column in declared}
        for row in warehouse_table(scene.deployment.home, name)
        if row["account_id"] == account_id
    ]


def assert_partition_equals_api(scene: Scene, name: str, account_id: str) -> None:
    expected = served_table(scene.api.data, name, [account_id])
    assert expected
    assert_equal_tables(expected, rows_of(scene, name, account_id), name)
