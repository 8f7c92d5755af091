"""What of the records the warehouse does not hold: without one, and by tables made by hand."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import dagster as dg
import duckdb
import pytest

from analytics_assets.errors import WarehouseError
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import keep_partitions
from analytics_assets.orchestration.presence import (
    compare,
    records_mark,
    unknown_loads,
    without_rows,
)
from analytics_assets.orchestration.recorded_loads import Load
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.holdings import HeldLoads, HeldRows
from analytics_assets_tests.testing.homes import use_settings
from analytics_assets_tests.testing.records import load

LOAD = Load("campaigns", "acme", at=0.0, rows=10, run_id="run", load_id="100.5")
KNOWN = HeldLoads(frozenset({"campaigns"}), frozenset({"100.5"}))


@pytest.mark.parametrize(
    ("load", "is_known"),
    [
        (LOAD, True),
        (replace(LOAD, load_id="99.5"), False),
        (replace(LOAD, resource="audiences"), False),
        (replace(LOAD, load_id=None), True),
    ],
    ids=["as recorded", "another load", "no table", "not judged"],
)
def test_a_load_that_the_warehouse_does_not_know(load: Load, is_known: bool) -> None:
    assert unknown_loads([load], KNOWN) == ([] if is_known else [load])


@pytest.mark.parametrize(
    ("counts", "is_held"),
    [
        ((10, "100.5"), True),
        ((9, "100.5"), False),
        ((3, "101.5"), True),
        ((0, ""), False),
    ],
    ids=["as recorded", "fewer rows", "of a later load", "no row"],
)
def test_rows_that_the_warehouse_does_not_hold(counts: tuple[int, str], is_held: bool) -> None:
    held = HeldRows(KNOWN, {("campaigns", "acme"): counts})
    assert without_rows([LOAD], held) == ([] if is_held else [LOAD])


def test_an_account_without_rows_is_held_if_its_load_is_known() -> None:
    empty = replace(LOAD, rows=0)
    assert without_rows([empty], HeldRows(KNOWN)) == []
    assert without_rows([empty], HeldRows()) == [empty]


def test_a_load_without_a_name_is_held_if_there_are_rows() -> None:
    unnamed = replace(LOAD, load_id=None)
    held = HeldRows(KNOWN, {("campaigns", "acme"): (1, "100.5")})
    assert without_rows([unnamed], held) == []
    assert without_rows([unnamed], HeldRows(KNOWN)) == [unnamed]


@pytest.fixture
def records() -> Iterator[dg.DagsterInstance]:
    with dg.DagsterInstance.ephemeral() as instance:
        keep_partitions(instance, ["acme", "globex", "initech"])
        yield instance


def test_a_mark_changes_whenever_a_load_is_recorded(records: dg.DagsterInstance) -> None:
    names = AssetNames(report_names=("campaign_performance",))
    marks = [records_mark(records, names)]
    assert marks == [""]
    for name in ("accounts", "campaigns", "campaign_performance", "campaigns"):
        load(records, name, None if name == "accounts" else "acme")
        marks.append(records_mark(records, names))
    assert len(set(marks)) == 5
    load(records, "theirs", "acme")
    records.report_runless_asset_event(dg.AssetObservation("campaigns", partition="acme"))
    assert records_mark(records, names) == marks[-1]


def test_the_warehouse_is_compared_with_the_records_in_a_line(
    records: dg.DagsterInstance, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_settings(monkeypatch, {"DAGSTER_HOME": str(tmp_path)})

    def compared() -> str:
        return compare(records, platform_settings())

    load(records, "accounts", None, dlt_load_id="1")
    load(records, "campaigns", "departed", dlt_load_id="1", dagster__partition_row_count=1)
    assert compared() == "no account is on record as loaded"
    for account in ("globex", "acme"):
        load(records, "campaigns", account, dlt_load_id="1", dagster__partition_row_count=1)

    lost = (
        "it lacks rows of {} of the 2 accounts on record as loaded ({}): check that the settings"
        " lead to the right warehouse, or run `analytics-assets sync`"
    )
    with pytest.raises(WarehouseError) as error:
        compared()
    assert str(error.value) == lost.format(2, "acme and others")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("CREATE SCHEMA analytics; SET schema = 'analytics'")
        connection.execute("CREATE TABLE campaigns (account_id TEXT, _dlt_load_id TEXT)")
        connection.execute("CREATE TABLE _dlt_loads (load_id TEXT, status BIGINT)")
        connection.execute("INSERT INTO _dlt_loads VALUES ('1', 0)")
        connection.execute("INSERT INTO campaigns VALUES ('acme', '1')")
    with pytest.raises(WarehouseError) as error:
        compared()
    assert str(error.value) == lost.format(1, "globex")
    with duckdb.connect(str(tmp_path / "warehouse.duckdb")) as connection:
        connection.execute("INSERT INTO analytics.campaigns VALUES ('globex', '1')")
    assert compared() == "it holds the rows of the 2 accounts on record as loaded"
