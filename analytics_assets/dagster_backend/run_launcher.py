"""The launcher of one machine: see `dagster.yaml`, which names it."""

from __future__ import annotations

import json
import multiprocessing
import socket
from contextlib import closing

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus
from dagster._core.storage.tags import GRPC_INFO_TAG

from analytics_assets.dagster_backend import orphans


class LocalRunLauncher(dg.DefaultRunLauncher):
    """Dagster's own launcher, which also knows the runs of commands, and those of before a restart.

    Dagster's run monitoring asks it for each run whether its process is there, so that the run of
    a command that was killed is failed within a minute. The UI's Terminate ends such runs, too.
    """

    @property
    def supports_check_run_worker_health(self) -> bool:
        """So that the run monitoring asks."""
        return True

    def check_run_worker_health(self, run: dg.DagsterRun) -> CheckRunHealthResult:
        """Whether the run's process is there.

        The code server that started it watches that. If this one is gone, too, as after a power
        cut, nobody does, and the run would hold up all that wait for it, for ever.
        """
        if not orphans.is_of_a_command(run) and _code_server_is_gone(run):
            return CheckRunHealthResult(WorkerStatus.FAILED, "The code server of this run is gone.")
        return orphans.health(run)

    def terminate(self, run_id: str) -> bool:
        """Cancels a run."""
        run = self._instance.get_run_by_id(run_id)
        if run is not None and orphans.is_of_a_command(run):
            return orphans.interrupt(self._instance, run)
        return bool(super().terminate(run_id))  # type: ignore[no-untyped-call]


def note_process(instance: dg.DagsterInstance, run: dg.DagsterRun) -> None:
    """Puts this process on record of a run that no launcher has started, as that of `dg launch`.

    A process of a single step does not know that of its run.
    """
    is_of_a_step = multiprocessing.parent_process() is not None
    if not (is_of_a_step or orphans.is_of_a_command(run) or _is_launched(instance, run)):
        instance.add_run_tags(run.run_id, orphans.process_tags())


def _is_launched(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Whether a launcher has started the run; each but Dagster's own and ours leaves no trace."""
    launcher = instance.run_launcher
    is_dagsters = isinstance(launcher, dg.DefaultRunLauncher)
    trace = GRPC_INFO_TAG if is_dagsters else getattr(launcher, "launched_tag", None)
    # a worker may have the run before the launcher has left its trace
    return trace is None or trace in (instance.get_run_by_id(run.run_id) or run).tags


def _code_server_is_gone(run: dg.DagsterRun) -> bool:
    """Whether nobody listens any more where the run was started, by the daemon of this machine.

    A code server that is asked to stop, as by a reload, listens until its runs have ended. One at a
    port may be on another machine, and is taken to be there.
    """
    path = json.loads(run.tags.get(GRPC_INFO_TAG, "{}")).get("socket")
    if path is None:
        return False
    with closing(socket.socket(socket.AF_UNIX)) as caller:
        caller.setblocking(False)
        try:
            caller.connect(path)
        except (FileNotFoundError, ConnectionRefusedError):
            return True
        except OSError:  # it is there, and busy or somebody else's
            pass
    return False
