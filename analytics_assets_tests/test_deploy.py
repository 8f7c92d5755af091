"""The files in deploy/, read as an engine or a cluster would read them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from celery.app.defaults import DEFAULTS
from dagster import DagsterInstance, DagsterRun
from dagster._config import process_config
from dagster._core.instance.config import PoolGranularity
from dagster._core.remote_origin import GrpcServerCodeLocationOrigin
from dagster._core.run_coordinator import QueuedRunCoordinator
from dagster._core.workspace.load import location_origins_from_yaml_paths
from dagster_k8s import K8sRunLauncher
from dagster_k8s.container_context import K8sContainerContext
from dagster_k8s.job import construct_dagster_k8s_job

from analytics_assets.dagster_backend.celery_launcher import FleetRunLauncher
from analytics_assets_tests.testing.commands import CHECKOUT

DEPLOY = CHECKOUT / "deploy"
STORAGES = {"run_storage", "event_log_storage", "schedule_storage"}

# a value that the environment gives, and without which compose starts nothing
REQUIRED = re.compile(r"\$\{(\w+):\?\}")
SECRET_NAME = re.compile(r"PASSWORD|SECRET|CREDENTIALS|TOKEN|_URL$")


def read(name: str) -> Any:
    return yaml.safe_load((CHECKOUT / name).read_text())


@pytest.fixture
def compose() -> Any:
    return read("deploy/docker-compose.yaml")


@pytest.fixture
def values() -> Any:
    return read("deploy/helm-values.yaml")


def environment_of(node: Any) -> set[str]:
    """The variables that a dagster.yaml reads."""
    if isinstance(node, dict):
        if set(node) == {"env"}:
            return {node["env"]}
        node = list(node.values())
    return set().union(*map(environment_of, node)) if isinstance(node, list) else set()


@pytest.mark.parametrize(
    ("name", "own"),
    [
        ("deploy/dagster.yaml", STORAGES),
        ("deploy/dagster-fleet.yaml", STORAGES | {"run_launcher"}),
    ],
)
def test_all_but_the_places_is_as_on_one_machine(name: str, own: set[str]):
    one, several = read("dagster.yaml"), read(name)
    assert {key for key in several if several[key] != one.get(key)} == own
    assert set(several) - own == set(one) - own
    assert own <= set(several)


def written_by_the_chart(values: Any) -> dict[str, Any]:
    """What Dagster's Helm chart writes into dagster.yaml, but for storages and launcher.

    Only the values that we set are looked at; docs/several-machines.md says when the chart was run.
    """
    daemon, config = values["dagsterDaemon"], dict(values["additionalInstanceConfig"])
    queue = {"dequeue_use_threads": True, "dequeue_num_workers": 4}
    if daemon.get("runCoordinator", {}).get("enabled", True):
        limited = values.get("concurrency", {}).get("enabled", False)
        config["run_coordinator"] = {
            "module": "dagster.core.run_coordinator",
            "class": "QueuedRunCoordinator",
            "config": queue if limited else queue | {"max_concurrent_runs": -1},
        }
    else:
        config["run_coordinator"] = {
            "module": "dagster._core.run_coordinator.sync_in_memory_run_coordinator",
            "class": "SyncInMemoryRunCoordinator",
        }
    if values.get("concurrency", {}).get("enabled", False):
        runs, pools = values["concurrency"]["runs"], values["concurrency"]["pools"]
        assert (set(runs), set(pools)) == ({"maxConcurrentRuns"}, {"defaultLimit", "granularity"})
        config["concurrency"] = {
            "pools": {"default_limit": pools["defaultLimit"], "granularity": pools["granularity"]},
            "runs": {"max_concurrent_runs": runs["maxConcurrentRuns"]},
        }
    return config | {"telemetry": values["telemetry"]}


def test_the_helm_chart_says_the_same_of_runs(values: Any):
    one, chart = read("dagster.yaml"), written_by_the_chart(values)
    del chart["run_coordinator"]  # on one machine, Dagster's own: the same
    assert chart == {key: one[key] for key in one.keys() - {*STORAGES, "run_launcher"}}


def test_the_helm_charts_instance_queues_runs(values: Any, tmp_path: Path):
    (tmp_path / "dagster.yaml").write_text(yaml.safe_dump(written_by_the_chart(values)))
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        assert isinstance(instance.run_coordinator, QueuedRunCoordinator)
        concurrency = instance.get_concurrency_config()
        assert concurrency.run_queue_config is not None
        assert concurrency.run_queue_config.max_concurrent_runs == 4
        assert concurrency.pool_config.default_pool_limit == 1
        assert concurrency.pool_config.pool_granularity == PoolGranularity.RUN
        assert (instance.run_retries_enabled, instance.run_retries_max_retries) == (True, 2)
        assert not instance.run_retries_retry_on_asset_or_op_failure
        assert instance.run_monitoring_enabled


def test_the_chart_asks_the_web_ui_where_it_is(values: Any):
    webserver = values["dagsterWebserver"]
    assert webserver["readinessProbe"]["httpGet"]["port"] == webserver["service"]["port"]


def test_both_files_for_postgres_store_alike():
    fleet, several = read("deploy/dagster-fleet.yaml"), read("deploy/dagster.yaml")
    assert all(fleet[storage] == several[storage] for storage in STORAGES)


def test_the_fleet_file_is_an_instance_of_dagster(
    tmp_path: Path, records_database: None, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("CELERY_BROKER_URL", "redis://:secret@broker:6379/0")
    (tmp_path / "dagster.yaml").write_text((DEPLOY / "dagster-fleet.yaml").read_text())
    with DagsterInstance.from_config(str(tmp_path)) as instance:
        launcher = instance.run_launcher
        assert isinstance(launcher, FleetRunLauncher)
        assert instance.run_monitoring_enabled
        assert instance.run_monitoring_max_resume_run_attempts == 0
        conf = launcher.celery.conf
        assert conf.broker_url == conf.result_backend == "redis://:secret@broker:6379/0"
        assert launcher.config_source.keys() <= DEFAULTS.keys()
        assert (conf.worker_concurrency, conf.worker_disable_prefetch) == (1, True)


def test_a_service_has_what_its_dagster_yaml_reads(compose: Any):
    wanted = environment_of(read("deploy/dagster-fleet.yaml"))
    assert "CELERY_BROKER_URL" in wanted
    ours = [service for service in compose["services"].values() if "build" in service]
    assert len(ours) == 4
    for service in ours:
        assert wanted | {"DAGSTER_HOME"} <= set(service["environment"])


def test_services_start_after_those_that_they_need(compose: Any):
    services = compose["services"]
    for service in services.values():
        assert "healthcheck" in service
        for name, needed in service.get("depends_on", {}).items():
            assert name in services
            assert needed == {"condition": "service_healthy"}
    [origin] = location_origins_from_yaml_paths([str(DEPLOY / "workspace.yaml")])
    assert isinstance(origin, GrpcServerCodeLocationOrigin)
    assert origin.location_name == "analytics_assets"
    assert origin.host in services["webserver"]["depends_on"]
    assert f"-p {origin.port} " in services[origin.host]["command"]
    named = {volume.split(":")[0] for one in services.values() for volume in one.get("volumes", [])}
    assert named == set(compose["volumes"])


def test_only_this_machine_reaches_the_web_ui_and_nobody_else_anything(compose: Any):
    published = {name: one["ports"] for name, one in compose["services"].items() if "ports" in one}
    assert published == {"webserver": ["127.0.0.1:3000:3000"]}


def test_the_web_ui_and_the_daemon_do_not_get_the_platforms_secrets(compose: Any):
    services = compose["services"]
    assert {name for name in services if "env_file" in services[name]} == {"code", "worker"}
    assert (DEPLOY / services["code"]["env_file"]).resolve() == CHECKOUT / ".env"
    assert ".env" in (CHECKOUT / ".gitignore").read_text().split()


def test_no_secret_is_in_a_file(compose: Any, values: Any):
    for service in compose["services"].values():
        for name, value in service["environment"].items():
            if SECRET_NAME.search(name):
                assert REQUIRED.search(value), name
    text = (DEPLOY / "docker-compose.yaml").read_text()
    assert set(re.findall(r"\$\{(\w+)", text)) == set(REQUIRED.findall(text))
    explained = (CHECKOUT / ".env.example").read_text()
    assert all(f"{name}=" in explained for name in REQUIRED.findall(text))
    assert values["generatePostgresqlPasswordSecret"] is False
    [deployment] = values["dagster-user-deployments"]["deployments"]
    assert deployment["envSecrets"]
    assert not any(SECRET_NAME.search(name) for name in deployment["env"])
    assert "postgresqlPassword" not in values["postgresql"]


def test_a_run_is_a_pod_with_the_image_secrets_and_user(values: Any, monkeypatch):
    # outside of a cluster there is no configuration of one
    monkeypatch.setattr("dagster_k8s.launcher.load_kubernetes_config", lambda **_: None)
    options = values["runLauncher"]["config"]["k8sRunLauncher"]
    [deployment] = values["dagster-user-deployments"]["deployments"]
    assert deployment["includeConfigInLaunchedRuns"] == {"enabled": True}
    image = ":".join([deployment["image"]["repository"], deployment["image"]["tag"]])
    # in these words the chart hands the values on
    launcher_config = {
        "service_account_name": "analytics-dagster",
        "instance_config_map": "analytics-dagster-instance",
        "postgres_password_secret": values["global"]["postgresqlSecretName"],
        "dagster_home": values["global"]["dagsterHome"],
        "run_k8s_config": {"pod_spec_config": options["runK8sConfig"]["podSpecConfig"]},
        "image_pull_policy": options["imagePullPolicy"],
        "load_incluster_config": options["loadInclusterConfig"],
        "resources": options["resources"],
        "security_context": options["securityContext"],
    }
    assert len(options) == len(launcher_config) - 4
    result = process_config(K8sRunLauncher.config_type(), launcher_config)
    assert result.success, result.errors
    launcher = K8sRunLauncher(**launcher_config)
    context = K8sContainerContext.create_for_run(DagsterRun("sync"), launcher, False).merge(
        K8sContainerContext.create_from_config(
            {"k8s": {"env_secrets": [secret["name"] for secret in deployment["envSecrets"]]}}
        )
    )
    job = construct_dagster_k8s_job(
        context.get_k8s_job_config(image, launcher), [], "run", context.run_k8s_config
    )
    pod = job.spec.template.spec
    [container] = pod.containers
    assert container.image == image
    assert [source.secret_ref.name for source in container.env_from] == ["analytics-assets"]
    assert ("DAGSTER_HOME", "/opt/dagster") in [(one.name, one.value) for one in container.env]
    assert pod.security_context.run_as_non_root is True
    assert container.security_context.allow_privilege_escalation is False
    assert container.resources.limits == {"memory": "2Gi"}
    # run_retries start a lost run again; a second pod of the same run would have it fail
    assert job.spec.backoff_limit == 0


def test_nothing_runs_as_root(values: Any, compose: Any):
    instructions = [
        line.split(maxsplit=1) for line in dockerfile().splitlines() if line[:1].isupper()
    ]
    [user] = [arguments for name, arguments in instructions if name == "USER"]
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    assert instructions[-1] == ["USER", user]
    uid = int(user.split(":")[0])
    assert f"useradd --uid {uid} " in dockerfile()
    [deployment] = values["dagster-user-deployments"]["deployments"]
    run = values["runLauncher"]["config"]["k8sRunLauncher"]["runK8sConfig"]["podSpecConfig"]
    for pod in (
        deployment["podSecurityContext"],
        values["dagsterDaemon"]["podSecurityContext"],
        values["dagsterWebserver"]["podSecurityContext"],
        run["securityContext"],
    ):
        assert (pod["runAsNonRoot"], pod["runAsUser"]) == (True, uid)
    home = re.search(r"DAGSTER_HOME=(\S+)", dockerfile())
    assert home is not None
    assert home[1] == values["global"]["dagsterHome"]
    assert home[1] == compose["services"]["worker"]["environment"]["DAGSTER_HOME"]


def test_the_image_is_made_of_what_its_context_has():
    copied = re.findall(r"^COPY (.+) \S+$", dockerfile(), re.MULTILINE)
    admitted = re.findall(r"^!([^/\n]+)", (CHECKOUT / ".dockerignore").read_text(), re.MULTILINE)
    for path in " ".join(copied).split():
        assert (CHECKOUT / path).exists()
        assert path.split("/")[0] in admitted
    assert "**/.env" not in admitted


def test_the_image_has_the_versions_that_are_tested():
    def versions(name: str) -> set[str]:
        return set(re.findall(r"^[a-z0-9].*?(?= \\$)", (CHECKOUT / name).read_text(), re.MULTILINE))

    image = versions("deploy/requirements.lock")
    assert len(image) > 50
    pins = {line.split(" ;")[0] for line in versions("requirements.lock")}
    assert {line.split(" ;")[0] for line in image} <= pins


def dockerfile() -> str:
    return (DEPLOY / "Dockerfile").read_text()
