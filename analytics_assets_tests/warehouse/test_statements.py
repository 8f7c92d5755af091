"""How statements name many values."""

from __future__ import annotations

import pytest

from analytics_assets.warehouse.statements import in_chunks, marks


@pytest.mark.parametrize(
    ("number", "sizes"), [(0, []), (1, [1]), (500, [500]), (501, [500, 1]), (1000, [500, 500])]
)
def test_values_come_as_many_at_a_time_as_a_statement_names(number: int, sizes: list[int]):
    accounts = [f"account {place}" for place in range(number)]
    chunks = list(in_chunks(accounts))
    assert [len(chunk) for chunk in chunks] == sizes
    assert [account for chunk in chunks for account in chunk] == accounts


def test_a_mark_for_each_value():
    assert marks(["a", "b"]) == "%s, %s"
