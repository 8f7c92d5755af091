"""The launcher of one machine: see `dagster.yaml`, which names it."""

from __future__ import annotations

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult

from analytics_assets.dagster_backend import orphans


class LocalRunLauncher(dg.DefaultRunLauncher):
    """Dagster's own launcher, which also knows the runs of commands.

    Dagster's run monitoring asks it for each run whether its process is there, so that the run of
    a command that was killed is failed within a minute. The UI's Terminate ends such runs, too.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        """So that the run monitoring asks."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether a command's process is there; for other runs, the code server watches that."""
        return orphans.health(run)

    def terminate(self, run_id: str) -> bool:
        """Cancels a run."""
        run = self._instance.get_run_by_id(run_id)
        if run is not None and orphans.is_of_a_command(run):
            return orphans.interrupt(self._instance, run)
        return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]
