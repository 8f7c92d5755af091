"""What the checks of a run judge by: what was left out now, and what was when it was last read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest

from analytics_assets.orchestration.asset_checks import ALL_ACCOUNTS
from analytics_assets.orchestration.evidence import check_tables
from analytics_assets.orchestration.partitions import keep_partitions
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.load import LoadOutcome
from analytics_assets_tests.testing.reads import account_read, audited, loaded

CHECK = dg.AssetCheckKey(dg.AssetKey("campaigns"), "every_row_is_loaded")


@pytest.fixture
def records() -> Iterator[dg.DagsterInstance]:
    """Records in memory, of three accounts."""
    with dg.DagsterInstance.ephemeral() as instance:
        keep_partitions(instance, ["acme", "globex", "initech"])
        yield instance


def judged(
    records: dg.DagsterInstance, outcome: LoadOutcome, check: dg.AssetCheckKey = CHECK
) -> dg.AssetCheckEvaluation:
    context = SimpleNamespace(
        instance=records, selected_asset_keys=set(), selected_asset_check_keys={check}
    )
    [found] = check_tables(cast(dg.AssetExecutionContext, context), PlatformSettings(), outcome)
    return found


def findings(evaluation: dg.AssetCheckEvaluation) -> Any:
    found = evaluation.metadata.get("findings")
    assert evaluation.passed == (found is None)
    return found.value if found is not None else {}


def load_of(left_out: Mapping[str | None, int], table: str = "campaigns") -> LoadOutcome:
    """A load of accounts, each with so many rows that came without a key."""
    reads = [account_read(account, **{table: 1}) for account in left_out]
    for read, rows in zip(reads, left_out.values(), strict=True):
        read.rows.resources[table].keyless = rows
    return loaded(reads, {table: {str(account): audited() for account in left_out}})


def record(records: dg.DagsterInstance, evaluation: dg.AssetCheckEvaluation) -> None:
    """Has a run of a single check report this."""
    spec = dg.AssetCheckSpec(evaluation.check_name, asset=evaluation.asset_key)

    @dg.multi_asset_check(specs=[spec])
    def checks() -> Iterator[Any]:
        yield dg.AssetCheckResult(
            asset_key=evaluation.asset_key,
            check_name=evaluation.check_name,
            passed=evaluation.passed,
            metadata=evaluation.metadata,
        )

    job = dg.Definitions(asset_checks=[checks]).resolve_implicit_global_asset_job_def()
    assert job.execute_in_process(instance=records).success


def test_rows_that_were_left_out_are_found_by_account(records: dg.DagsterInstance) -> None:
    found = judged(records, load_of({"acme": 2, "globex": 0}))
    assert findings(found) == {"acme": {"rows without a key": 2}}
    assert findings(judged(records, load_of({"acme": 0, "globex": 0}))) == {}


def test_findings_stay_until_the_account_is_read_again(records: dg.DagsterInstance) -> None:
    found = judged(records, load_of({"acme": 2, "globex": 3, "initech": 1}))
    record(records, found)
    later = judged(records, load_of({"acme": 0, "globex": 4}))
    assert findings(later) == {
        "globex": {"rows without a key": 4},
        "initech": {"rows without a key": 1},
    }
    keep_partitions(records, ["acme", "globex"])  # initech is no longer listed
    later = judged(records, load_of({"acme": 0}))
    assert findings(later) == {"globex": {"rows without a key": 3}}


def test_findings_of_the_list_belong_to_no_account(records: dg.DagsterInstance) -> None:
    check = dg.AssetCheckKey(dg.AssetKey("accounts"), CHECK.name)
    found = judged(records, load_of({None: 2}, "accounts"), check)
    assert findings(found) == {ALL_ACCOUNTS: {"rows without a key": 2}}


def test_a_load_is_judged_by_what_the_tables_held_before(records: dg.DagsterInstance) -> None:
    outcome = replace(load_of({"acme": 0}), before={"campaigns": {"acme": 9}})
    found = judged(records, outcome, dg.AssetCheckKey(CHECK.asset_key, "row_count_holds"))
    assert findings(found) == {"acme": "9 -> 1 rows"}


def test_an_account_that_is_not_listed_is_not_called_old(records: dg.DagsterInstance) -> None:
    outcome = load_of({"acme": 0, "gone": 0})  # both loaded in 1970
    found = judged(records, outcome, dg.AssetCheckKey(CHECK.asset_key, "rows_are_recent"))
    assert list(findings(found)) == ["acme"]
