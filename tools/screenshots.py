"""Makes the pictures in docs/images anew: the web UI after some syncs of the sample API.

Needs Chromium. Run with the project's Python: .venv/bin/python tools/screenshots.py
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import FloatRect, Page, expect

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets_tests.testing.deployment import LOCATION, Deployment, chromium, chromium_path
from analytics_assets_tests.testing.reports import CAMPAIGNS as REPORT

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
ACCOUNTS = 20
CAMPAIGNS = 20
QUOTA = 30  # requests per second: so few that the plots show that a sync was held back
WIDTH = 1440
TIMEOUT_MS = 60_000


def main() -> None:
    """Writes every image, or ends with a message that says what is missing."""
    chromium_executable = chromium_path()
    if chromium_executable is None:
        sys.exit("no Chromium on this machine; on Debian: apt-get install chromium")
    IMAGES.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=TIMEOUT_MS)
    with TemporaryDirectory() as folder, SampleApi(accounts_of_many_sizes()) as api:
        deployment = Deployment(Path(folder) / "deployment", api)
        synced = deployment.sync()
        if synced.returncode:
            sys.exit(synced.stderr)
        with deployment.serving(), chromium(chromium_executable) as browser:
            page = browser.new_page(base_url=deployment.url)
            page.set_default_timeout(TIMEOUT_MS)
            asset_graph(page)
            shown, drifting, failing, *_ = api.data.account_ids
            api.behaviour.faults.append(Fault("status", f"/v1/{failing}/*", value="403"))
            deployment.sync()
            campaigns_partitions(page, shown, failing)
            api.behaviour.quota = QUOTA
            api.behaviour.faults.append(Fault("status", "/v1/*/items/", times=9, value="503"))
            send_numbers_as_text(api.data, drifting)
            deployment.sync()
            checks(page, drifting)
            plots(page, "campaign_items", "seconds_to_fetch", "plots.png")
            automation(page)
        show_report(Path(folder) / "report", api, chromium_executable)


def show_report(folder: Path, api: SampleApi, chromium_executable: str) -> None:
    """The figures of a report, in a home of its own: without a setting there is none."""
    settings = {"EXTRA_RESOURCES": REPORT, "PERFORMANCE_HISTORY_DAYS": "30"}
    deployment = Deployment(folder, api, {f"ANALYTICS__{n}": v for n, v in settings.items()})
    api.behaviour.faults.clear()
    api.behaviour.quota = None
    synced = deployment.sync()
    if synced.returncode:
        sys.exit(synced.stderr)
    with deployment.serving(), chromium(chromium_executable) as browser:
        page = browser.new_page(base_url=deployment.url)
        page.set_default_timeout(TIMEOUT_MS)
        plots(page, REPORT, "spent", "report-plots.png")


def accounts_of_many_sizes() -> SampleData:
    """Accounts of which none has as many campaigns as the next."""
    data = SampleData.generate(accounts=ACCOUNTS, campaigns=CAMPAIGNS, items=5)
    for place, account_id in enumerate(data.account_ids):
        for campaign in data.rows("campaigns", account_id)[: 7 * place % (CAMPAIGNS - 3)]:
            data.delete_row("campaigns", campaign["id"], account_id=account_id)
    return data


def send_numbers_as_text(data: SampleData, account_id: str) -> None:
    """What the check `types_are_as_declared` finds."""
    for campaign in data.rows("campaigns", account_id)[:2]:
        data.update_row("campaigns", campaign["id"], {"cpc": "0.5"}, account_id=account_id)


def asset_graph(page: Page) -> None:
    """The group's assets and how they depend on each other, everything materialised."""
    page.set_viewport_size({"width": WIDTH, "height": 1080})
    page.goto(f"/locations/{LOCATION}/asset-groups/analytics")
    page.get_by_role("button", name="Hide navigation").click()
    page.reload()  # so that the graph fits into the room that there is now
    expect(page.get_by_text("100% filled", exact=True)).to_have_count(len(RESOURCES.account_lists))
    expect(page.get_by_text(re.compile(r"^\d+ / \d+ Passed$"))).to_have_count(
        len(RESOURCES.account_lists) + 1
    )
    save(page, "asset-graph.png")


def campaigns_partitions(page: Page, shown: str, failing: str) -> None:
    """The accounts as partitions, one of which failed, and the figures of another."""
    page.set_viewport_size({"width": WIDTH, "height": 900})
    page.goto("/assets/campaigns?view=partitions")
    expect(page.get_by_text("Failed (1)", exact=True)).to_be_visible()
    expect(page.get_by_title(failing)).to_be_visible()
    page.get_by_title(shown).click()
    expect(page.get_by_text("dagster/partition_row_count")).to_be_visible()
    save(page, "campaigns-partitions.png")


def checks(page: Page, drifting: str) -> None:
    """The checks of campaigns; one has failed, and says where."""
    page.set_viewport_size({"width": WIDTH, "height": 620})
    page.goto("/assets/campaigns?view=checks&checkDetail=types_are_as_declared")
    expect(page.get_by_text(f"{drifting}: cpc__v_text (2)", exact=True)).to_be_visible()
    expect(page.get_by_text("Succeeded", exact=True)).to_have_count(5)
    save(page, "checks.png")


def plots(page: Page, asset: str, last_figure: str, image: str) -> None:
    """The figures of an asset, account by account."""
    page.set_viewport_size({"width": WIDTH, "height": 4000})  # all of the page, for the clip
    page.goto(f"/assets/{asset}")
    button = page.get_by_role("button", name="Plots")
    button.click()
    first = page.get_by_text("dagster/partition_row_count", exact=True)
    of_last = page.get_by_text(last_figure, exact=True).locator("xpath=../..")
    last = of_last.filter(has=page.locator("canvas"))  # a column may be called the same
    expect(last.locator("canvas")).to_be_visible()
    top, right, bottom = first.bounding_box(), button.bounding_box(), last.bounding_box()
    assert top is not None
    assert right is not None
    assert bottom is not None
    edge = top["x"] - 24
    clip = FloatRect(
        x=edge,
        y=top["y"] - 120,
        width=right["x"] + right["width"] + 24 - edge,
        height=bottom["y"] + bottom["height"] - top["y"] + 132,
    )
    save(page, image, clip)


def automation(page: Page) -> None:
    """The schedules and sensors, as they are before anybody has switched them on."""
    page.set_viewport_size({"width": WIDTH, "height": 490})  # the navigation needs as much
    page.goto("/automation")
    expect(page.get_by_text("Run status sensor", exact=True)).to_be_visible()
    expect(page.get_by_role("checkbox")).to_have_count(11)  # a box and a switch each, and for all
    save(page, "automation.png", FloatRect(x=0, y=0, width=WIDTH, height=477))


def save(page: Page, name: str, clip: FloatRect | None = None) -> None:
    """Waits until nothing is loading and nothing pops up, then writes the image."""
    page.mouse.move(0, 0)
    expect(page.get_by_text(re.compile("^Loading"))).to_have_count(0)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=IMAGES / name, animations="disabled", clip=clip)


if __name__ == "__main__":
    main()
