"""Dagster's records are where Dagster looks for them, although their files stay open."""

from __future__ import annotations

from pathlib import Path
from threading import Event

import dagster as dg
from dagster._core.storage.event_log import SqliteEventLogStorage


@dg.job
def nothing() -> None:
    """A run of events only."""


def test_another_process_reads_the_records(home: Path, instance: dg.DagsterInstance) -> None:
    run_id = nothing.execute_in_process(instance=instance).run_id

    stock = SqliteEventLogStorage(str(home / "history" / "runs"))

    expected = [record.event_log_entry for record in instance.get_records_for_run(run_id).records]
    records = stock.get_records_for_run(run_id).records
    assert expected
    assert [record.event_log_entry for record in records] == expected


def test_who_watches_a_run_hears_of_its_events(instance: dg.DagsterInstance) -> None:
    run = instance.create_run_for_job(nothing)
    instance.report_engine_event("before", run)
    heard = Event()
    instance.watch_event_logs(run.run_id, None, lambda *_: heard.set())

    instance.report_engine_event("after", run)

    assert heard.wait(timeout=30)


def test_the_files_of_few_runs_stay_open(home: Path, instance: dg.DagsterInstance) -> None:
    for _ in range(12):
        nothing.execute_in_process(instance=instance)

    links = [link for link in Path("/proc/self/fd").iterdir() if link.exists()]
    files = {link.resolve() for link in links}
    opened = {file for file in files if file.suffix == ".db" and file.parent.name == "runs"}
    assert home.resolve() / "history" / "runs" / "index.db" in opened
    assert len(opened) <= 8
