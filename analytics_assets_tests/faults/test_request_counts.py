"""What a run costs the API: how often it asks for what, and when."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest

from analytics_assets.api.account_reading import AccountRead
from analytics_assets.api.client import make_client
from analytics_assets.api.reader import Reader
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets.sample_api.request_log import Entry
from analytics_assets.settings import api_settings


@pytest.fixture
def read(home, api: SampleApi, tmp_path_factory: pytest.TempPathFactory):
    """Reads all accounts with a client of its own, as one run does."""

    def read_all() -> list[AccountRead]:
        folder = tmp_path_factory.mktemp("read")
        reader = Reader(make_client(api_settings()), folder)
        wanted = {key: list(RESOURCES.account_lists) for key in api.data.account_ids}
        reads = list(chain.from_iterable(reader.read_accounts(wanted)))
        assert [str(failure) for read in reads for failure in read.failures] == []
        return reads

    return read_all


def lists(data: SampleData, names: list[str]) -> Counter[str]:
    """Every list of these resources, once."""
    return Counter(
        RESOURCES[name].path_in("v1").format(account_id=account, parent_id=campaign["id"])
        for name in names
        for account in data.account_ids
        for campaign in (
            data.rows("campaigns", account)
            if "{parent_id}" in RESOURCES[name].path
            else [{"id": None}]
        )
    )


def test_a_clean_run_asks_for_every_list_once(commands, api: SampleApi):
    result = commands.analytics_assets("sync")
    assert result.returncode == 0, result.stderr
    assert api.log.count_by_url() == {
        "/oauth/token": 1,
        "/v1/users/current/allowed-accounts": 1,
        **lists(api.data, list(RESOURCES.account_lists)),
    }


def test_children_alone_ask_for_their_parents_once(home, sync, api: SampleApi):
    assert sync("--resource", "motion_ads", "--resource", "campaign_items").exit_code == 0
    expected = lists(api.data, ["campaigns", "campaign_items", "motion_ads"])
    expected["/v1/users/current/allowed-accounts"] = 1
    asked = api.log.count_by_url()
    del asked["/oauth/token"]
    assert asked == expected


def test_one_account_asks_for_nothing_of_others(home, sync, api: SampleApi):
    account = api.data.account_ids[1]
    assert sync("--account", account).exit_code == 0
    assert {entry.account_id for entry in api.log.entries} == {None, account}


@pytest.mark.parametrize("kind", ["expired_token", "revoke_tokens"])
def test_one_refused_token_costs_one_new_one(read, api: SampleApi, monkeypatch, kind: str):
    monkeypatch.setenv("EXTRACT__WORKERS", "32")
    read()
    # renewed once for all workers, however many were refused
    for path in ("*/campaigns/", "*/items/"):
        api.log.clear()
        api.behaviour.faults[:] = [Fault(kind, path, 1)]
        read()
        assert api.log.count_by_path()["/oauth/token"] == 2
        refused = api.log.count_by_status()[401]
        assert refused >= 1
        # each refused request is repeated once, and nothing else
        expected = sum(lists(api.data, list(RESOURCES.account_lists)).values()) + refused + 2
        assert api.log.requests == expected


def test_many_workers_share_one_token(read, api: SampleApi, monkeypatch):
    monkeypatch.setenv("EXTRACT__WORKERS", "64")
    api.behaviour.latency = 0.05
    read()
    assert api.log.count_by_path()["/oauth/token"] == 1


def test_connections_are_kept(read, api: SampleApi, monkeypatch):
    monkeypatch.setenv("EXTRACT__WORKERS", "1")
    read()
    # one for tokens, and one for each worker
    assert len({entry.port for entry in api.log.entries}) == 2


def test_a_missing_permission_is_not_asked_for_again(home, sync, api: SampleApi):
    account = api.data.account_ids[0]
    api.behaviour.forbidden_accounts.add(account)
    assert sync().exit_code == 1
    asked = Counter(entry.path for entry in api.log.entries if entry.account_id == account)
    assert set(asked.values()) == {1}
    assert not any(path.endswith("/items/") for path in asked)


@pytest.mark.parametrize(
    ("kind", "value"), [("too_many_requests", 2), ("too_many_requests_until", 2)]
)
def test_nothing_is_asked_for_before_the_api_allows_it(
    read, api: SampleApi, monkeypatch, kind: str, value: int
):
    workers = 4
    monkeypatch.setenv("EXTRACT__WORKERS", str(workers))
    api.behaviour.faults.append(Fault(kind, "*/campaigns/", 1, value))
    api.behaviour.latency = 0.1
    read()
    entries = api.log.entries
    (refused,) = (entry for entry in entries if entry.status == 429)
    assert refused.ended is not None
    assert refused.retry_after is not None
    allowed = refused.ended + refused.retry_after
    early = [entry for entry in entries if refused.ended < entry.started < allowed]
    # those that were on their way when the refusal came, but none of all that wait for a place
    assert len(early) < workers
    assert refused.path not in {entry.path for entry in early}
    late = [entry for entry in entries if entry.started >= allowed]
    assert refused.path in {entry.path for entry in late}
    assert_each_list_once(entries, api.data)


def test_requests_that_wait_for_a_place_wait_for_the_api_too(home, api: SampleApi, monkeypatch):
    monkeypatch.setenv("EXTRACT__WORKERS", "2")
    client = make_client(api_settings())
    api.behaviour.latency = 0.1
    api.behaviour.faults.append(Fault("too_many_requests", "*", 1, 1))
    urls = [f"{api.base_url}{path}" for path in lists(api.data, ["campaigns", "campaign_items"])]
    with ThreadPoolExecutor(len(urls)) as pool:
        answers = list(pool.map(lambda url: client.session.get(url, auth=client.auth), urls))
    assert [answer.status_code for answer in answers] == [200] * len(urls)
    (refused,) = (entry for entry in api.log.entries if entry.status == 429)
    assert refused.ended is not None
    assert refused.retry_after is not None
    allowed = refused.ended + refused.retry_after
    early = [entry for entry in api.log.entries if refused.ended < entry.started < allowed]
    assert len(early) < 2


def assert_each_list_once(entries: list[Entry], data: SampleData) -> None:
    answered = Counter(entry.path for entry in entries if entry.status == 200)
    del answered["/oauth/token"]
    assert answered == lists(data, list(RESOURCES.account_lists))
