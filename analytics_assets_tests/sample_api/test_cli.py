from __future__ import annotations

import os
import re
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import requests
from click.testing import CliRunner

from analytics_assets.sample_api import FAULT_KINDS, Behaviour, Fault, cli
from analytics_assets.sample_api.cli import sample_api

COMMAND = [
    sys.executable,
    "-c",
    "from analytics_assets.sample_api.cli import sample_api; sample_api()",
]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
TIMEOUT = 30


@contextmanager
def running(*options: str) -> Iterator[tuple[subprocess.Popen[str], str, dict[str, str]]]:
    """The command in a process of its own, its ready line and what it says to export."""
    process = subprocess.Popen(
        [*COMMAND, "--port", "0", *options], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    with process.stdout:
        try:
            ready, *exports = [process.stdout.readline().strip() for _ in range(6)]
            settings = dict(shlex.split(line)[1].split("=", 1) for line in exports)
            yield process, ready, settings
        finally:
            process.kill()
            process.wait(TIMEOUT)


def log_in(settings: dict[str, str]) -> requests.Response:
    form = {
        "grant_type": "client_credentials",
        "client_id": settings["SOURCES__ANALYTICS__CLIENT_ID"],
        "client_secret": settings["SOURCES__ANALYTICS__CLIENT_SECRET"],
    }
    url = settings["SOURCES__ANALYTICS__TOKEN_URL"]
    return requests.post(url, data=form, timeout=TIMEOUT)


def get(settings: dict[str, str], path: str) -> requests.Response:
    headers = {"Authorization": f"Bearer {log_in(settings).json()['access_token']}"}
    url = settings["SOURCES__ANALYTICS__BASE_URL"] + path
    return requests.get(url, headers=headers, timeout=TIMEOUT)


def test_the_ready_line_says_how_to_use_it() -> None:
    with running("--accounts", "3", "--prefix", "/api") as (_, ready, settings):
        assert re.fullmatch(r"Sample API ready at http://127\.0\.0\.1:\d+/api", ready)
        assert ready.endswith(settings["SOURCES__ANALYTICS__BASE_URL"])
        assert settings["SOURCES__ANALYTICS__API_VERSION"] == "v1"
        assert len(get(settings, "/v1/users/current/allowed-accounts").json()["results"]) == 3


def test_options_become_sizes_and_behaviour(monkeypatch: pytest.MonkeyPatch) -> None:
    served: list[Any] = []

    async def serve(*arguments: object) -> None:
        served.extend(arguments)

    monkeypatch.setattr(cli, "_serve", serve)
    options = (
        "--accounts=1 --campaigns=2 --items=4 --motion-ads=1 --latency-ms=50 --page-size=3"
        " --quota=7.5 --quota-scope=account --single-token --token-lifetime=60 --prefix=/api"
        " --api-version=1.0 --fault=status=503@/v1/*/campaigns/*1 --fault=reset --host=::1 --port=1"
    )
    assert CliRunner().invoke(sample_api, options.split()).exit_code == 0
    data, behaviour, host, port = served
    assert behaviour == Behaviour(
        latency=0.05,
        quota=7.5,
        quota_scope="account",
        page_size=3,
        single_token=True,
        token_lifetime=60,
        prefix="/api",
        api_version="1.0",
        faults=[Fault("status", "/v1/*/campaigns/", 1, 503), Fault("reset")],
    )
    tables = ("accounts", "campaigns", "campaign_items", "motion_ads")
    assert [len(data.table(name)) for name in tables] == [1, 2, 8, 2]
    assert (host, port) == ("::1", 1)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_stops_on_a_signal(number: signal.Signals) -> None:
    with running("--accounts", "1", "--fault", "hang") as (process, _, settings):
        with pytest.raises(requests.Timeout):
            requests.get(
                settings["SOURCES__ANALYTICS__BASE_URL"] + "/v1/users/current/allowed-accounts",
                headers={"Authorization": f"Bearer {log_in(settings).json()['access_token']}"},
                timeout=0.2,
            )
        process.send_signal(number)
        assert process.wait(TIMEOUT) == 0
        assert process.stdout is not None
        assert process.stdout.read().startswith("Stopped. Requests: 2, refused: 0")


def test_a_port_in_use() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        result = CliRunner().invoke(sample_api, ["--port", str(port)])
    assert result.exit_code == 1
    assert result.output == f"Error: cannot listen on 127.0.0.1:{port}: in use already\n"


@pytest.mark.parametrize(
    ("fault", "message"),
    [("nonsense", "unknown fault 'nonsense'"), ("status", "'status' needs a value")],
)
def test_a_fault_that_cannot_be(fault: str, message: str) -> None:
    result = CliRunner().invoke(sample_api, ["--fault", fault])
    assert result.exit_code == 2
    assert "Invalid value for '--fault'" in result.output
    assert message in " ".join(result.output.split())


def test_help_lists_the_kinds_of_faults() -> None:
    help_text = CliRunner().invoke(sample_api, ["--help"]).output
    for kind in FAULT_KINDS:
        assert re.search(rf"^ +{kind}\b", help_text, re.MULTILINE)


def test_the_command_is_imported_without_the_server() -> None:
    code = "import sys, analytics_assets.sample_api.cli; print('aiohttp' in sys.modules)"
    printed = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True
    ).stdout
    assert printed.strip() == "False"
