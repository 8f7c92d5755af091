"""How long the rest of a run takes, by the requests that are left."""

from __future__ import annotations

import pytest

from analytics_assets.api.account_reading import AccountRead
from analytics_assets.api.request_counts import AccountRequests, RequestsByAccount
from analytics_assets.orchestration.remaining import LINE_SECONDS, Remaining, duration
from analytics_assets_tests.testing.reads import account_read

NAMES = ["campaigns", "audiences"]


class Clock:
    now = 0.0


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr("time.monotonic", lambda: clock.now)
    return clock


def send(requests: AccountRequests, number: int) -> None:
    for _ in range(number):
        requests.sent("campaigns", 0.0, retry=False, throttled=0.0)


def read(account_id: str, requests: int) -> AccountRead:
    found = account_read(account_id)
    send(found.requests, requests)
    return found


def test_accounts_that_are_not_on_record_take_as_many_requests_as_those_before(
    clock: Clock,
) -> None:
    rest = Remaining(dict.fromkeys("abcd", NAMES), RequestsByAccount(), dict)
    assert rest.seconds() is None
    rest.without(read("a", 3))
    rest.without(read("b", 1))
    clock.now = 2.0  # two requests a second, and 2 x 2 left
    assert rest.seconds() == 2.0
    assert rest.seconds(further=1) == 3.0


def test_those_on_record_take_what_they_took(clock: Clock) -> None:
    asked: list[str] = []

    def recorded() -> dict[tuple[str, str], int]:
        asked.append("")
        return {
            ("campaigns", "b"): 100,
            ("audiences", "b"): 1,
            ("campaigns", "c"): 7,
            ("motion_ads", "c"): 1000,
            ("campaigns", "gone"): 99,
        }

    counts = RequestsByAccount()
    rest = Remaining(dict.fromkeys("abc", NAMES), counts, recorded)
    rest.without(read("a", 60))
    clock.now = LINE_SECONDS - 1
    assert not rest.is_time()
    assert asked == []
    clock.now = LINE_SECONDS
    assert rest.is_time()
    assert not rest.is_time()  # not again within a minute
    assert rest.seconds() == 101 + 60  # of c it is not known what all took
    clock.now *= 2
    with counts.counting("b") as under_way, counts.counting("elsewhere") as another:
        send(under_way, 60)
        send(another, 1000)
        assert rest.seconds() == 41 + 60
        assert str(rest) == "1 of 3 accounts read, ~2 min left"
        send(under_way, 60)  # more than it took last
        assert rest.seconds() == 60 * 120 / 180
    assert rest.is_time()
    assert asked == [""]


def test_what_is_under_way_and_what_ended_count(clock: Clock) -> None:
    clock.now = 1000.0
    counts, known = RequestsByAccount(), {("campaigns", "b"): 30, ("audiences", "b"): 10}
    rest = Remaining(dict.fromkeys("abcd", NAMES), counts, lambda: known)
    assert str(rest) == "0 of 4 accounts read"
    clock.now += LINE_SECONDS
    assert rest.is_time()
    rest.without(read("a", 20))
    assert rest.seconds() == (40 + 2 * 20) * 60 / 20
    with counts.counting("c") as under_way:
        send(under_way, 5)
        assert rest.seconds() == (40 + 2 * 20 - 5) * 60 / 25
        send(under_way, 25)  # more than it was to take
        assert rest.seconds() == (40 + 20) * 60 / 50
    for requests in (40, 0):  # the second time, nothing of it was left
        rest.without(read("b", requests))
    assert str(rest) == "2 of 4 accounts read, ~60 s left"


def test_where_all_are_on_record_none_has_to_be_read_first(clock: Clock) -> None:
    counts, known = RequestsByAccount(), {("campaigns", "b"): 30, ("audiences", "b"): 10}
    rest = Remaining({"b": NAMES}, counts, lambda: known)
    clock.now = LINE_SECONDS
    assert rest.is_time()
    assert rest.seconds() is None
    with counts.counting("b") as under_way:
        send(under_way, 10)
        assert rest.seconds() == 30 * 60 / 10


def test_nothing_is_told_when_all_are_read(clock: Clock) -> None:
    rest = Remaining({"a": NAMES}, RequestsByAccount(), dict)
    rest.without(read("a", 0))
    clock.now = 1000.0
    assert not rest.is_time()
    assert rest.seconds() is None


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h"), (3.6e6, "1000.0 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
