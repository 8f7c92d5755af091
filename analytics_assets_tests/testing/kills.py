"""Syncs that are killed, and when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.commands import CHECKOUT
from analytics_assets_tests.testing.tables import on_postgres, query


def kill_when(process: subprocess.Popen[str], condition: Callable[[], bool]) -> bool:
    """Kills the process as soon as the condition holds; False if it ended before."""
    while process.poll() is None:
        if condition():
            process.send_signal(signal.SIGKILL)
            process.wait(timeout=30)
            return True
        time.sleep(0.002)
    return False


def killed_at(moment: str, statements: Path) -> int:
    """The exit code of a sync that is killed at a moment, which `testing.statements` explains."""
    module = "analytics_assets_tests.testing.statements"
    return subprocess.run(
        [sys.executable, "-m", module, moment, str(statements), "sync"],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        timeout=120,
        check=False,
    ).returncode


def condition(home: Path, api: SampleApi, point: float) -> Callable[[], bool]:
    """Whether a sync has come to a point: a number of requests, or seconds since its load began."""
    if isinstance(point, int):
        return lambda: api.log.requests >= point
    begun: list[float] = []

    def into_the_load() -> bool:
        # the load of the accounts comes first and is none of this test's
        if not begun and api.log.requests > 5 and loading(home):
            begun.append(time.monotonic())
        return bool(begun) and time.monotonic() - begun[0] >= point

    return into_the_load


def loading(home: Path) -> bool:
    if on_postgres():
        return bool(staging_schemas(home))
    return (home / "warehouse.duckdb.writer").exists()


def staging_schemas(home: Path) -> set[str]:
    rows = query(home, "SELECT nspname FROM pg_namespace WHERE nspname ~ '_staging'")
    return {name for (name,) in rows}
