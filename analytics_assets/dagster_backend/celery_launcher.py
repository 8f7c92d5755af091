"""Runs on a fleet of Celery workers: see `deploy/dagster-fleet.yaml`, which names the launcher.

Dagster offers Celery by the step, with an executor, and by the run, with a launcher. The assets of
a shard share one read and one load, which are one step; so a run is what a worker takes.
"""

from __future__ import annotations

from typing import Final

from celery.states import PENDING, STARTED
from dagster import DagsterRun, DagsterRunStatus
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster_celery.launcher import CeleryRunLauncher
from dagster_celery.tags import DAGSTER_CELERY_TASK_ID_TAG

from analytics_assets.dagster_backend import orphans

# A worker that is silent for so long is lost: one that is only busy answers from another process.
# One that has lost the broker waits for up to 32 s before it looks for it again.
_QUESTIONS: Final = 8
_ANSWER_SECONDS: Final = 5.0


class FleetRunLauncher(CeleryRunLauncher):
    """Dagster's Celery launcher, which also notices a lost worker, and can cancel a run.

    Celery learns how a task went from the worker that has it. A worker that was killed, or whose
    machine is gone, tells nothing, and its task counts as started: for a day, or until the broker
    is started again without its data, and then as none that a worker ever had.
    """

    launched_tag: Final = DAGSTER_CELERY_TASK_ID_TAG
    """The tag of each run that it has started: see `note_process`."""

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the run is being worked on, by its worker's own word."""
        task_id = run.tags.get(DAGSTER_CELERY_TASK_ID_TAG)
        if task_id is None:  # a command runs it, and no worker
            return orphans.health(run)
        task = self.celery.backend.get_task_meta(task_id)
        worker = task["result"]["hostname"] if task["status"] == STARTED else None
        is_open = task["status"] in (PENDING, STARTED)
        is_worked_on = is_open and self._is_worked_on(task_id, worker)
        health = super().check_run_worker_health(run)
        if is_worked_on and health.status == WorkerStatus.UNKNOWN:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        # it may have ended since
        if worker is not None and not is_worked_on and health.status == WorkerStatus.RUNNING:
            return CheckRunHealthResult(WorkerStatus.FAILED, f"Celery worker {worker} has lost it.")
        return health

    def get_run_worker_debug_info(
        self, run: DagsterRun, include_container_logs: bool | None = True
    ) -> str | None:
        """What is told of a failed run's task, which the run of a command does not have."""
        if DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return None
        return super().get_run_worker_debug_info(run, include_container_logs)

    def terminate(self, run_id: str) -> bool:
        """Cancels a run.

        Dagster takes a run that ends without having been marked for a failed one, and starts it
        again.
        """
        run = self._instance.get_run_by_id(run_id)
        if run is not None and orphans.is_of_a_command(run):
            return orphans.interrupt(self._instance, run)
        if run is None or run.is_finished or DAGSTER_CELERY_TASK_ID_TAG not in run.tags:
            return False
        if run.status != DagsterRunStatus.CANCELING:
            self._instance.report_run_canceling(run)
        return super().terminate(run_id)

    def _is_worked_on(self, task_id: str, worker: str | None) -> bool:
        """Whether the worker has the task, or any of them where it is not known which.

        One that does not have it says so: another one of the same name may have followed.
        """
        asked = None if worker is None else [worker]
        inspect = self.celery.control.inspect(destination=asked, timeout=_ANSWER_SECONDS)
        for _ in range(_QUESTIONS):
            answers = inspect.query_task(task_id) or {}
            if worker in answers or any(answers.values()):
                return any(answers.values())
        return False
