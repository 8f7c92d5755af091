"""Makes the README's screenshots anew: the web UI after a sync of the sample API.

Needs Chromium. Run with the project's Python: .venv/bin/python tools/screenshots.py
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from playwright.sync_api import Page, expect

from analytics_assets.api.resources import ACCOUNT_RESOURCES
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets_tests.ui.deployment import LOCATION, Deployment, chromium, chromium_path

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
ACCOUNTS = 20
TIMEOUT_MS = 60_000


def main() -> None:
    """Writes every image, or ends with a message that says what is missing."""
    chromium_executable = chromium_path()
    if chromium_executable is None:
        sys.exit("no Chromium on this machine; on Debian: apt-get install chromium")
    IMAGES.mkdir(parents=True, exist_ok=True)
    expect.set_options(timeout=TIMEOUT_MS)
    data = SampleData.generate(accounts=ACCOUNTS, campaigns=20)
    with TemporaryDirectory() as folder, SampleApi(data) as api:
        deployment = Deployment(Path(folder) / "deployment", api)
        synced = deployment.sync()
        if synced.returncode:
            sys.exit(synced.stderr)
        with deployment.serving(), chromium(chromium_executable) as browser:
            page = browser.new_page(base_url=deployment.url)
            asset_graph(page)
            shown, _, failing, *_ = api.data.account_ids
            api.behaviour.faults.append(Fault("status", f"/v1/{failing}/*", value="403"))
            deployment.sync()
            campaigns_partitions(page, shown, failing)


def asset_graph(page: Page) -> None:
    """The group's assets and how they depend on each other, everything materialised."""
    page.set_viewport_size({"width": 1440, "height": 1080})
    page.goto(f"/locations/{LOCATION}/asset-groups/analytics")
    page.get_by_role("button", name="Hide navigation").click()
    page.reload()  # so that the graph fits into the room that there is now
    expect(page.get_by_text("100% filled", exact=True)).to_have_count(len(ACCOUNT_RESOURCES))
    save(page, "asset-graph.png")


def campaigns_partitions(page: Page, shown: str, failing: str) -> None:
    """The accounts as partitions, one of which failed, and the figures of another."""
    page.set_viewport_size({"width": 1440, "height": 900})
    page.goto("/assets/campaigns?view=partitions")
    expect(page.get_by_text("Failed (1)", exact=True)).to_be_visible()
    expect(page.get_by_title(failing)).to_be_visible()
    page.get_by_title(shown).click()
    expect(page.get_by_text("dagster/partition_row_count")).to_be_visible()
    save(page, "campaigns-partitions.png")


def save(page: Page, name: str) -> None:
    """Waits until nothing is loading and nothing pops up, then writes the image."""
    page.mouse.move(0, 0)
    expect(page.get_by_text(re.compile("^Loading"))).to_have_count(0)
    page.wait_for_load_state("networkidle")
    page.screenshot(path=IMAGES / name, animations="disabled")


if __name__ == "__main__":
    main()
