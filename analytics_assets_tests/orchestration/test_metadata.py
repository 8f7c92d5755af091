"""What a materialisation and a failed run say about themselves."""

from __future__ import annotations

import dagster as dg

from analytics_assets.api.account_reading import ReadFailure
from analytics_assets.errors import ReadError, RefusedError
from analytics_assets.orchestration.metadata import (
    FAILED_PARTITIONS,
    drift_metadata,
    failure,
    load_metadata,
    materializations,
    read_metadata,
)
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.translator import column_lineage
from analytics_assets.resources import RESOURCES
from analytics_assets.settings import PlatformSettings
from analytics_assets_tests.testing.reads import account_read, audited, loaded

NAMES = AssetNames()


def test_what_it_took_to_read_a_resource() -> None:
    read = account_read("acme", campaigns=2, audiences=1)
    read.rows.resources["campaigns"].duplicates = 3
    read.rows.resources["campaigns"].keyless = 4
    read.requests.sent("campaigns", 10.0, retry=False, throttled=0.25)
    read.requests.sent("campaigns", 11.0, retry=True, throttled=0.00049)
    read.requests.answered("campaigns", 12.12345)
    assert read_metadata(read, "campaigns") == {
        "duplicate_rows": 3,
        "rows_without_key": 4,
        "requests": 2,
        "retries": 1,
        "seconds_throttled_over_all_requests": 0.25,
        "seconds_to_fetch": 2.123,
    }
    assert set(read_metadata(read, "audiences").values()) == {0}


def test_where_a_load_went() -> None:
    audits = {"campaigns": {"acme": audited(rows=2), "globex": audited(rows=5)}}
    settings = PlatformSettings(destination="dlt.destinations.duckdb", dataset_name="ads")
    assert load_metadata(loaded([], audits, "17.5"), settings, NAMES, "campaigns", {"acme"}) == {
        "dagster/row_count": 7,
        "rows_of_departed_accounts": 5,
        "dagster/column_lineage": column_lineage(RESOURCES["campaigns"], NAMES),
        "dlt_load_id": "17.5",
        "destination_name": "duckdb",
        "dataset_name": "ads",
    }


def test_drift_is_that_of_the_accounts_and_silent_where_there_is_none() -> None:
    audit = {
        "acme": audited(unknown={"novel": 1, "fresh": 2}, variants={"cpc__v_text": 1}),
        "globex": audited(unknown={"novel": 1}, variants={"cpc__v_text": 2}),
        "initech": audited(),
    }
    assert drift_metadata(audit, ["acme", "globex", "gone"]) == {
        "unknown_fields": ["fresh", "novel"],
        "values_of_another_type": {"cpc__v_text": 3},
    }
    assert drift_metadata(audit, ["globex"])["unknown_fields"] == ["novel"]
    assert drift_metadata(audit, ["initech", "gone"]) == {}


def test_one_event_for_each_table_and_account() -> None:
    reads = [
        account_read("acme", campaigns=2, campaign_items=3),
        account_read("globex", campaigns=5, campaign_items=0),
    ]
    drifted = audited(rows=2, unknown={"novel": 1})
    items = {"acme": audited(rows=3)}
    campaigns = {"acme": drifted, "globex": audited(rows=5)}
    audits = {"campaigns": campaigns, "campaign_items": items}
    found = list(materializations(loaded(reads, audits), PlatformSettings(), NAMES, reads, set()))
    rows = {
        (event.asset_key.to_user_string(), event.partition): event.metadata[
            "dagster/partition_row_count"
        ].value
        for event in found
    }
    assert rows == {
        ("campaigns", "acme"): 2,
        ("campaigns", "globex"): 5,
        ("campaign_items", "acme"): 3,
        ("campaign_items", "globex"): 0,
    }
    assert ["unknown_fields" in event.metadata for event in found] == [True, False, False, False]
    assert {event.metadata["dlt_load_id"].value for event in found} == {"1.5"}


def test_to_list_the_accounts_anew_makes_nothing_stale() -> None:
    """An account's rows do not depend on the list; its children's depend on the rows."""
    reads = [account_read("acme", campaigns=1, campaign_items=1)]
    audits: dict[str, dict] = {"campaigns": {}, "campaign_items": {}}
    campaigns, items = materializations(
        loaded(reads, audits), PlatformSettings(), NAMES, reads, {"acme"}
    )
    assert dict(campaigns.tags or {}) == {
        "dagster/code_version": "1",
        "dagster/data_version": "1",
        "dagster/input_data_version/accounts": "1",
        "dagster/input_event_pointer/accounts": "NULL",
    }
    assert not items.tags


def test_a_run_that_failed_names_each_partition_with_its_cause() -> None:
    below = ("campaigns", "campaign_items")
    failures = [
        ReadFailure("globex", None, ("audiences",), ReadError("it broke off")),
        ReadFailure("acme", "campaigns", below, RefusedError("GET /v1/acme answers 403")),
    ]
    failed = failure(failures, 7, 3)
    assert str(failed) == (
        "3 of 21 partitions failed, in 2 of 7 accounts, and keep the rows that they had:\n"
        "acme: campaigns: GET /v1/acme answers 403"
        " (so nothing is changed of campaign_items either)\n"
        "globex: account: it broke off\n"
        "What the API refuses for good (403, 404) is not tried again before the next sync of all."
        " To leave it out of a run, select the assets without campaign_items, campaigns (sync:"
        " name the others by --resource); to leave it out of all runs, set"
        " ANALYTICS__SKIP_RESOURCES, or ANALYTICS__SKIP_ACCOUNTS for all of an account"
    )
    assert not failed.allow_retries
    by_account = failed.metadata[FAILED_PARTITIONS]
    assert isinstance(by_account, dg.JsonMetadataValue)
    refused = {"cause": "campaigns: GET /v1/acme answers 403", "error": "RefusedError"}
    assert by_account.value == {
        "acme": {"campaigns": refused, "campaign_items": refused},
        "globex": {"audiences": {"cause": "account: it broke off", "error": "ReadError"}},
    }


def test_what_may_help_later_is_not_to_be_left_out() -> None:
    failed = failure([ReadFailure("acme", None, ("audiences",), ReadError("it broke off"))], 1, 1)
    assert "leave it out" not in str(failed)
