"""What headers tell of quotas: in every usual form, and nonsense."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from requests.structures import CaseInsensitiveDict

from analytics_assets.api.announced import Quota, announced

DATE = {"Date": "Tue, 14 Nov 2023 22:13:20 GMT"}
UNIX = 1_700_000_000


def told_by(headers: dict[str, str]) -> list[Quota]:
    return list(announced(CaseInsensitiveDict(headers)))


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
            {"RateLimit-Policy": '"default";q=84;w=60', "RateLimit": '"default";r=50'},
            [Quota("default", "", 84, 60, 50, 60)],
        ),
        ({"Ratelimit-Policy": '"default";q=84;w=60'}, [Quota("default", "", 84, 60)]),
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
            [Quota("84", "", 84, None, 50, 9)],
        ),
        (
            {"X-RateLimit-Limit": "84", "X-RateLimit-Remaining": "50", "X-RateLimit-Reset": "9"},
            [Quota("84", "", 84, None, 50, 9)],
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
        announced(CaseInsensitiveDict(headers))
