"""The pace: whose turn it is, ceilings, and how long is waited after a refusal."""

from __future__ import annotations

import math
import threading
import time
from threading import Event, Thread

import pytest

from analytics_assets.api import pace
from analytics_assets.api.pace import Pace
from analytics_assets.api.paces import Paces
from analytics_assets.api.paths import Asked
from analytics_assets.errors import ReadError
from analytics_assets_tests.testing.client import TIMEOUT, wait_until
from analytics_assets_tests.testing.quotas import Clock, rate_of


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


def ask(pace: Pace, clock: Clock, is_accepted: bool, retry_after: float | None) -> None:
    """Sends a request, answered after a millisecond; a refusal asks for `retry_after` seconds."""
    pace.wait()
    clock.now += 0.001
    if is_accepted:
        pace.accepted(clock.now - 0.001)
    else:
        pace.refused(clock.now - 0.001, retry_after)
    pace.done()


def test_without_a_refusal_there_is_no_limit(clock: Clock):
    pace = Pace()
    for _ in range(1_000):
        assert pace.wait() == 0
        pace.accepted()
    assert rate_of(pace) is None


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
    assert rate_of(pace) is not None


def test_a_refusal_that_names_no_time_is_waited_for_ever_longer(clock: Clock):
    pace, asked_at = Pace(), list[float]()
    while clock.now < 60:
        assert pace._next_slot_in() == 0
        pace.refused(clock.now, None)
        pace.done()
        clock.now += pace._next_slot_in()
        asked_at.append(clock.now)
    assert asked_at[0] == 0.05
    assert len(asked_at) < 35
    # just when a window of the usual seconds opens again
    assert {round(moment / 1.01, 2) for moment in asked_at} >= {5, 6, 10, 30, 60}


@pytest.mark.parametrize(("number", "waits"), [(2, 0.05), (3, 0.25)])
def test_a_quota_that_accepted_few_is_asked_again_sooner(clock: Clock, number: int, waits: float):
    pace = Pace()
    for _ in range(number):
        assert pace._next_slot_in() == 0
        pace.accepted(clock.now)
        pace.done()
    assert pace._next_slot_in() == 0
    clock.now += 0.01
    pace.refused(clock.now, None)
    pace.done()
    assert pace._next_slot_in() == pytest.approx(waits, rel=0.05)


@pytest.mark.parametrize(
    ("retry_after", "longest", "waits"),
    [(None, 120.0, 1.01 * 60), (None, 10.0, 1.01 * 10), (None, 0.1, 0.1), (7.0, 120.0, 8.0)],
)
def test_who_leaves_it_to_others_waits_until_the_api_is_likely_to_be_open(
    clock: Clock, retry_after: float | None, longest: float, waits: float
):
    pace = Pace(longest_wait=longest)
    pace.wait()
    pace.refused(clock.now, retry_after)
    pace.done()
    assert pace.wait(asks_at=math.inf) == pytest.approx(waits, abs=0.06)


def test_who_leaves_it_to_others_asks_by_itself_when_it_is_time(clock: Clock):
    pace = Pace(longest_wait=120.0)
    pace.wait()
    pace.refused(clock.now, None)
    pace.done()
    assert pace.wait(asks_at=4.0) == pytest.approx(4.0, abs=0.06)


def test_who_leaves_it_to_others_waits_for_ten_slots_where_requests_are_spaced(clock: Clock):
    pace = Pace(longest_wait=120.0)
    for is_accepted in (*10 * [True], False, True, False):
        ask(pace, clock, is_accepted, None)
    refused_at = clock.now
    ask(pace, clock, True, None)
    rate = rate_of(pace)
    assert rate is not None
    assert 5 < rate < 40
    pace.wait(asks_at=math.inf)
    assert clock.now - refused_at == pytest.approx(10 / rate, abs=0.06)


def test_who_leaves_it_to_others_waits_a_second_after_another_was_refused(clock: Clock):
    pace = Pace(longest_wait=120.0)
    for accepts in (False, True):
        pace.wait()
        if accepts:
            pace.accepted(clock.now)
        else:
            pace.refused(clock.now, 7.0)
        pace.done()
    assert clock.now == pytest.approx(7.0, abs=0.06)
    assert pace.wait(asks_at=math.inf) == pytest.approx(1.0, abs=0.06)


def test_who_leaves_it_to_others_goes_on_when_another_has(clock: Clock):
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
    assert pace.wait(asks_at=math.inf) == pytest.approx(5, abs=0.1)
    assert pace.wait(asks_at=math.inf) < 1


@pytest.mark.parametrize(
    ("of_others", "accepted", "is_forgotten"),
    [(0, 1, True), (4, 1, True), (5, 1, False), (0, 0, False)],
)
def test_what_a_request_tells_that_is_refused_for_itself_is_forgotten(
    clock: Clock, of_others: int, accepted: int, is_forgotten: bool
):
    pace = Pace()
    for _ in range(10):
        ask(pace, clock, True, 1.0)
    refused_at = clock.now + 0.001
    for is_accepted in (*4 * [False, *accepted * [True]], *of_others * [False]):
        ask(pace, clock, is_accepted, 1.0)
    pace.given_up(4, refused_at)
    assert pace.closed == (not accepted or of_others > 0)  # the API has named a time
    ask(pace, clock, True, 1.0)
    assert (rate_of(pace) is None) == is_forgotten


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
        assert rate_of(limited) == 3
    assert rate_of(Paces(per_account=False, ceiling=None).of(Asked())) is None


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
