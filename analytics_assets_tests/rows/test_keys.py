"""Keys in whatever JSON type they come, and rows that have none: nothing is lost in silence."""

from __future__ import annotations

from datetime import date
from typing import Any

import pytest
from dagster import AssetCheckKey, AssetKey, DagsterInstance
from dagster._core.storage.asset_check_execution_record import AssetCheckExecutionRecordStatus
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.definitions import defs
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.keys import key_value
from analytics_assets.sample_api import SampleApi
from analytics_assets.schema import Column
from analytics_assets_tests.testing.outcomes import failures
from analytics_assets_tests.testing.tables import (
    assert_warehouse_equals_api,
    query,
    rows_by_account,
)

TEXT, BIGINT = Column("id", "text"), Column("id", "bigint")
CHECK = "every_row_is_loaded"


@pytest.mark.parametrize(
    ("value", "text", "number"),
    [
        (7, "7", 7),
        (7.0, "7", 7),
        ("7", "7", 7),
        ("-7", "-7", -7),
        (-7.0, "-7", -7),
        (0, "0", 0),
        ("007", "007", None),
        ("7.0", "7.0", None),
        ("1_0", "1_0", None),
        (" 7", " 7", None),
        ("acme", "acme", None),
        ("9" * 5000, "9" * 5000, None),
        (2**63, str(2**63), None),
        (str(2**63), str(2**63), None),
        (str(-(2**63)), str(-(2**63)), -(2**63)),
        (str(2**63 - 1), str(2**63 - 1), 2**63 - 1),
        (float(2**53 - 1), str(2**53 - 1), 2**53 - 1),
        (float(2**53), None, None),
        (1e300, None, None),
        (7.5, None, None),
        (True, None, None),
        (None, None, None),
        ("", None, None),
        ("\U0001f680", "\U0001f680", None),
        ("a\ud83d", None, None),
        ([7], None, None),
        ({"id": 7}, None, None),
    ],
    ids=lambda value: ascii(value)[:20],
)
def test_what_loses_nothing_is_taken(value: Any, text: str | None, number: int | None):
    assert key_value(TEXT, value) == text
    found = key_value(BIGINT, value)
    assert found == number
    assert type(found) in (int, type(None))


@given(st.integers(-(2**53) + 1, 2**53 - 1))
def test_all_ways_to_write_an_integer_are_one_key(number: int):
    assert key_value(BIGINT, float(number)) == key_value(BIGINT, str(number)) == number
    assert key_value(TEXT, float(number)) == key_value(TEXT, number) == str(number)


def test_a_day_in_either_form_is_one_key():
    day = Column("date", "date")
    for text in ("2026-09-29", "2026-09-29 00:00:00.0"):
        assert key_value(day, text) == date(2026, 9, 29)
    for value in ("2026-09-31", "soon", 20260929, "", None):
        assert key_value(day, value) is None


@pytest.mark.parametrize("kind", [int, float])
def test_children_of_numbered_campaigns_have_their_parents(home, sync, api: SampleApi, kind: type):
    account = api.data.account_ids[0]
    row, *_ = api.data.rows("campaigns", account)
    items = {name: api.data.table(name, [account])[0] for name in ("campaign_items", "motion_ads")}
    audience = api.data.rows("audiences", account)[0]
    api.data.set_rows("audiences", [{**audience, "id": 31.0}], account_id=account)
    api.data.set_rows(
        "campaigns", [{**row, "id": kind(101)}, {**row, "id": "102"}], account_id=account
    )
    for name, item in items.items():
        for campaign, told in (("101", kind(101)), ("102", None)):
            rows = [{**item, "id": kind(int(campaign) * 10), "campaign_id": told}]
            api.data.set_rows(name, rows, account_id=account, parent_id=campaign)
    if kind is float:  # the sample API finds a list by the text of the parent's id
        api.data.set_rows(
            "campaigns", [{**row, "id": 101}, {**row, "id": "102"}], account_id=account
        )
    result = sync("--account", account)
    assert result.exit_code == 0, result.output
    assert query(home, f"SELECT id FROM analytics.audiences WHERE account_id = '{account}'") == [
        (31,)
    ]
    for name in items:
        joined = query(
            home,
            f"SELECT child.id, child.campaign_id FROM analytics.{name} AS child"
            " JOIN analytics.campaigns AS parent"
            " ON parent.account_id = child.account_id AND parent.id = child.campaign_id"
            f" WHERE child.account_id = '{account}' ORDER BY child.id",
        )
        assert joined == [("1010", "101"), ("1020", "102")]


@pytest.mark.usefixtures("synced")
def test_a_list_of_rows_without_keys_is_not_an_empty_list(home, sync, api: SampleApi):
    before = rows_by_account(home)
    unusable: list[Any] = [None, 7.5, True, []]
    hit = dict(zip(api.data.account_ids, ["audiences", "campaigns", "campaign_items"], strict=True))
    numbers = {}
    for account, name in hit.items():
        parent = api.data.rows("campaigns", account)[0]["id"] if name == "campaign_items" else None
        served = api.data.rows(name, account, parent) * 2
        rows = [{**row, "id": bad} for row, bad in zip(served, unusable, strict=False)]
        api.data.set_rows(name, rows, account_id=account, parent_id=parent)
        numbers[account] = len(rows)
    causes, after = failures(sync(), api.data), rows_by_account(home)
    for account, name in hit.items():
        assert causes[account].startswith(f"{name}: GET ")
        said = f"sends {numbers[account]} rows, none of them with a usable `id`"
        assert said in causes[account]
        assert after[account][name] == before[account][name]


def test_fields_named_as_ours_are_kept(home, sync, api: SampleApi):
    account = api.data.account_ids[0]
    campaign = api.data.rows("campaigns", account)[0]["id"]
    (*_, row) = api.data.rows("campaign_items", account, campaign)
    fields = {"_campaigns_id": "theirs", "api_account_id": "theirs, too", "account_id": "child"}
    api.data.set_rows("campaign_items", [{**row, **fields}], account_id=account, parent_id=campaign)
    assert sync().exit_code == 0
    found = query(
        home,
        'SELECT "_campaigns_id", api_account_id, api_api_account_id, campaign_id'
        f" FROM analytics.campaign_items WHERE account_id = '{account}' AND id = '{row['id']}'",
    )
    assert found == [("theirs", "theirs, too", "child", campaign)]


def findings(instance: DagsterInstance, table: str) -> dict[str, Any] | None:
    """What the check found last; None if it passed."""
    key = AssetCheckKey(AssetKey(table), CHECK)
    record = instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
    evaluation: Any = record.event.dagster_event.event_specific_data  # type: ignore[union-attr]
    assert evaluation.passed == (record.status == AssetCheckExecutionRecordStatus.SUCCEEDED)
    if evaluation.passed:
        return None
    assert evaluation.severity.name == "WARN"
    found: dict[str, Any] = evaluation.metadata["findings"].value
    assert all(account in evaluation.description for account in found)
    return found


def test_rows_left_out_are_named_until_the_account_is_read_again(
    home, sync, api: SampleApi, instance: DagsterInstance
):
    first, second, third = api.data.account_ids
    whole = {account: api.data.rows("audiences", account) for account in (first, second)}
    keyless = {**whole[first][0], "id": None}
    again = {**whole[first][0], "audience_name": "another"}
    api.data.set_rows("audiences", [*whole[first], keyless, keyless, again], account_id=first)
    api.data.set_rows("audiences", [*whole[second], whole[second][0]], account_id=second)
    assert sync().exit_code == 0
    in_first = {"rows without a key": 2, "rows with the key of another": 1}
    in_second = {"rows with the key of another": 1}
    assert findings(instance, "audiences") == {first: in_first, second: in_second}
    assert findings(instance, "campaigns") is None

    # neither a run over others nor one that reads nothing says anything of them
    assert sync("--account", third).exit_code == 0
    assert findings(instance, "audiences") == {first: in_first, second: in_second}
    assert defs.resolve_job_def("check").execute_in_process(instance=instance).success
    assert findings(instance, "audiences") == {first: in_first, second: in_second}

    api.data.set_rows("audiences", whole[first], account_id=first)
    assert sync("--account", first, "--account", third).exit_code == 0
    assert findings(instance, "audiences") == {second: in_second}

    api.data.remove_account(second)
    assert sync("--account", third).exit_code == 0
    assert findings(instance, "audiences") is None


def test_children_of_a_campaign_without_a_key(home, sync, api: SampleApi, instance):
    account = api.data.account_ids[0]
    rows = api.data.rows("campaigns", account)
    api.data.set_rows("campaigns", [*rows, {**rows[0], "id": 7.25}], account_id=account)
    assert sync("--resource", "motion_ads").exit_code == 0
    assert findings(instance, "motion_ads") == {account: {"parent rows without a key": 1}}
    assert sync().exit_code == 0
    assert findings(instance, "campaigns") == {account: {"rows without a key": 1}}
    assert findings(instance, "campaign_items") == {account: {"parent rows without a key": 1}}
    # the account and its other rows are loaded
    assert_warehouse_equals_api(home, api.data, set(RESOURCES.account_lists) - {"campaigns"})


def test_accounts_left_out_of_the_list(home, sync, api: SampleApi, instance, monkeypatch):
    from analytics_assets.sample_api.bodies import Bodies
    from analytics_assets.sample_api.encoding import encode_json

    encoded = Bodies.encoded

    def with_odd_accounts(self, key, page, *, compressed):
        if key.resource != "accounts":
            return encoded(self, key, page, compressed=compressed)
        rows = api.data.rows("accounts")
        return encode_json({"results": [*rows, {"id": 1}, rows[0]], "metadata": {}})

    monkeypatch.setattr(Bodies, "encoded", with_odd_accounts)
    assert sync().exit_code == 0
    assert findings(instance, "accounts") == {
        "all accounts": {"rows without a key": 1, "rows with the key of another": 1}
    }
