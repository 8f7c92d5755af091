"""Who waits for whom where the warehouse is a file, and what becomes of errors meanwhile."""

from __future__ import annotations

import errno
import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from dlt import Pipeline

from analytics_assets.errors import AnalyticsError, DiskFullError, SettingsError, WarehouseError
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.location import default_duckdb
from analytics_assets.warehouse.locks import holder_of, making_tables, run_locked
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets_tests.testing.loading import load
from analytics_assets_tests.testing.tables import taken


@pytest.fixture
def pipeline(home: Path) -> Pipeline:
    load(home, {"a": [{"id": 1}]})
    return make_pipeline(platform_settings(), home)


def ask(timeout: float) -> tuple[LockRequest, list[str]]:
    told: list[str] = []
    return LockRequest("a run", timeout, told.append), told


def tables(pipeline: Pipeline) -> int:
    with pipeline.sql_client() as client:
        [(number,)] = client.execute_sql("SELECT count(*) FROM analytics.audience_rules") or []
    return int(number)


def test_a_reader_that_stays_is_named_once_and_then_given_up(pipeline: Pipeline):
    request, told = ask(0.5)
    with taken(default_duckdb()) as pid:
        line = (
            rf"^the warehouse is still held by (\S+ \(PID {pid}\)) after 0\.5 s: close it there and"
            r" run again, or raise ANALYTICS__LOCK_TIMEOUT$"
        )
        with pytest.raises(WarehouseError, match=line) as error:
            run_locked(platform_settings(), pipeline, lambda: tables(pipeline), request)
    found = re.match(line, str(error.value))
    assert found
    assert told == [f"waiting for {found[1]}, which has the warehouse open"]


def test_work_is_done_when_the_reader_leaves(pipeline: Pipeline):
    with ExitStack() as reader:
        reader.enter_context(taken(default_duckdb()))
        request = LockRequest("a run", 60, lambda line: reader.close())
        found = run_locked(platform_settings(), pipeline, lambda: tables(pipeline), request)
    assert found == 1


def test_a_run_that_only_reads_holds_the_lock_of_the_file(pipeline: Pipeline):
    writer = Path(f"{default_duckdb()}.writer")
    request, _ = ask(0)
    assert run_locked(platform_settings(), pipeline, writer.read_text, request) == "a run"
    assert not writer.exists()


@pytest.mark.parametrize(
    ("raised", "expected", "said"),
    [
        (SettingsError("as it is"), SettingsError, "^as it is$"),
        (OSError(errno.ENOSPC, "no space left"), DiskFullError, "no space left"),
        (ValueError("told"), WarehouseError, "^the warehouse could not be written: told$"),
    ],
)
def test_errors_say_what_is_to_be_done(
    pipeline: Pipeline, raised: Exception, expected: type[AnalyticsError], said: str
):
    def fail() -> None:
        raise raised

    request, told = ask(60)
    with pytest.raises(expected, match=said):
        run_locked(platform_settings(), pipeline, fail, request)
    assert told == []


def test_loads_into_what_is_not_known_take_turns_and_readers_do_not(
    home: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ANALYTICS__DESTINATION", "elsewhere")
    monkeypatch.setenv("DESTINATION__ELSEWHERE__DESTINATION_TYPE", "duckdb")
    monkeypatch.setenv("DESTINATION__ELSEWHERE__CREDENTIALS", str(home / "other.duckdb"))
    settings = platform_settings()
    pipeline = make_pipeline(settings, home)
    writer = home / "warehouse.writer"
    seen: list[bool] = []

    def look() -> None:
        seen.append(writer.exists())

    def stage() -> None:
        with pipeline.sql_client() as client:
            client.execute_sql(f"CREATE SCHEMA {client.staging_dataset_name}")
        look()
        raise ValueError

    request, _ = ask(0)
    run_locked(settings, pipeline, look, request)
    with pytest.raises(WarehouseError):
        run_locked(settings, pipeline, stage, request, ["a"])
    assert seen == [False, True]
    with pipeline.sql_client() as client, client.with_staging_dataset():
        assert not client.has_dataset()


def test_tables_of_a_file_are_made_without_a_further_lock(pipeline: Pipeline):
    with making_tables(platform_settings(), pipeline):
        assert tables(pipeline) == 1


@pytest.fixture
def interrupting() -> Iterator[None]:
    """A handler for SIGINT, which a process in the background ignores."""
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, handler)


@pytest.mark.usefixtures("interrupting")
def test_a_signal_while_duckdb_works_is_no_failure(pipeline: Pipeline):
    def interrupted() -> None:
        with pipeline.sql_client() as client:
            client.execute_sql("SET threads = 1")  # DuckDB 2.0.1 with more may hang
            threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
            client.execute_sql(
                "SELECT count(*) FROM range(300000000) a(x), range(1000) b(y) WHERE hash(x * y) = 3"
            )

    with pytest.raises(KeyboardInterrupt):
        run_locked(platform_settings(), pipeline, interrupted, ask(0)[0])


def test_only_a_conflict_names_a_holder():
    conflict = (
        'IO Error: Could not set lock on file "/a.duckdb": Conflicting lock is held in'
        " /usr/bin/python3.11 (PID 42) by user root. See also"
    )
    assert holder_of(conflict) == "/usr/bin/python3.11 (PID 42)"
    assert holder_of("Could not open file") is None
