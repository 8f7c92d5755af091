"""What is checked of every table, and how an audit of the warehouse is judged.

A check belongs to an asset as a whole and names accounts in its result: Dagster's checks by
partition are in preview, and in a run over a range their results lose the partition.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg

from analytics_assets.orchestration.history_checks import history_check_specs
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.reports import RECONCILED
from analytics_assets.schema import Resource
from analytics_assets.settings import PlatformSettings
from analytics_assets.text import counted
from analytics_assets.warehouse.audit import AccountAudit, TableAudit, rows_of_departed
from analytics_assets.warehouse.columns import TableColumns

ALL_DAYS_AT: Final = "all_days_looked_at"
"""Metadata of a report's checks: when they last looked at all its days."""

ALL_ACCOUNTS: Final = "all accounts"
"""What findings about a table as a whole stand under, in the place of an account."""

# an error or a warning names that many accounts; metadata names all
_ACCOUNTS_NAMED: Final = 3


Findings = Mapping[str, Any]
"""What is wrong, by account: a number, a text, or numbers by column."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a table is judged by.

    Attributes:
        resource: The table's resource.
        audit: What the table holds now: of accounts that were not audited, what is on record.
        columns: The table's columns.
        before: The rows that it held before, by account, of those that were audited.
        left_out: The rows that the API sent now and that were not loaded, by account and reason.
        data_at: When the data was updated that a report was made of, by account, in unix seconds;
            without those of which the API does not say it.
        differences: What of an account does not add up to what the API says of it, by account.
        unread: Why an account could not be read now, by account.
        earlier: What each check found earlier and nothing now has judged anew.
        listed: The accounts that the API lists.
        read: Those of them that no setting leaves out.
        settings: What is called old, and what a loss.
        whole_at: Of a report, when all its days were last looked at, in unix seconds.
    """

    resource: Resource
    audit: TableAudit
    columns: TableColumns
    before: Mapping[str, int]
    left_out: Findings
    data_at: Mapping[str, float]
    differences: Findings
    unread: Findings
    earlier: Mapping[str, Findings]
    listed: Collection[str]
    read: Collection[str]
    settings: PlatformSettings
    whole_at: float | None = None


@dataclass(frozen=True, slots=True)
class Check:
    """One question, asked of every table that it applies to.

    Attributes:
        description: What holds when the check passes.
        judge: Finds what does not hold.
        severity: What a finding is.
        applies: Whether the question makes sense for a resource, by what is an asset beside it.
        by_reading: Whether only a run that reads an account can find what it asks for.
        of_reports: What a finding in a report is, where that is something else.
        of_departed: Whether it is also about accounts that are not read any more.
        of_days: Whether a load of a report looks at the days from its first on, and no others.
    """

    description: str
    judge: Callable[[Evidence], Findings]
    severity: dg.AssetCheckSeverity = dg.AssetCheckSeverity.ERROR
    applies: Callable[[Resource, AssetNames], bool] = lambda resource, names: True
    by_reading: bool = False
    of_reports: dg.AssetCheckSeverity | None = None
    of_departed: bool = True
    of_days: bool = False


def _of_accounts(measure: Callable[[AccountAudit], Any]) -> Callable[[Evidence], Findings]:
    """Findings are what the measure gives for an account, unless that is nothing."""

    def judge(evidence: Evidence) -> Findings:
        measured = {account: measure(audit) for account, audit in evidence.audit.items()}
        return {account: found for account, found in measured.items() if found}

    return judge


def _old(evidence: Evidence) -> Findings:
    now, limit = time.time(), evidence.settings.max_age_hours
    # an account that is no longer read keeps its rows as they are
    loaded = {
        account: audit.loaded_at
        for account, audit in evidence.audit.items()
        if account in evidence.read and audit.rows
    }
    # a load of figures that the API has not made anew for long is no fresher than these
    data_at = evidence.data_at
    ages = {
        account: (now - min(at, data_at.get(account, at))) / 3600
        for account, at in loaded.items()
        if at is not None
    }
    found = {account: f"{age:.0f} hours" for account, age in ages.items() if age > limit}
    return found | dict.fromkeys(loaded.keys() - ages.keys(), "_dlt_load_id is no time")


def _stored_otherwise(evidence: Evidence) -> Findings:
    columns = evidence.columns
    found = {
        name: f"declared {columns.declared[name]}, stored {stored}"
        for name, stored in columns.misfits.items()
    }
    return {ALL_ACCOUNTS: found} if found else {}


def _lost(evidence: Evidence) -> Findings:
    now = {account: audit.rows for account, audit in evidence.audit.items()}
    before = evidence.before
    if evidence.resource.parent is None:  # a row is an account: what counts is how many are left
        now, before = {ALL_ACCOUNTS: sum(now.values())}, {ALL_ACCOUNTS: sum(before.values())}
    least = 1 - evidence.settings.max_row_loss
    return {
        account: f"{held} -> {now.get(account, 0)} rows"
        for account, held in before.items()
        if now.get(account, 0) < held * least
    }


LEFT_OUT: Final = "every_row_is_loaded"
UNREAD: Final = "every_account_is_read"

CHECKS: Final[dict[str, Check]] = {
    UNREAD: Check(
        "Every account could be read when it last was to be. One that could not keeps the rows"
        " that it had.",
        lambda evidence: evidence.unread,
        applies=lambda resource, names: resource.parent is not None,
        by_reading=True,
        of_departed=False,
    ),
    "key_is_unique": Check(
        "No two rows have the same key.",
        _of_accounts(lambda audit: audit.duplicates),
        of_days=True,
    ),
    "required_columns_are_filled": Check(
        "Columns that are declared to have a value in every row have one.",
        _of_accounts(lambda audit: dict(audit.missing)),
        of_days=True,
    ),
    "parents_exist": Check(
        "Every row has its parent row in the parent's table.",
        _of_accounts(lambda audit: audit.orphans),
        # a parent that is skipped has the rows that it had when it was last loaded, if any
        applies=lambda resource, names: (
            resource.parent_column is not None and names.parent(resource) == resource.parent
        ),
        of_reports=dg.AssetCheckSeverity.WARN,  # campaigns that were deleted keep their figures
        of_days=True,
    ),
    "types_are_as_declared": Check(
        "Every value fits its column's declared type. A value that does not is kept in a column"
        " beside it, named here.",
        _of_accounts(lambda audit: dict(audit.variants)),
        of_days=True,
    ),
    "columns_are_as_declared": Check(
        "Every declared column is stored with its declared type. What a column of another type"
        " cannot hold is kept in a column beside it; docs/tables.md says how to change a column's"
        " type.",
        _stored_otherwise,
        dg.AssetCheckSeverity.WARN,
    ),
    "fields_are_declared": Check(
        "The API sends no field that the resource table does not declare. One that it does is kept"
        " in a column of its own, named here.",
        _of_accounts(lambda audit: dict(audit.unknown)),
        dg.AssetCheckSeverity.WARN,
        of_days=True,
    ),
    LEFT_OUT: Check(
        "Every row that the API sent when an account was last read is in the table. One without a"
        " usable key, or with the key of another, is left out.",
        lambda evidence: {account: why for account, why in evidence.left_out.items() if why},
        dg.AssetCheckSeverity.WARN,
        by_reading=True,
        of_departed=False,
    ),
    "every_day_is_there": Check(
        "An account has rows of each day from its first to its last. Days without any are asked for"
        " again once a day: an account that paused has none.",
        _of_accounts(lambda audit: audit.missing_days),
        dg.AssetCheckSeverity.WARN,
        applies=lambda resource, names: resource.report is not None,
    ),
    "sums_are_the_api_s": Check(
        "What the last load read of an account adds up, day by day, to what the API itself says of"
        " the account, within rounding (setting reconcile).",
        lambda evidence: evidence.differences,
        dg.AssetCheckSeverity.WARN,
        applies=lambda resource, names: resource.name == RECONCILED,
        by_reading=True,
        of_departed=False,
    ),
    "row_count_holds": Check(
        "No account has lost more than the tolerated share of its rows since the load before"
        " (setting max_row_loss).",
        _lost,
        dg.AssetCheckSeverity.WARN,
    ),
    "rows_are_recent": Check(
        "Every listed account's rows were loaded not long ago (setting max_age_hours).",
        _old,
        dg.AssetCheckSeverity.WARN,
        of_departed=False,
    ),
}


def check_specs(names: AssetNames, resource_names: Collection[str]) -> list[dg.AssetCheckSpec]:
    """The checks of the named resources' assets, and of those of their histories."""
    return [
        *history_check_specs(names, resource_names),
        *(
            dg.AssetCheckSpec(name, asset=names.key(resource_name), description=check.description)
            for resource_name in resource_names
            for name, check in CHECKS.items()
            if check.applies(names.resources[resource_name], names)
        ),
    ]


def evaluations(
    selected: Collection[dg.AssetCheckKey], evidence: Mapping[str, Evidence]
) -> Iterator[dg.AssetCheckEvaluation]:
    """Judges the tables that there is evidence of, by the selected checks."""
    for key in sorted(selected, key=lambda key: (key.asset_key, key.name)):
        table = AssetNames.resource_name(key.asset_key)
        if table in evidence:
            yield _evaluation(key, CHECKS[key.name], evidence[table])


def _evaluation(key: dg.AssetCheckKey, check: Check, evidence: Evidence) -> dg.AssetCheckEvaluation:
    findings = _together(evidence.earlier.get(key.name, {}), check.judge(evidence))
    rows, at = sum(audit.rows for audit in evidence.audit.values()), evidence.whole_at
    return dg.AssetCheckEvaluation(
        asset_key=key.asset_key,
        check_name=key.name,
        passed=not findings,
        severity=(evidence.resource.report and check.of_reports) or check.severity,
        # Dagster knows failures by partition, and by asset only where a blocking check fails:
        # without that it could not re-execute a run from its failed assets
        blocking=key.name == UNREAD and bool(evidence.unread),
        description=_summary(findings) if findings else None,
        metadata={
            "rows": rows,
            "rows_of_departed_accounts": rows_of_departed(evidence.audit, evidence.listed),
            "accounts_with_findings": len(findings),
            **({} if at is None else {ALL_DAYS_AT: dg.MetadataValue.timestamp(at)}),
            **({"findings": dict(findings)} if findings else {}),
        },
    )


def _together(earlier: Findings, now: Findings) -> Findings:
    """What was found at either time; of an account of which both found something, the more."""

    def more(first: Any, then: Any) -> Any:
        if isinstance(first, dict):
            return _together(first, then)
        return max(first, then) if isinstance(then, int | float) else then

    both = earlier.keys() & now.keys()
    return {**earlier, **now, **{key: more(earlier[key], now[key]) for key in both}}


def _summary(findings: Findings) -> str:
    named = [f"{account}: {_shown(found)}" for account, found in sorted(findings.items())]
    if (more := len(named) - _ACCOUNTS_NAMED) > 0:
        named[_ACCOUNTS_NAMED:] = [f"and {counted(more, 'more account')}"]
    return "; ".join(named)


def _shown(found: Any) -> str:
    if isinstance(found, dict):
        return ", ".join(f"{column} ({what})" for column, what in sorted(found.items()))
    return str(found)
