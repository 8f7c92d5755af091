"""The platform in a code location of somebody else, who uses the names that it might."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import dagster as dg
import pytest

from analytics_assets import build_definitions
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.commands import Commands

THEIRS = '''
"""A code location that had all these names before."""

import dagster as dg
from dagster_dlt import DagsterDltResource

from analytics_assets import ACCOUNT_PARTITIONS, build_definitions


@dg.asset
def accounts(dlt: DagsterDltResource, progress: dg.ResourceParam[str]) -> None:
    assert progress == "theirs"


@dg.asset_check(asset=accounts)
def key_is_unique() -> dg.AssetCheckResult:
    return dg.AssetCheckResult(passed=True)


@dg.asset(
    deps=[dg.AssetKey(["ads", "campaigns"])],
    partitions_def=ACCOUNT_PARTITIONS,
    group_name="analytics",
)
def report() -> None: ...


@dg.job
def sync() -> None: ...


@dg.sensor(job=sync)
def sync_accounts_that_are_due() -> dg.SkipReason:
    return dg.SkipReason("theirs")


def theirs() -> dg.Definitions:
    return dg.Definitions(
        assets=[accounts, report],
        asset_checks=[key_is_unique],
        jobs=[sync],
        sensors=[sync_accounts_that_are_due],
        schedules=[
            dg.ScheduleDefinition(
                name="list_accounts_to_find_new", job=sync, cron_schedule="@daily"
            )
        ],
        resources={"dlt": DagsterDltResource(), "progress": "theirs"},
        executor=dg.multiprocess_executor,
        loggers={"console": dg.colored_console_logger},
    )


defs = dg.Definitions.merge(build_definitions(key_prefix="ads"), theirs())
'''


@pytest.fixture
def merged(home: Path) -> dg.Definitions:
    names: dict[str, object] = {}
    exec(THEIRS, names)
    defs = names["defs"]
    assert isinstance(defs, dg.Definitions)
    return defs


def test_it_stands_beside_definitions_of_the_same_names(merged: dg.Definitions):
    dg.Definitions.validate_loadable(merged)
    keys = {key.to_user_string() for key in merged.resolve_asset_graph().get_all_asset_keys()}
    assert keys == {"accounts", "report", *(f"ads/{name}" for name in RESOURCES.lists)}
    jobs = {job.name for job in merged.get_repository_def().get_all_jobs()}
    assert jobs >= {"sync", "ads__sync", "ads__refresh_accounts", "ads__check"}


def test_its_check_job_is_for_its_own_checks(merged: dg.Definitions):
    checked = merged.resolve_job_def("ads__check").asset_layer.asset_graph.asset_check_keys
    assert {key.asset_key.path[0] for key in checked} == {"ads"}
    assert len({key.asset_key for key in checked}) == len(RESOURCES.lists)


def test_its_assets_and_theirs_in_one_run(merged: dg.Definitions, instance, api: SampleApi):
    job = merged.resolve_implicit_global_asset_job_def()
    listed = [dg.AssetKey("accounts"), dg.AssetKey(["ads", "accounts"])]
    assert job.execute_in_process(instance=instance, asset_selection=listed).success
    [account, *_] = api.data.account_ids
    result = job.execute_in_process(
        instance=instance,
        partition_key=account,
        asset_selection=[dg.AssetKey(["ads", name]) for name in RESOURCES.account_lists],
    )
    assert result.success
    assert instance.get_materialized_partitions(dg.AssetKey(["ads", "campaigns"])) == {account}


def test_it_has_no_executor_and_names_its_resources():
    defs = build_definitions()
    assert defs.executor is None
    assert set(defs.resources or {}) == {"analytics_dlt", "analytics_progress"}


@pytest.mark.parametrize("prefix", ["marketing/ads", ["marketing", "ads"]])
def test_arguments_go_before_settings(monkeypatch, prefix):
    monkeypatch.setenv("ANALYTICS__KEY_PREFIX", "theirs")
    monkeypatch.setenv("ANALYTICS__GROUP_NAME", "theirs")
    monkeypatch.setenv("ANALYTICS__OWNERS", "team:theirs")
    monkeypatch.setenv("ANALYTICS__AUTOMATION", "false")
    defs = build_definitions(
        key_prefix=prefix, group_name="ads", owners=["a.b@example.com"], automation=True
    )
    spec = defs.resolve_assets_def(dg.AssetKey(["marketing", "ads", "campaigns"])).specs_by_key
    [campaigns] = [s for key, s in spec.items() if key.path[-1] == "campaigns"]
    assert (campaigns.group_name, campaigns.owners) == ("ads", ["a.b@example.com"])
    sensor = defs.resolve_sensor_def("marketing__ads__sync_accounts_that_are_due")
    assert sensor.default_status == dg.DefaultSensorStatus.RUNNING


def test_settings_count_where_there_is_no_argument(monkeypatch):
    monkeypatch.setenv("ANALYTICS__KEY_PREFIX", "ads")
    monkeypatch.setenv("ANALYTICS__GROUP_NAME", "advertising")
    monkeypatch.setenv("ANALYTICS__OWNERS", "team:ads,a.b@example.com")
    [spec] = [
        spec
        for spec in build_definitions().resolve_all_asset_specs()
        if spec.key == dg.AssetKey(["ads", "campaigns"])
    ]
    assert (spec.group_name, spec.owners) == ("advertising", ["team:ads", "a.b@example.com"])


def test_a_name_that_dagster_does_not_admit():
    with pytest.raises(dg.DagsterInvalidDefinitionError, match="my-ads"):
        build_definitions(key_prefix="my-ads")


def test_the_package_alone_imports_little():
    program = "import sys, analytics_assets; print(*sys.modules)"
    command = [sys.executable, "-c", program]
    modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    assert not {"dagster", "dlt"} & {*modules}


def test_what_the_package_does_not_have():
    import analytics_assets

    assert set(analytics_assets.__all__) <= set(dir(analytics_assets))
    with pytest.raises(AttributeError, match="has no attribute 'definitely'"):
        analytics_assets.definitely  # noqa: B018


def test_with_a_stock_instance_and_processes_for_steps(
    commands: Commands, tmp_path: Path, api: SampleApi, monkeypatch
):
    stock = tmp_path / "stock"
    stock.mkdir()
    (stock / "dagster.yaml").touch()
    file = tmp_path / "theirs.py"
    file.write_text(THEIRS)
    monkeypatch.setenv("DAGSTER_HOME", str(stock))
    account = api.data.account_ids[0]
    materialize = ("-m", "dagster", "asset", "materialize", "-f", str(file), "--select")
    listed = commands.run(*materialize, "ads/accounts")
    assert listed.returncode == 0, listed.stderr
    read = commands.run(*materialize, "ads/campaigns,ads/campaign_items", "--partition", account)
    assert read.returncode == 0, read.stderr
    assert "Starting child process" in read.stderr or "subprocess" in read.stderr
    with dg.DagsterInstance.from_config(str(stock)) as instance:
        found = instance.get_materialized_partitions(dg.AssetKey(["ads", "campaigns"]))
    assert found == {account}
