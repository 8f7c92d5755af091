"""The rate of requests that are spaced evenly."""

from __future__ import annotations

import pytest

from analytics_assets.api.spacing import Spacing


def accept(spacing: Spacing, now: float, number: int) -> float:
    """Has so many requests accepted, each after its space; returns the time then."""
    for _ in range(number):
        now += 1 / spacing.rate
        spacing.accepted(now)
    return now


def refuse(spacing: Spacing, now: float, number: int, cost: float = 0.1) -> float:
    """Has the API refuse after so many requests, and open again; returns the time then."""
    gap = 1 / spacing.rate
    moments = [now - gap * each for each in reversed(range(number))]
    spacing.refused(now + cost, moments, number * gap + cost, cost)
    return now + cost


@pytest.mark.parametrize(("burst", "requests"), [(1, [1, 1, 1]), (2, [2, 4, 4])])
def test_where_hardly_any_is_saved_up_a_few_requests_tell_of_their_rate(
    burst: int, requests: list[int]
):
    spacing, now = Spacing(0.0, rate=1.0, burst=burst, cost=0.1), 0.0
    assert spacing.rate == 0.98
    for number in requests:
        rate = spacing.rate
        now = accept(spacing, now, number - 1)
        assert spacing.rate == rate
        now = accept(spacing, now, 1)
        assert spacing.rate == pytest.approx(2 * rate)


@pytest.mark.parametrize("burst", [1, 50])
def test_a_rate_that_is_never_refused_stays_one(burst: int):
    spacing = Spacing(0.0, rate=1000.0, burst=burst, cost=0.1)
    now = accept(spacing, 0.0, 5_000)
    for _ in range(5_000):  # now and then one, as by who has little to ask
        now = accept(spacing, now + 10, 1)
    assert spacing.rate == 10_000


def test_a_bucket_has_to_accept_more_than_it_can_have_saved_up():
    spacing = Spacing(0.0, rate=10.0, burst=20, cost=0.1)
    now = accept(spacing, 0.0, 21)
    assert spacing.rate == pytest.approx(9.8)
    assert spacing.held == 0
    now = accept(spacing, now, 1)
    assert spacing.rate == pytest.approx(19.6)
    assert spacing.held == pytest.approx(9.8)
    accept(spacing, now, 39)  # half of them are above the rate that held
    assert spacing.rate == pytest.approx(19.6)


def test_a_rate_that_the_api_is_known_to_refuse_is_approached():
    spacing = Spacing(0.0, rate=10.0, burst=3, cost=0.1, highest=20.0)
    accept(spacing, 0.0, 12)
    assert spacing.rate == pytest.approx((9.8 + 20) / 2)


@pytest.mark.parametrize(("cost", "tried_for"), [(0.3, 0.3), (30.0, 1.2)])
def test_a_rate_is_tried_for_as_long_as_the_api_was_closed(cost: float, tried_for: float):
    spacing = Spacing(0.0, rate=1000.0, burst=3, cost=cost)
    now = accept(spacing, 0.0, int(980 * tried_for) - 1)
    assert spacing.held == 0
    accept(spacing, now, 30)
    assert spacing.held == pytest.approx(980)


def test_what_was_accepted_beyond_a_burst_holds_however_long_the_api_was_closed():
    spacing = Spacing(0.0, rate=40.0, burst=2, cost=0.1)
    moments = [0.0, 1.0, *(2 + number / 10 for number in range(10))]
    spacing.refused(20.0, moments, seconds=20.0, cost=17.1)
    # of the ten after the second, two may have been saved up
    assert spacing.rate == pytest.approx(8 / 0.9)


def test_what_a_bucket_may_have_saved_up_is_left_out_of_what_it_refused():
    spacing = Spacing(0.0, rate=10.0, burst=20, cost=0.1)
    tried = spacing.rate
    now = refuse(spacing, accept(spacing, 0.0, 15), 15, cost=5.0)
    held = spacing.rate
    assert held == pytest.approx(0.98 * 15 / now)
    while spacing.rate == held:
        now = accept(spacing, now, 1)
    # half of the burst, but for four that came close together
    refused = tried * (1 - (20 / 2 - 4) / 15)
    assert spacing.rate == pytest.approx((held + refused) / 2)


def test_what_was_refused_is_approached_from_what_held():
    spacing = Spacing(0.0, rate=8.0, burst=1, cost=0.1)
    now = accept(spacing, 0.0, 1)
    held, refused = 7.84, spacing.rate
    now = refuse(spacing, now, 1)
    assert spacing.rate == pytest.approx(held)
    # halfway, when it would have gained the time that one more refusal costs
    gain = (refused / held - 1) / 2
    while spacing.rate == pytest.approx(held):
        since = now
        now = accept(spacing, now, 1)
    assert spacing.rate == pytest.approx((held + refused) / 2)
    assert (since - 1 / held - 0.1) * gain < 0.1 * (1 + 1 / held)
    now = refuse(spacing, now, 1)
    assert held <= spacing.rate < (held + refused) / 2


def test_where_hardly_any_is_saved_up_a_few_requests_tell_after_a_refusal_too():
    spacing = Spacing(0.0, rate=50.0, burst=1, cost=0.01)
    now = refuse(spacing, accept(spacing, 0.0, 1), 1, cost=0.01)
    held = spacing.rate
    while spacing.rate == held:
        now = accept(spacing, now, 1)
    halfway, since = spacing.rate, now
    while spacing.rate == halfway:
        now = accept(spacing, now, 1)
    assert spacing.rate > halfway
    assert now - since < 0.2


def test_a_rate_that_held_hardly_falls_if_it_is_seldom_refused():
    spacing = Spacing(0.0, rate=10.0, burst=1, cost=0.1)
    now = refuse(spacing, accept(spacing, 0.0, 1), 1)
    rate = spacing.rate
    refuse(spacing, now + 40 / rate, 40)
    assert 0.97 * rate < spacing.rate < rate


def test_a_rate_that_is_refused_at_once_falls_by_a_twentieth_at_the_most():
    spacing = Spacing(0.0, rate=10.0, burst=1, cost=0.1)
    now = refuse(spacing, accept(spacing, 0.0, 1), 1)
    rate = spacing.rate
    refuse(spacing, now + 1 / rate, 1, cost=5.0)
    assert spacing.rate == pytest.approx(0.95 * rate)


@pytest.mark.parametrize(("accepted", "share"), [(20, 0.9), (40, 0.95)])
def test_each_next_refusal_lowers_a_rate_that_held_by_more(accepted: int, share: float):
    spacing = Spacing(0.0, rate=10.0, burst=1, cost=0.1)
    now = refuse(spacing, accept(spacing, 0.0, 1), 1)
    now = refuse(spacing, now + 1 / spacing.rate, 1, cost=5.0)
    rate = spacing.rate
    refuse(spacing, accept(spacing, now, accepted), 1, cost=5.0)
    assert spacing.rate == pytest.approx(share * rate)


def test_a_rate_never_falls_by_more_than_half():
    spacing = Spacing(0.0, rate=9_000.0, burst=1, cost=0.1)
    now = refuse(spacing, accept(spacing, 0.0, 1), 1)
    for _ in range(10):
        rate = spacing.rate
        now = refuse(spacing, now + 1 / rate, 1, cost=5.0)
        assert spacing.rate >= rate / 2
    assert spacing.rate == pytest.approx(rate / 2)


def test_a_rate_holds_after_three_hundred_requests_however_many_were_saved_up():
    spacing = Spacing(0.0, rate=10.0, burst=90, cost=0.1)
    now = refuse(spacing, accept(spacing, 0.0, 400), 80)
    held = spacing.rate
    while spacing.rate == held:
        now = accept(spacing, now, 1)
    tried = spacing.rate
    assert (1 - held / tried) * 300 < 90  # so many more than the rate that held would have
    accept(spacing, now, 300)
    assert spacing.rate == tried
    assert spacing.held == pytest.approx(held)
    accept(spacing, now + 300 / tried, 1)
    assert spacing.held == tried


@pytest.mark.parametrize(("burst", "share"), [(1, 1.02), (60, 1.2)])
def test_a_higher_rate_is_tried_that_takes_more_than_what_may_be_saved_up(burst: int, share: float):
    spacing = Spacing(0.0, rate=10.0, burst=burst, cost=0.1)
    now = refuse(spacing, accept(spacing, 0.0, burst), burst)
    now = refuse(spacing, now + 6000 / spacing.rate, 6000)  # what held is refused, too
    rate = spacing.rate
    while spacing.rate == rate:
        now = accept(spacing, now, 1)
    assert spacing.rate == pytest.approx(share * rate, rel=0.01)


def test_a_higher_rate_that_is_refused_is_tried_by_half_the_next_time():
    spacing = Spacing(0.0, rate=10.0, burst=60, cost=0.1)
    now = refuse(spacing, accept(spacing, 0.0, 60), 60)
    now = refuse(spacing, now + 6000 / spacing.rate, 6000)  # what held is refused, too
    held = spacing.rate
    for share in (1.2, 1.1, 1.05):
        opened_at, moments = now, [now]
        while spacing.rate == held:
            moments.append(accept(spacing, moments[-1], 1))
        assert spacing.rate == pytest.approx(share * held, rel=0.01)
        moments += [accept(spacing, moments[-1], number) for number in range(1, 10)]
        now = moments[-1] + 0.1
        spacing.refused(now, moments, now - opened_at, 0.1)
        assert spacing.rate == held


@pytest.mark.parametrize(("cost", "quiet"), [(0.1, 31), (1.0, 100), (2.0, 200), (30.0, 200)])
def test_whether_the_quota_was_raised_is_asked_once_that_costs_little(cost: float, quiet: float):
    spacing = Spacing(0.0, rate=10.0, burst=1, cost=0.1)
    now = refuse(spacing, accept(spacing, 0.0, 1), 1)
    now = refuse(spacing, now + 60 / spacing.rate, 60, cost=cost)  # what held is refused, too
    rate, quiet_since = spacing.rate, now
    while spacing.rate == rate:
        now = accept(spacing, now, 1)
    assert spacing.rate == pytest.approx(1.02 * rate, rel=0.01)
    assert now - quiet_since == pytest.approx(quiet, rel=0.03)


def test_where_requests_are_minutes_apart_a_refusal_may_cost_as_much():
    spacing = Spacing(0.0, rate=0.01, burst=1, cost=100.0)
    now = refuse(spacing, accept(spacing, 0.0, 1), 1, cost=100.0)
    held, since = spacing.rate, now
    while spacing.rate == held:
        now = accept(spacing, now, 1)
    assert (now - since) * (spacing.rate / held - 1) >= 100
