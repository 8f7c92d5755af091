"""The rate of requests that are spaced evenly."""

from __future__ import annotations

import math
from itertools import pairwise

from analytics_assets.api.spacing import Spacing


def accept(spacing: Spacing, now: float, number: int, times: float = 1.0) -> float:
    """Has so many requests accepted, so many times the space apart; returns the time then."""
    for _ in range(number):
        gap = times / spacing.rate
        now += gap
        spacing.accepted(now, now, gap)
    return now


def test_the_rate_rises_by_ever_smaller_steps_towards_the_one_that_was_refused():
    spacing, rates = Spacing(0.0, rate=1, burst=1, cost=1, refused=20), [1.0]
    now = 0.0
    while spacing.rate < 14:
        now = accept(spacing, now, 1)
        if spacing.rate > rates[-1]:
            rates.append(spacing.rate)
    steps = [after - before for before, after in pairwise(rates)]
    assert steps[1:] == sorted(steps[1:], reverse=True)
    assert now < 3
    accept(spacing, now, 100)
    assert spacing.rate <= 20


def test_requests_that_come_late_tell_nothing_of_the_rate():
    spacing = Spacing(0.0, rate=1, burst=1, cost=1, refused=math.inf)
    now = accept(spacing, 0.0, 1)
    tried = spacing.rate
    now = accept(spacing, now, 50, times=2)
    assert spacing.rate == tried
    accept(spacing, now, 1)
    assert spacing.rate > tried


def test_what_was_sent_before_a_rate_was_tried_tells_nothing_of_it():
    spacing = Spacing(0.0, rate=1, burst=1, cost=1, refused=math.inf)
    now = accept(spacing, 0.0, 1)
    tried = spacing.rate
    for _ in range(10):
        spacing.accepted(now + 0.1, now - 0.01, 0.001)
    assert spacing.rate == tried


def test_a_rate_that_is_refused_at_once_again_is_soon_much_lower():
    spacing, now, refused = Spacing(0.0, rate=16, burst=1, cost=1, refused=16.1), 0.0, 0
    rate = spacing.rate
    while spacing.rate > rate / 2:
        now, refused = now + 1.1, refused + 1
        spacing.refused(now, number=1, seconds=1.1, cost=1.0)
    assert refused <= 6


def test_a_single_refusal_hardly_lowers_a_rate_that_held():
    spacing = Spacing(0.0, rate=16, burst=1, cost=1, refused=16.1)
    rate = spacing.rate
    for now in (30.0, 60.0):
        spacing.refused(now, number=460, seconds=30.0, cost=1.0)
    assert spacing.rate > 0.95 * rate


def test_whether_the_quota_was_raised_is_asked_the_less_the_more_a_refusal_costs():
    asked = []
    for cost in (0.1, 2.0):
        spacing, now = Spacing(0.0, rate=16, burst=1, cost=cost, refused=16.0), 0.0
        rate = spacing.rate
        while spacing.rate == rate:
            now = accept(spacing, now, 1)
        asked.append(now)
    assert asked[0] < 70
    assert 180 < asked[1] < 220
