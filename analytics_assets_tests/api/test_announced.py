"""What headers tell of quotas: in every usual form, and nonsense."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from analytics_assets.api.announced import Quota, announced

DATE = {"Date": "Tue, 14 Nov 2023 22:13:20 GMT"}
UNIX = 1_700_000_000


def told_by(headers: dict[str, str]) -> list[Quota]:
    return list(announced(headers))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        (
            {"RateLimit-Policy": '"default";q=84;w=60', "RateLimit": '"default";r=50;t=30'},
            [Quota("default", "", 84, 60, 50, 30)],
        ),
        (
            {
                "Ratelimit-Policy": '"second";q=10;w=1, "hour" ; q=2000 ; w=3600',
                "ratelimit": '"hour";r=1900;t=3000, "second";r=9;t=1',
            },
            [Quota("second", "", 10, 1, 9, 1), Quota("hour", "", 2000, 3600, 1900, 3000)],
        ),
        (
            {
                "RateLimit-Policy": '"a, b";q=84;w=60',
                "RateLimit": '"a, b";r=50;t=30;pk=:YWNtZQ==:',
            },
            [Quota("a, b", ":YWNtZQ==:", 84, 60, 50, 30)],
        ),
        (
            {  # bytes are no requests
                "RateLimit-Policy": '"a";q=1e6;w=60;qu="bytes", "b";q=84;w=60;qu="Requests"',
                "RateLimit": '"a";r=0;t=30, "b";r=50;t=30',
            },
            [Quota("b", "", 84, 60, 50, 30)],
        ),
        (
            {"RateLimit-Policy": '"default";q=84;w=60', "RateLimit": '"default";r=50'},
            [Quota("default", "", 84, 60, 50, 60)],
        ),
        ({"Ratelimit-Policy": '"default";q=84;w=60'}, [Quota("default", "", 84, 60)]),
        (
            {
                "X-RateLimit-Limit-Minute": "84",
                "X-RateLimit-Remaining-Minute": "50",
                "x-ratelimit-limit-hour": "2000",
                "x-ratelimit-remaining-hour": "1900",
            },
            [Quota("minute", "", 84, 60, 50, 60), Quota("hour", "", 2000, 3600, 1900, 3600)],
        ),
        (
            {
                "RateLimit-Limit": "10",
                "RateLimit-Remaining": "9",
                "RateLimit-Reset": "1",
                "RateLimit-Limit-Day": "5000",
                "RateLimit-Remaining-Day": "70",
                "RateLimit-Remaining-Second": "soon",
            },
            [Quota("10", "", 10, None, 9, 1), Quota("day", "", 5000, 86400, 70, 86400)],
        ),
        ({"RateLimit": '"default";r=50;t=30'}, [Quota("default", "", None, None, 50, 30)]),
        (
            {"RateLimit-Policy": "84;w=60", "RateLimit": "limit=84, remaining=50, reset=30"},
            [Quota("84;w=60", "", 84, 60, 50, 30)],
        ),
        (
            {"RateLimit-Policy": "10;w=1, 84;w=60", "RateLimit": "limit=84,remaining=0,reset=30"},
            [Quota("10;w=1", "", 10, 1), Quota("84;w=60", "", 84, 60, 0, 30)],
        ),
        (
            {"ratelimit-limit": "84, 84;w=60", "RateLimit-Remaining": "50", "RateLimit-Reset": "9"},
            [Quota("84;w=60", "", 84, 60, 50, 9)],
        ),
        (
            {
                "x-ratelimit-limit": '84, 10;w=1;name="second", 84;w=60;name="minute"',
                "x-ratelimit-remaining": "50",
                "x-ratelimit-reset": "9",
            },
            [Quota("10;w=1", "", 10, 1), Quota("84;w=60", "", 84, 60, 50, 9)],
        ),
        (
            {"X-RateLimit-Limit": "84", "X-RateLimit-Remaining": "50", "X-RateLimit-Reset": "9"},
            [Quota("84", "", 84, None, 50, 9)],
        ),
        (
            {  # one header of each name for each quota, which HTTP makes a list of
                "X-RateLimit-Limit": "10, 84",
                "X-RateLimit-Remaining": "9, 50",
                "X-RateLimit-Reset": f"{UNIX + 1}, {UNIX + 30}",
                **DATE,
            },
            [Quota("10", "", 10, None, 9, 1), Quota("84", "", 84, None, 50, 30)],
        ),
        (
            {  # nothing is counted over a month
                "X-RateLimit-Policy": "2;w=1, 84;w=60, 15000;w=2592000",
                "X-RateLimit-Limit": "2, 84, 15000",
                "X-RateLimit-Remaining": "1, 50, 900",
                "X-RateLimit-Reset": "1, 30, 1419704",
            },
            [Quota("2;w=1", "", 2, 1, 1, 1), Quota("84;w=60", "", 84, 60, 50, 30)],
        ),
        (
            {
                "RateLimit-Limit": "10, 84",
                "RateLimit-Remaining": "soon, 50",
                "RateLimit-Reset": "1, 30",
            },
            [Quota("84", "", 84, None, 50, 30)],
        ),
        (
            {"X-Ratelimit-Remaining": "50", "X-Ratelimit-Reset": str(UNIX + 9), **DATE},
            [Quota("", "", None, None, 50, 9)],
        ),
        (
            {"X-Rate-Limit-Remaining": "50", "X-Rate-Limit-Reset": f"{UNIX + 9}000", **DATE},
            [Quota("", "", None, None, 50, 9)],
        ),
    ],
)
def test_what_is_told(headers: dict[str, str], expected: list[Quota]) -> None:
    assert told_by(headers) == expected


@pytest.mark.parametrize(
    ("policy", "expected"),
    [
        ('"a";q=1;w=1', Quota("a", "", 1, 1)),
        ('"a";q=1000000000;w=86400', Quota("a", "", 1e9, 86_400)),
        ('"a";Q=84;W=0.5', Quota("a", "", 84, 0.5)),
        ('"a";q=84;window=60', Quota("a", "", 84, 60)),
        ("84;window=60", Quota("84;w=", "", 84, 60)),
        ('"a";q=84;w=60;pk=:YWNtZQ==:', Quota("a", ":YWNtZQ==:", 84, 60)),
    ],
)
def test_a_policy_alone(policy: str, expected: Quota) -> None:
    assert told_by({"RateLimit-Policy": policy}) == [expected]


def test_what_is_just_believed() -> None:
    for remaining, reset in ((0, 0), (84, 86_400)):
        state = {"X-RateLimit-Remaining": str(remaining), "X-RateLimit-Reset": str(reset)}
        expected = Quota("84", "", 84, None, remaining, reset)
        assert told_by({"X-RateLimit-Limit": "84", **state}) == [expected]
    without_limit = {"X-RateLimit-Remaining": "1000000000", "X-RateLimit-Reset": "9"}
    assert told_by(without_limit) == [Quota("", "", None, None, 1e9, 9)]
    assert told_by({**without_limit, "X-RateLimit-Remaining": "1000000001"}) == []


def test_partitions_of_a_policy_are_not_mixed_up() -> None:
    policy, other = '"a";q=84;w=60;pk=:MQ==:', '"a";r=50;t=30;pk=:Mg==:'
    own = '"a";r=40;t=20;pk=:MQ==:'
    assert told_by({"RateLimit-Policy": policy, "RateLimit": f"{other}, {own}"}) == [
        Quota("a", ":MQ==:", 84, 60, 40, 20)
    ]
    assert told_by({"RateLimit-Policy": policy, "RateLimit": other}) == [
        Quota("a", ":MQ==:", 84, 60)
    ]


def test_the_newer_of_two_forms_counts() -> None:
    older = {"X-RateLimit-Remaining": "1", "X-RateLimit-Reset": "1"}
    newer = {"RateLimit-Remaining": "50", "RateLimit-Reset": "9"}
    assert told_by({**older, **newer}) == [Quota("", "", None, None, 50, 9)]
    newest = {"RateLimit": '"a";r=40;t=8'}
    assert told_by({**older, **newer, **newest}) == [Quota("a", "", None, None, 40, 8)]


def test_no_more_of_a_header_is_read_than_is_of_use() -> None:
    policies = ", ".join(f'"{number:03}";q=84;w=60' for number in range(200))
    names = [quota.name for quota in told_by({"RateLimit-Policy": policies})]
    assert names == [f"{number:03}" for number in range(2_000 // len('"000";q=84;w=60, '))]


@pytest.mark.parametrize("state", ['"a";r=50', '"a";t=30', '"a"', "remaining=50", "reset=30"])
def test_half_a_state_tells_nothing(state: str) -> None:
    assert told_by({"RateLimit": state}) == []


def test_a_unix_time_in_the_header_of_an_older_draft() -> None:
    state = {"RateLimit": f"limit=84, remaining=50, reset={UNIX + 9}"}
    assert told_by({**state, **DATE}) == [Quota("84", "", 84, None, 50, 9)]


def test_a_unix_time_without_a_date() -> None:
    reset = str(int(time.time()) + 100)
    [quota] = told_by({"X-RateLimit-Remaining": "5", "X-RateLimit-Reset": reset, "Date": "soon"})
    assert quota.reset == pytest.approx(100, abs=5)


@pytest.mark.parametrize("reset", ["-1", "NaN", "inf", "soon", "", "86401", str(UNIX - 9)])
def test_a_reset_that_makes_no_sense(reset: str) -> None:
    assert told_by({"RateLimit-Remaining": "5", "RateLimit-Reset": reset, **DATE}) == []
    assert told_by({"RateLimit": f'"default";r=5;t={reset or "x"}'}) == []


@pytest.mark.parametrize("remaining", ["-1", "NaN", "inf", "many", "", "85"])
def test_a_remainder_that_makes_no_sense(remaining: str) -> None:
    headers = {"X-RateLimit-Limit": "84", "X-RateLimit-Reset": "9"}
    assert told_by({**headers, "X-RateLimit-Remaining": remaining}) == []


@pytest.mark.parametrize(
    "policy", ["", "nonsense", '"a"', '"a";w=60', '"a";q=0;w=60', '"a";q=84', '"a";q=84;w=0', "84"]
)
def test_a_policy_that_makes_no_sense(policy: str) -> None:
    assert told_by({"RateLimit-Policy": policy}) == []


@pytest.mark.parametrize("limit", ["0", "-84", "NaN", "1e10", "a lot"])
def test_a_limit_that_makes_no_sense(limit: str) -> None:
    remaining = {"RateLimit-Remaining": "0", "RateLimit-Reset": "9"}
    assert told_by({"RateLimit-Limit": limit, **remaining}) == []


@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=200))
def test_nothing_that_can_be_sent_is_an_error(policy: str, state: str, reset: str) -> None:
    for headers in (
        {"RateLimit-Policy": policy, "RateLimit": state},
        {"RateLimit-Limit": policy, "RateLimit-Remaining": state, "RateLimit-Reset": reset},
        {"RateLimit-Remaining": "1", "RateLimit-Reset": "1700000000", "Date": reset},
    ):
        announced(headers)
