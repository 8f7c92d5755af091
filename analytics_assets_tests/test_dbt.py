"""docs/embedding.md: what it says of dbt is run, where dbt is installed (`make test-dbt`)."""

from __future__ import annotations

import os
import re
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from analytics_assets.sample_api import SampleApi
from analytics_assets_tests.testing.commands import CHECKOUT
from analytics_assets_tests.testing.tables import query

pytest.importorskip("dagster_dbt", reason="dbt has an environment of its own: make test-dbt")

PAGE = (CHECKOUT / "docs" / "embedding.md").read_text(encoding="utf-8")
*_, CODE = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
*_, SOURCES = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)

MODEL = """
select account_id, count(*) as campaigns from {{ source('ads', 'campaigns') }} group by account_id
"""
PROJECT = """
name: reports
profile: reports
flags: {send_anonymous_usage_stats: false, use_colors: false}
"""
PROFILE = """
reports:
  target: here
  outputs:
    here: {type: duckdb, path: "%s", schema: reports}
"""


@pytest.fixture
def defs(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dg.Definitions:
    """The page's definitions, with a dbt project of one model beside them."""
    files = {
        "dbt_project.yml": PROJECT,
        "profiles.yml": PROFILE % (home / "warehouse.duckdb"),
        "models/sources.yml": SOURCES,
        "models/campaigns_by_account.sql": MODEL,
    }
    for name, text in files.items():
        file = tmp_path / "reports" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DAGSTER_IS_DEV_CLI", "1")  # as `dg dev` has it: dbt's manifest is made
    names: dict[str, Any] = {"__file__": str(tmp_path / "definitions.py")}
    exec(compile(CODE, "definitions.py", "exec", dont_inherit=True), names)
    assert isinstance(names["defs"], dg.Definitions)
    return names["defs"]


def test_a_model_is_built_of_what_the_run_has_loaded(
    defs: dg.Definitions, home: Path, api: SampleApi, instance: dg.DagsterInstance
):
    graph = defs.resolve_asset_graph()
    model = dg.AssetKey("campaigns_by_account")
    campaigns = dg.AssetKey(["advertising", "campaigns"])
    assert graph.get(model).parent_keys == {campaigns}
    job = defs.get_repository_def().get_implicit_global_asset_job_def()
    accounts = [dg.AssetKey(["advertising", "accounts"])]
    assert job.execute_in_process(instance=instance, asset_selection=accounts).success

    account = api.data.account_ids[0]
    result = job.execute_in_process(
        instance=instance, partition_key=account, asset_selection=[campaigns, model]
    )
    assert result.success
    made = [event.asset_key for event in result.get_asset_materialization_events()]
    assert made == [campaigns, model]
    expected = Counter(row["account_id"] for row in api.data.table("campaigns", [account]))
    assert dict(query(home, "SELECT * FROM reports.campaigns_by_account")) == expected
