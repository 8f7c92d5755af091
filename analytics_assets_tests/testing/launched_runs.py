"""A run that was launched by clicking, watched in the web UI until it has ended."""

from __future__ import annotations

import re

from playwright.sync_api import Page, expect

_RUN_TIMEOUT_MS = 120_000


def view_launched_run(page: Page) -> None:
    """Goes to the run of which the UI says that it was launched."""
    expect(page.get_by_text(re.compile("Launched run [0-9a-f]{8}"))).to_be_visible()
    page.get_by_text("View", exact=True).click()


def succeeded_run(page: Page) -> str:
    """Watches the run of the page that is being opened succeed, and returns its id."""
    expect(page).to_have_url(re.compile("/runs/[0-9a-f-]{36}"))
    ended = page.get_by_text(re.compile("^(Success|Failure|Canceled)$"))
    expect(ended.first).to_be_visible(timeout=_RUN_TIMEOUT_MS)
    expect(ended.first).to_have_text("Success")
    return page.url.rpartition("/runs/")[2][:36]
