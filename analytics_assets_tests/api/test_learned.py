"""Quotas that nobody tells of are found out, in simulated time."""

from __future__ import annotations

from statistics import fmean
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from analytics_assets.api import pace
from analytics_assets.api.learned import Learned
from analytics_assets.sample_api import Behaviour
from analytics_assets.sample_api.limits import Limits
from analytics_assets.settings import ApiSettings
from analytics_assets_tests.testing.quotas import Clock, Simulation, rate_of


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


def simulated(clock: Clock, total: int, **options: Any) -> Simulation:
    names = ("retry_after", "jitter", "others", "bursts", "pause")
    about = {name: options.pop(name) for name in names if name in options}
    simulation = Simulation(clock, Behaviour(**options), total, **about)
    simulation.run()
    return simulation


# as many in so many seconds
WINDOWS = [(84, 6), (84, 60), (1000, 60), (10, 10), (40, 1), (5, 1)]


@pytest.mark.parametrize("retry_after", ["exact", "rounded", "missing"])
@pytest.mark.parametrize("kind", ["bucket", "fixed", "sliding"])
@pytest.mark.parametrize(("limit", "seconds"), WINDOWS)
def test_a_full_sync_uses_the_quota_and_hardly_ever_exceeds_it(
    clock: Clock, limit: int, seconds: int, kind: Any, retry_after: Any
):
    clock.now = 1003.1
    quota = {"quota": limit / seconds, "quota_burst": limit, "quota_kind": kind}
    simulation = simulated(clock, 4082, retry_after=retry_after, jitter=0.02, **quota)
    assert 0.95 * simulation.seconds <= simulation.best
    assert simulation.refused(after=seconds) <= 0.01 * len(simulation.sent)
    assert max(simulation.attempts.values()) <= 1 + ApiSettings.max_retries


@pytest.mark.parametrize(
    ("limit", "seconds", "used", "refused"),
    [
        (84, 60, 0.95, 0.007),
        (84, 6, 0.95, 0.007),
        (100, 10, 0.95, 0.007),
        (50, 5, 0.93, 0.008),
        (25, 3, 0.92, 0.009),
        (20, 2, 0.93, 0.01),
        (14, 1, 0.91, 0.007),
    ],
)
def test_a_fixed_window_however_much_of_it_is_over_at_first(
    clock: Clock, limit: int, seconds: int, used: float, refused: float
):
    shares = []
    for twelfth in range(12):
        clock.now = 1000 * seconds + seconds * (twelfth / 12 + 0.013)
        quota = {"quota": limit / seconds, "quota_burst": limit, "quota_kind": "fixed"}
        simulation = simulated(clock, 500, retry_after="missing", jitter=0.002, **quota)
        assert simulation.best >= used * simulation.seconds, twelfth
        shares.append(simulation.refused(seconds + 1) / 500)
    assert max(shares) <= 0.03
    assert fmean(shares) <= refused


@pytest.mark.parametrize(
    ("limit", "seconds", "retry_after", "over", "late"),
    [
        (84, 6, "missing", 0.985, 60),
        (84, 6, "missing", 0.99, 10),
        (84, 6, "rounded", 0.99, 1),
        (25, 3, "missing", 0.985, 17),
    ],
)
def test_what_two_windows_had_room_for_is_not_long_taken_for_one(
    clock: Clock, limit: int, seconds: int, retry_after: Any, over: float, late: int
):
    clock.now = seconds * (1000 + over)  # the first window ends at once
    quota = {"quota": limit / seconds, "quota_burst": limit, "quota_kind": "fixed"}
    simulation = simulated(clock, 500, retry_after=retry_after, jitter=0.002, **quota)
    assert simulation.refused(seconds + 1) <= late


def test_a_full_window_whose_answers_are_on_their_way_is_asked_once(clock: Clock):
    clock.now = 1200.01
    quota = {"quota": 1.4, "quota_burst": 84, "quota_kind": "fixed"}
    simulation = simulated(clock, 500, retry_after="missing", jitter=0.01, **quota)
    # when it is tried with one request more than has fitted
    assert simulation.refused(after=61) == 1


@pytest.mark.parametrize("retry_after", ["exact", "rounded", "missing"])
@pytest.mark.parametrize(("rate", "burst"), [(40, 10), (14, 1), (14, 2), (1.4, 1), (5, 1)])
def test_a_bucket_that_saves_up_little(clock: Clock, rate: float, burst: int, retry_after: Any):
    simulation = simulated(
        clock, 4082, retry_after=retry_after, jitter=0.002, quota=rate, quota_burst=burst
    )
    # a second is waited for after each refusal, which is 14 or 40 requests
    least = 0.9 if rate > 5 and retry_after == "rounded" else 0.95
    assert least * simulation.seconds <= simulation.best
    assert simulation.refused(after=1) <= 0.01 * len(simulation.sent)
    assert max(simulation.attempts.values()) <= 1 + ApiSettings.max_retries


@pytest.mark.parametrize("retry_after", ["exact", "rounded"])
@pytest.mark.parametrize(("limit", "seconds"), [(12, 49), (17, 42), (24, 61), (28, 68)])
def test_a_bucket_that_is_filled_slowly(clock: Clock, limit: int, seconds: int, retry_after: Any):
    # the next request has room after two seconds and more, as if a window were over
    clock.now = 1672.5
    quota = {"quota": limit / seconds, "quota_burst": limit}
    simulation = simulated(clock, 1000, retry_after=retry_after, jitter=0.02, **quota)
    assert 0.95 * simulation.seconds <= simulation.best
    assert simulation.refused(after=seconds) <= 0.01 * len(simulation.sent)


@pytest.mark.parametrize(
    ("retry_after", "least"), [("exact", 0.95), ("missing", 0.94), ("rounded", 0.79)]
)
def test_where_no_two_are_admitted_at_once_a_pace_is_soon_found(
    clock: Clock, retry_after: Any, least: float
):
    quota = {"quota": 14, "quota_burst": 1}
    simulation = simulated(clock, 500, retry_after=retry_after, jitter=0.002, **quota)
    assert least * simulation.seconds <= simulation.best
    assert simulation.refused(after=1) <= 0.01 * len(simulation.sent)


def test_a_fast_one_is_soon_found_too(clock: Clock):
    simulation = simulated(clock, 500, retry_after="missing", quota=40, quota_burst=1)
    assert 0.93 * simulation.seconds <= simulation.best


@pytest.mark.parametrize(
    ("retry_after", "longest", "seconds"),
    [(None, 60.0, 60.6), (None, 400.0, 303.0), (None, 0.1, 1.1), (5.0, 60.0, 7.0)],
)
def test_when_a_request_after_a_refusal_is_hardly_refused(
    retry_after: float | None, longest: float, seconds: float
):
    learned = Learned()
    learned.take(0.0)
    learned.refused(1.0, 0.9, retry_after, 0)
    assert learned.likely_open_at(longest) == pytest.approx(seconds)


@pytest.mark.parametrize("pause", [1.5, 12.0])
@pytest.mark.parametrize(("rate", "burst"), [(14, 1), (40, 1), (40, 10)])
def test_a_pause_at_the_beginning_says_nothing_of_the_quota(
    clock: Clock, rate: float, burst: int, pause: float
):
    quota = {"quota": rate, "quota_burst": burst}
    took = [
        simulated(clock, 200, retry_after="missing", pause=seconds, **quota).seconds
        for seconds in (0.0, pause)
    ]
    assert took[1] < took[0] + 1


@pytest.mark.parametrize("pause", [1.5, 12.0, 90.0])
@pytest.mark.parametrize("kind", ["bucket", "fixed", "sliding"])
@pytest.mark.parametrize(("limit", "seconds"), [(84, 6), (84, 60)])
def test_nor_of_its_window(clock: Clock, limit: int, seconds: int, kind: Any, pause: float):
    clock.now = 1003.1
    quota = {"quota": limit / seconds, "quota_burst": limit, "quota_kind": kind}
    simulation = simulated(clock, 1000, retry_after="missing", pause=pause, **quota)
    assert 0.9 * simulation.seconds <= simulation.best + seconds


@pytest.mark.parametrize("retry_after", ["rounded", "missing"])
@pytest.mark.parametrize(("limit", "seconds"), [(84, 6), (84, 60), (1000, 60)])
def test_others_who_use_a_window_up_for_once_slow_a_few_windows(
    clock: Clock, limit: int, seconds: int, retry_after: Any
):
    clock.now, others = 1003.1, limit - 4
    begins_at = (1003.1 // seconds + 4) * seconds
    quota = {"quota": limit / seconds, "quota_burst": limit, "quota_kind": "fixed"}
    bursts = [(begins_at + 0.001, others)]
    simulation = simulated(clock, 20 * limit, bursts=bursts, retry_after=retry_after, **quota)
    assert sum(simulation.others_sent) == others
    assert simulation.seconds <= simulation.best + 5 * seconds


@given(
    # of less, what is found out by refusals is soon a share of all
    limit=st.integers(10, 300),
    seconds=st.integers(3, 90),
    kind=st.sampled_from(["bucket", "fixed", "sliding"]),
    retry_after=st.sampled_from(["exact", "rounded"]),
    start=st.floats(1000, 4600),
)
@settings(max_examples=8, deadline=None)
def test_whatever_the_window_it_is_found_out(
    limit: int, seconds: int, kind: Any, retry_after: Any, start: float
):
    assume(limit <= 60 * seconds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pace, "time", clock := Clock(start))
        quota = {"quota": limit / seconds, "quota_burst": limit, "quota_kind": kind}
        total = 15 * limit + 200
        simulation = simulated(clock, total, retry_after=retry_after, jitter=0.02, **quota)
    assert 0.95 * simulation.seconds <= simulation.best + seconds
    assert simulation.refused(after=seconds) <= 0.03 * len(simulation.sent)


@pytest.mark.parametrize("share", [0.8, 1.0, 1.5])
@pytest.mark.parametrize("seconds", [5, 20, 60])
@pytest.mark.parametrize("retry_after", ["rounded", "missing"])
@pytest.mark.parametrize(("rate", "burst"), [(14, 10), (14, 1), (40, 10), (5, 5)])
def test_others_who_use_a_bucket_up_for_a_while_cost_a_few_times_as_long_at_the_most(
    clock: Clock, rate: int, burst: int, retry_after: Any, seconds: int, share: float
):
    clock.now, others = 1000.0, rate * share
    bursts = [(1020 + number / others, 1) for number in range(int(others * seconds))]
    quota = {"quota": rate, "quota_burst": burst}
    simulation = simulated(
        clock, 200 * rate, bursts=bursts, retry_after=retry_after, jitter=0.01, **quota
    )
    assert simulation.seconds <= simulation.best + 40 + 6 * seconds


@pytest.mark.parametrize(
    ("kind", "burst", "share", "seconds", "retry_after", "lost"),
    [
        ("sliding", 14, 1.2, 20, "missing", 400),
        ("sliding", 14, 1.2, 60, "missing", 500),
        ("bucket", 84, 0.8, 60, "rounded", 500),
        ("bucket", 84, 0.8, 60, "missing", 200),
    ],
)
def test_so_do_others_who_were_there_first(
    clock: Clock, kind: Any, burst: int, share: float, seconds: int, retry_after: Any, lost: float
):
    clock.now, others = 1000.0, 14 * share
    bursts = [(1000 + number / others, 1) for number in range(int(others * seconds))]
    quota = {"quota": 14, "quota_burst": burst, "quota_kind": kind}
    simulation = simulated(
        clock, 200 * 14, bursts=bursts, retry_after=retry_after, jitter=0.01, **quota
    )
    assert simulation.seconds <= simulation.best + lost


def test_a_window_that_spaced_requests_found_is_doubted_too(clock: Clock):
    clock.now = 3001.9
    bursts = [(3011.9 + number / 2, 6) for number in range(120)]
    quota = {"quota": 25 / 3, "quota_burst": 25}
    simulation = simulated(clock, 1600, bursts=bursts, retry_after="rounded", jitter=0.01, **quota)
    assert simulation.refused(after=4) <= 60


def test_a_bucket_that_others_leave_full_is_not_taken_for_a_quicker_one(clock: Clock):
    clock.now, others = 1003.0, 14 * 1.98
    bursts = [(1008 + number / others, 1) for number in range(int(20 * others))]
    quota = {"quota": 14, "quota_burst": 84}
    simulation = simulated(clock, 2000, bursts=bursts, retry_after="missing", jitter=0.01, **quota)
    assert simulation.refused() <= 500


def test_requests_that_arrived_late_do_not_make_a_quota_seem_slow():
    learned, now = Learned(), 0.05
    for _ in range(10):
        learned.take(now)
        learned.accepted(0.25, sent_at=now, admitted_at=0.2)
    for asked_at in (0.06, 0.24):
        learned.take(asked_at)
        learned.refused(asked_at + 0.01, asked_at, None, others_in_flight=0)
    now = 0.3
    learned.take(now)
    learned.accepted(now, now, now)
    first = learned.window
    while learned.window == first and now < 2:
        now += first
        learned.take(now)
        learned.accepted(now, now, now)
    # it was closed from 0.2 s on at the earliest, not since the last was sent
    assert learned.window == pytest.approx(first / 2)


def test_a_rate_to_begin_with_is_kept_for_ten_seconds():
    learned = Learned(100.0, rate=4.0)
    learned.take(105.0)
    assert learned.delay(105.1, 1) == pytest.approx(0.15)
    assert learned.delay(109.9, 1) < 0
    learned.take(110.0)
    assert learned.delay(110.1, 1) == 0


def test_what_others_use_is_left_to_them(clock: Clock):
    quota = {"quota": 14, "quota_burst": 84, "quota_kind": "fixed"}
    simulation = simulated(clock, 2000, others=4.0, jitter=0.02, **quota)
    assert 0.95 * simulation.seconds <= 2000 / (14 - 4)
    assert simulation.refused(after=6) <= 0.02 * len(simulation.sent)


@pytest.mark.parametrize("kind", ["bucket", "fixed", "sliding"])
def test_a_quota_that_is_lowered(clock: Clock, kind: Any):
    simulation = simulated(clock, 1000, quota=14, quota_burst=84, quota_kind=kind)
    simulation.behaviour.quota, simulation.behaviour.quota_burst = 7, 42
    lowered_at, refused = clock.now, simulation.refused()
    simulation.total += 1000
    simulation.go_on()
    assert clock.now - lowered_at < 1.15 * 1000 / 7
    assert simulation.refused() - refused < 100


def test_nothing_is_sent_before_retry_after_is_over(clock: Clock):
    simulation = Simulation(clock, Behaviour(quota=10), total=200, retry_after=7.0)
    simulation.run()
    first = next(moment for moment, accepted in simulation.sent if not accepted)
    in_flight = 0.005  # until the refusal is known
    assert not [moment for moment, _ in simulation.sent if first + in_flight < moment < first + 7]


def test_the_pace_rises_again_when_the_quota_does(clock: Clock):
    simulation = Simulation(clock, Behaviour(quota=20), total=600)
    simulation.run()
    before = rate_of(simulation.pace)
    simulation.behaviour.quota = 400
    simulation.total += 30_000
    simulation.go_on()
    after = rate_of(simulation.pace)
    assert before is not None
    assert after is not None
    assert after > 10 * before


@pytest.mark.parametrize("retry_after", ["exact", "rounded", "missing"])
def test_an_api_that_is_closed_at_first_is_not_taken_to_admit_little(
    clock: Clock, monkeypatch: pytest.MonkeyPatch, retry_after: Any
):
    class Used(Limits):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.admit(None)

    monkeypatch.setattr("analytics_assets_tests.testing.quotas.Limits", Used)
    quota = {"quota": 14, "quota_burst": 1}
    simulation = simulated(clock, 500, retry_after=retry_after, jitter=0.002, **quota)
    assert not simulation.sent[0][1]
    assert 14 * simulation.seconds < 500 / 0.8
