"""What the checks judge by, gathered within a run: after a load, or alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timezone

import dagster as dg

from analytics_assets.api.account_reading import ReadFailure
from analytics_assets.orchestration import report_windows
from analytics_assets.orchestration.asset_checks import (
    ALL_ACCOUNTS,
    CHECKS,
    UNREAD,
    Check,
    Evidence,
    Findings,
    evaluations,
)
from analytics_assets.orchestration.history_checks import HISTORY_CHECKS, history_evaluations
from analytics_assets.orchestration.ingestion import lock_request, users_errors_as_failures
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import known_accounts
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.recorded_audits import as_recorded, recorded_audits
from analytics_assets.orchestration.recorded_checks import (
    EarlierFindings,
    earlier_findings,
    findings_of,
    latest_evaluations,
)
from analytics_assets.orchestration.recorded_loads import loads_of, recorded_as_skipped
from analytics_assets.resources import ACCOUNTS
from analytics_assets.rows.account_rows import AccountRows
from analytics_assets.schema import Resource
from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets.warehouse.audit import NO_ROWS
from analytics_assets.warehouse.columns import TableColumns
from analytics_assets.warehouse.load import audit_tables
from analytics_assets.warehouse.outcome import LoadOutcome
from analytics_assets.warehouse.replacement import TableLoad
from analytics_assets.warehouse.working_folder import working_folder


def check_tables(
    context: dg.AssetExecutionContext,
    progress: Progress,
    settings: PlatformSettings,
    outcome: LoadOutcome,
    failures: Sequence[ReadFailure] = (),
    differences: Findings | None = None,
) -> Iterator[dg.AssetCheckEvaluation]:
    """Judges tables by what they hold now, and held before they were loaded.

    What was not loaded now is not looked at: what was found of it earlier still holds. It is part
    of the step that loads: a step of its own would be skipped where a partition fails.

    Args:
        context: The step's.
        progress: Is told if the run waits for the warehouse.
        settings: What is called old, and what a loss.
        outcome: What came of the load, or of an audit without one; the audits are of all accounts.
        failures: What could not be read.
        differences: What of an account does not add up, as far as that was looked at.
    """
    names, instance = AssetNames.of_run(context, settings), context.instance
    resources = names.resources
    tables = {
        key: AssetNames.resource_name(key.asset_key)
        for key in context.selected_asset_check_keys
        if key.name in CHECKS
    }
    earlier = earlier_findings(instance, tables)
    outcome, whole_at = _looked_at(context, progress, settings, outcome, tables, earlier)
    loaded = {load.resource.name: load.accounts for load in outcome.tables}
    before = _before(outcome, instance, names)
    read = set(known_accounts(instance))
    listed = read | recorded_as_skipped(instance, names).keys()

    def evidence(name: str) -> Evidence:
        of_table = {key.name: earlier[key] for key in earlier if tables[key] == name}
        return Evidence(
            resource=resources[name],
            audit=outcome.audits.get(name, {}),
            columns=outcome.columns.get(name) or TableColumns.of(resources[name], {}),
            before=before.get(name, {}),
            left_out=_left_out(loaded.get(name, ()), name),
            data_at=_data_at(instance, names, name),
            differences=differences or {},
            unread={f.account_id: str(f.error) for f in failures if name in f.lost},
            earlier={
                check: _still_found(CHECKS[check], resources[name], found, outcome, read)
                for check, found in of_table.items()
            },
            read=read,
            listed=listed,
            settings=settings,
            whole_at=whole_at.get(name) if resources[name].report else None,
        )

    # of a table that is not there it is known whether its accounts could be read, and nothing else
    judged = {*loaded, *outcome.whole}
    keys = [k for k in tables if tables[k] in judged or k in earlier or k.name == UNREAD]
    yield from evaluations(keys, {name: evidence(name) for name in {tables[key] for key in keys}})
    yield from _judged_histories(context, outcome, read)


def _looked_at(
    context: dg.AssetExecutionContext,
    progress: Progress,
    settings: PlatformSettings,
    outcome: LoadOutcome,
    tables: Mapping[dg.AssetCheckKey, str],
    earlier: Mapping[dg.AssetCheckKey, EarlierFindings],
) -> tuple[LoadOutcome, dict[str, float]]:
    """The outcome, and when each table was last audited as a whole, in unix seconds.

    Tables of the load that a check has never judged are audited so now, and reports that are due.
    """
    never = {tables[key] for key in tables.keys() - earlier if not CHECKS[key.name].by_reading}
    whole_at = _whole_at(earlier, tables)
    loaded = {load.resource.name for load in outcome.tables}
    if unseen := sorted((never | _due(outcome, whole_at)) & loaded - set(outcome.whole)):
        with working_folder() as folder:
            request = lock_request(context, progress, settings)
            found = audit_tables(settings, folder, unseen, request)
        outcome = replace(
            outcome,
            audits={**outcome.audits, **found.audits},
            whole={*outcome.whole, *found.audits},
        )
    return outcome, whole_at | dict.fromkeys(outcome.whole, report_windows.now().timestamp())


def _whole_at(
    earlier: Mapping[dg.AssetCheckKey, EarlierFindings], tables: Mapping[dg.AssetCheckKey, str]
) -> dict[str, float]:
    """When tables were last audited as a whole, in unix seconds, by all of their checks."""
    found: dict[str, float] = {}
    for key, evaluation in earlier.items():
        at = evaluation.whole_at
        found[tables[key]] = min(found.get(tables[key], at), at)
    return found


def _due(outcome: LoadOutcome, whole_at: Mapping[str, float]) -> set[str]:
    """Reports of which all days are to be looked at: first in a day, and after loads in pieces."""
    today, found = report_windows.now().date(), set()
    for load in outcome.tables:
        name, pieces = load.resource.name, Counter(each.account_id for each in load.accounts)
        of_day = datetime.fromtimestamp(whole_at.get(name, 0), timezone.utc).date()
        if load.resource.report and (of_day != today or max(pieces.values(), default=0) > 1):
            found.add(name)
    return found


def _judged_histories(
    context: dg.AssetExecutionContext, outcome: LoadOutcome, read: Collection[str]
) -> Iterator[dg.AssetCheckEvaluation]:
    """Judges the histories of the load; what was found of other accounts still holds."""
    keys = [key for key in context.selected_asset_check_keys if key.name in HISTORY_CHECKS]
    earlier = {
        key: findings_of(evaluation)
        for key, (_, evaluation) in latest_evaluations(context.instance, keys).items()
    }
    loaded = {load.resource.name: _ids(load) for load in outcome.tables}

    def of_others(key: dg.AssetCheckKey) -> Findings:
        found = earlier.get(key, {})
        judged = loaded.get(AssetNames.resource_name(key.asset_key), read)
        return {account: found[account] for account in found.keys() & set(read).difference(judged)}

    yield from history_evaluations(keys, outcome.histories, of_others)


def _before(
    outcome: LoadOutcome, instance: dg.DagsterInstance, names: AssetNames
) -> dict[str, Mapping[str, int]]:
    """The rows of before: of what was loaded now, or else where all was audited, by the records."""
    found: dict[str, Mapping[str, int]] = {}
    for load in outcome.tables:
        counts, ids = outcome.before.get(load.resource.name, {}), _ids(load)
        found[load.resource.name] = {
            account: rows
            for account, rows in counts.items()
            if account in ids or ALL_ACCOUNTS in ids
        }
    alone = set(outcome.whole) - found.keys() - {ACCOUNTS.name}
    for name, audit in recorded_audits(instance, names, alone).items():
        found[name] = {account: of.rows for account, of in audit.items()}
    return found


def _still_found(
    check: Check,
    resource: Resource,
    earlier: EarlierFindings,
    outcome: LoadOutcome,
    read: Collection[str],
) -> Findings:
    """What a check found earlier of accounts that it does not judge anew."""
    name = resource.name
    if name in outcome.whole and not check.by_reading:
        return {}
    loads = [load for load in outcome.tables if load.resource.name == name]
    judged = {account for load in loads for account in (ALL_ACCOUNTS, *_ids(load))}
    audit = outcome.audits.get(name, {})
    there = {*read, *audit, ALL_ACCOUNTS} if check.of_departed else {*read, ALL_ACCOUNTS}
    if check.of_days and resource.report:  # days that are not looked at now
        return {account: found for account, found in earlier.findings.items() if account in there}
    return {
        account: found
        for account, found in earlier.findings.items()
        # a run that was killed may have loaded it since, and judged nothing
        if account in there - judged and (audit.get(account, NO_ROWS).loaded_at or 0) <= earlier.at
    }


def _left_out(accounts: Iterable[AccountRows], name: str) -> dict[str, dict[str, int]]:
    """The rows that were left out, by account and reason; of a report, of all its windows."""
    found: dict[str, Counter[str]] = {}
    for account in accounts:
        counts = found.setdefault(account.account_id or ALL_ACCOUNTS, Counter())
        counts.update(account.resources[name].left_out)
    return {account_id: dict(counts) for account_id, counts in found.items()}


def _data_at(instance: dg.DagsterInstance, names: AssetNames, name: str) -> dict[str, float]:
    """When the data of a report was updated, by account, as its latest loads were told."""
    if names.resources[name].report is None:
        return {}
    loads = loads_of(instance, names, [name])
    return {str(load.account_id): load.data_at for load in loads if load.data_at is not None}


def _ids(load: TableLoad) -> set[str]:
    return {account.account_id or ALL_ACCOUNTS for account in load.accounts}


def check_only(
    context: dg.AssetExecutionContext, progress: Progress
) -> Iterator[dg.AssetCheckEvaluation]:
    """Judges the tables of the selected checks as they are, without a load."""
    judged = {AssetNames.resource_name(key.asset_key) for key in context.selected_asset_check_keys}
    with users_errors_as_failures():
        settings = platform_settings()
        with working_folder() as folder:
            request = lock_request(context, progress, settings)
            outcome = audit_tables(settings, folder, sorted(judged), request)
    names = AssetNames.of_run(context, settings)
    outcome = replace(outcome, audits=as_recorded(outcome.audits, context.instance, names))
    yield from check_tables(context, progress, settings, outcome)
