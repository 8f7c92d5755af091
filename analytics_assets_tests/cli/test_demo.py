"""`make demo` and `make demo-ui`: what a newcomer sees, and can click."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
import requests

from analytics_assets_tests.testing.commands import CHECKOUT

pytestmark = pytest.mark.process

SECONDS = 120
IN_REPOSITORY = """repositoryName: "__repository__", repositoryLocationName: "analytics_assets" """
LAUNCH = """mutation { launchPipelineExecution(executionParams: {
    selector: {%s, pipelineName: "sync", assetSelection: [{path: ["campaigns"]}]}
    executionMetadata: {tags: [{key: "dagster/partition", value: "acme-0001-sc"}]}
}) { __typename ... on LaunchRunSuccess { run { runId } } ... on PythonError { message } } }"""
TICK = """mutation { sensorDryRun(
    selectorData: {%s, sensorName: "sync_accounts_that_are_due"}, cursor: ""
) {
    ... on PythonError { message }
    ... on DryRunInstigationTick { evaluationResult { error { message } } }
} }"""


def command(name: str, home: Path, *arguments: str) -> tuple[list[str], dict[str, Any]]:
    """A command of the Makefile, with settings that lead elsewhere and must not matter."""
    environment = {
        **os.environ,
        "DAGSTER_HOME": str(home),
        "PYTHONPATH": str(CHECKOUT),
        "ANALYTICS__DESTINATION": "nowhere",
        "SOURCES__ANALYTICS__PAGE": "unknown",
    }
    call = [sys.executable, "-m", f"analytics_assets.cli.{name}", *arguments]
    return call, {"env": environment, "text": True, "cwd": home}


def demo(home: Path) -> subprocess.CompletedProcess[str]:
    call, options = command("demo", home)
    return subprocess.run(call, capture_output=True, timeout=SECONDS, check=False, **options)


@contextmanager
def ui(home: Path) -> Iterator[tuple[subprocess.Popen[str], Callable[[str], Any]]]:
    """The UI's process, and what asks it by GraphQL, from when it says that it is there."""
    call, options = command("demo_ui", home, "--port", "0")
    with subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "Starting Dagster ...\n"
            line = process.stdout.readline()
            (url,) = re.findall(r"http://127\.0\.0\.1:\d+", line)
            http = requests.Session()
            http.trust_env = False

            def ask(query: str) -> Any:
                body = http.post(f"{url}/graphql", json={"query": query}, timeout=60).json()
                assert "errors" not in body, body
                return body["data"]

            yield process, ask
        finally:
            process.terminate()
            process.communicate(timeout=SECONDS)


def processes_of(home: Path) -> list[str]:
    """The command lines of the processes whose DAGSTER_HOME is the demo's."""
    found = []
    mark = f"DAGSTER_HOME={home / '.demo'}\0".encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
        except OSError:
            continue  # it has ended, or is not ours
    return found


def launched_run(ask: Callable[[str], Any]) -> str:
    launched = ask(LAUNCH % IN_REPOSITORY)["launchPipelineExecution"]
    assert launched["__typename"] == "LaunchRunSuccess", launched
    return str(launched["run"]["runId"])


def wait_for(ask: Callable[[str], Any], run_id: str, *statuses: str) -> None:
    query = f'{{ runOrError(runId: "{run_id}") {{ ... on Run {{ status }} }} }}'
    deadline = time.monotonic() + SECONDS
    while (status := ask(query)["runOrError"]["status"]) not in statuses:
        assert status not in ("FAILURE", "CANCELED"), status
        assert time.monotonic() < deadline, status
        time.sleep(0.2)


def newest_load(home: Path) -> tuple[Any, ...]:
    with duckdb.connect(str(home / ".demo" / "warehouse.duckdb"), read_only=True) as connection:
        sql = "SELECT count(*), max(_dlt_load_id) FROM analytics.campaigns WHERE account_id = "
        found = connection.execute(f"{sql}'acme-0001-sc'").fetchone()
    assert found is not None
    return found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout as far as the demo sees one."""
    (tmp_path / "dagster.yaml").write_bytes((CHECKOUT / "dagster.yaml").read_bytes())
    return tmp_path


def test_the_demo_and_its_ui(folder: Path):
    first = demo(folder)
    assert (first.returncode, first.stderr) == (0, "")
    assert "Which accounts spend most?" in first.stdout
    assert "What did two of them spend by day?" in first.stdout
    # in 80 columns the bars keep their length, and what is above them stays one line
    assert re.search(r"┃ day +(┃ +[A-Z]{3} ┃ acme-00\d\d-sc +){2}┃\n", first.stdout)
    assert first.stdout.count(f"│ {16 * '█'} │") == 2
    assert "make demo-ui\n" in first.stdout
    assert "arning" not in first.stdout
    before = newest_load(folder)

    with ui(folder) as (process, ask):
        wait_for(ask, launched_run(ask), "SUCCESS")
        after = newest_load(folder)
        assert (after[0], after[1] > before[1]) == (before[0], True)
        ticked = ask(TICK % IN_REPOSITORY)["sensorDryRun"]
        assert ticked.get("evaluationResult", ticked).get("error", ticked) is None

        # one more demo leaves the home of the UI as it is
        again = demo(folder)
        assert again.returncode == 0, again.stderr
        assert "nothing in it is removed" in again.stdout

        call, options = command("demo_ui", folder, "--port", "0")
        second = subprocess.run(call, capture_output=True, timeout=SECONDS, check=False, **options)
        assert (second.returncode, second.stderr.count("\n")) == (1, 1), second.stderr
        assert "is up already" in second.stderr

        wait_for(ask, launched_run(ask), "STARTED", "SUCCESS")
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        rest = process.stdout.read()
        assert process.wait(SECONDS) == 0, rest
        assert rest.endswith("Stopped. The tables and what the UI showed stay: make demo-ui\n")
        assert "arning" not in rest
        assert processes_of(folder) == []


def test_the_ui_syncs_first_and_can_be_ended_before_it_is_there(folder: Path):
    call, options = command("demo_ui", folder, "--port", "0")
    with subprocess.Popen(
        call, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options
    ) as process:
        assert process.stdout is not None
        shown = ""
        while "Starting Dagster" not in shown:
            line = process.stdout.readline()
            assert line, shown
            shown += line
        assert "umbrella-0020-sc" in shown
        assert newest_load(folder)[0] == 20
        process.send_signal(signal.SIGTERM)  # before anything answers
        process.communicate(timeout=SECONDS)
        assert process.returncode == 0
    assert processes_of(folder) == []
