from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleData
from analytics_assets.sample_api.values import AWKWARD
from analytics_assets.schema import Resource, columns
from analytics_assets_tests.testing.data import digest

FIRST, SECOND = "acme-0001-sc", "globex-0002-sc"

PRINT_DIGEST = """
from analytics_assets_tests.sample_api.test_data import small
from analytics_assets_tests.testing.data import digest
print(digest(small()))
"""


def small() -> SampleData:
    return SampleData.generate(accounts=2, campaigns=4, items=3)


def values_of_type(data: SampleData, column_type: str) -> list[Any]:
    return [
        row[column.name]
        for name, resource in data.resources.items()
        for row in data.table(name)
        for column in resource.columns
        if column.type == column_type
    ]


@pytest.mark.parametrize("hash_seed", ["1", "2"])
def test_same_sizes_give_the_same_data_in_every_process(hash_seed: str) -> None:
    printed = subprocess.run(
        [sys.executable, "-c", PRINT_DIGEST],
        env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert printed.strip() == digest(small())


def test_sizes_are_as_asked_for() -> None:
    data = SampleData.generate(accounts=3, campaigns=6, items=4, motion_ads=1, others=2)
    counts = {name: len(data.table(name)) for name in RESOURCES.lists}
    # one campaign in each account has nothing below it
    assert counts == {
        "accounts": 3,
        "campaigns": 18,
        "campaign_items": 3 * 5 * 4,
        "motion_ads": 3 * 5,
        "audiences": 6,
        "audience_rules": 6,
        "conversion_rules": 6,
    }


@pytest.mark.parametrize("name", RESOURCES.lists)
def test_rows_have_the_declared_columns_and_types(name: str) -> None:
    types: dict[str, tuple[type, ...]] = {
        "text": (str,),
        "bigint": (int,),
        "double": (float, int),
        "bool": (bool,),
        "json": (dict, list),
    }
    rows = SampleData.generate(accounts=4, campaigns=30, items=2).table(name)
    for row in rows:
        assert set(row) == {column.name for column in RESOURCES[name].table_columns}
        for column in RESOURCES[name].table_columns:
            value = row[column.name]
            if value is None:
                assert column.nullable
            else:
                assert isinstance(value, types[column.type])


def test_columns_that_are_never_null() -> None:
    declared = "id bigint !, a text !, b bigint !, c double !, d bool !, e json !"
    resource = Resource(
        name="never_null", path="/v1/{account_id}/x", description="", columns=columns(declared)
    )
    data = SampleData.generate(2, others=40, resources={**RESOURCES.lists, "never_null": resource})
    assert all(None not in row.values() for row in data.table("never_null"))


@pytest.mark.parametrize("name", RESOURCES.lists)
def test_the_key_is_unique_over_all_accounts(name: str) -> None:
    rows = SampleData.generate(accounts=5, campaigns=30, items=7).table(name)
    keys = [tuple(row[column] for column in RESOURCES[name].key) for row in rows]
    assert len(set(keys)) == len(keys)


@pytest.mark.parametrize("name", RESOURCES.account_lists)
def test_accounts_share_some_ids(name: str) -> None:
    rows = small().table(name)
    assert len({row["id"] for row in rows}) < len(rows)


def test_campaign_and_item_ids_are_decimal_texts_some_beyond_a_double() -> None:
    for name in ("campaigns", "campaign_items", "motion_ads"):
        ids = [row["id"] for row in small().table(name, [FIRST])]
        assert all(row_id.isdecimal() for row_id in ids)
        assert any(int(float(row_id)) != int(row_id) for row_id in ids)
        assert any(int(row_id) < 2**53 for row_id in ids)


@pytest.mark.parametrize("column_type", AWKWARD)
def test_a_small_set_has_every_awkward_value(column_type: str) -> None:
    values = values_of_type(small(), column_type)
    spelled = {json.dumps(value) for value in values}
    missing = [value for value in AWKWARD[column_type] if json.dumps(value) not in spelled]  # type: ignore[index]
    assert missing == []


def test_awkward_values_are_the_exception() -> None:
    names = [row["name"] for row in SampleData.generate(accounts=10).table("campaigns")]
    believable = [name for name in names if name and "|" in name]
    assert len(believable) > 0.9 * len(names)


def test_a_campaign_without_items() -> None:
    data = small()
    parents = Counter(row["campaign_id"] for row in data.table("campaign_items", [FIRST]))
    assert [parents[row["id"]] for row in data.rows("campaigns", FIRST)] == [3, 3, 3, 0]


def test_rows_are_copies() -> None:
    data = small()
    before = digest(data)
    for _ in range(2):
        for name in data.resources:
            for row in data.table(name):
                for value in row.values():
                    if isinstance(value, dict):
                        value["spoiled"] = True
                row.clear()
        assert digest(data) == before
        # lists that were changed are kept, and not handed out either
        for name in ("audiences", "campaigns"):
            data.set_rows(name, data.rows(name, FIRST), account_id=FIRST)


def test_given_rows_are_copied() -> None:
    data = small()
    row: dict[str, Any] = {"id": 1, "extra": {"values": []}}
    data.add_row("audiences", row, account_id=FIRST)
    row["extra"]["values"].append(1)
    assert data.rows("audiences", FIRST)[-1]["extra"] == {"values": []}


def test_a_row_can_be_added_changed_and_deleted() -> None:
    data = small()
    campaign = data.rows("campaigns", FIRST)[1]["id"]
    item = data.rows("campaign_items", FIRST, campaign)[0]

    data.add_row(
        "campaign_items",
        {"id": "77", "campaign_id": campaign},
        account_id=FIRST,
        parent_id=campaign,
    )
    data.update_row(
        "campaign_items", item["id"], {"title": "New", "brand_new_field": [1]}, account_id=FIRST
    )
    data.remove_key("campaign_items", item["id"], "url", account_id=FIRST)

    rows = {row["id"]: row for row in data.table("campaign_items", [FIRST])}
    assert rows["77"] == {"account_id": FIRST, "id": "77", "campaign_id": campaign}
    expected = {**item, "account_id": FIRST, "title": "New", "brand_new_field": [1]}
    del expected["url"]
    assert rows[item["id"]] == expected

    data.delete_row("campaign_items", item["id"], account_id=FIRST)
    assert item["id"] not in {row["id"] for row in data.table("campaign_items", [FIRST])}
    assert digest(small()) != digest(data)
    assert data.table("campaign_items", [SECOND]) == small().table("campaign_items", [SECOND])


def test_a_shared_row_is_changed_in_one_account_only() -> None:
    data = small()
    shared = data.rows("audiences", FIRST)[1]["id"]
    data.update_row("audiences", shared, {"audience_name": "Mine"}, account_id=FIRST)
    names = {
        row["account_id"]: row["audience_name"]
        for row in data.table("audiences")
        if row["id"] == shared
    }
    assert names[FIRST] == "Mine"
    assert names[SECOND] != "Mine"


def test_a_row_that_is_not_there_cannot_be_changed() -> None:
    with pytest.raises(KeyError, match="no campaigns row '1' in account 'acme-0001-sc'"):
        small().delete_row("campaigns", "1", account_id=FIRST)


def test_what_is_below_a_deleted_campaign_is_gone() -> None:
    data = small()
    campaign = data.rows("campaigns", FIRST)[0]["id"]
    data.delete_row("campaigns", campaign, account_id=FIRST)
    assert campaign not in {row["campaign_id"] for row in data.table("campaign_items", [FIRST])}
    assert data.table("campaign_items", [FIRST])


def test_accounts_come_and_go() -> None:
    data = small()
    before = digest(data)

    added = data.add_account()
    assert added == "initech-0003-sc"
    assert data.table("campaign_items", [added])
    empty = data.add_account("o'neil'); --", empty=True)
    assert data.account_ids == [FIRST, SECOND, added, empty]
    for name in RESOURCES.account_lists:
        assert data.table(name, [empty]) == []
    assert [row["account_id"] for row in data.table("accounts", [empty])] == [empty]

    data.remove_account(added)
    data.remove_account(empty)
    assert data.table("campaigns", [added]) == []
    assert digest(data) == before

    data.remove_account(SECOND)
    assert data.account_ids == [FIRST]
    data.add_account(SECOND)
    assert digest(data) == before


def test_an_account_can_be_emptied() -> None:
    data = small()
    data.empty_account(FIRST)
    for name in RESOURCES.account_lists:
        assert data.table(name, [FIRST]) == []
        assert data.table(name) == small().table(name, [SECOND])


def test_an_account_row_can_be_changed() -> None:
    data = small()
    data.update_row("accounts", FIRST, {"name": "Renamed"})
    data.remove_key("accounts", FIRST, "country")
    row = data.table("accounts", [FIRST])[0]
    assert row["name"] == "Renamed"
    assert "country" not in row


def test_an_account_row_without_its_key_lists_nothing() -> None:
    data = small()
    data.remove_key("accounts", FIRST, "account_id")
    assert data.account_ids == [SECOND]
    assert len(data.table("accounts")) == 2
    assert data.table("campaigns", [FIRST]) == []


def test_an_account_that_was_listed_by_hand_has_no_rows() -> None:
    data = small()
    data.add_row("accounts", {"id": 1, "account_id": "by-hand"})
    for name in RESOURCES.account_lists:
        assert data.table(name, ["by-hand"]) == []


def test_a_row_belongs_to_the_account_that_lists_it() -> None:
    data = small()
    data.add_row("campaigns", {"id": "1", "account_id": "somebody-else"}, account_id=FIRST)
    assert data.table("campaigns", [FIRST])[-1] == {"account_id": FIRST, "id": "1"}
