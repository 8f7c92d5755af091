"""docs/embedding.md: its code is run.

But for that of dbt, which test_dbt.py runs: the assets that it names are looked up.
"""

from __future__ import annotations

import re
from typing import Any

import dagster as dg
import pytest
import tomlkit
import yaml

from analytics_assets import AnalyticsPlatform
from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi
from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets_tests.testing.commands import CHECKOUT

PAGE = (CHECKOUT / "docs" / "embedding.md").read_text(encoding="utf-8")
PYTHON, DBT = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMPONENT, SOURCES = map(
    yaml.safe_load, re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
)
[TOML] = re.findall(r"^```toml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def defs(home) -> dg.Definitions:
    names: dict[str, Any] = {}
    # as a file of its own: without the imports from the future of this one
    exec(compile(PYTHON, "definitions.py", "exec", dont_inherit=True), names)
    defs = names["defs"]
    assert isinstance(defs, dg.Definitions)
    return defs


def test_what_is_downstream_runs_in_the_same_run(
    defs: dg.Definitions, instance: dg.DagsterInstance, api: SampleApi
):
    job = defs.get_repository_def().get_implicit_global_asset_job_def()
    listed = job.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey(["advertising", "accounts"])]
    )
    assert listed.success
    account = api.data.account_ids[0]
    report = dg.AssetKey("campaign_report")
    result = job.execute_in_process(
        instance=instance,
        partition_key=account,
        asset_selection=[dg.AssetKey(["advertising", "campaigns"]), report],
    )
    assert result.success
    assert instance.get_materialized_partitions(report) == {account}


def test_the_settings_are_settings(toml):
    toml(TOML)
    found = platform_settings()
    [(section, given)] = tomlkit.parse(TOML).unwrap().items()
    assert section == "analytics"
    assert found != PlatformSettings()
    assert {key: getattr(found, key) for key in given} == given | {"owners": tuple(given["owners"])}


def test_the_component_takes_the_attributes():
    assert COMPONENT["type"] == "analytics_assets.AnalyticsPlatform"
    assert AnalyticsPlatform(**COMPONENT["attributes"]).key_prefix == "advertising"


def test_the_sources_of_dbt_are_our_assets(defs: dg.Definitions):
    keys = defs.resolve_asset_graph().get_all_asset_keys()
    [source] = SOURCES["sources"]
    assert source["schema"] == PlatformSettings().dataset_name
    for table in source["tables"]:
        assert table["name"] in RESOURCES.lists
        key = dg.AssetKey(table["config"]["meta"]["dagster"]["asset_key"])
        assert key in keys
        assert key.path[-1] == table["name"]
    compile(DBT, "definitions.py", "exec")
    assert 'pool="warehouse"' in DBT
    pools = {assets.op.pool for assets in defs.get_repository_def().assets_defs_by_key.values()}
    assert "warehouse" in pools
