"""When what was learned of a quota is better forgotten."""

from __future__ import annotations

import pytest

from analytics_assets.api.throughput import Throughput


def accept(
    throughput: Throughput, now: float, seconds: float, rate: float, limit: int = 1
) -> list[float]:
    """Has requests accepted at such a rate, in windows with so many; when they were to forget."""
    window, forgotten = limit / rate, []
    for number in range(int(seconds / window)):
        moment = now + number * window
        slumps = [throughput.has_slumped(moment, limit, window) for _ in range(limit)]
        forgotten += [moment - now] * sum(slumps)
    return forgotten


def test_a_rate_that_is_much_lower_is_forgotten_ever_later():
    throughput = Throughput()
    assert accept(throughput, 1000, 60, rate=10) == []
    assert throughput.rate == pytest.approx(12, rel=0.01)
    assert accept(throughput, 1060, 200, rate=5) == pytest.approx([10, 30, 70, 150], abs=1)


def test_one_that_is_a_little_lower_is_not():
    throughput = Throughput()
    accept(throughput, 0, 60, rate=10)
    assert accept(throughput, 60, 600, rate=7.5) == []


@pytest.mark.parametrize(("well", "seconds"), [(190, 20), (210, 10)])
def test_a_slump_is_over_after_ten_times_as_long(well: float, seconds: float):
    throughput = Throughput()
    accept(throughput, 0, 60, rate=10)
    accept(throughput, 60, 15, rate=5)  # twenty seconds are waited for the next time
    accept(throughput, 75, well, rate=10)
    assert accept(throughput, 75 + well, 25, rate=5) == pytest.approx([seconds], abs=0.3)


@pytest.mark.parametrize(("limit", "least"), [(1, 3.0), (2, 15.0)])
def test_what_the_api_gave_in_seconds_only_is_no_measure(limit: int, least: float):
    throughput = Throughput()
    accept(throughput, 0, least - 0.3, rate=10, limit=limit)
    assert throughput.rate == 0
    accept(throughput, least, 0.5, rate=10, limit=limit)
    assert throughput.rate == pytest.approx(12, rel=0.1)


def test_nothing_learned_is_nothing_to_forget():
    throughput = Throughput()
    accept(throughput, 0, 60, rate=10)
    assert not throughput.has_slumped(200, 0, 0.0)


def test_a_window_that_has_just_begun_does_not_count():
    throughput = Throughput()
    assert accept(throughput, 0, 300, rate=1, limit=60) == []
    # as a fifth of a window of a minute would be, if the first were measured while it lasts
    assert throughput.rate == pytest.approx(1.2, rel=0.01)


def test_a_shorter_window_that_gives_much_less_is_forgotten_after_two():
    throughput = Throughput()
    accept(throughput, 0, 300, rate=1, limit=60)
    assert accept(throughput, 300, 100, rate=0.1, limit=2) == [40, 80]


def test_a_window_of_the_same_length_that_has_less_room_is_left_to_its_trials():
    throughput = Throughput()
    accept(throughput, 0, 300, rate=1, limit=60)
    assert accept(throughput, 300, 3_000, rate=0.1, limit=6) == []
