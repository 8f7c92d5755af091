"""What the checks of a run judge by: what was left out now, and what was when it was last read."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest

from analytics_assets.orchestration.asset_checks import ALL_ACCOUNTS
from analytics_assets.orchestration.evidence import check_tables
from analytics_assets.orchestration.partitions import keep_partitions
from analytics_assets.orchestration.progress import Progress
from analytics_assets.resources import RESOURCES
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.columns import StoredColumn, TableColumns
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
    step = cast(dg.AssetExecutionContext, context)
    [found] = check_tables(step, Progress(), PlatformSettings(), outcome)
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


def whole(figures: Mapping[str, Mapping[str, Any]]) -> LoadOutcome:
    """An audit of all accounts, of which these are found."""
    audits = {"campaigns": {account: audited(**found) for account, found in figures.items()}}
    return LoadOutcome(audits=audits, whole=["campaigns"])


def load_of_acme(**others: float) -> LoadOutcome:
    """A load of acme; of the others it is on record when they were loaded, in unix seconds."""
    outcome = load_of({"acme": 0})
    on_record = {account: audited(loaded_at=at) for account, at in others.items()}
    return replace(outcome, audits={"campaigns": {**outcome.audits["campaigns"], **on_record}})


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
    before = {"acme": 9, "globex": 9}  # globex was not loaded: it is suddenly empty
    outcome = replace(load_of({"acme": 0}), before={"campaigns": before}, whole=["campaigns"])
    found = judged(records, outcome, dg.AssetCheckKey(CHECK.asset_key, "row_count_holds"))
    assert findings(found) == {"acme": "9 -> 1 rows"}


def test_an_account_that_is_not_listed_is_not_called_old(records: dg.DagsterInstance) -> None:
    outcome = whole({"acme": {}, "gone": {}})  # both loaded in 1970
    found = judged(records, outcome, dg.AssetCheckKey(CHECK.asset_key, "rows_are_recent"))
    assert list(findings(found)) == ["acme"]


UNIQUE = dg.AssetCheckKey(CHECK.asset_key, "key_is_unique")
TWICE = {"duplicates": 2}


def test_what_was_found_of_other_accounts_still_holds(records: dg.DagsterInstance) -> None:
    found = judged(records, whole({"acme": TWICE, "globex": TWICE, "gone": TWICE}), UNIQUE)
    assert findings(found) == {"acme": 2, "globex": 2, "gone": 2}
    record(records, found)
    later = judged(records, load_of_acme(globex=0, gone=0), UNIQUE)
    assert findings(later) == {"globex": 2, "gone": 2}
    assert later.metadata["rows"].value == 3
    assert later.metadata["rows_of_departed_accounts"].value == 1
    # until it is forgotten, or the table is looked at as a whole
    assert findings(judged(records, load_of_acme(globex=0), UNIQUE)) == {"globex": 2}
    assert findings(judged(records, whole({"acme": TWICE}), UNIQUE)) == {"acme": 2}


def test_rows_that_were_lost_are_told_until_the_account_is_loaded(records) -> None:
    check = dg.AssetCheckKey(CHECK.asset_key, "row_count_holds")
    outcome = load_of({"globex": 0})
    outcome = replace(outcome, before={"campaigns": {"globex": 9}}, whole=["campaigns"])
    record(records, judged(records, outcome, check))
    assert findings(judged(records, load_of_acme(globex=0), check)) == {"globex": "9 -> 1 rows"}
    assert findings(judged(records, load_of({"globex": 0}), check)) == {}


def test_what_was_found_of_rows_that_were_replaced_since_is_gone(records) -> None:
    """By a run that was killed before it could judge them."""
    record(records, judged(records, whole({"acme": {}, "globex": TWICE}), UNIQUE))
    later = judged(records, load_of_acme(globex=time.time() + 1), UNIQUE)
    assert findings(later) == {}


def test_the_age_of_others_is_by_the_records(records) -> None:
    check = dg.AssetCheckKey(CHECK.asset_key, "rows_are_recent")
    record(records, judged(records, whole({"acme": {"loaded_at": time.time()}}), check))
    outcome = load_of_acme(globex=time.time(), initech=time.time() - 100 * 3600, gone=0)
    assert set(findings(judged(records, outcome, check))) == {"acme", "initech"}


def test_a_column_that_was_put_right_is_not_told_again(records) -> None:
    check = dg.AssetCheckKey(CHECK.asset_key, "columns_are_as_declared")
    stored = {"cpc": StoredColumn("bigint")}
    columns = {"campaigns": TableColumns.of(RESOURCES["campaigns"], stored)}
    record(records, judged(records, replace(whole({"acme": {}}), columns=columns), check))
    assert set(findings(judged(records, LoadOutcome(), check))) == {ALL_ACCOUNTS}
    assert findings(judged(records, load_of_acme(), check)) == {}
