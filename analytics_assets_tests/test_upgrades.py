"""A home and a warehouse that an earlier release has made: this one goes on with them.

`tools/earlier_home.py` made them: two syncs of three accounts, one of which failed the second time.
"""

from __future__ import annotations

import json
import shutil
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path

import dagster as dg
import pytest
from click.testing import Result

from analytics_assets.resources import RESOURCES
from analytics_assets.sample_api import SampleApi, SampleData
from analytics_assets_tests.testing.commands import CHECKOUT, invoke
from analytics_assets_tests.testing.tables import assert_warehouse_equals_api

RELEASES = sorted(Path(__file__).parent.joinpath("upgrades").glob("*.tar.xz"))
ACCOUNTS = ["acme-0001-sc", "globex-0002-sc", "initech-0003-sc"]

pytestmark = pytest.mark.parametrize(
    "release", RELEASES, ids=lambda path: path.name[: -len(".tar.xz")]
)


@pytest.fixture
def api() -> Iterator[SampleApi]:
    """As large as what the earlier release has read."""
    with SampleApi(SampleData.generate(accounts=3, campaigns=2)) as running:
        yield running


@pytest.fixture
def left_behind(
    home: Path, warehouse: dict[str, str], release: Path, request: pytest.FixtureRequest
) -> Path:
    """The home of the earlier release, in the place of the test's own."""
    kind = "postgres" if warehouse else "duckdb"
    shutil.rmtree(home)
    with tarfile.open(release) as archive:
        members = [each for each in archive if each.name.split("/")[0] == kind]
        archive.extractall(home.parent, members, filter="data")
    (home.parent / kind).rename(home)
    if warehouse:
        database = warehouse["DESTINATION__POSTGRES__CREDENTIALS"].rpartition("/")[2]
        request.getfixturevalue("postgres").restore(home / "warehouse.sql", database)
    return home


@pytest.mark.parametrize(
    "warehouse", ["duckdb", pytest.param("postgres", marks=pytest.mark.postgres)], indirect=True
)
def test_a_sync_goes_on_with_what_an_earlier_release_has_left(
    left_behind: Path, api: SampleApi, sync: Callable[..., Result]
):
    shutil.copy(CHECKOUT / "dagster.yaml", left_behind)
    with dg.DagsterInstance.get() as instance:
        runs = {record.dagster_run.run_id for record in instance.get_run_records()}
        loads = _loads(instance)
    assert len(runs) == 4
    status = json.loads(invoke("status", "--json").stdout)
    assert {each["account_id"]: each["state"] for each in status["accounts"]} == {
        "acme-0001-sc": "ok",
        "globex-0002-sc": "failed",
        "initech-0003-sc": "ok",
    }
    assert sync().exit_code == 0
    assert_warehouse_equals_api(left_behind, api.data)
    api.data.set_rows("campaigns", [], account_id=ACCOUNTS[0])
    assert sync("--account", ACCOUNTS[0]).exit_code == 0
    assert_warehouse_equals_api(left_behind, api.data)
    with dg.DagsterInstance.get() as instance:
        assert runs < {record.dagster_run.run_id for record in instance.get_run_records()}
        after = _loads(instance)
    assert {key: after[key][: len(of)] for key, of in loads.items()} == loads


def test_the_dagster_yaml_of_an_earlier_release_is_told(left_behind: Path):
    told = invoke("doctor").output
    assert "as of another release" in told
    assert "copy dagster.yaml" in told


def _loads(instance: dg.DagsterInstance) -> dict[tuple[str, str], list[float]]:
    """When each partition was materialised, the earliest first."""
    return {
        (name, account): sorted(
            record.timestamp
            for record in instance.fetch_materializations(
                dg.AssetRecordsFilter(dg.AssetKey(name), asset_partitions=[account]), limit=100
            ).records
        )
        for name in RESOURCES
        for account in ACCOUNTS
    }
