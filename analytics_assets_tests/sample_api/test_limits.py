from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.sample_api import Behaviour, Fault
from analytics_assets.sample_api.limits import Limits
from analytics_assets_tests.testing.client import Client, Start, wait_until

ACCOUNTS = "/v1/users/current/allowed-accounts"
CAMPAIGNS = "/v1/acme-0001-sc/campaigns/"


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def limits(**behaviour: Any) -> tuple[Limits, Clock]:
    clock = Clock()
    return Limits(Behaviour(**behaviour), clock), clock


def test_without_limits_everything_is_admitted() -> None:
    unlimited, _ = limits()
    assert [unlimited.admit("a") for _ in range(1000)] == [None] * 1000


def test_the_quota_admits_a_burst_and_then_its_rate() -> None:
    quota, clock = limits(quota=4)
    assert [quota.admit("a") for _ in range(5)] == [None] * 4 + [0.25]
    clock.now += 0.25
    assert [quota.admit("a") for _ in range(2)] == [None, 0.25]
    clock.now += 3600
    assert [quota.admit("a") for _ in range(5)] == [None] * 4 + [0.25]


@given(st.floats(0.01, 100), st.lists(st.floats(0, 2), min_size=1, max_size=50))
def test_the_quota_never_admits_more(rate: float, pauses: list[float]) -> None:
    quota, clock = limits(quota=rate, quota_burst=3)
    admitted = 0
    for pause in pauses:
        clock.now += pause
        admitted += quota.admit(None) is None
    assert admitted <= 3 + sum(pauses) * rate + 1e-6


def test_fixed_windows_admit_their_room_each() -> None:
    windows, clock = limits(quota=2, quota_burst=4, quota_kind="fixed")
    clock.now = 11.5  # in the window that ends at 12
    assert [windows.admit("a") for _ in range(5)] == [None] * 4 + [0.5]
    assert windows.left("a") == (0, 0.5)
    clock.now = 12.0
    assert [windows.admit("a") for _ in range(5)] == [None] * 4 + [2.0]


def test_a_window_that_slides_admits_its_room_at_any_time() -> None:
    window, clock = limits(quota=2, quota_burst=4, quota_kind="sliding")
    for moment in (0.0, 0.5, 0.5, 1.5):
        clock.now = moment
        assert window.admit("a") is None
    assert window.admit("a") == 0.5
    clock.now = 2.0
    assert window.left("a") == (1, 1.5)
    assert [window.admit("a") for _ in range(2)] == [None, 0.5]


@pytest.mark.parametrize(
    ("form", "told"),
    [
        ("none", {}),
        ("policy", {"ratelimit-policy": '"default";q=84;w=60'}),
        ("draft", {"ratelimit-policy": '"default";q=84;w=60', "ratelimit": '"default";r=83;t=1'}),
        (
            "older-draft",
            {"ratelimit-policy": "84;w=60", "ratelimit": "limit=84, remaining=83, reset=1"},
        ),
        (
            "ratelimit",
            {"ratelimit-limit": "84", "ratelimit-remaining": "83", "ratelimit-reset": "1"},
        ),
        (
            "x-ratelimit",
            {"x-ratelimit-limit": "84", "x-ratelimit-remaining": "83", "x-ratelimit-reset": "1"},
        ),
        (
            "x-ratelimit-minute",
            {"x-ratelimit-limit-minute": "84", "x-ratelimit-remaining-minute": "83"},
        ),
    ],
)
def test_answers_tell_of_the_quota(start: Start, form: Any, told: dict[str, str]) -> None:
    client = start(quota=1.4, quota_burst=84, quota_headers=form, headers={"X-More": "1"})
    headers = client.get(ACCOUNTS).headers
    assert headers["X-More"] == "1"
    assert {k.lower(): v for k, v in headers.items() if "ratelimit" in k.lower()} == told


def test_a_refusal_tells_of_the_quota_too(start: Start) -> None:
    client = start(quota=0.1, quota_burst=1, quota_headers="x-ratelimit-unix")
    answers = [client.get(ACCOUNTS) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].headers["X-RateLimit-Remaining"] == "0"
    assert 5 <= int(answers[1].headers["X-RateLimit-Reset"]) - time.time() <= 11


@pytest.mark.parametrize(("scope", "other"), [("client", 1.0), ("account", None)])
def test_whose_the_quota_is(scope: str, other: float | None) -> None:
    quota, _ = limits(quota=1, quota_scope=scope)
    assert quota.admit("a") is None
    assert quota.admit("a") == 1.0
    assert quota.admit("b") == other


def test_requests_in_flight() -> None:
    capped, _ = limits(max_concurrent=2)
    assert [capped.admit("a") for _ in range(3)] == [None, None, 1.0]
    capped.release()
    assert [capped.admit("a") for _ in range(2)] == [None, 1.0]


def test_a_refusal_says_when_to_come_back(start: Start) -> None:
    client = start(quota=0.001, quota_burst=2)
    answers = [client.get(ACCOUNTS) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[2].json()["http_status"] == 429
    assert 900 <= int(answers[2].headers["Retry-After"]) <= 1000


def test_a_refusal_names_a_date(start: Start) -> None:
    client = start(quota=0.001, retry_after="date")
    client.get(ACCOUNTS)
    before = time.time()
    header = client.get(ACCOUNTS).headers["Retry-After"]
    assert 900 <= parsedate_to_datetime(header).timestamp() - before <= 1100


def test_a_refusal_that_names_no_time(start: Start) -> None:
    client = start(quota=0.001, retry_after="none")
    client.get(ACCOUNTS)
    refusal = client.get(ACCOUNTS)
    assert refusal.status_code == 429
    assert "Retry-After" not in refusal.headers


def test_each_account_has_its_quota(start: Start) -> None:
    client = start(quota=0.001, quota_scope="account")
    paths = [CAMPAIGNS, "/v1/globex-0002-sc/campaigns/", CAMPAIGNS]
    assert [client.get(path).status_code for path in paths] == [200, 200, 429]


def test_tokens_and_refusals_cost_no_quota(start: Start) -> None:
    client = start(quota=0.001)
    assert client.ask_token().status_code == 200
    assert client.get(ACCOUNTS, headers={"Authorization": "Bearer x"}).status_code == 401
    assert client.get("/nothing").status_code == 404
    assert client.get(ACCOUNTS).status_code == 200


def test_too_many_in_flight(start: Start) -> None:
    client = start(max_concurrent=1, faults=[Fault("hang", path=CAMPAIGNS)])
    with ThreadPoolExecutor(1) as pool:
        hanging = Client(client.api).log_in()
        pool.submit(hanging.get, CAMPAIGNS)
        wait_until(lambda: client.api.behaviour.faults[0].hits == 1)
        assert client.get(ACCOUNTS).status_code == 429
        client.api.stop()


def test_a_request_that_was_given_up_is_no_longer_in_flight(start: Start) -> None:
    client = start(max_concurrent=1, faults=[Fault("hang", times=1)])
    with pytest.raises(requests.ReadTimeout):
        client.get(ACCOUNTS, timeout=0.2)
    wait_until(lambda: client.api.log.entries[-1].ended is not None)
    assert client.get(ACCOUNTS).status_code == 200
