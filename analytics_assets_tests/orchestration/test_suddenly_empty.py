"""What is suddenly empty is stopped before it overwrites anything, and a flag lets it pass."""

from __future__ import annotations

import pytest

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets_tests.testing.records import states
from analytics_assets_tests.testing.tables import (
    assert_equal_tables,
    assert_warehouse_equals_api,
    warehouse_table,
)


@pytest.mark.usefixtures("synced")
def test_an_empty_list_of_accounts(home, sync, api: SampleApi, instance):
    before = instance.get_dynamic_partitions("accounts")
    api.behaviour.faults.append(Fault("empty_results", "*/allowed-accounts"))
    result = sync()
    assert result.exit_code == 1
    assert "the API lists none, where there were 3; nothing was changed" in result.output
    assert "--allow-empty" in result.output
    assert instance.get_dynamic_partitions("accounts") == before
    assert_warehouse_equals_api(home, api.data)

    assert sync("--allow-empty").exit_code == 0
    assert instance.get_dynamic_partitions("accounts") == []
    assert warehouse_table(home, "accounts") == []
    assert len(warehouse_table(home, "campaigns")) == len(api.data.table("campaigns"))


@pytest.mark.usefixtures("synced")
def test_an_account_that_is_empty_all_at_once(home, sync, api: SampleApi, instance):
    account, *others = api.data.account_ids
    tables = {name: warehouse_table(home, name) for name in RESOURCES.account_lists}
    held = sum(row["account_id"] == account for rows in tables.values() for row in rows)
    api.data.empty_account(account)
    result = sync()
    assert result.exit_code == 1
    assert f"{account}: account: the API has no row of it, where the tables hold {held}" in (
        result.output
    )
    assert "--allow-empty" in result.output
    for name, rows in tables.items():
        assert_equal_tables(rows, warehouse_table(home, name), name)
    assert states(instance)["campaigns"] == ({*others, account}, {account})

    assert sync("--account", account, "--allow-empty").exit_code == 0
    assert_warehouse_equals_api(home, api.data)
    assert states(instance)["campaigns"] == ({*others, account}, set())
    assert sync().exit_code == 0  # empty as before: no news


@pytest.mark.usefixtures("synced")
def test_one_resource_that_falls_to_zero_is_an_ordinary_answer(home, sync, api: SampleApi):
    account = api.data.account_ids[0]
    api.data.set_rows("audiences", [], account_id=account)
    assert sync("--resource", "audiences").exit_code == 0
    assert_warehouse_equals_api(home, api.data)


def ten_accounts() -> SampleData:
    return SampleData.generate(accounts=10, campaigns=1, items=1, motion_ads=0, others=1)


@pytest.mark.parametrize("api", [ten_accounts()], indirect=True, ids=["ten accounts"])
def test_a_list_that_lacks_most_of_the_accounts(home, sync, api: SampleApi, instance, monkeypatch):
    assert sync("--resource", "accounts").exit_code == 0
    everyone = instance.get_dynamic_partitions("accounts")
    gone = sorted(everyone)[:6]
    for account in gone:
        api.data.remove_account(account)
    # new ones do not make up for those that are gone
    for number in range(20):
        api.data.add_account(f"new-{number}")
    before = warehouse_table(home, "accounts")
    result = sync("--resource", "accounts")
    assert result.exit_code == 1
    assert (
        f"accounts: 6 of 10 accounts are gone from the API's list ({', '.join(gone[:3])}, ...),"
        " which is more than max_row_loss = 0.5 allows; nothing was changed."
    ) in result.output
    assert "--allow-empty" in result.output
    assert instance.get_dynamic_partitions("accounts") == everyone
    assert warehouse_table(home, "accounts") == before

    with monkeypatch.context() as environment:
        environment.setenv("ANALYTICS__MAX_ROW_LOSS", "0.6")
        assert sync("--resource", "accounts").exit_code == 0
    assert set(instance.get_dynamic_partitions("accounts")) == set(api.data.account_ids)


@pytest.mark.parametrize(("accounts", "lost", "code"), [(2, 1, 0), (3, 2, 1), (1, 1, 1)])
def test_how_many_of_a_few_may_go(home, sync, api: SampleApi, accounts: int, lost: int, code: int):
    for account in api.data.account_ids[accounts:]:
        api.data.remove_account(account)
    assert sync("--resource", "accounts").exit_code == 0
    api.data.add_account("another")
    for account in api.data.account_ids[:lost]:
        api.data.remove_account(account)
    assert sync("--resource", "accounts").exit_code == code
    assert sync("--resource", "accounts", "--allow-empty").exit_code == 0
    assert_warehouse_equals_api(home, api.data, ["accounts"])
