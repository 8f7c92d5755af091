"""Quotas that the API tells of, in simulated time: nothing is refused, and all is used."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import pytest

from analytics_assets.api import pace
from analytics_assets.api.announced import Quota
from analytics_assets.api.budgets import Budgets
from analytics_assets.api.pace import Pace
from analytics_assets.sample_api import Behaviour
from analytics_assets.sample_api.limits import Limits
from analytics_assets_tests.testing.quotas import Clock, Simulation, rate_of

FORMS = ("draft", "older-draft", "policy", "ratelimit", "x-ratelimit")
KINDS = ("bucket", "fixed", "sliding")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(1000.0)
    monkeypatch.setattr(pace, "time", clock)
    return clock


def simulated(
    clock: Clock, total: int = 500, *, others: float = 0.0, **behaviour: Any
) -> Simulation:
    api = Behaviour(**{"quota": 14, "quota_burst": 84, **behaviour})
    simulation = Simulation(clock, api, total, jitter=0.02, others=others)
    simulation.run()
    return simulation


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_refused_and_all_is_used(clock: Clock, kind: Any, form: Any) -> None:
    simulation = simulated(clock, quota_kind=kind, quota_headers=form)
    assert simulation.refused() == 0
    assert 0.98 * simulation.seconds <= 500 / 14
    assert rate_of(simulation.pace) is None


@pytest.mark.parametrize("bursts", [[], [(0.0, 70)]])
@pytest.mark.parametrize("kind", KINDS)
def test_a_window_of_which_only_the_length_is_told(clock: Clock, kind: Any, bursts: Any) -> None:
    behaviour = Behaviour(
        quota=1.4, quota_burst=84, quota_kind=kind, quota_headers="x-ratelimit-minute"
    )
    simulation = Simulation(clock, behaviour, 500, jitter=0.02, bursts=bursts)
    simulation.run()
    assert simulation.refused() == 0
    assert 0.98 * simulation.seconds <= 500 / 1.4 + 60 * len(bursts)  # evenly


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("quota", "burst"), [(1.4, 84), (10, 10), (1000 / 3600, 1000)])
def test_windows_from_a_second_to_an_hour(
    clock: Clock, quota: float, burst: int, kind: Any
) -> None:
    total = burst + 500
    simulation = simulated(
        clock, total, quota=quota, quota_burst=burst, quota_kind=kind, quota_headers="draft"
    )
    assert simulation.refused() == 0
    assert 0.97 * simulation.seconds <= total / quota
    # what is sent late is free again late, by a minute at the most
    if kind != "bucket":
        assert 0.97 * simulation.seconds <= simulation.best + min(60, burst / quota)


@pytest.mark.parametrize("kind", KINDS)
def test_what_fits_into_a_window_is_sent_at_once(clock: Clock, kind: Any) -> None:
    assert simulated(clock, 80, quota_kind=kind, quota_headers="draft").seconds < 0.5


# a bucket fills up meanwhile, and others find it so
@pytest.mark.parametrize("kind", ["fixed", "sliding"])
def test_what_does_not_is_spread_over_the_later_ones(clock: Clock, kind: Any) -> None:
    simulation = simulated(clock, 1000, quota_kind=kind, quota_headers="draft")
    seconds = Counter(int(moment - simulation.started) for moment, _ in simulation.sent)
    assert seconds[0] == 84
    assert max(number for second, number in seconds.items() if second > 7) < 2 * 14


@pytest.mark.parametrize("kind", KINDS)
def test_others_find_some_of_the_quota_at_any_time(clock: Clock, kind: Any) -> None:
    simulation = simulated(clock, 1000, others=4.0, quota_kind=kind, quota_headers="draft")
    found = simulation.others_sent[6 * 4 :]
    assert sum(found) >= 0.8 * len(found)
    assert simulation.refused() <= 0.03 * len(simulation.sent)


def test_a_pause_ends_the_spreading(clock: Clock) -> None:
    simulation = simulated(clock, 200, quota_kind="fixed", quota_headers="draft")
    clock.now += 60
    resumed_at, simulation.total = clock.now, 280
    simulation.go_on()
    assert clock.now - resumed_at < 1


def test_headers_that_promise_too_much_are_not_believed(clock: Clock) -> None:
    lie = {"RateLimit-Policy": '"default";q=900;w=1', "RateLimit": '"default";r=900;t=1'}
    simulation = simulated(clock, quota=20, quota_burst=20, headers=lie)
    assert simulation.refused(after=3) <= 0.01 * len(simulation.sent)
    assert rate_of(simulation.pace) == pytest.approx(20, rel=0.15)


@pytest.mark.parametrize("limit", [{}, {"RateLimit-Limit": "1"}, {"RateLimit-Limit": "84"}])
@pytest.mark.parametrize("reset", ["60", "3600"])
def test_headers_that_never_leave_anything_are_not_believed_for_long(
    clock: Clock, limit: dict[str, str], reset: str
) -> None:
    headers = {**limit, "RateLimit-Remaining": "0", "RateLimit-Reset": reset}
    simulation = simulated(clock, headers=headers)
    assert simulation.seconds <= 10 * 60  # for each request a window, if they were


def test_an_hour_s_quota_that_was_used_up_before_is_asked_for_once(clock: Clock) -> None:
    headers: Any = {"quota_headers": "x-ratelimit", "quota_kind": "fixed"}
    api = Behaviour(quota=84 / 3600, quota_burst=84, **headers)
    clock.now = 3600.0 * 10
    simulation = Simulation(clock, api, 10, bursts=[(clock.now - 1, 83)])
    simulation.run()
    assert simulation.refused() == 1
    assert 3600 < simulation.seconds < 3700


@pytest.mark.parametrize("refused", [False, True])
def test_a_quota_that_others_use_up_is_believed(*, refused: bool) -> None:
    budgets, now = Budgets(), 0.0
    used_up = Quota("default", "", 84, 60, 0, 60)
    for remaining in (0, 0, 1, 0, 0, 1):
        told_all(budgets, now, replace(used_up, remaining=0 if refused else remaining))
        if refused:
            assert budgets.explain(now, now + 1, [used_up])
        else:
            budgets.accepted(now)
        assert budgets.delay(now) > 0 or remaining
        now += 61
        budgets.take(now)
        budgets.done(now)


def test_headers_that_make_no_sense_are_as_none(clock: Clock) -> None:
    nonsense = {"RateLimit-Policy": "NaN", "RateLimit": '"default";r=-1;t=1e99'}
    simulation = simulated(clock, quota=20, quota_burst=20, headers=nonsense)
    assert simulation.refused(after=3) <= 0.01 * len(simulation.sent)


@dataclass
class TheTighter(Simulation):
    """An API that tells only of the tighter one of two quotas, and not of its window."""

    both: tuple[Behaviour, ...] = ()

    def run(self) -> None:
        self._of_both = [Limits(each, self.clock.monotonic) for each in self.both]
        super().run()

    def _arrive(self, request: int, sent_at: float) -> None:
        admits = all(self._left(limits)[0] >= 1 for limits in self._of_both)
        for limits in self._of_both if admits else ():
            limits.admit(None)
        self.sent.append((self.clock.now, admits))
        told = [
            (*self._left(limits), each.burst)
            for limits, each in zip(self._of_both, self.both, strict=True)
        ]
        left, reset, limit = min(told, key=lambda each: each[0] / each[2])
        quota = Quota(str(limit), "", limit, None, int(left), math.ceil(reset))
        if admits:
            self._after(0.05, lambda: self._accepted(sent_at, (quota,)))
        else:
            self._after(0.005, lambda: self._refused(request, sent_at, None, (quota,)))

    def _left(self, limits: Limits) -> tuple[float, float]:
        left = limits.left(None)
        assert left is not None
        return left


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "sizes", [((10, 1), (84, 60)), ((20, 1), (200, 60)), ((84, 60), (500, 3600))]
)
def test_only_the_tighter_one_of_two_quotas_is_told(clock: Clock, sizes: Any, kind: Any) -> None:
    clock.now += 3.3
    both = tuple(Behaviour(quota=n / s, quota_burst=n, quota_kind=kind) for n, s in sizes)
    simulation = TheTighter(
        clock, Behaviour(quota_headers="x-ratelimit"), 400, jitter=0.01, both=both
    )
    simulation.run()
    # none but one that was used up before it was told of at all
    assert simulation.refused() <= (kind == "sliding" and sizes[0] == (10, 1))


def told(budgets: Budgets, now: float, **quota: Any) -> None:
    told_all(budgets, now, Quota("default", **quota))


def told_all(
    budgets: Budgets,
    now: float,
    *quotas: Quota,
    sent_at: float | None = None,
    in_flight: int = 1,
    is_alone: bool = True,
) -> None:
    sent_at = now if sent_at is None else sent_at
    budgets.told(now, sent_at, quotas, in_flight, is_alone=is_alone)


def test_the_tightest_of_several_quotas_holds() -> None:
    budgets = Budgets()
    second, minute = Quota("s", "", 10, 1, 9, 1), Quota("m", "", 84, 60, 0, 30)
    told_all(budgets, 0.0, second)
    assert budgets.delay(0.0) == 0
    told_all(budgets, 0.0, second, minute)
    assert budgets.delay(0.0) == pytest.approx(30, rel=0.05)


def test_what_others_use_of_the_quota_is_not_there_for_us() -> None:
    budgets = Budgets()
    told(budgets, 0.0, limit=84, window=60, remaining=3, reset=20)
    for _ in range(3):
        assert budgets.delay(0.0) == 0
        budgets.take(0.0)
    assert budgets.delay(0.0) == pytest.approx(20, rel=0.05)


@pytest.mark.parametrize(
    ("left", "reset", "gap"),
    [(60, 30, 29 / 59), (20, 30, 1.0), (60, 0, 1.0)],
    ids=["soon over", "as evenly as a whole window", "it may be over"],
)
def test_what_is_left_lasts_until_the_window_is_over(left: int, reset: int, gap: float) -> None:
    budgets = Budgets()
    told(budgets, 0.0, limit=60, window=60)
    budgets.done(0.0)
    budgets.take(0.0)
    told(budgets, 0.0, limit=60, window=60, remaining=0, reset=30)
    budgets.done(0.0)
    assert budgets.delay(0.0) > 0
    told(budgets, 31.0, limit=60, window=60, remaining=left, reset=reset)
    budgets.take(31.0)
    assert budgets.delay(31.0) == pytest.approx(gap, rel=0.01)


def test_a_limit_that_is_not_told_is_what_is_left() -> None:
    budgets = Budgets()
    told(budgets, 0.0, remaining=3, reset=20)
    for _ in range(3):
        assert budgets.delay(0.0) == 0
        budgets.take(0.0)
    assert budgets.delay(0.0) == pytest.approx(20, rel=0.05)


def test_a_huge_quota_takes_no_memory() -> None:
    budgets = Budgets()
    for number in range(3):
        told(budgets, number, limit=1e6, window=60, remaining=1e6 - 1e5 * number, reset=60)
    [budget] = budgets._budgets.values()
    assert len(budget._counted) == 2
    told(budgets, 3, limit=1e6, window=60, remaining=1e6 - 5e4, reset=60)
    assert budget._left(3) == pytest.approx(1e6 - 5e4, abs=1)


def test_a_quota_that_is_told_no_longer_is_gone_after_a_while() -> None:
    budgets, other = Budgets(), Quota("other", "", 84, 60)
    told(budgets, 0.0, limit=1, window=60, remaining=0, reset=60)
    for now, is_gone in ((500.0, False), (601.0, False), (602.0, True)):
        budgets.take(now)
        if now != 601.0:
            told_all(budgets, now, other)
        assert (budgets.delay(now) == 0) == is_gone


def test_requests_in_flight_are_counted_once() -> None:
    budgets = Budgets()
    told_all(budgets, 0.0, Quota("default", "", 84, 60), in_flight=64, is_alone=False)
    for _ in range(20):
        assert budgets.delay(0.0) == 0
        budgets.take(0.0)
    assert budgets.delay(0.0) == pytest.approx(60, rel=0.02)


def test_a_request_counts_from_when_it_can_have_been_admitted() -> None:
    budgets = Budgets()
    told(budgets, 0.0, limit=2, window=6)
    budgets.done(0.0)
    budgets.take(0.0)
    budgets.done(3.0)  # it was three seconds on its way
    assert budgets.delay(3.0) == pytest.approx(3, rel=0.05)
    budgets.take(6.1)
    assert budgets.delay(6.1) == pytest.approx(2.9, rel=0.05)


@pytest.mark.parametrize(("overlap", "delay"), [(False, 0.0), (True, 20.0)])
def test_answers_that_overtake_one_another_promise_nothing(
    clock: Clock, overlap: bool, delay: float
) -> None:
    def quota(remaining: float) -> list[Quota]:
        return [Quota("default", "", 2, 20, remaining, 20)]

    pace, sent = Pace(), []
    for _ in range(2):
        pace.wait()
        sent.append(clock.now)
        clock.now += 0.05
        if not overlap:
            pace.accepted(sent[-1], quota(1))
            pace.done()
    if overlap:
        for sent_at, remaining in zip(sent, (0, 1), strict=True):
            clock.now += 0.05
            pace.accepted(sent_at, quota(remaining))
            pace.done()
    assert pace._budgets.delay(clock.now) == pytest.approx(delay, abs=0.5)


def test_an_answer_to_an_older_request_tells_nothing_new() -> None:
    budgets = Budgets()
    told(budgets, 2.0, limit=84, window=60, remaining=0, reset=20)
    told_all(budgets, 3.0, Quota("default", "", 84, 60, 70, 20), sent_at=1.0)
    assert budgets.delay(3.0) > 15


def test_one_request_asks_after_a_window_whose_length_is_not_told() -> None:
    budgets = Budgets()
    told(budgets, 0.0, limit=84, remaining=0, reset=6)
    now = budgets.delay(0.0)
    assert now == pytest.approx(6, rel=0.02)
    assert budgets.delay(now) == 0
    budgets.take(now)
    assert budgets.delay(now) == pytest.approx(1)  # unless it is answered before
    told(budgets, now + 0.1, limit=84, remaining=83, reset=6)
    assert budgets.delay(now + 0.1) == 0


def test_resets_that_are_rounded_down_are_found_out() -> None:
    budgets, used_up = Budgets(), Quota("default", "", 84, None, 0, 5)
    told_all(budgets, 0.0, used_up)
    assert budgets.delay(0.0) == pytest.approx(5, rel=0.05)
    budgets.take(5.1)
    told_all(budgets, 5.1, replace(used_up, reset=0))
    assert budgets.explain(5.1, 5.1, [replace(used_up, reset=0)])
    budgets.take(7.0)
    told_all(budgets, 7.0, used_up)
    assert budgets.delay(7.0) == pytest.approx(6, rel=0.05)


def test_a_refusal_is_explained_or_a_lie() -> None:
    budgets, used_up = Budgets(), Quota("default", "", 84, 60, 0, 30)
    room = Quota("default", "", 84, 60, 50, 30)
    assert not budgets.explain(0.0, 0.0, [])  # nobody told anything
    told_all(budgets, 1.0, used_up)
    assert budgets.explain(1.0, 1.0, [used_up])
    assert budgets.delay(1.0) > 0
    assert not budgets.explain(2.0, 0.5, [])  # it was sent before anything was told
    assert budgets.delay(2.0) > 0
    assert not budgets.explain(3.0, 3.0, [room])
    assert budgets.delay(3.0) == 0
    assert not budgets.explain(602.0, 602.0, [used_up])
    told(budgets, 603.0, limit=84, window=60, remaining=0, reset=30)
    assert budgets.delay(604.0) > 0  # after ten minutes they are believed again
