"""Checks: what the tables were found to be, and looking again by clicking."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from analytics_assets.orchestration.asset_checks import check_specs
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets_tests.testing.deployment import LOCATION
from analytics_assets_tests.testing.launched_runs import succeeded_run, view_launched_run
from analytics_assets_tests.testing.reports import CAMPAIGNS
from analytics_assets_tests.testing.scene import Scene

NAMES = AssetNames(report_names=(CAMPAIGNS,))

pytestmark = pytest.mark.browser

DRIFT = "types_are_as_declared"
# of an account that sends a number as text, of those that cannot be read, and of deleted campaigns
FAILED_CHECKS = {
    ("campaigns", DRIFT),
    *((name, "every_account_is_read") for name in NAMES.partitioned),
    (CAMPAIGNS, "parents_exist"),
}

LATEST_EXECUTIONS = """{ assetNodes {
    assetKey { path }
    assetChecksOrError { ... on AssetChecks { checks {
        name
        executionForLatestMaterialization { runId status }
    } } }
} }"""


def test_an_assets_checks_are_listed_with_their_results(page: Page, scene: Scene):
    page.goto("/assets/campaigns?view=checks")
    names = [spec.name for spec in check_specs(NAMES, ["campaigns"])]
    expect(page.get_by_text(f"Checks ({len(names)})", exact=True)).to_be_visible()
    for name in names:
        failed = ("campaigns", name) in FAILED_CHECKS
        expect(listed(page, name)).to_contain_text("Failed" if failed else "Succeeded")

    page.get_by_title(DRIFT, exact=True).click()
    expect(page.get_by_text(f"{scene.drifting}: cpc__v_text (1)", exact=True)).to_be_visible()
    expect(page.get_by_text("Every value fits its column's declared type.")).to_be_visible()


def test_an_assets_checks_are_executed_by_clicking(page: Page, scene: Scene):
    scene.api.log.clear()
    page.goto("/assets/campaigns?view=checks")
    page.get_by_role("button", name="Execute all").click()
    view_launched_run(page)
    run_id = succeeded_run(page)
    assert executed_by(scene, run_id) == expected_statuses("campaigns")
    assert scene.api.log.requests == 0


def test_the_job_check_judges_all_tables(page: Page, scene: Scene):
    scene.api.log.clear()
    page.goto(f"/locations/{LOCATION}/jobs/check")
    page.get_by_role("tab", name="Launchpad").click()
    page.get_by_role("button", name="Launch Run").click()
    run_id = succeeded_run(page)
    assert executed_by(scene, run_id) == expected_statuses(*NAMES.all_names)
    assert scene.api.log.requests == 0


def listed(page: Page, name: str) -> Locator:
    """The line of the check in the list: its name, and below it the result."""
    return page.get_by_title(name, exact=True).locator("xpath=..")


def executed_by(scene: Scene, run_id: str) -> dict[tuple[str, str], str]:
    """By table and check, the status of those that were last executed by the run."""
    return {
        (node["assetKey"]["path"][0], check["name"]): execution["status"]
        for node in scene.deployment.graphql(LATEST_EXECUTIONS)["assetNodes"]
        for check in node["assetChecksOrError"]["checks"]
        if (execution := check["executionForLatestMaterialization"])
        and execution["runId"] == run_id
    }


def expected_statuses(*tables: str) -> dict[tuple[str, str], str]:
    checks = [(spec.asset_key.to_user_string(), spec.name) for spec in check_specs(NAMES, tables)]
    return {check: "FAILED" if check in FAILED_CHECKS else "SUCCEEDED" for check in checks}
