"""What it took to read an account, counted from many threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from analytics_assets.api.request_counts import AccountRequests, RequestCounts, RequestsByAccount


def test_requests_retries_and_waits_add_up() -> None:
    account = AccountRequests()
    account.sent("campaigns", 10.0, retry=False, throttled=0.5)
    account.answered("campaigns", 12.0)
    account.sent("campaigns", 13.0, retry=True, throttled=0.25)
    account.answered("campaigns", 15.5)
    assert account.of("campaigns") == RequestCounts(2, 1, throttled=0.75, started=10.0, ended=15.5)
    assert account.of("campaigns").seconds == 5.5


def test_a_resource_that_was_not_asked_for_has_none() -> None:
    account = AccountRequests()
    assert account.of("audiences") == RequestCounts()
    assert account.of("audiences").seconds == 0.0
    assert account.by_resource == {}


def test_a_request_under_way_has_taken_no_time_yet() -> None:
    account = AccountRequests()
    account.sent("campaigns", 10.0, retry=False, throttled=0.0)
    assert account.of("campaigns").seconds == 0.0


def test_no_count_is_lost_between_threads() -> None:
    account = AccountRequests()
    with ThreadPoolExecutor(8) as threads:
        for _ in range(400):
            threads.submit(account.sent, "campaigns", 0.0, retry=True, throttled=1.0)
    counts = account.of("campaigns")
    assert (counts.requests, counts.retries, counts.throttled) == (400, 400, 400.0)


def test_an_account_is_counted_while_it_is_read_and_anew_the_next_time() -> None:
    by_account = RequestsByAccount()
    with by_account.counting("acme") as first:
        by_account.of("acme").sent("campaigns", 0.0, retry=False, throttled=0.0)
        with by_account.counting("globex") as other:
            assert by_account.of("globex") is other
        assert by_account.of("acme") is first
    assert first.of("campaigns").requests == 1
    assert other.by_resource == {}
    with by_account.counting("acme") as second:
        assert second.by_resource == {}


def test_requests_that_nobody_counts_are_let_through() -> None:
    by_account = RequestsByAccount()
    by_account.of("").sent("accounts", 0.0, retry=False, throttled=0.0)
    assert by_account.of("").by_resource == {}
