"""Names under a prefix: every part of the platform finds what another has made."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import cast

import dagster as dg
import pytest
from dagster import DagsterInstance

from analytics_assets.factory import compose
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.recorded_loads import latest_loads
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi
from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets_tests.testing.automation import Automation
from analytics_assets_tests.testing.commands import invoke

PREFIX = "marketing/ads"
NAMES = AssetNames(("marketing", "ads"))


@pytest.fixture
def _prefixed(home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANALYTICS__KEY_PREFIX", PREFIX)


def test_without_a_prefix_an_asset_is_called_as_its_resource():
    names = AssetNames()
    assert names.key("campaigns") == dg.AssetKey("campaigns")
    assert (names.listing_op, names.accounts_op) == ("accounts", "account_resources")
    assert (names.refresh_job, names.sync_job, names.check_job) == (
        "refresh_accounts",
        "sync",
        "check",
    )


def test_a_prefix_is_in_every_name():
    assert NAMES.keys(["campaigns"]) == [dg.AssetKey(["marketing", "ads", "campaigns"])]
    assert NAMES.resource_name(NAMES.key("campaigns")) == "campaigns"
    assert NAMES.listing_op == "marketing__ads__accounts"
    assert NAMES.sync_job == "marketing__ads__sync"


def test_lists_and_reports_have_a_job_and_an_op_each():
    names = AssetNames(report_names=("campaign_performance", "site_performance"))
    for lists in (["campaigns"], names.account_resources):
        assert names.are_lists(lists)
        assert (names.job_of(lists), names.op_of(lists)) == ("sync", "account_resources")
    reports = ["site_performance"]
    assert not names.are_lists(reports)
    assert (names.job_of(reports), names.op_of(reports)) == ("performance", "account_reports")
    assert names.all_names == [*RESOURCES.lists, *names.report_names]
    assert names.partitioned == [*RESOURCES.account_lists, *names.report_names]


def test_a_history_comes_after_its_resource():
    names = AssetNames(("ads",), histories=("campaigns",))
    history = dg.AssetKey(["ads", "campaigns_history"])
    assert names.history_key("campaigns") == history
    keys = [dg.AssetKey(["ads", "audiences"]), dg.AssetKey(["ads", "campaigns"]), history]
    assert names.keys(["audiences", "campaigns"]) == keys
    assert names.resource_name(history) == "campaigns"


def test_the_parent_is_the_next_above_that_is_an_asset():
    items = RESOURCES["campaign_items"]
    assert AssetNames().parent(items) == "campaigns"
    assert AssetNames(resource_names=("accounts", "campaign_items")).parent(items) == "accounts"
    assert AssetNames(resource_names=("campaign_items",)).parent(items) is None
    assert AssetNames().parent(RESOURCES["accounts"]) is None


@pytest.mark.parametrize("is_check", [False, True])
def test_a_run_finds_the_names_by_what_it_is_for(is_check):
    key = NAMES.key("campaigns")
    context = SimpleNamespace(
        selected_asset_keys=set() if is_check else {key},
        selected_asset_check_keys={dg.AssetCheckKey(key, "key_is_unique")} if is_check else set(),
    )
    run = cast(dg.AssetExecutionContext, context)
    assert AssetNames.of_run(run, PlatformSettings()) == NAMES


@pytest.mark.parametrize(
    ("job", "assets", "checked", "ours"),
    [
        ("marketing__ads__sync", [], (), True),
        ("sync", [], (), False),
        ("__ASSET_JOB", [NAMES.key("campaigns"), dg.AssetKey("report")], (), True),
        ("__ASSET_JOB", [dg.AssetKey("campaigns")], (), False),
        ("__ASSET_JOB", [], [NAMES.key("campaigns")], True),
    ],
)
def test_which_runs_are_ours(job, assets, checked, ours):
    checks = frozenset(dg.AssetCheckKey(key, "key_is_unique") for key in checked)
    run = dg.DagsterRun(job_name=job, asset_check_selection=checks)
    assert NAMES.is_ours(run, assets) is ours


@pytest.mark.usefixtures("_prefixed")
def test_nothing_is_named_without_the_prefix():
    defs = compose(platform_settings(), Progress())
    assert AssetNames.of_settings(platform_settings()) == NAMES
    keys = set(NAMES.keys(RESOURCES.lists))
    graph = defs.resolve_asset_graph()
    assert set(graph.get_all_asset_keys()) == keys
    assert {key.asset_key for key in graph.asset_check_keys} == keys
    repository = defs.get_repository_def()
    named = [
        *(job.name for job in repository.get_all_jobs() if job.name != "__ASSET_JOB"),
        *(schedule.name for schedule in repository.schedule_defs),
        *(sensor.name for sensor in repository.sensor_defs),
        *(asset.op.name for asset in repository.assets_defs_by_key.values()),
    ]
    assert {name for name in named if not name.startswith("marketing__ads__")} == set()


@pytest.mark.usefixtures("_prefixed")
def test_sync_status_and_sensor_agree_on_the_names(sync, api: SampleApi, instance: DagsterInstance):
    assert sync().exit_code == 0
    loads = latest_loads(instance, NAMES)
    assert {name for name, _ in loads} == set(RESOURCES.lists)
    assert latest_loads(instance, AssetNames()) == {}
    report = json.loads(invoke("status", "--json").output)
    assert {account["state"] for account in report["accounts"]} == {"ok"}
    automation = Automation(instance)
    assert automation.tick() is None
    new = api.data.add_account()
    assert automation.run(automation.schedule("list_accounts_to_find_new"))
    request = automation.tick()
    assert request is not None
    assert set(request.asset_selection or []) == set(NAMES.keys(RESOURCES.account_lists))
    assert automation.run(request)
    assert ("campaigns", new) in latest_loads(instance, NAMES)
