"""When a window is tried with more than its limit, and with how much."""

from __future__ import annotations

from analytics_assets.api.limit_trial import LimitTrial


def tried(trial: LimitTrial, limit: int) -> tuple[int, int]:
    """Opens windows that use up their limit until one is tried; their number, and what with."""
    windows = 0
    while not trial.extra:
        assert trial.opened(limit, limit) == limit
        windows += 1
    return windows, trial.extra


def test_a_window_is_tried_once_in_three_hundred_requests():
    trial = LimitTrial(100)
    assert tried(trial, 100) == (4, 1)
    trial.refused(100)
    assert tried(trial, 100) == (4, 1)


def test_a_small_one_is_tried_sooner_at_first():
    for limit, windows in ((3, 11), (10, 7), (40, 7), (60, 6)):
        trial = LimitTrial(limit)
        assert tried(trial, limit) == (windows, 1)
        trial.refused(limit)
    trial = LimitTrial(10)
    found = []
    for _ in range(4):
        found.append(tried(trial, 10)[0])
        trial.refused(10)
    assert found == [7, 13, 25, 31]


def test_and_if_they_fit_the_next_is_tried_with_twice_as_many():
    trial = LimitTrial(100)
    assert tried(trial, 100) == (4, 1)
    assert [trial.opened(limit, limit + 1) for limit in (100, 101, 103)] == [101, 103, 107]
    trial.refused(107)
    assert tried(trial, 107) == (2, 2)  # what did not fit costs little at first


def test_what_does_not_fit_is_quartered_and_the_limit_stays():
    trial = LimitTrial(100)
    for extra in (1, 2, 4, 8):
        assert tried(trial, 301)[1] == extra
        if extra < 8:
            trial.opened(301, 301)
    trial.refused(301)
    assert trial.extra == 0
    assert tried(trial, 301)[1] == 2


def test_a_refusal_within_the_limit_changes_nothing_of_what_is_tried_next():
    trial = LimitTrial(10)
    trial.lost(8, 10)
    trial.refused(10)
    assert tried(trial, 10) == (2, 8)


def test_what_was_lost_is_soon_tried_again():
    trial = LimitTrial(10)
    trial.lost(74, 10)
    assert tried(trial, 10) == (2, 74)
    trial.refused(10)
    # twice as many requests pass until the next time, and so on
    assert tried(trial, 10) == (3, 18)


def test_a_spacing_is_never_tried():
    trial = LimitTrial(100)
    for _ in range(1000):
        assert trial.opened(1, 1) == 1
    assert trial.extra == 0
