"""Random upstream changes between syncs of random subsets: the tables equal a simple model."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import Fault, SampleApi, SampleData
from analytics_assets_tests.testing.marks import IS_LONG
from analytics_assets_tests.testing.tables import (
    assert_equal_tables,
    on_postgres,
    query,
    served_table,
    text_column,
    warehouse_table,
)

NAMES = list(RESOURCES.account_lists)

places = st.integers(0, 7)
changes = st.one_of(
    st.tuples(st.just("add"), places, st.sampled_from(NAMES)),
    st.tuples(st.just("delete"), places, st.sampled_from(NAMES)),
    st.tuples(st.just("update"), places, st.sampled_from(NAMES)),
    st.tuples(st.just("clear"), places, st.sampled_from(["audiences", "campaigns"])),
    st.tuples(st.just("empty_account"), places, st.just("")),
    st.tuples(st.just("new_account"), places, st.just("")),
    st.tuples(st.just("lose_account"), places, st.just("")),
)


@st.composite
def steps(draw: st.DrawFn) -> dict[str, Any]:
    """Changes in the API, then a sync of some accounts and resources, of which some refuse."""
    return {
        "changes": draw(st.lists(changes, max_size=5)),
        "accounts": draw(st.sets(places, max_size=3)),
        "refusing": draw(st.sets(places, max_size=2)),
        "resources": draw(st.sets(st.sampled_from(NAMES))),
    }


@dataclass
class Model:
    """What the warehouse must hold: rows by table and account."""

    tables: dict[str, dict[str, list[dict[str, Any]]]] = field(
        default_factory=lambda: {name: {} for name in NAMES}
    )

    def loaded(self, data: SampleData, account: str, names: set[str]) -> None:
        for name in names:
            self.tables[name][account] = served_table(data, name, [account])

    def assert_holds(self, home: Path, data: SampleData) -> None:
        accounts = warehouse_table(home, "accounts")
        assert_equal_tables(served_table(data, "accounts"), accounts, "accounts")
        for name, rows in self.tables.items():
            if rows:  # a table that was never asked for does not exist
                expected = [row for account_rows in rows.values() for row in account_rows]
                assert_equal_tables(expected, warehouse_table(home, name), name)


def change(data: SampleData, kind: str, place: int, name: str) -> None:
    accounts = data.account_ids
    account = accounts[place % len(accounts)]
    if kind == "new_account":
        data.add_account(empty=place % 2 == 0)
    elif kind == "lose_account" and len(accounts) > 2:
        data.remove_account(account)
    elif kind == "empty_account":
        data.empty_account(account)
    elif kind == "clear":
        data.set_rows(name, [], account_id=account)
    elif kind in ("add", "delete", "update"):
        change_row(data, kind, place, account, name)


def change_row(data: SampleData, kind: str, place: int, account: str, name: str) -> None:
    rows = data.table(name, [account])
    if kind == "add" and RESOURCES[name].parent_column is None:
        new = max((int(row["id"]) for row in rows), default=0) + 1
        numeric = name.endswith(("rules", "audiences"))
        data.add_row(name, {"id": new if numeric else str(new)}, account_id=account)
    elif rows and kind == "delete":
        data.delete_row(name, rows[place % len(rows)]["id"], account_id=account)
    elif rows and kind == "update":
        row_id = rows[place % len(rows)]["id"]
        data.update_row(name, row_id, {text_column(name): f"changed {place}"}, account_id=account)


@pytest.fixture
def fresh_home(home: Path) -> Iterator[Any]:
    """Empties the Dagster home and the warehouse, for each example anew."""

    def empty() -> Path:
        for entry in home.iterdir():
            if entry.name != "dagster.yaml":
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
        if on_postgres():
            query(home, "DROP SCHEMA IF EXISTS analytics CASCADE")
        return home

    return empty  # type: ignore[return-value]


def some(max_examples: int) -> settings:
    return settings(
        max_examples=max_examples,
        deadline=None,
        phases=[Phase.generate],  # an example takes seconds, and to shrink one takes minutes
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )


courses = st.lists(steps(), min_size=3, max_size=3)


@given(courses)
@some(20 if IS_LONG else 2)
def test_tables_equal_the_model_after_every_sync(fresh_home, sync, monkeypatch, course):
    follow(course, fresh_home, sync, monkeypatch)


@pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)
@given(courses)
@some(20 if IS_LONG else 1)
def test_the_same_in_postgres(fresh_home, sync, monkeypatch, course):
    follow(course, fresh_home, sync, monkeypatch)


def follow(course: list[dict[str, Any]], fresh_home, sync, monkeypatch) -> None:
    home = fresh_home()
    data = SampleData.generate(accounts=3, campaigns=3, items=2, motion_ads=1, others=2)
    model = Model()
    with SampleApi(data) as api:
        monkeypatch.setenv("SOURCES__ANALYTICS__BASE_URL", api.base_url)
        monkeypatch.setenv("SOURCES__ANALYTICS__TOKEN_URL", api.token_url)
        for step in course:
            for kind, place, name in step["changes"]:
                change(data, kind, place, name)
            present = data.account_ids
            accounts = {present[place % len(present)] for place in step["accounts"]}
            refusing = {present[place % len(present)] for place in step["refusing"]}
            api.behaviour.faults[:] = [
                Fault("status", f"/v1/{account}/*", value="403") for account in refusing
            ]
            asked = accounts or set(present)
            names = step["resources"] or set(NAMES)
            result = sync(
                "--allow-empty",
                *(part for account in sorted(accounts) for part in ("--account", account)),
                *(part for name in sorted(step["resources"]) for part in ("--resource", name)),
            )
            assert result.exit_code == (1 if asked & refusing else 0), result.output
            for account in asked - refusing:
                model.loaded(data, account, names)
            model.assert_holds(home, data)
