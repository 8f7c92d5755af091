"""Ways in which an API may differ: whatever they are, every table equals the API."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from math import ceil
from pathlib import Path

import pytest

from analytics_assets.api.client import make_client
from analytics_assets.api.reader import Reader
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets.settings import api_settings
from analytics_assets_tests.testing.data import items_path
from analytics_assets_tests.testing.outcomes import failures
from analytics_assets_tests.testing.reading import read_and_load
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api


@pytest.fixture
def elsewhere() -> Iterator[SampleApi]:
    """Another API, on another port."""
    with SampleApi() as running:
        yield running


def test_tokens_that_expire_and_replace_each_other_during_the_run(
    home, api: SampleApi, monkeypatch
):
    monkeypatch.setenv("EXTRACT__WORKERS", "2")
    api.behaviour.single_token = True
    api.behaviour.token_lifetime = 1
    api.behaviour.latency = 0.1
    assert read_and_load(api, home) == {}
    assert_warehouse_equals_api(home, api.data)
    assert api.log.tokens_issued > 2


def test_two_processes_where_only_the_newest_token_is_valid(api: SampleApi, home, tmp_path: Path):
    # Each renewal of one makes the other's token invalid.
    api.behaviour.single_token = True
    api.behaviour.latency = 0.005

    def read(name: str) -> list:
        (tmp_path / name).mkdir()
        reader = Reader(make_client(api_settings()), tmp_path / name)
        wanted = {key: list(RESOURCES.account_lists) for key in api.data.account_ids}
        return list(chain.from_iterable(reader.read_accounts(wanted)))

    with ThreadPoolExecutor(2) as pool:
        outcomes = [outcome for reads in pool.map(read, ["one", "two"]) for outcome in reads]
    assert [str(failure) for read in outcomes for failure in read.failures] == []


def test_fewer_requests_at_once_than_workers(home, api: SampleApi, monkeypatch):
    monkeypatch.setenv("EXTRACT__WORKERS", "16")
    api.behaviour.max_concurrent = 4
    api.behaviour.latency = 0.02
    assert read_and_load(api, home) == {}
    assert api.log.refused > 0
    assert_warehouse_equals_api(home, api.data)


def lists_of_many_lengths() -> SampleData:
    """An account whose campaigns have 0, 1, 2, ... 6 items and motion ads."""
    data = SampleData.generate(accounts=2, campaigns=7, items=1, motion_ads=1, others=1)
    account = data.account_ids[0]
    campaigns = [row["id"] for row in data.rows("campaigns", account)]
    for name in ("campaign_items", "motion_ads"):
        (row,) = data.rows(name, account, campaigns[0])
        for length, campaign in enumerate(campaigns):
            rows = [{**row, "id": f"{campaign}{n}", "campaign_id": campaign} for n in range(length)]
            data.set_rows(name, rows, account_id=account, parent_id=campaign)
    return data


@pytest.mark.parametrize("api", [lists_of_many_lengths], indirect=True)
@pytest.mark.parametrize("page_size", [1, 2, 3, 100])
def test_pages(home, api: SampleApi, page_size: int):
    api.behaviour.page_size = page_size
    assert read_and_load(api, home) == {}
    assert_warehouse_equals_api(home, api.data)
    # no page twice, and none beyond the last
    urls = api.log.count_by_url()
    assert {url: times for url, times in urls.items() if times > 1} in ({}, {"/oauth/token": 2})
    asked = api.log.count_by_path()
    for account in api.data.account_ids:
        for campaign in api.data.rows("campaigns", account):
            for name in ("campaign_items", "motion_ads"):
                path = RESOURCES[name].path_in("v1")
                path = path.format(account_id=account, parent_id=campaign["id"])
                rows = len(api.data.rows(name, account, campaign["id"]))
                assert asked[path] == max(ceil(rows / page_size), 1)


def test_a_fault_on_a_later_page(home, api: SampleApi):
    api.behaviour.page_size = 1
    path = items_path(api.data, api.data.account_ids[0])
    fault = Fault("status", path, 4, 503)
    api.behaviour.faults.append(fault)
    # the fault hits the first page and its three repetitions, so that the account fails
    assert "answers 503" in read_and_load(api, home)[api.data.account_ids[0]]
    fault.times, fault.hits = 2, 0
    assert read_and_load(api, home) == {}
    assert_warehouse_equals_api(home, api.data)


@pytest.mark.parametrize(
    "behaviour",
    [
        pytest.param({"page_size": 1, "ignores_page": True}, id="ignores page"),
        pytest.param({"gzip": True, "strict_slashes": True, "page_size": 2}, id="gzip and slashes"),
    ],
)
def test_behaviour(home, api: SampleApi, behaviour: dict):
    for name, value in behaviour.items():
        setattr(api.behaviour, name, value)
    assert read_and_load(api, home) == {}
    assert_warehouse_equals_api(home, api.data)


@pytest.mark.parametrize("end", ["", "/"])
def test_a_path_before_all_paths(home, api: SampleApi, monkeypatch, end: str):
    api.behaviour.prefix = "/api/backstage"
    api.behaviour.strict_slashes = True
    monkeypatch.setenv("SOURCES__ANALYTICS__BASE_URL", api.base_url + end)
    assert read_and_load(api, home) == {}
    assert_warehouse_equals_api(home, api.data)
    assert all(
        path == "/oauth/token" or path.startswith("/api/backstage/v1/")
        for path in api.log.count_by_path()
    )


def test_a_path_that_needs_quoting(home, api: SampleApi, monkeypatch):
    base_url = f"{api.base_url}/über uns"
    api.behaviour.prefix = "/%C3%BCber%20uns"
    monkeypatch.setenv("SOURCES__ANALYTICS__BASE_URL", base_url)
    assert read_and_load(api, home) == {}
    assert_warehouse_equals_api(home, api.data)


def test_redirects_within_the_host(home, api: SampleApi):
    account = api.data.account_ids[0]
    items = items_path(api.data, account)
    api.behaviour.faults += [
        Fault("redirect", items, 1, f"{api.base_url}{items}?moved=yes"),
        Fault("redirect", f"/v1/{account}/campaigns/", 1, f"/v1/{account}/campaigns/?moved=yes"),
    ]
    assert read_and_load(api, home) == {}
    assert_warehouse_equals_api(home, api.data)
    asked = api.log.count_by_url()
    assert asked[f"{items}?moved=yes"] == asked[f"/v1/{account}/campaigns/?moved=yes"] == 1


def test_a_redirect_does_not_multiply_the_attempts(home, api: SampleApi):
    account = api.data.account_ids[0]
    items = items_path(api.data, account)
    other = api.data.rows("campaigns", account)[0]["id"]
    target = f"/v1/{account}/campaigns/{other}/items/"
    api.behaviour.faults += [Fault("redirect", items, None, f"{target}?moved=yes")]
    api.behaviour.faults += [Fault("status", target, None, 503)]
    assert "answers 503" in read_and_load(api, home)[account]
    asked = api.log.count_by_url()
    # one attempt, and the default of SOURCES__ANALYTICS__MAX_RETRIES
    assert max(asked[items], asked[f"{target}?moved=yes"], asked[target]) == 4


def test_the_token_is_not_sent_to_another_host(synced, sync, api: SampleApi, elsewhere: SampleApi):
    account = api.data.account_ids[1]
    items = items_path(api.data, account)
    api.behaviour.faults.append(Fault("redirect", items, None, f"{elsewhere.base_url}{items}"))
    causes = failures(sync(), api.data)
    assert causes[account].startswith(f"campaign_items: GET {items} answers 401")
    assert elsewhere.log.requests > 0
    tokens = {entry.headers["Authorization"] for entry in api.log.entries if entry.has_token}
    for entry in elsewhere.log.entries:
        assert not entry.has_token
        assert not any(token.split()[1] in str(entry.headers) + entry.url for token in tokens)


def test_the_secret_is_not_sent_to_another_host(home, sync, api: SampleApi, elsewhere: SampleApi):
    api.behaviour.faults.append(Fault("redirect", "/oauth/token", None, elsewhere.token_url))
    result = sync()
    assert result.exit_code == 1
    assert "SOURCES__ANALYTICS__TOKEN_URL" in result.output
    assert elsewhere.log.requests == 0
