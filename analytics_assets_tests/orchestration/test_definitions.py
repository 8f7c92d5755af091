"""The code location as a whole: a change to the graph is seen in review, and loading it is safe."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml
from dagster._core.snap.snap_to_yaml import default_values_yaml_from_type_snap
from syrupy.assertion import SnapshotAssertion
from syrupy.extensions.json import JSONSnapshotExtension

from analytics_assets.factory import compose
from analytics_assets.orchestration.progress import Progress
from analytics_assets.settings import platform_settings
from analytics_assets_tests.testing.commands import CHECKOUT


@pytest.fixture
def snapshot(snapshot: SnapshotAssertion) -> SnapshotAssertion:
    return snapshot.use_extension(JSONSnapshotExtension)


@pytest.fixture
def defs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dg.Definitions:
    """The definitions, with no setting at all."""
    for name in list(os.environ):
        if name.startswith(("SOURCES__", "ANALYTICS__", "DESTINATION__")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return compose(platform_settings(), Progress())


def test_assets(defs: dg.Definitions, snapshot: SnapshotAssertion):
    specs = sorted(defs.resolve_all_asset_specs(), key=lambda spec: spec.key)
    assert [_asset(spec) for spec in specs] == snapshot


def test_checks(defs: dg.Definitions, snapshot: SnapshotAssertion):
    graph = defs.resolve_asset_graph()
    checks = {key.to_user_string(): graph.get(key).description for key in graph.asset_check_keys}
    assert checks == snapshot


def test_jobs_schedules_and_sensors(defs: dg.Definitions, snapshot: SnapshotAssertion):
    assert [_job(defs, job) for job in ("refresh_accounts", "sync", "check")] == snapshot
    assert [_schedule(defs, schedule.name) for schedule in defs.schedules or ()] == snapshot
    assert [_sensor(sensor) for sensor in defs.sensors or ()] == snapshot


def test_runs_are_in_one_process_and_may_take_however_long_a_sync_takes(
    defs: dg.Definitions, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ANALYTICS__EXTRA_RESOURCES", "campaign_performance")
    defs = compose(platform_settings(), Progress())
    jobs = {
        name: defs.resolve_job_def(name)
        for name in ("refresh_accounts", "sync", "check", "performance")
    }
    assert {job.executor_def.name for job in jobs.values()} == {"in_process"}
    limits = {name: job.tags.get("dagster/max_runtime") for name, job in jobs.items()}
    unlimited = dict.fromkeys(("sync", "performance"), "0")
    assert limits == {"refresh_accounts": None, "check": None, **unlimited}
    of_reports = jobs["performance"].asset_layer.executable_asset_keys
    assert of_reports == {dg.AssetKey("campaign_performance")}
    assert "`start_date` and `end_date` in the configuration of `account_reports`" in str(
        jobs["performance"].description
    )


def test_a_backfill_of_many_accounts_is_one_run(
    defs: dg.Definitions, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("ANALYTICS__EXTRA_RESOURCES", "campaign_performance")
    graph = compose(platform_settings(), Progress()).resolve_asset_graph()
    of_accounts = {
        key: graph.get(key) for key in graph.get_all_asset_keys() if graph.get(key).is_partitioned
    }
    assert {dg.AssetKey("campaigns"), dg.AssetKey("campaign_performance")} <= of_accounts.keys()
    policies = [asset.backfill_policy for asset in of_accounts.values()]
    assert policies == [dg.BackfillPolicy.single_run()] * len(of_accounts)


def _asset(spec: dg.AssetSpec) -> dict[str, Any]:
    metadata = dict(spec.metadata)
    schema, lineage = metadata["dagster/column_schema"], metadata["dagster/column_lineage"]
    references = metadata["dagster/code_references"].code_references
    metadata["dagster/column_schema"] = [
        f"{column.name} {column.type}"
        + ("" if column.constraints.nullable else " not null")
        + f": {column.description}"
        for column in schema.columns
    ]
    metadata["dagster/column_lineage"] = {
        column: [f"{dep.asset_key.to_user_string()}.{dep.column_name}" for dep in deps]
        for column, deps in lineage.deps_by_column.items()
    }
    metadata["dagster/code_references"] = [
        f"{reference.label}: {Path(reference.file_path).relative_to(CHECKOUT)}"
        for reference in references
    ]
    return {
        "key": spec.key.to_user_string(),
        "deps": [dep.asset_key.to_user_string() for dep in spec.deps],
        "partitions": getattr(spec.partitions_def, "name", None),
        "group": spec.group_name,
        "kinds": sorted(spec.kinds),
        "owners": list(spec.owners),
        "tags": {key: tag for key, tag in spec.tags.items() if not key.startswith("dagster/kind")},
        "freshness": repr(spec.freshness_policy),
        "description": spec.description,
        "metadata": {
            key: str(value) if not isinstance(value, (list, dict)) else value
            for key, value in metadata.items()
        },
    }


def _job(defs: dg.Definitions, name: str) -> dict[str, Any]:
    job = defs.resolve_job_def(name)
    layer = job.asset_layer
    return {
        "name": name,
        "description": job.description,
        "assets": sorted(key.to_user_string() for key in layer.executable_asset_keys)
        if name != "check"
        else [],
        "checks": len(layer.asset_graph.asset_check_keys),
        "partitions": getattr(job.partitions_def, "name", None),
    }


def _schedule(defs: dg.Definitions, name: str) -> dict[str, Any]:
    schedule = defs.resolve_schedule_def(name)
    return {
        "name": name,
        "description": schedule.description,
        "job": schedule.job_name,
        "cron": schedule.cron_schedule,
        "time_zone": schedule.execution_timezone,
        "status": schedule.default_status.value,
    }


def _sensor(sensor: dg.SensorDefinition) -> dict[str, Any]:
    return {
        "name": sensor.name,
        "description": sensor.description,
        "kind": sensor.sensor_type.value,
        "jobs": [target.job_name for target in sensor.targets],
        "seconds": sensor.minimum_interval_seconds,
        "status": sensor.default_status.value,
    }


NO_NETWORK = """
import socket
def refuse(*args, **kwargs): raise AssertionError(f"a connection to {args}")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
import analytics_assets.definitions
"""


def bare(folder: Path) -> dict[str, str]:
    """An environment without a setting, in which all that a program writes lands in `folder`."""
    return {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONDONTWRITEBYTECODE": "1",
        **dict.fromkeys(("HOME", "DAGSTER_HOME", "TMPDIR", "XDG_DATA_HOME"), str(folder)),
    }


def test_import_asks_no_one_and_writes_nothing(tmp_path: Path):
    done = subprocess.run(
        [sys.executable, "-W", "error::UserWarning", "-c", NO_NETWORK],
        cwd=tmp_path,
        env=bare(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


def test_dagster_validates_the_location_with_no_setting_at_all(tmp_path: Path):
    command = ["-m", "dagster", "definitions", "validate", "-m", "analytics_assets.definitions"]
    done = subprocess.run(
        [sys.executable, *command],
        cwd=tmp_path,
        env=bare(tmp_path),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "Validation successful for code location analytics_assets.definitions" in done.stdout


def test_dg_checks_the_project(tmp_path: Path):
    dg_command = Path(sys.executable).with_name("dg")
    environment = {**bare(tmp_path), "PATH": f"{dg_command.parent}:{os.environ['PATH']}"}
    done = subprocess.run(
        [dg_command, "check", "defs"],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("job", "op", "config"),
    [
        ("sync", "account_resources", {"accounts": [], "allow_empty": False, "full": False}),
        ("refresh_accounts", "accounts", {"allow_empty": False}),
    ],
)
def test_the_launchpad_shows_what_a_run_can_be_given(defs: dg.Definitions, job, op, config):
    snapshot = defs.resolve_job_def(job).get_job_snapshot()
    schema = snapshot.config_schema_snapshot
    root = schema.get_config_snap(str(snapshot.mode_def_snaps[0].root_config_key))
    shown = yaml.safe_load(default_values_yaml_from_type_snap(schema, root))
    assert shown == {"ops": {op: {"config": config}}}
    described = {
        field.name: field.description
        for kind in schema.all_config_snaps_by_key.values()
        for field in kind.fields or ()
    }
    assert all(described[name] for name in config)
