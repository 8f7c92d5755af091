from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from analytics_assets.sample_api import Entry, Fault, RequestLog
from analytics_assets_tests.testing.client import Client, Start, wait_until

FIRST = "acme-0001-sc"
CAMPAIGNS = f"/v1/{FIRST}/campaigns/"
ACCOUNTS = "/v1/users/current/allowed-accounts"


def test_records_every_request(start: Start) -> None:
    client = start(prefix="/api")
    before = time.monotonic()
    client.get(CAMPAIGNS, params={"page": 2})
    client.get(CAMPAIGNS, headers={"Authorization": None})
    after = time.monotonic()

    token, listed, refused = client.api.log.entries
    assert (token.method, token.path, token.status) == ("POST", "/oauth/token", 200)
    assert not token.has_token
    assert (listed.method, listed.path, listed.query) == ("GET", f"/api{CAMPAIGNS}", "page=2")
    assert (listed.status, listed.account_id, listed.has_token) == (200, FIRST, True)
    assert listed.url == f"/api{CAMPAIGNS}?page=2"
    assert listed.headers["host"] == f"127.0.0.1:{client.api.port}"
    assert (refused.status, refused.has_token) == (401, False)
    assert refused.ended is not None
    assert before <= listed.started <= refused.started <= refused.ended <= after


def test_counts(start: Start) -> None:
    client = start(quota=0.001, quota_burst=3)
    for page in (1, 1, 2):
        client.get(CAMPAIGNS, params={"page": page})
    client.get(ACCOUNTS)
    log = client.api.log
    assert log.count_by_path() == {"/oauth/token": 1, CAMPAIGNS: 3, ACCOUNTS: 1}
    assert log.count_by_url()[f"{CAMPAIGNS}?page=1"] == 2
    assert log.count_by_url()[f"{CAMPAIGNS}?page=2"] == 1
    assert log.count_by_status() == {200: 4, 429: 1}
    assert (log.requests, log.refused, log.tokens_issued) == (5, 1, 1)


def test_how_long_a_refusal_told_to_wait(start: Start) -> None:
    client = start(
        faults=[
            Fault("too_many_requests", value=7, times=1),
            Fault("too_many_requests_until", value=500, times=1),
            Fault("too_many_requests", times=1),
        ]
    )
    for _ in range(4):
        client.get(ACCOUNTS)
    seconds, date, none, served = client.api.log.entries[1:]
    assert seconds.retry_after == 7
    assert date.retry_after is not None
    assert 490 < date.retry_after < 502
    assert none.retry_after is None
    assert served.retry_after is None


def test_latency_delays_tokens_and_lists(start: Start) -> None:
    client = start(latency=0.02)
    client.get(ACCOUNTS)
    for entry in client.api.log.entries:
        assert entry.ended is not None
        assert entry.ended - entry.started > 0.019


def test_most_in_flight(start: Start) -> None:
    client = start(faults=[Fault("hang", path=CAMPAIGNS)])
    with ThreadPoolExecutor(3) as pool:
        for _ in range(3):
            pool.submit(Client(client.api).log_in().get, CAMPAIGNS)
        wait_until(lambda: client.api.behaviour.faults[0].hits == 3)
        assert client.api.log.entries[-1].status is None
        client.api.stop()
    assert client.api.log.max_in_flight == 3


def test_clear(start: Start) -> None:
    client = start()
    client.api.log.clear()
    log = client.api.log
    assert log.entries == []
    assert (log.requests, log.refused, log.tokens_issued, log.max_in_flight) == (0, 0, 0, 0)
    client.get(ACCOUNTS)
    assert (log.requests, log.max_in_flight) == (1, 1)


@pytest.mark.parametrize("keep", [0, 2])
def test_keeps_the_newest_entries(keep: int) -> None:
    log = RequestLog(keep)
    for number in range(5):
        entry = Entry("GET", f"/{number}", "", {})
        log.start(entry)
        log.end(entry)
    assert [entry.path for entry in log.entries] == ["/3", "/4"][:keep]
    assert log.requests == 5
