"""Who may load into one PostgreSQL database while another load is under way."""

from __future__ import annotations

import select
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event
from urllib.parse import urlsplit

import psycopg2
import pytest
from dlt import Pipeline

from analytics_assets.errors import WarehouseError
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse import postgres_locks
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.locks import run_locked
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets_tests.testing.client import TIMEOUT, wait_until
from analytics_assets_tests.testing.kills import staging_schemas
from analytics_assets_tests.testing.postgres_server import PostgresServer
from analytics_assets_tests.testing.tables import query

pytestmark = pytest.mark.parametrize("warehouse", ["postgres"], indirect=True)

MANY = [f"account {number}" for number in range(501)]


@dataclass
class Run:
    """A run that takes turns; `told` is what it says while it waits."""

    pipeline: Pipeline
    told: list[str] = field(default_factory=list)

    def hold(self, account_ids: list, work: Callable[[], object] = lambda: None) -> None:
        settings = platform_settings()
        request = LockRequest(f"run of {account_ids[0]}", settings.lock_timeout, self.told.append)
        run_locked(settings, self.pipeline, work, request, account_ids)


@pytest.fixture
def runs(home: Path) -> tuple[Run, Run]:
    settings = platform_settings()
    return Run(make_pipeline(settings, home / "1")), Run(make_pipeline(settings, home / "2"))


@pytest.mark.parametrize(
    ("held", "asked"),
    [(["a", "b"], ["c"]), ([None], ["a"]), (["a"], [None]), (["accounts"], [None])],
)
def test_side_by_side(runs: tuple[Run, Run], held: list, asked: list):
    first, second = runs
    done: list[bool] = []
    first.hold(held, lambda: second.hold(asked, lambda: done.append(True)))
    assert done == [True]
    assert first.told + second.told == []


@pytest.mark.parametrize(
    ("held", "asked"),
    [(["a", "b"], ["c", "b"]), ([None], [None]), (MANY, ["another"]), (["another"], MANY)],
    ids=["one in common", "the list", "many first", "many last"],
)
def test_one_after_the_other(runs: tuple[Run, Run], monkeypatch, held: list, asked: list):
    first, second = runs
    monkeypatch.setenv("ANALYTICS__LOCK_TIMEOUT", "0.5")

    def ask() -> None:
        line = f"run of {held[0]} still writes to analytics after 0.5 s: run this one again later"
        with pytest.raises(WarehouseError, match=line):
            second.hold(asked)
        assert second.told == [f"waiting for run of {held[0]}, which writes to analytics"]

    first.hold(held, ask)
    second.hold(asked)
    assert len(second.told) == 1


def test_who_waits_goes_on_when_the_other_is_done(
    home: Path, runs: tuple[Run, Run], monkeypatch: pytest.MonkeyPatch
):
    first, second = runs
    third = Run(make_pipeline(platform_settings(), home / "3"))
    begun, done = Event(), list[str]()

    def stay() -> None:
        begun.set()
        waits = "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND NOT granted"
        wait_until(lambda: second.told != [] and query(home, waits) != [])
        done.append("first")

    def go_on() -> None:
        done.append("second")
        monkeypatch.setenv("ANALYTICS__LOCK_TIMEOUT", "0")
        with pytest.raises(WarehouseError, match=r"^run of b still writes"):
            third.hold(["b"])

    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(first.hold, ["a"], stay)
        assert begun.wait(TIMEOUT)
        second.hold(["b", "a"], go_on)
        held.result()
    assert done == ["first", "second"]
    assert second.told == ["waiting for run of a, which writes to analytics"]


def test_a_run_that_ends_before_its_name_is_asked_has_none(
    runs: tuple[Run, Run], monkeypatch: pytest.MonkeyPatch
):
    lock = postgres_locks._lock

    def refuse_once(*_: object) -> bool:
        monkeypatch.setattr(postgres_locks, "_lock", lock)
        return False

    monkeypatch.setattr(postgres_locks, "_lock", refuse_once)
    run, _ = runs
    run.hold(["a"])
    assert run.told == ["waiting for another run, which writes to analytics"]


def test_staging_schemas_are_dropped_when_nobody_uses_them(
    home: Path, runs: tuple[Run, Run], postgres: PostgresServer, warehouse: dict[str, str]
):
    database = urlsplit(warehouse["DESTINATION__POSTGRES__CREDENTIALS"]).path.strip("/")
    first, second = runs
    with first.pipeline.sql_client() as client:
        own = client.staging_dataset_name
    for schema in ("analytics_staging_0123abcd", "analytics_staging_by_hand"):
        postgres.run(f"CREATE SCHEMA {schema}", database=database)
        postgres.run(f"CREATE TABLE {schema}.rows (id int)", database=database)

    def load() -> None:
        postgres.run(f"CREATE SCHEMA {own}", database=database)
        second.hold(["b"], lambda: seen.append(staging_schemas(home)))

    seen: list[set[str]] = []
    first.hold(["a"], load)
    assert seen == [{own, "analytics_staging_by_hand"}]
    assert staging_schemas(home) == {"analytics_staging_by_hand"}


def test_a_run_that_stands_still_while_it_drops_schemas_is_waited_for_and_named(
    runs: tuple[Run, Run], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ANALYTICS__LOCK_TIMEOUT", "0.5")
    first, second = runs
    drop_stale, refused = postgres_locks._drop_stale_schemas, list[str]()

    def stand_still(_: object) -> None:
        monkeypatch.setattr(postgres_locks, "_drop_stale_schemas", drop_stale)
        with pytest.raises(WarehouseError) as caught:
            second.hold(["b"])
        refused.append(str(caught.value))

    monkeypatch.setattr(postgres_locks, "_drop_stale_schemas", stand_still)
    first.hold(["a"])
    assert second.told == ["waiting for run of a, which writes to analytics"]
    [error] = refused
    assert error.startswith("run of a still writes to analytics after 0.5 s")
    second.hold(["b"])


def test_the_session_with_the_locks_outlives_an_idle_timeout(
    runs: tuple[Run, Run], postgres: PostgresServer, warehouse: dict[str, str]
):
    database = urlsplit(warehouse["DESTINATION__POSTGRES__CREDENTIALS"]).path.strip("/")
    postgres.run(f"ALTER DATABASE {database} SET idle_session_timeout = 100")

    def load() -> None:
        # a second session falls idle after the first, and is ended by the server
        with closing(psycopg2.connect(postgres.url(database))) as idle:
            select.select([idle], [], [], 30)
            with pytest.raises(psycopg2.OperationalError):
                idle.cursor().execute("SELECT 1")

    first, _ = runs
    first.hold(["a"], load)
