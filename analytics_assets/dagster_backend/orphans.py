"""Runs whose process was killed: Dagster would count them as running for hours.

Dagster watches the processes that it started. A run that a command started (`sync`) is in the
command's own process, which nobody watches.
"""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable
from typing import Final

import dagster as dg

# the UI hides tags that begin so
_PROCESS_TAG: Final = ".dagster/analytics_process"


def process_tags() -> dict[str, str]:
    """The tag of runs that run in this process."""
    return {_PROCESS_TAG: f"{socket.gethostname()}:{os.getpid()}"}


def fail_orphans(
    instance: dg.DagsterInstance, runs: Iterable[dg.DagsterRun]
) -> list[dg.DagsterRun]:
    """Marks those of the runs as failed whose process on this machine is gone; gives the others."""
    others = []
    for run in runs:
        host, _, pid = run.tags.get(_PROCESS_TAG, "").rpartition(":")
        if host == socket.gethostname() and not _is_running(int(pid)):
            instance.report_run_failed(run, f"Process {pid}, in which this run ran, is gone.")
        else:
            others.append(run)
    return others


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # somebody else's, but there
        return True
    return True
