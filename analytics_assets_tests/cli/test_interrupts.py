"""Commands that are asked to stop: one line, at once, and a run that is cancelled."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import dlt
import pytest
from dagster import DagsterInstance, DagsterRunStatus

from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets_tests.testing.client import wait_until
from analytics_assets_tests.testing.commands import CHECKOUT, start_sync
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api

pytestmark = [pytest.mark.process, pytest.mark.usefixtures("synced")]

# Standard input is the terminal that ends the process when it is closed; what started the tests may
# have the signal for it ignored.
IN_A_TERMINAL = """
import fcntl, runpy, signal, termios
signal.signal(signal.SIGHUP, signal.SIG_DFL)
fcntl.ioctl(0, termios.TIOCSCTTY, 0)
runpy.run_module("analytics_assets.cli", run_name="__main__")
"""
SAID = "Error: interrupted: what was not loaded by now keeps the rows that it had\n"


@pytest.fixture
def hanging(api: SampleApi, monkeypatch: pytest.MonkeyPatch) -> SampleApi:
    """An API that leaves a request without an answer, for longer than any test takes."""
    monkeypatch.setenv("SOURCES__ANALYTICS__TIMEOUT", "3600")
    api.behaviour.faults.append(Fault("hang", "*/audiences*"))
    return api


def reads(api: SampleApi) -> bool:
    return any("audiences" in entry.path for entry in api.log.entries)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_by_a_signal(hanging: SampleApi, home: Path, instance: DagsterInstance, number: int):
    process = start_sync("--json", stdout=subprocess.PIPE)
    wait_until(lambda: reads(hanging))
    process.send_signal(number)
    told, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (130, SAID)
    report = json.loads(told)
    assert (report["state"], report["exit_code"]) == ("interrupted", 130)
    [run] = instance.get_runs(limit=1)
    assert run.status == DagsterRunStatus.CANCELED
    assert_warehouse_equals_api(home, hanging.data)


def test_while_it_loads(api: SampleApi, home: Path, instance: DagsterInstance):
    process = start_sync()
    wait_until(lambda: (home / "warehouse.duckdb.writer").exists())
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (130, SAID)
    assert instance.get_runs(limit=1)[0].status == DagsterRunStatus.CANCELED
    assert start_sync().wait(timeout=120) == 0
    assert_warehouse_equals_api(home, api.data)


def test_dlt_leaves_signals_to_dagster(home: Path, tmp_path: Path):
    ours = make_pipeline(platform_settings(), tmp_path)
    assert not ours.runtime_config.intercept_signals
    theirs = dlt.pipeline("theirs", pipelines_dir=str(tmp_path), destination="duckdb")
    assert theirs.runtime_config.intercept_signals


def test_by_closing_the_terminal(hanging: SampleApi, instance: DagsterInstance):
    terminal, its_side = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", IN_A_TERMINAL, "sync"],
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        stdin=its_side,
        stdout=its_side,
        stderr=its_side,
        start_new_session=True,
    )
    os.close(its_side)
    wait_until(lambda: reads(hanging))
    os.close(terminal)
    assert process.wait(timeout=120) == 130
    assert instance.get_runs(limit=1)[0].status == DagsterRunStatus.CANCELED
