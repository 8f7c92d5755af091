"""Staging datasets: a name for each run, known again as such, and dropped."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlt
import pytest
from dlt.destinations.sql_client import SqlClientBase

from analytics_assets.warehouse.staging import LONGEST_DATASET_NAME, any_layout, drop, own_layout


def test_no_two_runs_have_the_same_staging_dataset() -> None:
    names = {own_layout() % "ads" for _ in range(50)}
    assert len(names) == 50
    assert all(re.fullmatch("ads_staging_[0-9a-f]{8}", name) for name in names)


def test_the_longest_name_fits_postgresql() -> None:
    assert len(own_layout() % ("x" * LONGEST_DATASET_NAME)) == 63


def test_the_staging_datasets_of_a_dataset_are_known_again() -> None:
    of_ads = re.compile(any_layout(own_layout() % "ads"))
    assert of_ads.search(own_layout() % "ads")
    for other in (
        own_layout() % "other_ads",
        own_layout() % "ads_2",
        f"{own_layout() % 'ads'}0",
        "ads_staging_",
        "ads_staging_0000000g",
        "ads_staging",
        "ads",
    ):
        assert not of_ads.search(other)


@pytest.fixture
def client(tmp_path: Path) -> Iterator[SqlClientBase[Any]]:
    destination = dlt.destinations.duckdb(str(tmp_path / "staging.duckdb"))
    pipeline = dlt.pipeline("staging", str(tmp_path), destination=destination, dataset_name="ads")
    with pipeline.sql_client() as client:
        yield client


def test_a_staging_dataset_is_dropped_and_no_other(client: SqlClientBase[Any]) -> None:
    drop(client, "ads_staging_1")  # none is there
    for name in ("ads", "ads_staging_1", "ads_staging_2"):
        client.execute_sql(f"CREATE SCHEMA {name}")
    drop(client, "ads_staging_1")
    rows = client.execute_sql(
        "SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE 'ads%'"
    )
    assert {name for (name,) in rows or []} == {"ads", "ads_staging_2"}
    assert client.dataset_name == "ads"
