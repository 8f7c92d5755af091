"""What the checks judge by, gathered within a run: after a load, or alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final

import dagster as dg

from analytics_assets.api.reader import AccountRead
from analytics_assets.errors import AnalyticsError
from analytics_assets.orchestration.asset_checks import (
    ALL_ACCOUNTS,
    Evidence,
    Findings,
    evaluations,
)
from analytics_assets.orchestration.ingestion import Loaded, audit_tables
from analytics_assets.orchestration.partitions import known_accounts
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.run_records import latest_loads
from analytics_assets.resources import RESOURCES
from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets.warehouse.audit import RowCounts, TableAudit
from analytics_assets.warehouse.columns import TableColumns

_LEFT_OUT: Final = "every_row_is_loaded"


def check_tables(
    context: dg.AssetExecutionContext, settings: PlatformSettings, loaded: Loaded
) -> Iterator[dg.AssetCheckEvaluation]:
    """Judges the tables of a load by what they hold now and held before.

    It is part of the step that loads: a step of its own would be skipped where some accounts fail.
    """
    reads = {load.resource.name: load.reads for load in loaded.tables}
    yield from _evaluations(context, settings, loaded.audits, loaded.columns, loaded.before, reads)


def check_only(
    context: dg.AssetExecutionContext, progress: Progress, resource_names: Sequence[str]
) -> Iterator[dg.AssetCheckEvaluation]:
    """Judges tables as they are; row counts by what was recorded when they were last loaded."""
    try:
        settings = platform_settings()
        audits, columns = audit_tables(context, progress, resource_names)
    except AnalyticsError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    recorded: dict[str, dict[str, int]] = {}
    for (name, account_id), load in latest_loads(context.instance).items():
        if account_id is not None and load.rows is not None:
            recorded.setdefault(name, {})[account_id] = load.rows
    yield from _evaluations(context, settings, audits, columns, recorded, {})


def _evaluations(
    context: dg.AssetExecutionContext,
    settings: PlatformSettings,
    audits: Mapping[str, TableAudit],
    columns: Mapping[str, TableColumns],
    before: RowCounts,
    reads: Mapping[str, Sequence[AccountRead]],
) -> Iterator[dg.AssetCheckEvaluation]:
    listed = set(known_accounts(context.instance))
    evidence = {
        name: Evidence(
            RESOURCES[name],
            audit,
            columns[name],
            before.get(name, {}),
            _left_out(context.instance, name, reads.get(name, []), listed),
            listed,
            settings,
        )
        for name, audit in audits.items()
    }
    yield from evaluations(context.selected_asset_check_keys, evidence)


def _left_out(
    instance: dg.DagsterInstance,
    resource_name: str,
    reads: Sequence[AccountRead],
    listed: Collection[str],
) -> Findings:
    """The rows that were left out: by these reads, and of other accounts when last they were read.

    Only a read can tell, so that the findings on accounts that were not read stay as they were.
    """
    now = {
        read.account_id or ALL_ACCOUNTS: read.resources[resource_name].left_out for read in reads
    }
    not_read = {*listed, ALL_ACCOUNTS}.difference(now)
    before = _latest_findings(instance, dg.AssetCheckKey(dg.AssetKey(resource_name), _LEFT_OUT))
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
