"""A Dagster home that the sample API fills, and the web UI that shows it in Chromium."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import requests
from playwright.sync_api import Browser, sync_playwright

from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.commands import CHECKOUT
from analytics_assets_tests.testing.homes import foreign_environment, sample_settings

LOCATION = "analytics_assets"

_CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")
_CHROMIUM_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
    "--no-proxy-server",
)
_READY_SECONDS = 120
_STOP_SECONDS = 10
_READY_QUERY = """{
    workspaceOrError { ... on Workspace { locationEntries {
        loadStatus
        locationOrLoadError { __typename ... on PythonError { message } }
    } } }
    instance { daemonHealth { daemonStatus(daemonType: "QUEUED_RUN_COORDINATOR") { healthy } } }
}"""


class Deployment:
    """A Dagster home in a folder, with settings that lead to a sample API.

    Attributes:
        api: The sample API, which must be running.
        settings: Further settings, as environment variables.
        home: DAGSTER_HOME.
        url: Where the web UI is, while `serving`.
    """

    def __init__(
        self, folder: Path, api: SampleApi, settings: Mapping[str, str] | None = None
    ) -> None:
        self.api = api
        self.settings = dict(settings or {})
        self.home = folder / "home"
        self.url = ""
        self._elsewhere = folder / "elsewhere"
        self._log = folder / "dagster-dev.log"
        self._http = requests.Session()
        self._http.trust_env = False
        self._elsewhere.mkdir(parents=True)
        self.home.mkdir()
        shutil.copy(CHECKOUT / "dagster.yaml", self.home)

    def sync(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs `analytics-assets sync`."""
        return subprocess.run(
            [sys.executable, "-m", "analytics_assets.cli", "sync", *arguments],
            cwd=self._elsewhere,
            env=self._environment(),
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    @contextmanager
    def serving(self) -> Iterator[None]:
        """Runs the web UI and the daemon, as `make dev` does; none of their processes is left."""
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        workspace = str(CHECKOUT / "workspace.yaml")
        options = ("-w", workspace, "--host", "127.0.0.1", "--port", str(port))
        with self._log.open("w") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "dagster_dg_cli.cli", "dev", *options],
                cwd=self._elsewhere,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        try:
            self._wait_until_ready(process)
            yield
        finally:
            _stop_group(process)

    @contextmanager
    def serving_below(self, prefix: str) -> Iterator[int]:
        """Runs a second web server on the home, without code, below a path; yields its port."""
        port = free_port()
        options = ("--path-prefix", prefix, "--port", str(port), "--empty-workspace")
        process = subprocess.Popen(
            [sys.executable, "-m", "dagster_webserver", *options],
            cwd=self._elsewhere,
            env=self._environment(),
            start_new_session=True,
        )
        try:
            yield port
        finally:
            _stop_group(process)

    def graphql(self, query: str) -> Any:
        """Asks the web UI's own endpoint."""
        answer = self._http.post(f"{self.url}/graphql", json={"query": query}, timeout=30)
        answer.raise_for_status()
        body = answer.json()
        assert "errors" not in body, body["errors"]
        return body["data"]

    def _wait_until_ready(self, process: subprocess.Popen[bytes]) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while process.poll() is None and time.monotonic() < deadline:
            if self._is_ready():
                return
            time.sleep(0.2)
        raise AssertionError(f"the web UI did not start:\n{self._log.read_text()[-3000:]}")

    def _is_ready(self) -> bool:
        try:
            data = self.graphql(_READY_QUERY)
        except requests.RequestException:
            return False
        entries = data["workspaceOrError"]["locationEntries"]
        if not entries or any(entry["loadStatus"] != "LOADED" for entry in entries):
            return False
        for entry in entries:
            loaded = entry["locationOrLoadError"]
            assert loaded["__typename"] == "RepositoryLocation", loaded
        return bool(data["instance"]["daemonHealth"]["daemonStatus"]["healthy"])

    def _environment(self) -> dict[str, str]:
        return {
            **foreign_environment(),
            "PYTHONPATH": str(CHECKOUT),
            **sample_settings(self.home, self.api),
            **self.settings,
        }


def chromium_path() -> str | None:
    """The Chromium of this machine, if there is one."""
    return next((path for name in _CHROMIUM_NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium(path: str) -> Iterator[Browser]:
    """A headless Chromium with a profile of its own."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=_CHROMIUM_ARGUMENTS)
        try:
            yield browser
        finally:
            browser.close()


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _stop_group(process: subprocess.Popen[bytes]) -> None:
    """Ends the process with all its children: asked first, so that they remove their sockets."""
    process.terminate()
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait(_STOP_SECONDS)
