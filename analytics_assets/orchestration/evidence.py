"""What the checks judge by, gathered within a run: after a load, or alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import dagster as dg

from analytics_assets.orchestration.asset_checks import (
    ALL_ACCOUNTS,
    Evidence,
    Findings,
    evaluations,
)
from analytics_assets.orchestration.ingestion import lock_request, users_errors_as_failures
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import known_accounts
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.run_records import latest_loads
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.account_rows import AccountRows
from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets.warehouse.audit import RowCounts, TableAudit
from analytics_assets.warehouse.columns import TableColumns
from analytics_assets.warehouse.load import LoadOutcome, audit_tables
from analytics_assets.warehouse.pipeline import working_folder

_LEFT_OUT: Final = "every_row_is_loaded"


def check_tables(
    context: dg.AssetExecutionContext, settings: PlatformSettings, outcome: LoadOutcome
) -> Iterator[dg.AssetCheckEvaluation]:
    """Judges the tables of a load by what they hold now and held before.

    It is part of the step that loads: a step of its own would be skipped where some accounts fail.
    """
    loaded = {load.resource.name: load.accounts for load in outcome.tables}
    yield from _evaluations(
        context, settings, outcome.audits, outcome.columns, outcome.before, loaded
    )


def check_only(
    context: dg.AssetExecutionContext, progress: Progress, resource_names: Sequence[str]
) -> Iterator[dg.AssetCheckEvaluation]:
    """Judges tables as they are; row counts by what was recorded when they were last loaded."""
    with users_errors_as_failures():
        settings = platform_settings()
        with working_folder() as folder:
            request = lock_request(context, progress, settings)
            audits, columns = audit_tables(settings, folder, resource_names, request)
    recorded: dict[str, dict[str, int]] = {}
    for (name, account_id), load in latest_loads(
        context.instance, AssetNames.of_run(context)
    ).items():
        if account_id is not None and load.rows is not None:
            recorded.setdefault(name, {})[account_id] = load.rows
    yield from _evaluations(context, settings, audits, columns, recorded, {})


def _evaluations(
    context: dg.AssetExecutionContext,
    settings: PlatformSettings,
    audits: Mapping[str, TableAudit],
    columns: Mapping[str, TableColumns],
    before: RowCounts,
    loaded: Mapping[str, Sequence[AccountRows]],
) -> Iterator[dg.AssetCheckEvaluation]:
    listed, names = set(known_accounts(context.instance)), AssetNames.of_run(context)
    evidence = {
        name: Evidence(
            RESOURCES[name],
            audit,
            columns[name],
            before.get(name, {}),
            _left_out(context.instance, names, name, loaded.get(name, []), listed),
            listed,
            settings,
        )
        for name, audit in audits.items()
    }
    yield from evaluations(context.selected_asset_check_keys, evidence)


def _left_out(
    instance: dg.DagsterInstance,
    names: AssetNames,
    resource_name: str,
    loaded: Sequence[AccountRows],
    listed: Collection[str],
) -> Findings:
    """The rows that were left out: of these accounts, and of others when last they were read.

    Only who reads can tell, so that the findings on accounts that were not read stay as they were.
    """
    now = {
        account.account_id or ALL_ACCOUNTS: account.resources[resource_name].left_out
        for account in loaded
    }
    not_read = {*listed, ALL_ACCOUNTS}.difference(now)
    before = _latest_findings(instance, dg.AssetCheckKey(names.key(resource_name), _LEFT_OUT))
    kept = {account: found for account, found in before.items() if account in not_read}
    return {account: found for account, found in {**kept, **now}.items() if found}


def _latest_findings(instance: dg.DagsterInstance, key: dg.AssetCheckKey) -> Findings:
    summary = instance.event_log_storage.get_asset_check_summary_records([key])[key]
    # the latest execution of all is that of this run, which is planned
    record = summary.last_completed_check_execution_record
    event = record.event.dagster_event if record and record.event else None
    evaluation = event.event_specific_data if event else None
    if isinstance(evaluation, dg.AssetCheckEvaluation) and "findings" in evaluation.metadata:
        findings = evaluation.metadata["findings"].value
        return findings if isinstance(findings, Mapping) else {}
    return {}
