"""Runs in the process of a command, as Dagster shows those that it starts itself."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg
from dagster._core.definitions.job_base import InMemoryJob
from dagster._core.execution.api import execute_run_iterator
from dagster._core.remote_origin import RegisteredCodeLocationOrigin, RemoteRepositoryOrigin
from dagster._utils.interrupts import check_captured_interrupt

from analytics_assets.dagster_backend.orphans import process_tags

# The code location, by its name in workspace.yaml. The UI draws a run on its timeline, lists it
# under its job and can launch it anew only if the run tells of which code location it is.
_ORIGIN: Final = RemoteRepositoryOrigin(
    RegisteredCodeLocationOrigin("analytics_assets"), "__repository__"
)
# the run's own log stays in Dagster's records; the terminal shows the progress
_QUIET: Final = {"console": {"config": {"log_level": "CRITICAL"}}}
_INTERRUPTED: Final = "The command was interrupted."
_INTERRUPTS: Final = ("DagsterExecutionInterruptedError", "KeyboardInterrupt")


@dataclass(frozen=True, slots=True)
class CommandRun:
    """A run that has ended.

    Attributes:
        run_id: The run.
        status: How it ended.
        events: What it recorded.
        interrupted: Whether somebody asked to stop, by a signal or from the UI.
    """

    run_id: str
    status: dg.DagsterRunStatus
    events: list[dg.DagsterEvent]
    interrupted: bool

    @property
    def success(self) -> bool:
        """Whether it has done all that it was to do."""
        return self.status == dg.DagsterRunStatus.SUCCESS


def run_job(
    instance: dg.DagsterInstance,
    job: dg.JobDefinition,
    ops: Mapping[str, Any],
    tags: Mapping[str, str] | None = None,
    asset_selection: Collection[dg.AssetKey] | None = None,
) -> CommandRun:
    """Runs a job in this process, to its end; what fails in it is in its events.

    `JobDefinition.execute_in_process` does so, too, but leaves out of which code location the run
    is, and takes one that is interrupted for one that failed.
    """
    run = instance.create_run_for_job(
        job_def=job,
        run_config={"loggers": _QUIET, "ops": dict(ops)},
        tags={**job.run_tags, **(tags or {}), **process_tags()},
        asset_selection=None if asset_selection is None else frozenset(asset_selection),
        remote_job_origin=_ORIGIN.get_job_origin(job.name),
    )
    events, interrupted = [], False
    try:
        for event in execute_run_iterator(InMemoryJob(job), run, instance):
            events.append(event)
            if not interrupted and (_is_interrupt(event) or check_captured_interrupt()):
                interrupted = True
                _report_canceling(instance, run)
    except (KeyboardInterrupt, dg.DagsterExecutionInterruptedError):  # before its first step
        interrupted = True
    ended = _reloaded(instance, run)
    if not ended.is_finished:
        instance.report_run_canceled(ended, _INTERRUPTED)
        ended = _reloaded(instance, run)
    canceled = ended.status == dg.DagsterRunStatus.CANCELED
    return CommandRun(run.run_id, ended.status, events, interrupted or canceled)


def _is_interrupt(event: dg.DagsterEvent) -> bool:
    error = event.step_failure_data.error if event.is_step_failure else None
    return error is not None and error.cls_name in _INTERRUPTS


def _report_canceling(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Before the run ends: of one that nobody has asked to stop, Dagster says that it failed."""
    if _reloaded(instance, run).status == dg.DagsterRunStatus.STARTED:
        instance.report_run_canceling(run, _INTERRUPTED)


def _reloaded(instance: dg.DagsterInstance, run: dg.DagsterRun) -> dg.DagsterRun:
    return instance.get_run_by_id(run.run_id) or run
