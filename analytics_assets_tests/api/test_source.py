"""The source, level by level: which lists it asks for, and whose rows come back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from analytics_assets.api.source import MissingList, Page, levels, pages, with_parents
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.keys import parent_id_field
from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.testing.reading import client_of

ITEMS = RESOURCES["campaign_items"]


def no_parents(name: str) -> list[Any]:
    raise AssertionError(f"nobody asked for the parents {name}")


def rows_of(found: Iterable[Page | MissingList]) -> dict[str, list[dict[str, Any]]]:
    rows: dict[str, list[dict[str, Any]]] = {}
    for page in found:
        assert isinstance(page, Page)
        rows.setdefault(page.resource_name, []).extend(page.rows)
    return rows


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["audiences"], ["audiences"]),
        (["motion_ads"], ["campaigns", "motion_ads"]),
        (["motion_ads", "campaigns"], ["campaigns", "motion_ads"]),
        ([], []),
    ],
)
def test_parents_are_read_with_their_children(names: list[str], expected: list[str]) -> None:
    assert [resource.name for resource in with_parents(RESOURCES, names)] == expected


def test_a_level_has_the_lists_below_the_one_before(api: SampleApi) -> None:
    first, second = levels(client_of(api), list(RESOURCES.account_lists))
    of_rows = {name for name, resource in RESOURCES.lists.items() if resource.has_parent_rows}
    assert set(first.selected_resources) == set(RESOURCES.account_lists) - of_rows
    assert set(second.selected_resources) == of_rows


def test_the_list_of_accounts_needs_no_account(api: SampleApi) -> None:
    [level] = levels(client := client_of(api), ["accounts"])
    assert rows_of(pages(client, level, ["accounts"], None, no_parents)) == {
        "accounts": api.data.rows("accounts")
    }


def test_one_source_serves_all_accounts(api: SampleApi) -> None:
    [level] = levels(client := client_of(api), ["campaigns", "audiences"])
    odd = api.data.add_account("a/b {account_id}?")
    names = ["campaigns", "audiences"]
    reading = {
        account: pages(client, level, names, account, no_parents)
        for account in api.data.account_ids
    }
    assert odd in reading
    firsts = {account: next(found) for account, found in reading.items()}  # side by side
    for account, found in reading.items():
        expected = {name: api.data.rows(name, account) for name in names}
        assert rows_of([firsts[account], *found]) == expected


def test_a_list_below_a_row_tells_the_row(api: SampleApi) -> None:
    account = api.data.account_ids[0]
    _, level = levels(client := client_of(api), [ITEMS.name])
    campaigns = [row["id"] for row in api.data.rows("campaigns", account)][:2]
    asked_for: list[str] = []

    def parent_ids(name: str) -> list[str]:
        asked_for.append(name)
        return campaigns

    found = rows_of(pages(client, level, [ITEMS.name], account, parent_ids))[ITEMS.name]
    assert asked_for == [ITEMS.name]
    expected = [
        {**row, parent_id_field(ITEMS): campaign}
        for campaign in campaigns
        for row in api.data.rows(ITEMS.name, account, campaign)
    ]
    assert sorted(found, key=str) == sorted(expected, key=str)


def test_below_no_row_nothing_is_asked_for(api: SampleApi) -> None:
    _, level = levels(client := client_of(api), [ITEMS.name])
    assert list(pages(client, level, [ITEMS.name], api.data.account_ids[0], lambda name: [])) == []
    assert api.log.requests == 0


def test_a_list_that_cannot_be_had_stops_no_other(api: SampleApi) -> None:
    account = api.data.account_ids[0]
    api.behaviour.faults.append(Fault("status", f"/v1/{account}/campaigns/", value=403))
    client = client_of(api)
    names = ["campaigns", "audiences", "audience_rules"]
    [level] = levels(client, names)
    found = list(pages(client, level, names, account, no_parents))
    [missing] = [each for each in found if isinstance(each, MissingList)]
    assert missing.resource_name == "campaigns"
    assert missing.error.__cause__ is not None
    line = client.describe(missing.error.__cause__)
    assert line.startswith(f"GET /v1/{account}/campaigns/ answers 403: ")
    others = [each for each in found if isinstance(each, Page)]
    assert rows_of(others) == {name: api.data.rows(name, account) for name in names[1:]}


def test_what_is_given_up_is_asked_for_no_further(api: SampleApi) -> None:
    account, given_up = api.data.account_ids[0], ["motion_ads"]
    _, level = levels(client := client_of(api), [ITEMS.name, "motion_ads"])
    campaigns = [row["id"] for row in api.data.rows("campaigns", account)]
    found = pages(
        client, level, [ITEMS.name, "motion_ads"], account, lambda name: campaigns, given_up
    )
    assert {each.resource_name for each in found} == {ITEMS.name}
    asked = [path for path in api.log.count_by_path() if "campaigns" in path]
    assert len(asked) == len(campaigns)
