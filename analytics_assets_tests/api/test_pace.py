"""The pace against quotas that nobody tells of, and which requests share one."""

from __future__ import annotations

import threading

import pytest

from analytics_assets.api import pace
from analytics_assets.api.announced import Quota
from analytics_assets.api.pace import Pace, Paces
from analytics_assets.api.paths import Asked
from analytics_assets.errors import ReadError
from analytics_assets.sample_api import Behaviour
from analytics_assets_tests.testing.quotas import Clock, Simulation


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(pace, "time", clock)
    return clock


@pytest.mark.parametrize("quota", [20, 40, 100, 400])
def test_the_quota_is_used_and_hardly_ever_exceeded(clock: Clock, quota: int):
    simulation = Simulation(clock, Behaviour(quota=quota), total=quota * 30)
    simulation.run()
    assert simulation.refused(after=1) <= 0.01 * len(simulation.sent)
    assert simulation.seconds * 0.95 <= simulation.best


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


def test_a_quota_per_account_slows_no_other_account(clock: Clock):
    paces = Paces(per_account=True, ceiling=None)
    paces.of(Asked("campaigns", "a")).refused(sent_at=0.0, retry_after=60)
    assert paces.of(Asked("campaigns", "b")).wait() == 0
    assert paces.of(Asked("campaigns", "a"))._next_slot_in() == 60
    shared = Paces(per_account=False, ceiling=None)
    assert shared.of(Asked("campaigns", "a")) is shared.of(Asked("campaigns", "b"))


def accept(pace: Pace, clock: Clock, number: int, every: float) -> None:
    """So many answers, the last of them when that time has passed so often."""
    for _ in range(number):
        clock.now += every
        pace.accepted()


def refuse(pace: Pace, clock: Clock, retry_after: float = 2.0) -> None:
    """A refusal, and the wait that it asks for."""
    pace.refused(clock.now, retry_after)
    assert pace.closed
    assert pace._next_slot_in() == pytest.approx(retry_after)
    clock.now += retry_after
    pace._next_slot_in()
    assert not pace.closed


def test_a_rate_is_a_little_under_what_was_accepted_between_two_refusals(clock: Clock):
    pace = Pace()
    accept(pace, clock, 50, every=0.2)
    refuse(pace, clock)
    assert pace.rate == pytest.approx(0.98 * 50 / 10)
    pace.accepted()  # the quota is not known yet: it may be much more
    assert pace.rate == pytest.approx(4.9 + 0.5)
    accept(pace, clock, 19, every=0.2)
    clock.now = 20.0
    refuse(pace, clock)
    assert pace.rate == pytest.approx(0.98 * 20 / 10)
    pace.accepted()
    assert pace.rate == pytest.approx(1.96 + 0.005)


def test_a_quota_that_serves_what_it_has_saved_up(clock: Clock):
    pace, clock.now = Pace(), 9.0
    for _ in range(50):
        pace.accepted()
    clock.now = 10.0
    refuse(pace, clock)
    assert pace.rate == pytest.approx(0.98 * 0.6 * 50)  # the last second's counts for less


@pytest.mark.parametrize(("accepted", "rate"), [(9, 0.8 * 4.9), (10, 0.98 * 10 / 10)])
def test_few_answers_are_no_measure(clock: Clock, accepted: int, rate: float):
    pace = Pace()
    accept(pace, clock, 50, every=0.2)
    refuse(pace, clock)
    pace._set_rate(4.9)
    for _ in range(accepted):
        pace.accepted()
    pace._set_rate(4.9)
    clock.now = 20.0
    refuse(pace, clock)
    assert pace.rate == pytest.approx(rate)
    pace.accepted()
    # what was measured before is come back to fast
    assert pace.rate == pytest.approx(rate + (0.5 if accepted == 9 else 0.005))


@pytest.mark.parametrize(("waited", "growth"), [(59.5, 0.005), (60.0, 0.05)])
def test_a_quota_that_refuses_nothing_for_long_is_tried_harder(
    clock: Clock, waited: float, growth: float
):
    pace = Pace()
    for _ in range(2):
        accept(pace, clock, 50, every=0.2)
        refuse(pace, clock)
    before = pace.rate or 0.0
    clock.now += waited - 2.0
    pace.accepted()
    assert pace.rate == pytest.approx(before + growth)


def test_what_was_sent_at_the_old_rate_tells_nothing_new(clock: Clock):
    pace = Pace()
    accept(pace, clock, 50, every=0.2)
    refused_at = clock.now
    pace.refused(refused_at, 2.0)
    pace.accepted()  # sent before, too: it counts, and raises nothing
    assert pace.rate is None
    clock.now += 0.5
    pace.refused(refused_at, 5.0)
    assert pace._next_slot_in() == pytest.approx(5.0)  # but it is waited for
    clock.now += 5.0
    pace._next_slot_in()
    assert pace.rate == pytest.approx(0.98 * 51 / 10)
    pace.refused(clock.now, 1.0)
    pace.accepted()
    assert pace.rate == pytest.approx(0.98 * 51 / 10)  # until it is measured again


def test_a_ceiling_is_never_exceeded(clock: Clock):
    for limited in (Pace(ceiling=3), Paces(per_account=True, ceiling=3).of(Asked())):
        assert limited.rate == 3
        accept(limited, clock, 50, every=0.2)
        refuse(limited, clock)
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


CAMPAIGNS, ITEMS = Asked("campaigns", "acme"), Asked("campaign_items", "acme", "1")
OTHERS = Asked("campaigns", "globex")
MINUTE, HOUR = Quota("minute", "", 84, 60), Quota("hour", "", 2000, 3600)


def test_what_names_the_same_policies_shares_a_pace():
    paces = Paces(per_account=False, ceiling=None)
    first = paces.of(CAMPAIGNS)
    assert paces.told(CAMPAIGNS, [MINUTE, HOUR]) is first  # with what is in flight
    assert paces.of(ITEMS) is first  # until an answer tells otherwise
    assert paces.told(ITEMS, [HOUR]) is not first
    assert paces.of(ITEMS) is paces.told(OTHERS, [HOUR])
    assert paces.of(CAMPAIGNS) is first
    assert paces.told(ITEMS, []) is not paces.of(OTHERS)  # it tells no longer


def test_partitions_of_a_policy_have_paces_of_their_own():
    paces = Paces(per_account=False, ceiling=None)
    acme = paces.told(CAMPAIGNS, [Quota("minute", ":YWNtZQ==:", 84, 60)])
    assert paces.of(OTHERS) is not acme  # whose partition may be another
    globex = paces.told(OTHERS, [Quota("minute", ":Z2xvYmV4:", 84, 60)])
    assert globex is paces.of(OTHERS) is not acme
    assert paces.of(CAMPAIGNS) is acme
