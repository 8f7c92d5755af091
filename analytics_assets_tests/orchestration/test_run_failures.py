"""Why a run failed, by records made by hand."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster import DagsterInstance
from dagster._core.events import EngineEventData
from dagster._utils.error import serializable_error_info_from_exc_info

from analytics_assets.orchestration.metadata import ERROR, FAILED_PARTITIONS
from analytics_assets.orchestration.run_failures import RunFailure, run_failure


@pytest.mark.parametrize(
    ("error", "is_permanent"),
    [("RefusedError", True), ("SuddenlyEmptyError", True), ("ReadError", False), ("Gone", False)],
)
def test_what_a_failed_run_says_of_an_account(error: str, is_permanent: bool):
    said = {"cause": "campaigns: GET /v1/acme answers 403", "error": error}
    failure = RunFailure("2 of 7 failed", {"acme": {"campaigns": said, "motion_ads": said}})
    assert failure.of("acme", "campaigns") == (said["cause"], is_permanent)
    # of others, it says why it ended
    assert failure.of("acme", "audiences") == ("2 of 7 failed", False)
    assert failure.of("globex", "campaigns") == ("2 of 7 failed", False)
    assert failure.lines() == [f"acme: {said['cause']}"]
    assert RunFailure("it ended", {}).lines() == ["it ended"]
    assert RunFailure("it ended", {}, error).of("acme", "campaigns") == ("it ended", is_permanent)


@pytest.fixture
def records_in_memory() -> Iterator[DagsterInstance]:
    with DagsterInstance.ephemeral() as instance:
        yield instance


def failed_run(instance: DagsterInstance, error: Exception) -> str:
    @dg.op
    def fails():
        raise error

    @dg.job
    def job():
        fails()

    return job.execute_in_process(instance=instance, raise_on_error=False).run_id


def test_the_cause_of_a_run_is_that_of_its_step(records_in_memory: DagsterInstance):
    accounts = {"acme": {"campaigns": {"cause": "it broke off", "error": "ReadError"}}}
    told = dg.Failure("1 of 2 accounts\n failed", metadata={FAILED_PARTITIONS: accounts})
    found = run_failure(records_in_memory, failed_run(records_in_memory, told))
    assert found == RunFailure("1 of 2 accounts failed", accounts)
    found = run_failure(records_in_memory, failed_run(records_in_memory, ValueError("a\nbug")))
    assert found == RunFailure("ValueError: a bug", {})


def test_the_type_of_what_failed_a_run_as_a_whole_is_told(records_in_memory: DagsterInstance):
    told = dg.Failure("the API refuses it", metadata={ERROR: "RefusedError"})
    found = run_failure(records_in_memory, failed_run(records_in_memory, told))
    assert found == RunFailure("the API refuses it", {}, "RefusedError")


def test_a_run_that_failed_without_a_step_says_how_it_ended(records_in_memory: DagsterInstance):
    run = records_in_memory.add_run(dg.DagsterRun(job_name="sync"))
    records_in_memory.report_run_failed(run, "Run worker\n died.")
    found = run_failure(records_in_memory, run.run_id)
    assert found == RunFailure("the run ended without a cause: Run worker died.", {})


def test_a_run_that_could_not_be_started_says_what_kept_it(records_in_memory: DagsterInstance):
    run = records_in_memory.add_run(dg.DagsterRun(job_name="sync"))
    try:
        raise RuntimeError("no such\n image")
    except RuntimeError:
        error = serializable_error_info_from_exc_info(sys.exc_info())
    failed = EngineEventData.engine_error(error)
    records_in_memory.report_engine_event("Caught an error for run", run, failed)
    records_in_memory.report_engine_event("It is dropped from the queue", run)
    records_in_memory.report_run_failed(run)
    found = run_failure(records_in_memory, run.run_id)
    assert found == RunFailure("RuntimeError: no such image", {})


def test_a_run_that_does_not_say_why_it_failed(records_in_memory: DagsterInstance):
    gone = run_failure(records_in_memory, "no such run")
    assert gone == RunFailure("the run's records do not say why it failed", {})
