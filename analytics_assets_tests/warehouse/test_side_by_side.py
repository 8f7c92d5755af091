"""Loads into one PostgreSQL database at once: every account is whole, from one load or another."""

from __future__ import annotations

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest

from analytics_assets_tests.testing.loading import load
from analytics_assets_tests.testing.tables import query, warehouse_table

ROWS = 200
ROUNDS = 4
# undeclared values, for which the loads would make columns of different types
ODD = [1, "text", [0.5]]


def load_share(folder: Path, accounts: list[str], share: int, number: int) -> None:
    # the first round finds no table; every round brings a field that no load before had
    label = f"{number}/{share}"
    rows = [{"id": row, "display_name": label, f"odd_{number}": ODD[share]} for row in range(ROWS)]
    load(folder / str(share), dict.fromkeys(accounts, rows))


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    "shares",
    [
        pytest.param([["a", "b"], ["b", "c"], ["c", "a"]], id="of the same accounts"),
        pytest.param([["a", "b"], ["c"], ["d"]], id="of different accounts"),
    ],
)
def test_loads_at_once(home: Path, shares: list[list[str]]):
    for share in range(len(shares)):
        (home / str(share)).mkdir()
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(len(shares), mp_context=context) as pool:
        for number in range(ROUNDS):
            list(pool.map(load_share, [home] * 3, shares, range(3), [number] * 3))
            rows = warehouse_table(home, "audience_rules")
            accounts = {account for share in shares for account in share}
            assert {row["account_id"] for row in rows} == accounts
            for account in accounts:
                assert_whole(
                    [row for row in rows if row["account_id"] == account], account, shares, number
                )
    assert query(home, "SELECT nspname FROM pg_namespace WHERE nspname ~ 'staging'") == []


def assert_whole(rows: list[dict], account: str, shares: list[list[str]], number: int) -> None:
    """The account's rows are all those of one load of this round that had it."""
    assert sorted(row["id"] for row in rows) == list(range(ROWS))
    (label,) = {row["display_name"] for row in rows}
    share = int(label.removeprefix(f"{number}/"))
    assert account in shares[share]
    for row in rows:
        odd = [value for name, value in row.items() if name.startswith("odd_") and value]
        assert odd == [ODD[share]]
