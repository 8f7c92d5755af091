"""Which of dlt's destinations can hold the tables, and what is said of the others."""

from __future__ import annotations

import re

import dagster as dg
import dlt
import pytest

from analytics_assets.definitions import defs
from analytics_assets.errors import SettingsError
from analytics_assets.sample_api import SampleApi
from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets.warehouse.destination import make_destination
from analytics_assets_tests.testing.doctor import failed

ABLE = ["duckdb", "ducklake", "motherduck", "mssql", "postgres", "snowflake", "sqlalchemy"]

FILES = "loads of Parquet files"
STRATEGY = "merge strategy delete-insert with a destination_scope"
TRANSACTIONS = "transactions"
CHANGES = "transactions for statements that change tables"
UNABLE = {
    "athena": [FILES, TRANSACTIONS],
    "bigquery": [CHANGES],
    "clickhouse": [TRANSACTIONS],
    "databricks": [CHANGES],
    "dremio": [FILES, TRANSACTIONS],
    "dummy": [FILES, CHANGES],
    "fabric": [FILES, CHANGES],
    "filesystem": [STRATEGY],
    "lance": [STRATEGY, CHANGES],
    "lancedb": [STRATEGY, CHANGES],
    "qdrant": [FILES, STRATEGY, CHANGES],
    "redshift": [FILES],
    "synapse": [FILES, CHANGES],
    "weaviate": [FILES, STRATEGY, CHANGES],
}


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", ABLE)
def test_those_that_can_replace_in_transactions(name: str):
    destination = make_destination(PlatformSettings(destination=name))
    # what is sent together is one transaction of itself there, as tests of loads show
    together = name == "postgres"
    assert bool(destination.capabilities().supports_transactions) is not together
    assert destination.destination_type == f"dlt.destinations.{name}"


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", UNABLE)
def test_those_that_cannot_are_refused_by_what_they_lack(name: str):
    assert refusal(name) == (
        f"{name} cannot hold the tables, because dlt has no {' and no '.join(UNABLE[name])} for"
        " it: set ANALYTICS__DESTINATION to duckdb, postgres, ducklake, motherduck, snowflake,"
        " mssql or sqlalchemy"
    )


@pytest.mark.usefixtures("home")
def test_the_refusal_names_all_that_can():
    named = refusal("redshift").rpartition("ANALYTICS__DESTINATION to ")[2]
    assert sorted(re.findall(r"\w+", named.replace(" or ", " "))) == ABLE


@pytest.mark.usefixtures("home")
def test_dlt_has_no_destination_of_which_nothing_is_known():
    factories = {name for name in dlt.destinations.__all__ if name.islower()}
    assert factories - {*ABLE, *UNABLE} == {"destination"}  # a function of somebody's own


@pytest.mark.usefixtures("home")
def test_no_json_from_parquet(monkeypatch):
    """As dlt has it of BigQuery, which has no such transactions either."""
    bigquery = dlt.destinations.bigquery
    able = bigquery()._raw_capabilities()
    able.supports_ddl_transactions = True
    monkeypatch.setattr(bigquery, "_raw_capabilities", lambda _: able)
    assert "because dlt has no json columns from Parquet files for it" in refusal("bigquery")


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"history": "campaigns"}, "ANALYTICS__HISTORY"),
        ({"extra_resources": "campaign_performance"}, "ANALYTICS__EXTRA_RESOURCES"),
        (
            {"history": "campaigns", "extra_resources": "campaign_performance"},
            "ANALYTICS__HISTORY and ANALYTICS__EXTRA_RESOURCES",
        ),
    ],
)
def test_no_histories_and_no_reports_where_dates_may_be_text(monkeypatch, settings, names: str):
    for name, value in {"destination": "sqlalchemy", **settings}.items():
        monkeypatch.setenv(f"ANALYTICS__{name.upper()}", value)
    with pytest.raises(SettingsError) as refused:
        make_destination(platform_settings())
    assert str(refused.value).endswith(f"can hold no histories and no reports: remove {names}")


@pytest.mark.usefixtures("home")
def test_no_report_of_the_users_own_where_dates_may_be_text(monkeypatch):
    monkeypatch.setenv("ANALYTICS__DESTINATION", "sqlalchemy")
    entry = '{"path": "/v1/{account_id}/by-device", "report": {}, "primary_key": "device"}'
    monkeypatch.setenv("SOURCES__ANALYTICS__RESOURCES__BY_DEVICE", entry)
    with pytest.raises(SettingsError, match="no reports: remove the entry of by_device"):
        make_destination(platform_settings())
    monkeypatch.setenv("ANALYTICS__SKIP_RESOURCES", "by_device")
    make_destination(platform_settings())


def test_nothing_is_asked_or_written(home, sync, doctor, api: SampleApi, instance, monkeypatch):
    """Also under a name of somebody's own."""
    monkeypatch.setenv("ANALYTICS__DESTINATION", "elsewhere")
    monkeypatch.setenv("DESTINATION__ELSEWHERE__DESTINATION_TYPE", "redshift")
    refused = "elsewhere cannot hold the tables, because dlt has no loads of Parquet files for it"
    result = sync()
    assert result.exit_code == 1
    assert refused in result.output

    job = defs.resolve_implicit_global_asset_job_def()
    run = job.execute_in_process(
        instance=instance, asset_selection=[dg.AssetKey("accounts")], raise_on_error=False
    )
    (failure,) = run.get_step_failure_events()
    assert refused in str(failure.step_failure_data.error).splitlines()[0]
    assert api.log.requests == 0

    checks = doctor()
    assert failed(checks) == ["warehouse"]
    assert checks["warehouse"]["detail"].startswith(refused)
    assert [*home.glob("warehouse*")] == []


def refusal(name: str) -> str:
    with pytest.raises(SettingsError) as refused:
        make_destination(PlatformSettings(destination=name))
    return str(refused.value)
