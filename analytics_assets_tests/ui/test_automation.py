"""Schedules and sensors: listed by name, and switched on and off by clicking."""

from __future__ import annotations

import pytest
from playwright.sync_api import Locator, Page, expect

from analytics_assets_tests.testing.client import wait_until
from analytics_assets_tests.testing.deployment import LOCATION
from analytics_assets_tests.testing.scene import Scene

pytestmark = pytest.mark.browser

SCHEDULES = ("list_accounts_then_sync_all", "list_accounts_to_find_new")
SENSORS = ("alert_on_failed_checks", "alert_on_failed_runs", "sync_accounts_that_are_due")


def test_all_are_listed_and_off(page: Page):
    page.goto("/automation")
    for name in (*SCHEDULES, *SENSORS):
        expect(page.get_by_text(name, exact=True)).to_be_visible()
        expect(switch(page, name)).not_to_be_checked()


def test_a_sensor_is_switched_on_and_off_by_clicking(page: Page, scene: Scene):
    name = "sync_accounts_that_are_due"
    page.goto("/automation")
    click(switch(page, name))
    expect(switch(page, name)).to_be_checked(checked=True)
    expect(switch(page, name)).to_be_enabled()
    wait_until(lambda: status(scene, name) == "RUNNING")
    click(switch(page, name))
    expect(switch(page, name)).to_be_checked(checked=False)
    expect(switch(page, name)).to_be_enabled()
    wait_until(lambda: status(scene, name) == "STOPPED")


def switch(page: Page, name: str) -> Locator:
    """The switch at the end of the line; the box at its beginning selects the line."""
    line = page.locator("[data-index]").filter(has_text=name)
    return line.get_by_role("checkbox").nth(1)


def click(switch: Locator) -> None:
    """Clicks what is drawn: the box itself is hidden."""
    switch.locator("xpath=..").click()


def status(scene: Scene, sensor: str) -> str:
    selector = (
        f'repositoryName: "__repository__", repositoryLocationName: "{LOCATION}",'
        f' sensorName: "{sensor}"'
    )
    query = (
        f"{{ sensorOrError(sensorSelector: {{ {selector} }})"
        " { ... on Sensor { sensorState { status } } } }"
    )
    sensor_state = scene.deployment.graphql(query)["sensorOrError"]["sensorState"]
    return str(sensor_state["status"])
