"""Syncs while a paged list changes between its pages: read again, or its account fails."""

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import count

import pytest

from analytics_assets.sample_api import SampleApi
from analytics_assets.sample_api.bodies import Bodies
from analytics_assets_tests.testing.data import items_path
from analytics_assets_tests.testing.reading import read_and_load
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api


def between_pages(monkeypatch, path: str, change: Callable[[], None], times: int) -> None:
    """Changes a list whenever its first page has been served, that many times."""
    encoded = Bodies.encoded
    left = [times]

    def encoded_then_change(self, key, page, *, compressed):
        body = encoded(self, key, page, compressed=compressed)
        served = f"/v1/{key.account_id}/campaigns/{key.parent_id}/items/"
        if key.resource == "campaign_items" and served == path and page.number == 1 and left[0]:
            left[0] -= 1
            change()
        return body

    monkeypatch.setattr(Bodies, "encoded", encoded_then_change)


@pytest.mark.parametrize("times", [1, 3])
def test_a_sync_while_a_list_moves(home, api: SampleApi, monkeypatch, times: int):
    api.behaviour.page_size = 2
    account = api.data.account_ids[0]
    path = items_path(api.data, account)
    campaign = path.split("/")[4]
    row = api.data.rows("campaign_items", account, campaign)[0]
    extra = [{**row, "id": f"extra {n}"} for n in range(8)]
    api.data.set_rows("campaign_items", extra, account_id=account, parent_id=campaign)

    def delete_first() -> None:
        rows = api.data.rows("campaign_items", account, campaign)[1:]
        api.data.set_rows("campaign_items", rows, account_id=account, parent_id=campaign)

    between_pages(monkeypatch, path, delete_first, times)
    assert read_and_load(api, home) == {}
    assert_warehouse_equals_api(home, api.data)
    urls = api.log.count_by_url()
    # the list alone is read again, and nothing else of the account
    assert urls.pop(path) == times + 1
    assert all(
        times == 1 for url, times in urls.items() if not url.startswith((path, "/oauth/token"))
    )


def test_a_sync_while_a_list_moves_all_the_time(home, api: SampleApi, monkeypatch):
    api.behaviour.page_size = 1
    account = api.data.account_ids[0]
    path = items_path(api.data, account)
    campaign = path.split("/")[4]
    row = api.data.rows("campaign_items", account, campaign)[0]
    numbers = count()

    def add() -> None:
        rows = api.data.rows("campaign_items", account, campaign)
        new = {**row, "id": f"new {next(numbers)}"}
        api.data.set_rows("campaign_items", [new, *rows], account_id=account, parent_id=campaign)

    add()
    between_pages(monkeypatch, path, add, 99)
    cause = read_and_load(api, home)[account]
    assert re.match(
        rf"{account}: campaign_items: GET {path}\?page=2&page_size=1 announces \d rows, then", cause
    )
    assert "try again later" in cause
