"""What a run says of accounts that it does not load: what is on record of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import dagster as dg
import pytest

from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.recorded_audits import as_recorded, completed
from analytics_assets.orchestration.recorded_loads import record_forgotten
from analytics_assets.warehouse.audit import TableAudit
from analytics_assets.warehouse.outcome import LoadOutcome
from analytics_assets_tests.testing.reads import account_read, audited, loaded

NAMES = AssetNames()


@pytest.fixture
def records() -> Iterator[dg.DagsterInstance]:
    """Records in memory, of a load of two accounts each into two tables."""
    with dg.DagsterInstance.ephemeral() as instance:
        for name, account, rows in [
            ("campaigns", "acme", 5),
            ("campaigns", "gone", 7),
            ("audiences", "acme", 2),
        ]:
            figures: dict[str, Any] = {
                "dagster/partition_row_count": rows,
                "dlt_load_id": "1700000000.5",
            }
            event = dg.AssetMaterialization(NAMES.key(name), partition=account, metadata=figures)
            instance.report_runless_asset_event(event)
        yield instance


def load_of(account: str, rows: int) -> LoadOutcome:
    reads = [account_read(account, campaigns=rows)]
    return loaded(reads, {"campaigns": {account: audited(rows=rows)}})


def rows(outcome: LoadOutcome) -> dict[str, dict[str, int]]:
    return {
        name: {account: found.rows for account, found in audit.items()}
        for name, audit in outcome.audits.items()
    }


def test_others_are_as_they_are_on_record(records: dg.DagsterInstance) -> None:
    known: dict[str, TableAudit] = {}
    tables = ["campaigns", "audiences"]
    first = completed(load_of("acme", 6), known, records, NAMES, tables)
    assert rows(first) == {"campaigns": {"acme": 6, "gone": 7}, "audiences": {"acme": 2}}
    assert first.audits["campaigns"]["gone"].loaded_at == 1700000000.5
    # a later load of the run knows of the first, and asks the records no more
    record_forgotten(records, NAMES, "gone")
    second = completed(load_of("globex", 0), known, records, NAMES, tables)
    assert rows(second)["campaigns"] == {"acme": 6, "gone": 7, "globex": 0}
    of_next_run = completed(load_of("globex", 1), {}, records, NAMES, ["campaigns"])
    assert rows(of_next_run) == {"campaigns": {"acme": 5, "globex": 1}}


def test_of_a_table_that_was_audited_whole_nothing_else_counts(records) -> None:
    outcome = replace(load_of("acme", 6), whole=["campaigns"])
    assert rows(completed(outcome, {}, records, NAMES, ["campaigns"])) == {"campaigns": {"acme": 6}}


def test_rows_of_lists_that_were_left_out_count_as_loaded_by_the_latest_load(
    records: dg.DagsterInstance,
) -> None:
    for account, rows, left_out in (("acme", 5, 2), ("globex", 3, 0), ("initech", 4, 1)):
        figures: dict[str, Any] = {
            "dagster/partition_row_count": rows,
            "dlt_load_id": "1700000000.5",
            "lists_left_out": left_out,
        }
        for name in ("campaign_items", "campaigns"):
            event = dg.AssetMaterialization(NAMES.key(name), partition=account, metadata=figures)
            records.report_runless_asset_event(event)
    gone = dg.AssetMaterialization(
        NAMES.key("campaign_items"), partition="gone", metadata={"lists_left_out": 1}
    )
    records.report_runless_asset_event(gone)
    as_loaded = {account: audited(rows=rows) for account, rows in (("acme", 5), ("globex", 3))}
    audits = {
        "campaign_items": {**as_loaded, "initech": audited(rows=9)},  # somebody has changed them
        "campaigns": as_loaded,  # of an account's own list, nothing is left out
    }
    found = as_recorded(audits, records, NAMES)
    times = {
        name: {account: audit.loaded_at for account, audit in of_table.items()}
        for name, of_table in found.items()
    }
    assert times == {
        "campaign_items": {"acme": 1700000000.5, "globex": 0.0, "initech": 0.0},
        "campaigns": {"acme": 0.0, "globex": 0.0},
    }
