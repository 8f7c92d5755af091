"""Runs whose process is gone are failed; runs that may be alive are let be."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
import pytest
from dagster import DagsterRunStatus

from analytics_assets.dagster_backend import orphans
from analytics_assets.dagster_backend.orphans import fail_orphans, process_tags

TAG = ".dagster/analytics_process"


@dg.job
def nothing() -> None:
    """A run of events only."""


@pytest.fixture
def records() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield instance


@pytest.fixture(scope="module")
def gone() -> int:
    """The id of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


def started(records: dg.DagsterInstance, tags: dict[str, str]) -> dg.DagsterRun:
    return records.create_run_for_job(nothing, status=DagsterRunStatus.STARTED, tags=tags)


def status(records: dg.DagsterInstance, run: dg.DagsterRun) -> DagsterRunStatus:
    found = records.get_run_by_id(run.run_id)
    assert found is not None
    return found.status


def test_a_run_says_in_which_process_it_runs() -> None:
    host, pid, started = process_tags()[TAG].split(":")
    assert (host, int(pid)) == (socket.gethostname(), os.getpid())
    assert started


@pytest.mark.parametrize("proc", ["/proc", "/nowhere"], ids=["proc", "ps"])
def test_a_process_that_got_the_id_of_another_is_another(
    records: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, proc: str
) -> None:
    monkeypatch.setattr(orphans, "_PROC", Path(proc))
    tag = process_tags()[TAG]
    assert "::" not in tag
    assert not tag.endswith(":")
    run, other = started(records, {TAG: tag}), started(records, {TAG: f"{tag}0"})
    assert fail_orphans(records, [run, other]) == [run]
    assert status(records, other) == DagsterRunStatus.FAILURE


def test_a_process_that_nobody_has_buried_is_gone(records: dg.DagsterInstance) -> None:
    dead = subprocess.Popen([sys.executable, "-c", ""])
    os.waitid(os.P_PID, dead.pid, os.WEXITED | os.WNOWAIT)
    run = started(records, {TAG: f"{socket.gethostname()}:{dead.pid}"})
    assert fail_orphans(records, [run]) == ([] if Path("/proc/self/stat").exists() else [run])
    dead.wait()


def test_a_run_that_was_to_stop_and_whose_process_is_gone_is_cancelled(
    records: dg.DagsterInstance, gone: int
) -> None:
    run = started(records, {TAG: f"{socket.gethostname()}:{gone}"})
    records.report_run_canceling(run)
    [canceling] = records.get_runs()
    assert fail_orphans(records, [canceling]) == []
    assert status(records, run) == DagsterRunStatus.CANCELED


def test_a_run_whose_process_is_gone_has_failed(records: dg.DagsterInstance, gone: int) -> None:
    run = started(records, {TAG: f"{socket.gethostname()}:{gone}"})
    assert fail_orphans(records, [run]) == []
    assert status(records, run) == DagsterRunStatus.FAILURE
    kinds = {dg.DagsterEventType.RUN_FAILURE}
    [entry] = records.all_logs(run.run_id, of_type=kinds)
    assert entry.dagster_event is not None
    assert entry.dagster_event.message == f"Process {gone}, in which this run ran, is gone."


def test_other_runs_are_let_be(records: dg.DagsterInstance, gone: int) -> None:
    runs = [
        started(records, process_tags()),
        started(records, {TAG: f"elsewhere.{socket.gethostname()}:{gone}"}),
        started(records, {}),  # Dagster watches it
        records.create_run_for_job(
            nothing,
            status=DagsterRunStatus.STARTED,
            tags={TAG: f"{socket.gethostname()}:{gone}"},  # re-executed: not in that process
            parent_run_id=(first := started(records, {})).run_id,
            root_run_id=first.run_id,
        ),
    ]
    assert fail_orphans(records, runs) == runs
    assert [status(records, run) for run in runs] == [DagsterRunStatus.STARTED] * 4


def test_a_process_of_somebody_else_is_there(
    records: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch
) -> None:
    def deny(pid: int, signal: int) -> None:
        assert signal == 0
        raise PermissionError

    monkeypatch.setattr(os, "kill", deny)
    run = started(records, process_tags())
    assert fail_orphans(records, [run]) == [run]
