"""The runs of commands (`sync`, `dg launch`), and the processes in which they run.

Dagster watches the processes that it started. A run of a command is in the command's own process,
which nobody watches: if that is killed, Dagster would count the run as running for hours. Whatever
comes next asks here: another command, the sensor, or Dagster's own run monitoring by the launcher.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Final

import dagster as dg
from dagster._core.launcher import CheckRunHealthResult, WorkerStatus

# the UI hides tags that begin so
_PROCESS_TAG: Final = ".dagster/analytics_process"
_PROC: Final = Path("/proc")
# of a line in /proc/PID/stat, after the process's name
_STATE: Final = 0
_START: Final = 19


def process_tags() -> dict[str, str]:
    """The tags of runs that run in this process, which nobody but the caller starts or ends."""
    pid = os.getpid()
    return {
        _PROCESS_TAG: f"{socket.gethostname()}:{pid}:{_start_of(pid) or ''}",
        # whoever started the command sees that it was killed; Dagster's daemon would start it again
        "dagster/max_retries": "0",
    }


def is_of_a_command(run: dg.DagsterRun) -> bool:
    """Whether the run is in a command's own process; a re-execution only has its tags."""
    return _PROCESS_TAG in run.tags and run.parent_run_id is None


def is_orphan(run: dg.DagsterRun) -> bool:
    """Whether the run has not ended, and its process, which was on this machine, is gone."""
    if not is_of_a_command(run) or run.is_finished:
        return False
    host, pid, started = _process_of(run)
    return host == socket.gethostname() and not _is_running(pid, started)


def fail_orphans(
    instance: dg.DagsterInstance, runs: Iterable[dg.DagsterRun]
) -> list[dg.DagsterRun]:
    """Marks those of the runs as failed whose process on this machine is gone; gives the others.

    One that somebody has asked to stop counts as cancelled.
    """
    others = []
    for run in runs:
        if not is_orphan(run):
            others.append(run)
        elif run.status == dg.DagsterRunStatus.CANCELING:
            instance.report_run_canceled(run, _what_is_gone(run))
        else:
            instance.report_run_failed(run, _what_is_gone(run))
    return others


def health(run: dg.DagsterRun) -> CheckRunHealthResult:
    """Whether a command's process is there; one on another machine is taken to be, as any other.

    Dagster's run monitoring asks, by way of the launcher.
    """
    if is_orphan(run):
        return CheckRunHealthResult(WorkerStatus.FAILED, _what_is_gone(run))
    return CheckRunHealthResult(WorkerStatus.RUNNING)


def interrupt(instance: dg.DagsterInstance, run: dg.DagsterRun) -> bool:
    """Ends a command's run: as Ctrl-C does, or by a word on record if its process is gone.

    Returns:
        Whether the run has ended or is about to. It does not if the process is on another machine,
        or another user's: then the run's events say so.
    """
    if run.is_finished:
        return False
    host, pid, _ = _process_of(run)
    if host != socket.gethostname():
        return _refuse(instance, run, f"runs on {host}: end process {pid} there")
    orphan = is_orphan(run)
    if not orphan and not _is_ours(pid):
        return _refuse(instance, run, f"is another user's: have them end process {pid}")
    if run.status != dg.DagsterRunStatus.CANCELING:
        instance.report_run_canceling(run)
    if orphan:
        instance.report_run_canceled(run, _what_is_gone(run))
    else:
        with suppress(ProcessLookupError):  # it has just ended
            os.kill(pid, signal.SIGINT)
    return True


def _refuse(instance: dg.DagsterInstance, run: dg.DagsterRun, why: str) -> bool:
    instance.report_engine_event(f"The command of this run {why}.", run)
    return False


def _what_is_gone(run: dg.DagsterRun) -> str:
    return f"Process {_process_of(run)[1]}, in which this run ran, is gone."


def _process_of(run: dg.DagsterRun) -> tuple[str, int, str]:
    """The machine, the process's id, and when it started; that is empty if it is not on record."""
    host, pid, started = (run.tags[_PROCESS_TAG] + ":").split(":")[:3]
    return host, int(pid), started


def _is_running(pid: int, started: str) -> bool:
    """Whether the process is there, and not another one that has got its id since."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, but there
        pass
    now = _start_of(pid)
    return now is None or (now != "" and started in (now, ""))


def _is_ours(pid: int) -> bool:
    """Whether we may send the process a signal."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return False
    except ProcessLookupError:
        pass
    return True


def _start_of(pid: int) -> str | None:
    """When a process started, in the system's own words; empty if it has ended since.

    None if the system does not say, as of a process of somebody else.
    """
    if (_PROC / "self" / "stat").exists():
        try:
            stat = (_PROC / str(pid) / "stat").read_text()
        except OSError:
            return None
        fields = stat.rpartition(")")[2].split()
        # one that is dead, and that its parent has not looked at
        return "" if fields[_STATE] in "ZX" else fields[_START]
    command = ["ps", "-o", "lstart=", "-p", str(pid)]
    environment = {**os.environ, "LC_ALL": "C", "TZ": "UTC"}
    try:
        told = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    except OSError:
        return None
    return "-".join(told.stdout.replace(":", "-").split()) or None
