"""What the checks of a run judge by: what was left out now, and what was when it was last read."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import dagster as dg
import pytest

from analytics_assets.orchestration import evidence, report_windows
from analytics_assets.orchestration.asset_checks import ALL_ACCOUNTS, ALL_DAYS_AT
from analytics_assets.orchestration.evidence import check_only, check_tables
from analytics_assets.orchestration.metadata import DATA_UPDATED, LISTS_LEFT_OUT
from analytics_assets.orchestration.partitions import keep_partitions
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.recorded_checks import unless_judged
from analytics_assets.resources import RESOURCES
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.columns import StoredColumn, TableColumns
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.history_audit import VersionsAudit
from analytics_assets.warehouse.outcome import LoadOutcome
from analytics_assets_tests.testing.reads import account_read, audited, loaded

CHECK = dg.AssetCheckKey(dg.AssetKey("campaigns"), "every_row_is_loaded")


@pytest.fixture
def records() -> Iterator[dg.DagsterInstance]:
    """Records in memory, of three accounts."""
    with dg.DagsterInstance.ephemeral() as instance:
        keep_partitions(instance, ["acme", "globex", "initech"])
        yield instance


@pytest.fixture
def audits(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Stands in for a warehouse: what is `found` in it, and which tables were `asked` for."""
    audits = SimpleNamespace(found={}, asked=[])

    def audit_tables(
        settings: PlatformSettings, folder: Path, tables: list[str], request: LockRequest
    ) -> LoadOutcome:
        assert (folder.is_dir(), request.timeout) == (True, settings.lock_timeout)
        assert request.holder.startswith("run of-checks ")
        request.report("waits")
        audits.asked.append(tables)
        return LoadOutcome(audits=audits.found, whole=list(audits.found))

    monkeypatch.setattr(evidence, "audit_tables", audit_tables)
    return audits


def step(records: dg.DagsterInstance, *checks: dg.AssetCheckKey) -> dg.AssetExecutionContext:
    """A step that is to make these checks."""
    context = SimpleNamespace(
        instance=records,
        selected_asset_keys=set(),
        selected_asset_check_keys=set(checks),
        run=SimpleNamespace(run_id="of-checks"),
        log=logging.getLogger("a step"),
    )
    return cast(dg.AssetExecutionContext, context)


def judged(
    records: dg.DagsterInstance, outcome: LoadOutcome, check: dg.AssetCheckKey = CHECK
) -> dg.AssetCheckEvaluation:
    [found] = check_tables(step(records, check), Progress(), PlatformSettings(), outcome)
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


def test_checks_alone_judge_what_the_tables_hold(records, audits, caplog) -> None:
    caplog.set_level(logging.INFO)
    audits.found = {"campaigns": {"acme": audited(**TWICE)}, "audiences": {"acme": audited()}}
    of_audiences = dg.AssetCheckKey(dg.AssetKey("audiences"), UNIQUE.name)
    told = check_only(step(records, UNIQUE, of_audiences), Progress())
    assert {made.asset_key.path[-1]: findings(made) for made in told} == {
        "campaigns": {"acme": 2},
        "audiences": {},
    }
    assert audits.asked == [["audiences", "campaigns"]]
    assert "waits" in caplog.messages


def test_rows_of_a_list_that_was_left_out_are_as_old_as_the_load(records, audits) -> None:
    audits.found = {"campaign_items": {name: audited() for name in ("acme", "globex")}}
    key = dg.AssetKey("campaign_items")
    figures: dict[str, Any] = {
        "dagster/partition_row_count": 1,
        "dlt_load_id": f"{time.time()}",
        LISTS_LEFT_OUT: 1,
    }
    event = dg.AssetMaterialization(key, partition="acme", metadata=figures)
    records.report_runless_asset_event(event)
    [found] = check_only(step(records, dg.AssetCheckKey(key, "rows_are_recent")), Progress())
    assert list(findings(found)) == ["globex"]


def test_a_table_is_looked_at_as_a_whole_at_first(records, audits) -> None:
    audits.found = {"campaigns": {"acme": audited(), "globex": audited(**TWICE)}}
    found = judged(records, load_of_acme(), UNIQUE)
    assert findings(found) == {"globex": 2}
    record(records, found)
    judged(records, load_of_acme(), UNIQUE)
    assert audits.asked == [["campaigns"]]


REPORT = dg.AssetKey("campaign_performance")


def test_all_days_of_a_report_are_looked_at_once_a_day(records, audits, monkeypatch) -> None:
    """And after a load in pieces, which has looked at the days from its last piece on."""
    audits.found = {REPORT.path[0]: {"acme": audited(**TWICE), "globex": audited(**TWICE)}}
    load = load_of({"acme": 0}, REPORT.path[0])
    [table] = load.tables
    pieces = replace(load, tables=[replace(table, accounts=[*table.accounts, *table.accounts])])
    noon = datetime(2026, 1, 1, 12, tzinfo=timezone.utc)
    last = noon
    for hours, outcome, looks in [
        (0, load, True),
        (11, load, False),
        (11, pieces, True),
        (12, load, True),
        (13, load, False),
    ]:
        now = noon + timedelta(hours=hours)
        monkeypatch.setattr(report_windows, "now", lambda now=now: now)
        audits.asked.clear()
        made = judged(records, outcome, dg.AssetCheckKey(REPORT, UNIQUE.name))
        assert audits.asked == ([REPORT.path] if looks else [])
        last = now if looks else last
        assert made.metadata[ALL_DAYS_AT].value == last.timestamp()
        # what was found of a day that is not looked at still holds
        assert findings(made) == {"acme": 2, "globex": 2}
        record(records, made)


def test_a_report_is_as_old_as_the_figures_that_it_was_made_of(records, audits) -> None:
    old = dg.MetadataValue.timestamp(time.time() - 100 * 3600)
    event = dg.AssetMaterialization(REPORT, partition="acme", metadata={DATA_UPDATED: old})
    records.report_runless_asset_event(event)
    records.report_runless_asset_event(dg.AssetMaterialization(REPORT, partition="globex"))
    audits.found = {
        REPORT.path[0]: {name: audited(loaded_at=time.time()) for name in ("acme", "globex")}
    }
    [found] = check_only(step(records, dg.AssetCheckKey(REPORT, "rows_are_recent")), Progress())
    assert findings(found) == {"acme": "100 hours"}


def test_rows_that_were_lost_since_the_load_are_told_without_one(records, audits) -> None:
    """Of the list of accounts not: there, a row is an account, and none is loaded alone."""
    for name in ("campaigns", "accounts"):
        metadata = {"dagster/partition_row_count": 9}
        event = dg.AssetMaterialization(name, partition="acme", metadata=metadata)
        records.report_runless_asset_event(event)
    audits.found = {name: {"acme": audited()} for name in ("campaigns", "accounts")}
    checks = [dg.AssetCheckKey(dg.AssetKey(name), "row_count_holds") for name in audits.found]
    found = {
        e.asset_key.path[-1]: findings(e) for e in check_only(step(records, *checks), Progress())
    }
    assert found == {"campaigns": {"acme": "9 -> 1 rows"}, "accounts": {}}


def test_what_was_found_of_histories_of_other_accounts_still_holds(records) -> None:
    check = dg.AssetCheckKey(
        dg.AssetKey(RESOURCES["campaigns"].history.name), "versions_do_not_overlap"
    )

    def of(outcome: LoadOutcome, **overlapping: int) -> Any:
        audits = {account: VersionsAudit(9, 0, number) for account, number in overlapping.items()}
        made = judged(records, replace(outcome, histories={"campaigns": audits}), check)
        record(records, made)
        return findings(made)

    assert of(LoadOutcome(), acme=1, globex=2, gone=3) == {"acme": 1, "globex": 2, "gone": 3}
    assert of(load_of_acme(), acme=0) == {"globex": 2}
    assert of(LoadOutcome(), acme=1, globex=0) == {"acme": 1}


def test_a_step_that_fails_leaves_what_it_did_not_judge_as_it_was(records) -> None:
    record(records, judged(records, load_of({"acme": 2})))
    now = judged(records, whole({"acme": TWICE}), UNIQUE)
    never = dg.AssetCheckKey(CHECK.asset_key, "rows_are_recent")

    def events() -> Iterator[Any]:
        yield "an event"
        yield now
        raise ValueError("lost")

    told: list[Any] = []
    with pytest.raises(ValueError, match="lost"):
        told.extend(unless_judged(step(records, CHECK, UNIQUE, never), events()))
    assert told[:2] == ["an event", now]
    left = {made.asset_check_key: (findings(made), made.description) for made in told[2:]}
    assert left == {
        CHECK: ({"acme": {"rows without a key": 2}}, None),
        never: ({}, "There was no table to judge."),
    }
