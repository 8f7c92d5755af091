"""What of the records the warehouse does not hold, without a warehouse."""

from __future__ import annotations

from dataclasses import replace

import pytest

from analytics_assets.orchestration.presence import unknown_loads, without_rows
from analytics_assets.orchestration.run_records import Load
from analytics_assets.warehouse.holdings import HeldLoads, HeldRows

LOAD = Load("campaigns", "acme", at=0.0, rows=10, run_id="run", load_id="100.5")
KNOWN = HeldLoads(frozenset({"campaigns"}), frozenset({"100.5"}))


@pytest.mark.parametrize(
    ("load", "is_known"),
    [
        (LOAD, True),
        (replace(LOAD, load_id="99.5"), False),
        (replace(LOAD, resource="audiences"), False),
        (replace(LOAD, load_id=None), True),
    ],
    ids=["as recorded", "another load", "no table", "not judged"],
)
def test_a_load_that_the_warehouse_does_not_know(load: Load, is_known: bool) -> None:
    assert unknown_loads([load], KNOWN) == ([] if is_known else [load])


@pytest.mark.parametrize(
    ("counts", "is_held"),
    [
        ((10, "100.5"), True),
        ((9, "100.5"), False),
        ((3, "101.5"), True),
        ((0, ""), False),
    ],
    ids=["as recorded", "fewer rows", "of a later load", "no row"],
)
def test_rows_that_the_warehouse_does_not_hold(counts: tuple[int, str], is_held: bool) -> None:
    held = HeldRows(KNOWN, {("campaigns", "acme"): counts})
    assert without_rows([LOAD], held) == ([] if is_held else [LOAD])


def test_an_account_without_rows_is_held_if_its_load_is_known() -> None:
    empty = replace(LOAD, rows=0)
    assert without_rows([empty], HeldRows(KNOWN)) == []
    assert without_rows([empty], HeldRows()) == [empty]


def test_a_load_without_a_name_is_held_if_there_are_rows() -> None:
    unnamed = replace(LOAD, load_id=None)
    held = HeldRows(KNOWN, {("campaigns", "acme"): (1, "100.5")})
    assert without_rows([unnamed], held) == []
    assert without_rows([unnamed], HeldRows(KNOWN)) == [unnamed]
