"""The pace against quotas that nobody tells of, and which requests share one."""

from __future__ import annotations

import threading
import time
from threading import Event, Thread
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from analytics_assets.api import pace
from analytics_assets.api.pace import Pace
from analytics_assets.api.paces import Paces
from analytics_assets.api.paths import Asked
from analytics_assets.errors import ReadError
from analytics_assets.sample_api import Behaviour
from analytics_assets.sample_api.limits import Limits
from analytics_assets.settings import ApiSettings
from analytics_assets_tests.testing.client import TIMEOUT, wait_until
from analytics_assets_tests.testing.quotas import Clock, Simulation


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


def simulated(clock: Clock, total: int, **options: Any) -> Simulation:
    names = ("retry_after", "jitter", "others")
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


@pytest.mark.parametrize("retry_after", ["exact", "rounded", "missing"])
@pytest.mark.parametrize(("rate", "burst"), [(40, 10), (14, 1), (1.4, 1), (5, 1)])
def test_a_bucket_that_saves_up_little(clock: Clock, rate: float, burst: int, retry_after: Any):
    simulation = simulated(
        clock, 4082, retry_after=retry_after, jitter=0.002, quota=rate, quota_burst=burst
    )
    # a second is waited for after each refusal, which is 14 or 40 requests
    least = 0.9 if rate > 5 and retry_after == "rounded" else 0.95
    assert least * simulation.seconds <= simulation.best
    assert simulation.refused(after=1) <= 0.01 * len(simulation.sent)
    assert max(simulation.attempts.values()) <= 1 + ApiSettings.max_retries


@pytest.mark.parametrize(
    ("retry_after", "least"), [("exact", 0.95), ("missing", 0.93), ("rounded", 0.8)]
)
def test_where_no_two_are_admitted_at_once_a_pace_is_soon_found(
    clock: Clock, retry_after: Any, least: float
):
    quota = {"quota": 14, "quota_burst": 1}
    simulation = simulated(clock, 500, retry_after=retry_after, jitter=0.002, **quota)
    assert least * simulation.seconds <= simulation.best
    assert simulation.refused(after=1) <= 0.01 * len(simulation.sent)


@given(
    limit=st.integers(5, 300),
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
    before = simulation.pace.rate
    simulation.behaviour.quota = 400
    simulation.total += 30_000
    simulation.go_on()
    assert before is not None
    assert simulation.pace.rate is not None
    assert simulation.pace.rate > 10 * before


def test_without_a_refusal_there_is_no_limit(clock: Clock):
    pace = Pace()
    for _ in range(1_000):
        assert pace.wait() == 0
        pace.accepted()
    assert pace.rate is None


def test_a_ceiling_is_kept_from_the_first_request(clock: Clock):
    pace = Pace(ceiling=10)
    sent = []
    while clock.now < 5:
        delay = pace._next_slot_in()
        if delay > 0:
            clock.now += delay
        else:
            sent.append(clock.now)
            pace.accepted()
    assert 49 <= len(sent) <= 51


def test_who_waits_is_served_by_rank():
    pace, served = Pace(), list[int]()
    pace.refused(time.monotonic(), 0.3)

    def ask(rank: int) -> None:
        pace.wait(rank=rank)
        served.append(rank)
        pace.accepted()
        pace.done()

    first = Thread(target=ask, args=[9])  # looks for the next slot, and is not overtaken
    first.start()
    wait_until(lambda: pace._queue._is_taken)
    threads = [Thread(target=ask, args=[rank]) for rank in (3, 1, 2)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(pace._queue._waiting) == 3)
    for thread in (first, *threads):
        thread.join(TIMEOUT)
    assert served == [9, 1, 2, 3]


def test_who_gives_up_or_is_interrupted_in_the_queue_leaves_no_place_behind(
    monkeypatch: pytest.MonkeyPatch,
):
    pace, stopped = Pace(), Event()
    pace.refused(time.monotonic(), 60)
    errors: list[BaseException] = []

    def ask(stopped: Event, rank: int) -> None:
        try:
            pace.wait(stopped, rank)
        except BaseException as error:
            errors.append(error)

    first = Event()
    threads = [Thread(target=ask, args=[first, 0])]
    threads[0].start()
    wait_until(lambda: pace._queue._is_taken)
    threads += [Thread(target=ask, args=[stopped, rank]) for rank in (1, 2)]
    for thread in threads[1:]:
        thread.start()
    wait_until(lambda: len(pace._queue._waiting) == 2)
    with monkeypatch.context() as patch:
        patch.setattr(Event, "wait", interrupted)
        ask(Event(), 3)
    assert sorted(rank for rank, *_ in pace._queue._waiting) == [1, 2]
    stopped.set()  # not the first, which waits for another run
    for thread in threads[1:]:
        thread.join(TIMEOUT)
    assert [type(error) for error in errors] == [KeyboardInterrupt, ReadError, ReadError]
    assert pace._queue._waiting == []
    first.set()
    threads[0].join(TIMEOUT)
    assert not pace._queue._is_taken


def interrupted(*_: object) -> None:
    raise KeyboardInterrupt


def test_nothing_is_sent_for_a_run_that_was_stopped():
    pace, stopped = Pace(), Event()
    stopped.set()
    with pytest.raises(ReadError, match="stopped"):
        pace.wait(stopped)
    assert pace.wait(Event()) == pytest.approx(0, abs=1)


def test_one_request_asks_after_a_refusal(clock: Clock):
    pace = Pace()
    assert [pace._next_slot_in() for _ in range(3)] == [0, 0, 0]
    pace.accepted(0.0)
    pace.refused(0.0, 2.0)
    for _ in range(3):
        pace.done()
    assert pace.closed
    assert pace._next_slot_in() == 2
    clock.now = 2.0
    assert pace._next_slot_in() == 0
    assert pace._next_slot_in() > 0  # the others wait for its answer
    pace.accepted(2.0)
    pace.done()
    assert pace.rate is not None


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


def test_a_refusal_that_names_no_time_is_waited_for_ever_longer(clock: Clock):
    pace, asked_at = Pace(), list[float]()
    while clock.now < 60:
        assert pace._next_slot_in() == 0
        pace.refused(clock.now, None)
        pace.done()
        clock.now += pace._next_slot_in()
        asked_at.append(clock.now)
    assert asked_at[0] == 0.25
    assert len(asked_at) < 30
    # just when a window of the usual seconds opens again
    assert {round(moment / 1.01, 2) for moment in asked_at} >= {5, 6, 10, 30, 60}


@pytest.mark.parametrize(
    ("retry_after", "longest", "waits"),
    [(None, 120.0, 1.01 * 60), (None, 10.0, 1.01 * 10), (None, 0.1, 0.1), (7.0, 120.0, 7.0)],
)
def test_who_may_not_ask_waits_until_the_api_is_likely_to_be_open(
    clock: Clock, retry_after: float | None, longest: float, waits: float
):
    pace = Pace(longest_wait=longest)
    pace.wait()
    pace.refused(clock.now, retry_after)
    pace.done()
    assert pace.wait(may_ask=False) == pytest.approx(waits, abs=0.06)


def test_who_may_not_ask_goes_on_when_another_has(clock: Clock):
    pace = Pace(longest_wait=120.0)

    def ask() -> None:
        if clock.now >= 5 and pace._learned._is_closed:
            clock.sleep_hook = None
            pace.wait()
            pace.accepted(clock.now)
            pace.done()

    pace.wait()
    pace.refused(clock.now, None)
    pace.done()
    clock.sleep_hook = ask
    assert pace.wait(may_ask=False) == pytest.approx(5, abs=0.1)
    assert pace.wait(may_ask=False) < 1


def test_no_wait_after_a_refusal_is_longer_than_the_longest(clock: Clock):
    paces = Paces(per_account=False, ceiling=None, longest_wait=0.3)
    pace, waits = paces.of(Asked()), []
    for retry_after in (None, 60.0, *[None] * 20):
        assert pace._next_slot_in() == 0
        pace.refused(clock.now, retry_after)
        pace.done()
        waits.append(pace._next_slot_in())
        clock.now += waits[-1]
    assert max(waits) == pytest.approx(0.3)


def test_a_ceiling_is_never_exceeded(clock: Clock):
    for limited in (Pace(ceiling=3), Paces(per_account=True, ceiling=3).of(Asked())):
        assert limited.rate == 3
    assert Paces(per_account=False, ceiling=None).of(Asked()).rate is None


def test_a_wait_that_was_too_long_is_made_up_for_by_one_request(clock: Clock):
    pace = Pace(ceiling=10)
    assert pace._next_slot_in() == 0
    clock.now = 5.0
    slots = [pace._next_slot_in() for _ in range(3)]
    assert slots == pytest.approx([0, 0, 0.1])


def test_who_waits_is_told_how_long(clock: Clock):
    clock.now = 100.0
    pace = Pace(ceiling=1)
    pace.wait()  # makes up for the time before
    assert [pace.wait(), pace.wait(), pace.wait()] == pytest.approx([0, 1, 1])


def test_a_stop_ends_the_wait(clock: Clock):
    pace, stopped = Pace(), threading.Event()
    pace.refused(0.0, 120.0)
    clock.sleep_hook = stopped.set
    with pytest.raises(ReadError, match="the run was stopped"):
        pace.wait(stopped)
    assert clock.now < 1
    pace.done()
    assert pace.wait() == pytest.approx(120, abs=1)
