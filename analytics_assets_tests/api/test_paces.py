"""Which requests share a pace."""

from __future__ import annotations

import time
from itertools import count, cycle, islice
from threading import Event, Thread

import pytest

from analytics_assets.api.announced import Quota
from analytics_assets.api.paces import Paces
from analytics_assets.api.paths import Asked
from analytics_assets_tests.testing.quotas import rate_of

CAMPAIGNS, ITEMS = Asked("campaigns", "acme"), Asked("campaign_items", "acme", "1")
OTHERS = Asked("campaigns", "globex")
MINUTE, HOUR = Quota("minute", "", 84, 60), Quota("hour", "", 2000, 3600)


def test_a_quota_per_account_slows_no_other_account():
    paces = Paces(per_account=True, ceiling=None)
    paces.of(Asked("campaigns", "a")).refused(time.monotonic(), 60)
    assert paces.of(Asked("campaigns", "b")).wait() == pytest.approx(0, abs=1)
    assert paces.of(Asked("campaigns", "a"))._next_slot_in() == pytest.approx(60, abs=1)
    shared = Paces(per_account=False, ceiling=None)
    assert shared.of(Asked("campaigns", "a")) is shared.of(Asked("campaigns", "b"))


def test_what_names_the_same_policies_shares_a_pace():
    paces = Paces(per_account=False, ceiling=None)
    first = paces.of(CAMPAIGNS)
    assert paces.told(CAMPAIGNS, [MINUTE, HOUR]) is first  # with what is in flight
    assert paces.of(ITEMS) is first  # until an answer tells otherwise
    assert paces.told(ITEMS, [HOUR]) is not first
    assert paces.of(ITEMS) is paces.told(OTHERS, [HOUR])
    assert paces.of(CAMPAIGNS) is first


def test_an_answer_that_names_none_leaves_it_at_what_was_named():
    paces = Paces(per_account=False, ceiling=None)
    paces.told(CAMPAIGNS, [MINUTE])
    items = paces.told(ITEMS, [HOUR])
    assert paces.told(ITEMS, []) is paces.of(ITEMS) is items
    assert paces.told(Asked("campaign_items", "globex", "1"), []) is items
    assert paces.told(Asked("audiences", "acme"), []) not in (paces.of(CAMPAIGNS), items)


def test_names_that_change_are_those_of_the_same_quota():
    paces = Paces(per_account=False, ceiling=None)
    first = paces.told(CAMPAIGNS, [MINUTE])
    assert paces.told(CAMPAIGNS, [Quota("85", "", 85, 60)]) is first
    assert paces.told(CAMPAIGNS, [MINUTE]) is first
    assert paces.told(ITEMS, [HOUR]) is not first
    assert paces.told(CAMPAIGNS, [HOUR]) is paces.of(ITEMS)


def test_what_fails_is_told_of_nothing_but_its_quota():
    paces = Paces(per_account=False, ceiling=None)
    assert paces.known(CAMPAIGNS, [HOUR]) == [HOUR]  # it may be all that is told, ever
    paces.told(CAMPAIGNS, [MINUTE])
    assert paces.known(CAMPAIGNS, [HOUR, MINUTE]) == [MINUTE]


def test_partitions_of_a_policy_have_paces_of_their_own():
    paces = Paces(per_account=False, ceiling=None)
    acme = paces.told(CAMPAIGNS, [Quota("minute", ":YWNtZQ==:", 84, 60)])
    assert paces.of(OTHERS) is not acme  # whose partition may be another
    globex = paces.told(OTHERS, [Quota("minute", ":Z2xvYmV4:", 84, 60)])
    assert globex is paces.of(OTHERS) is not acme
    assert paces.of(CAMPAIGNS) is acme


def test_what_was_not_asked_yet_counts_as_the_same_resource_elsewhere():
    paces = Paces(per_account=False, ceiling=None)
    lists, items = paces.told(CAMPAIGNS, [MINUTE]), paces.told(ITEMS, [HOUR])
    assert paces.of(OTHERS) is lists
    assert paces.of(Asked("campaign_items", "globex", "1")) is items is not lists
    assert paces.of(Asked("audiences", "globex")) is items  # whatever was told last


def test_what_was_not_asked_yet_counts_as_its_account_where_that_has_a_partition():
    paces = Paces(per_account=False, ceiling=None)
    acme = paces.told(CAMPAIGNS, [Quota("minute", ":YWNtZQ==:", 84, 60)])
    assert paces.of(ITEMS) is acme
    assert paces.of(Asked("campaign_items", "globex", "1")) is not acme


def test_a_resource_s_first_answer_tells_which_quota_counts_the_others():
    paces, found = Paces(per_account=False, ceiling=None), []
    lists = paces.told(CAMPAIGNS, [MINUTE])

    def ask_as_another() -> None:
        with paces.first_alone(ITEMS, Event()):
            found.append(paces.of(ITEMS))

    another = Thread(target=ask_as_another)
    with paces.first_alone(ITEMS, Event()):
        another.start()
        items = paces.told(ITEMS, [HOUR])
    another.join()
    assert found == [items]
    assert items is not lists


def test_where_accounts_have_partitions_each_has_a_first_answer():
    paces, stopped = Paces(per_account=False, ceiling=None), Event()
    paces.told(CAMPAIGNS, [Quota("minute", ":YWNtZQ==:", 84, 60)])
    with paces.first_alone(ITEMS, stopped):
        pass
    items, entered = Asked("campaign_items", "globex", "1"), Event()

    def ask_as_another() -> None:
        with paces.first_alone(items, stopped):
            entered.set()

    another = Thread(target=ask_as_another)
    with paces.first_alone(items, stopped):
        another.start()
        assert not entered.wait(0.2)
    another.join()
    assert entered.is_set()


def test_nobody_waits_for_the_first_answer_once_the_run_is_stopped():
    paces, stopped = Paces(per_account=False, ceiling=None), Event()
    paces.told(CAMPAIGNS, [MINUTE])
    stopped.set()
    with paces.first_alone(ITEMS, Event()), paces.first_alone(ITEMS, stopped):
        assert paces.of(ITEMS) is paces.of(CAMPAIGNS)


def test_nobody_waits_for_a_first_answer_where_no_answer_tells_of_a_quota():
    paces = Paces(per_account=False, ceiling=None)
    paces.told(CAMPAIGNS, [])
    with paces.first_alone(ITEMS, Event()), paces.first_alone(ITEMS, Event()):
        assert paces.of(ITEMS) is paces.of(CAMPAIGNS)


def outcomes(paces: Paces, asked: list[Asked], refused: set[Asked]) -> None:
    """Requests one after another, of which each second one of those refused is."""
    times: dict[Asked, int] = {}
    for number, each in enumerate(asked):
        times[each] = times.get(each, 0) + 1
        if each in refused and times[each] % 2:
            paces.of(each).refused(number, 0.0)
            paces.refused(each, number)
        else:
            paces.of(each).accepted(number)
            paces.accepted(each, number)


@pytest.mark.parametrize(
    ("alone", "with_it"),
    [
        ({ITEMS, Asked("campaign_items", "globex", "2")}, Asked("campaign_items", "initech", "3")),
        ({CAMPAIGNS, ITEMS}, Asked("audiences", "acme")),
    ],
    ids=["resource", "account"],
)
def test_who_alone_is_refused_has_a_pace_of_its_own(alone: set[Asked], with_it: Asked):
    paces = Paces(per_account=False, ceiling=None)
    everyone = [CAMPAIGNS, ITEMS, OTHERS, Asked("campaign_items", "globex", "2")]
    first = paces.of(CAMPAIGNS)
    outcomes(paces, list(islice(cycle(everyone), 20)), alone)
    assert {paces.of(each) for each in everyone} == {first}  # it may be by chance
    outcomes(paces, list(islice(cycle(everyone), 300)), alone)
    assert {paces.of(each) for each in (*alone, with_it)} == {first}  # with what it knows
    [free] = {paces.of(each) for each in everyone if each not in alone}
    assert free is not first
    assert rate_of(free) is None


def test_who_asks_most_is_refused_most():
    paces = Paces(per_account=False, ceiling=None)
    for number in range(3000):
        each = OTHERS if number % 20 == 0 else CAMPAIGNS
        if number % 10 == 5:
            paces.refused(each, number)
        else:
            paces.accepted(each, number)
    assert paces.of(CAMPAIGNS) is paces.of(OTHERS)


def test_what_is_asked_while_it_is_closed_tells_of_no_one():
    paces = Paces(per_account=False, ceiling=None)
    for number in range(100):
        for _ in range(50):
            paces.refused(CAMPAIGNS, number)  # one after another asks in vain
        paces.accepted(ITEMS, number - 1)  # which was sent before
        paces.accepted(CAMPAIGNS, number + 0.5)
    assert paces.of(CAMPAIGNS) is paces.of(ITEMS) is paces.of(OTHERS)


def alone_after(before: list[Asked], between: list[Asked]) -> int:
    """The refusal of campaigns that gives them a pace of their own."""
    paces = Paces(per_account=False, ceiling=None)
    for each in before:
        paces.accepted(each, 0)
    for number in count(1):
        paces.refused(CAMPAIGNS, number)
        if paces.of(CAMPAIGNS) is not paces.of(ITEMS):
            break
        paces.accepted(ITEMS, number)  # as it was sent, nobody knew
        for each in between:
            paces.accepted(each, number + 0.5)
    return number


def test_it_is_one_chance_in_a_million():
    # three times one of a hundred is no less
    assert alone_after([], [ITEMS] * 33) == 5
    # n times n of 2n - 1, the first after others were accepted, too
    assert alone_after([ITEMS], [ITEMS, CAMPAIGNS]) == 21


def test_who_is_alone_keeps_what_is_known_of_its_quota():
    paces = Paces(per_account=False, ceiling=None)
    for each in (CAMPAIGNS, ITEMS):
        paces.told(each, [MINUTE])
    first = paces.of(CAMPAIGNS)
    outcomes(paces, list(islice(cycle([CAMPAIGNS, ITEMS]), 300)), {CAMPAIGNS})
    assert paces.of(CAMPAIGNS) is first
    assert paces.of(ITEMS) is not first


def test_what_another_quota_accepts_makes_no_one_suspect():
    paces = Paces(per_account=True, ceiling=None)
    refused, accepted = Asked("campaigns", "a"), Asked("campaign_items", "b", "1")
    outcomes(paces, list(islice(cycle([refused, accepted]), 300)), {refused})
    assert paces.of(refused) is paces.of(Asked("audiences", "a"))
