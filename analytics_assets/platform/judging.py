"""Checks within a run: after a load, or alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import dagster as dg

from analytics_assets.api.resources import RESOURCES
from analytics_assets.errors import AnalyticsError
from analytics_assets.platform.checks import Evidence, evaluations
from analytics_assets.platform.ingestion import Loaded, audit_tables
from analytics_assets.platform.partitions import known_accounts
from analytics_assets.platform.progress import Progress
from analytics_assets.platform.records import latest_loads
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.audit import RowCounts, TableAudit
from analytics_assets.warehouse.columns import TableColumns


def check_tables(
    context: dg.AssetExecutionContext, loaded: Loaded
) -> Iterator[dg.AssetCheckEvaluation]:
    """Judges the tables of a load by what they hold now and held before.

    It is part of the step that loads: a step of its own would be skipped where some accounts fail.
    """
    yield from _evaluations(context, loaded.audits, loaded.columns, loaded.before)


def check_only(
    context: dg.AssetExecutionContext, progress: Progress, resource_names: Sequence[str]
) -> Iterator[dg.AssetCheckEvaluation]:
    """Judges tables as they are; row counts by what was recorded when they were last loaded."""
    try:
        audits, columns = audit_tables(context, progress, resource_names)
    except AnalyticsError as error:
        raise dg.Failure(str(error), allow_retries=False) from None
    recorded: dict[str, dict[str, int]] = {}
    for (name, account_id), load in latest_loads(context.instance).items():
        if account_id is not None and load.rows is not None:
            recorded.setdefault(name, {})[account_id] = load.rows
    yield from _evaluations(context, audits, columns, recorded)


def _evaluations(
    context: dg.AssetExecutionContext,
    audits: Mapping[str, TableAudit],
    columns: Mapping[str, TableColumns],
    before: RowCounts,
) -> Iterator[dg.AssetCheckEvaluation]:
    settings, listed = platform_settings(), set(known_accounts(context.instance))
    evidence = {
        name: Evidence(
            RESOURCES[name], audit, columns[name], before.get(name, {}), listed, settings
        )
        for name, audit in audits.items()
    }
    yield from evaluations(context.selected_asset_check_keys, evidence)
