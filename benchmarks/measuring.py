"""Runs a contender in a process of its own, and says what it took."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import duckdb

from benchmarks.contenders import Contender
from benchmarks.serving import Host, Requests

CHECKOUT = Path(__file__).resolve().parent.parent
_LIMIT_MINUTES = 60
_OURS = ("SOURCES__", "ANALYTICS__", "DESTINATION__", "EXTRACT__", "DLT_", "DAGSTER_", "PYTHON")


@dataclass(frozen=True)
class Measurement:
    """What a run took.

    Attributes:
        wall: Seconds from its start to its end.
        cpu: Seconds of processor time, of the system too.
        peak_mb: Most memory that it held, in MB (2**20 bytes).
        requests: What it asked the API for.
        wrong_rows: Rows that it got, and should have got, by table where they differ.
        started: When it started, by `time.monotonic`.
    """

    wall: float
    cpu: float
    peak_mb: float
    requests: Requests
    wrong_rows: Mapping[str, tuple[int, int]]
    started: float


class ContenderError(Exception):
    """A contender ended with an error; holds the end of what it printed."""


def measure(
    contender: Contender,
    api: Host,
    rows: Mapping[str, int],
    watch: Callable[[int, Path], object] = lambda process, home: None,
    home: Path | None = None,
) -> Measurement:
    """Runs the contender once, with nothing left of any run before.

    Args:
        contender: What to run.
        api: The API to read.
        rows: The rows that each table must have in the end.
        watch: Is told the process's id and its folder as soon as it runs, and called again with
            them when it has ended.
        home: Where a run before has left its tables and records; a new folder by default.

    Raises:
        ContenderError: It ended with an error.
    """
    with new_home() if home is None else nullcontext(home) as home:
        command = contender.command
        variables = {**environment(home, api), **contender.settings}
        api.forget_requests()
        with (home / "output").open("w+") as output:
            started = time.monotonic()
            process = subprocess.Popen(
                command, cwd=home, env=variables, stdout=output, stderr=output
            )
            limit = threading.Timer(60 * _LIMIT_MINUTES, process.kill)
            limit.start()
            watch(process.pid, home)
            # Of the contender and all processes that it started. Its peak is that of the largest
            # of them: each contender is one process.
            _, status, used = os.wait4(process.pid, 0)
            wall = time.monotonic() - started
            process.returncode = os.waitstatus_to_exitcode(status)
            limit.cancel()
            watch(process.pid, home)
            if wall >= 60 * _LIMIT_MINUTES:
                raise ContenderError(f"{contender.title}: not done in {_LIMIT_MINUTES} minutes")
            if process.returncode:
                output.seek(0)
                raise ContenderError(f"{contender.title}: {output.read()[-2000:]}")
        return Measurement(
            wall=wall,
            cpu=used.ru_utime + used.ru_stime,
            peak_mb=used.ru_maxrss / 1024,
            requests=api.requests(),
            wrong_rows=_differences(rows if contender.reads else {}, home / "warehouse.duckdb"),
            started=started,
        )


@contextmanager
def new_home() -> Iterator[Path]:
    """A Dagster home without records."""
    with TemporaryDirectory(prefix="benchmark-") as name:
        home = Path(name)
        shutil.copy(CHECKOUT / "dagster.yaml", home)
        yield home


def environment(home: Path, api: Host) -> dict[str, str]:
    """What leads a process to the API, with its Dagster home and DuckDB file in a folder."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith(_OURS)}
    return {
        **inherited,
        **api.settings(),
        "PYTHONPATH": str(CHECKOUT),
        "DAGSTER_HOME": str(home),
        "DESTINATION__DUCKDB__CREDENTIALS": str(home / "warehouse.duckdb"),
    }


def _differences(rows: Mapping[str, int], warehouse: Path) -> dict[str, tuple[int, int]]:
    if not rows:
        return {}
    with duckdb.connect(str(warehouse), read_only=True) as connection:
        got = {}
        for name in rows:
            [(count,)] = connection.sql(f"SELECT count(*) FROM analytics.{name}").fetchall()
            got[name] = int(count)
    return {name: (got[name], rows[name]) for name in rows if got[name] != rows[name]}
