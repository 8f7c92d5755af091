"""Runs deploy/docker-compose.yaml: read by automation, a restart, a lost worker, a newer image.

It needs a Docker engine and takes long, so that the suite does not run it: `make test-deploy`.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from analytics_assets.sample_api import Fault, SampleApi
from analytics_assets_tests.testing.commands import CHECKOUT
from analytics_assets_tests.testing.data import change_every_table
from analytics_assets_tests.testing.homes import use_settings
from analytics_assets_tests.testing.tables import served_tables, warehouse_tables

# of the engine's own network: containers and this process reach it
GATEWAY = "172.17.0.1"
SECRET = "sample-0123456789"
WORKERS = 2
DEADLINE_SECONDS = 900
SERVICES = {"code", "daemon", "webserver", "broker", "postgres"}


class Stack:
    """The services of a copy of the compose file, whose .env leads to a sample API."""

    def __init__(self, folder: Path, api: SampleApi) -> None:
        self.api = api
        self.file = folder / "deploy" / "docker-compose.yaml"
        self.environment = folder / ".env"
        shutil.copytree(CHECKOUT / "deploy", self.file.parent)
        settings = {
            "SOURCES__ANALYTICS__BASE_URL": api.base_url,
            "SOURCES__ANALYTICS__TOKEN_URL": api.token_url,
            "SOURCES__ANALYTICS__CLIENT_ID": api.behaviour.client_id,
            "SOURCES__ANALYTICS__CLIENT_SECRET": api.behaviour.client_secret,
            "SOURCES__ANALYTICS__TIMEOUT": "600",
            "ANALYTICS__AUTOMATION": "true",
            "ANALYTICS__SENSOR_INTERVAL": "5",
            "ANALYTICS__SYNC_CRON": "* * * * *",
            "POSTGRES_PASSWORD": SECRET,
            "BROKER_PASSWORD": SECRET,
        }
        lines = [f"{name}='{value}'\n" for name, value in settings.items()]
        self.environment.write_text("".join(lines))

    def compose(self, *arguments: str) -> str:
        options = ["--env-file", str(self.environment), "-f", str(self.file)]
        return run("docker-compose", *options, *arguments)

    def up(self) -> None:
        """Starts or renews what is to run, and waits until all of it is healthy."""
        self.compose(
            *("up", "-d", "--no-build", "--scale", f"worker={WORKERS}"),
            *("--wait", "--wait-timeout", str(DEADLINE_SECONDS)),
        )

    def containers(self, service: str) -> list[str]:
        return self.compose("ps", "-q", service).split()

    def health(self) -> dict[str, list[str]]:
        """The health of each service's containers."""
        services = (*SERVICES, "worker")
        return {
            service: [inspect(one, ".State.Health.Status") for one in self.containers(service)]
            for service in services
        }

    def credentials(self) -> str:
        [postgres] = self.containers("postgres")
        [network] = json.loads(run("docker", "inspect", postgres))[0]["NetworkSettings"][
            "Networks"
        ].values()
        return f"postgresql://analytics:{SECRET}@{network['IPAddress']}:5432/analytics"

    def query(self, sql: str) -> list[tuple[str, ...]]:
        with closing(psycopg2.connect(self.credentials())) as server, server.cursor() as cursor:
            cursor.execute(sql)
            return cursor.fetchall()

    def runs(self) -> dict[str, str]:
        """The status of each run over accounts."""
        return dict(self.query("SELECT run_id, status FROM runs WHERE pipeline_name = 'sync'"))  # type: ignore[arg-type]


def run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def log_of(container: str) -> str:
    command = ["docker", "logs", container]
    return subprocess.run(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ).stdout


def inspect(container: str, what: str) -> str:
    return run("docker", "inspect", "-f", f"{{{{{what}}}}}", container).strip()


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, f"{what} did not happen within {DEADLINE_SECONDS} s"
        time.sleep(2)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    with SampleApi(host=GATEWAY) as api:
        stack = Stack(tmp_path_factory.mktemp("deployed"), api)
        try:
            stack.up()
            yield stack
        finally:
            print(stack.compose("logs", "--tail", "40"))
            stack.compose("down", "-v", "--timeout", "20")


def assert_it_gets_what_the_api_has(stack: Stack, tmp_path: Path) -> None:
    def same() -> bool:
        try:
            return warehouse_tables(tmp_path) == served_tables(stack.api.data)
        except psycopg2.Error:  # no tables yet, or the server is just starting
            return False

    with pytest.MonkeyPatch.context() as patch:
        use_settings(
            patch,
            {
                "ANALYTICS__DESTINATION": "postgres",
                "DESTINATION__POSTGRES__CREDENTIALS": stack.credentials(),
            },
        )
        until(same, "the sync of what the API has")


def test_all_services_are_healthy_and_the_automation_syncs(stack: Stack, tmp_path: Path):
    health = stack.health()
    assert health.pop("worker") == ["healthy"] * WORKERS
    assert health == {service: ["healthy"] for service in SERVICES}
    assert_it_gets_what_the_api_has(stack, tmp_path)


def test_no_process_of_ours_is_root_and_no_secret_is_logged(stack: Stack):
    for service in ("code", "daemon", "webserver", "worker"):
        for container in stack.containers(service):
            assert run("docker", "exec", container, "id", "-u").strip() == "10001"
    logged = stack.compose("logs")
    assert SECRET not in logged
    assert stack.api.behaviour.client_secret not in logged


def test_postgres_is_restarted(stack: Stack, tmp_path: Path):
    change_every_table(stack.api, 1)
    stack.compose("restart", "postgres")
    assert_it_gets_what_the_api_has(stack, tmp_path)


def test_a_worker_is_killed(stack: Stack, tmp_path: Path):
    change_every_table(stack.api, 2)
    hang = Fault("hang", f"/v1/{stack.api.data.account_ids[0]}/campaigns/", times=1)
    stack.api.behaviour.faults.append(hang)
    until(lambda: hang.hits == 1, "the request that is never answered")
    [(task, hanging)] = stack.query(
        "SELECT t.value, r.run_id FROM runs r JOIN run_tags t ON t.run_id = r.run_id"
        " AND t.key = 'dagster-celery/task_id' WHERE r.status = 'STARTED'"
    )
    [lost] = [one for one in stack.containers("worker") if f"[{task}] received" in log_of(one)]
    run("docker", "kill", lost)
    until(lambda: stack.runs()[hanging] == "FAILURE", "the end of the lost run")
    assert_it_gets_what_the_api_has(stack, tmp_path)


def test_a_newer_image_takes_over(stack: Stack, tmp_path: Path):
    before = stack.runs()
    container = run("docker", "create", "analytics-assets", "true").strip()
    run("docker", "commit", "-c", "LABEL release=next", container, "analytics-assets")
    change_every_table(stack.api, 3)
    stack.up()
    for service in ("code", "daemon", "webserver", "worker"):
        for one in stack.containers(service):
            assert inspect(one, 'index .Config.Labels "release"') == "next"
    assert_it_gets_what_the_api_has(stack, tmp_path)
    assert before.keys() < stack.runs().keys()
