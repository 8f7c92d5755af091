"""What the checks judge by, gathered within a run: after a load, or alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

import dagster as dg

from analytics_assets.api.account_reading import ReadFailure
from analytics_assets.orchestration.asset_checks import (
    ALL_ACCOUNTS,
    CHECKS,
    LEFT_OUT,
    UNREAD,
    Evidence,
    Findings,
    evaluations,
)
from analytics_assets.orchestration.history_checks import history_evaluations
from analytics_assets.orchestration.ingestion import lock_request, users_errors_as_failures
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import known_accounts
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.run_records import latest_loads, listed_accounts
from analytics_assets.resources import RESOURCES
from analytics_assets.settings import PlatformSettings, platform_settings
from analytics_assets.warehouse.audit import RowCounts
from analytics_assets.warehouse.columns import TableColumns
from analytics_assets.warehouse.load import LoadOutcome, audit_tables
from analytics_assets.warehouse.pipeline import working_folder

Event = TypeVar("Event")


def check_tables(
    context: dg.AssetExecutionContext,
    settings: PlatformSettings,
    outcome: LoadOutcome,
    failures: Sequence[ReadFailure] = (),
) -> Iterator[dg.AssetCheckEvaluation]:
    """Judges tables by what they hold now, and held before they were loaded.

    Those that were not loaded are judged by what was recorded when they last were. It is part of
    the step that loads: a step of its own would be skipped where a partition fails.

    Args:
        context: The step's.
        settings: What is called old, and what a loss.
        outcome: What came of the load, or of an audit without one.
        failures: What could not be read.
    """
    names = AssetNames.of_run(context, settings)
    loaded = {load.resource.name: load.accounts for load in outcome.tables}
    before = {name: outcome.before.get(name, {}) for name in loaded}
    if outcome.audits.keys() - loaded.keys():
        before = {**_recorded_rows(context.instance, names), **before}
    listed = set(known_accounts(context.instance))
    all_listed = listed_accounts(context.instance, names)

    def since_earlier(name: str, check_name: str, now: Findings) -> Findings:
        """What only who reads can find: of these accounts now, and of others when last read."""
        key = dg.AssetCheckKey(names.key(name), check_name)
        not_read = {*listed, ALL_ACCOUNTS}.difference(now)
        earlier = _findings(_latest_evaluation(context.instance, key))
        kept = {account: found for account, found in earlier.items() if account in not_read}
        return {account: found for account, found in {**kept, **now}.items() if found}

    def evidence(name: str) -> Evidence:
        left_out = {
            account.account_id or ALL_ACCOUNTS: account.resources[name].left_out
            for account in loaded.get(name, [])
        }
        unread = {f.account_id: str(f.error) for f in failures if name in f.lost}
        return Evidence(
            resource=RESOURCES[name],
            audit=outcome.audits.get(name, {}),
            columns=outcome.columns.get(name) or TableColumns.of(RESOURCES[name], {}),
            before=before.get(name, {}),
            left_out=since_earlier(name, LEFT_OUT, left_out),
            unread=since_earlier(name, UNREAD, {**dict.fromkeys(left_out), **unread}),
            failed=bool(unread),
            read=listed,
            listed=all_listed,
            settings=settings,
        )

    # of a table that is not there it is known whether its accounts could be read, and nothing else
    tables = {
        key: AssetNames.resource_name(key.asset_key)
        for key in context.selected_asset_check_keys
        if key.name in CHECKS
    }
    keys = [key for key, name in tables.items() if name in outcome.audits or key.name == UNREAD]
    yield from evaluations(keys, {name: evidence(name) for name in {tables[key] for key in keys}})

    def of_others(key: dg.AssetCheckKey) -> Findings:
        name = AssetNames.resource_name(key.asset_key)
        judged = [str(account.account_id) for account in loaded.get(name, [])] or listed
        earlier = _findings(_latest_evaluation(context.instance, key))
        return {a: found for a, found in earlier.items() if a in listed.difference(judged)}

    yield from history_evaluations(context.selected_asset_check_keys, outcome.histories, of_others)


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
    yield from check_tables(context, settings, outcome)


def _recorded_rows(instance: dg.DagsterInstance, names: AssetNames) -> RowCounts:
    """The rows of each account when it was last loaded, by table."""
    recorded: dict[str, dict[str, int]] = {}
    for (name, account_id), load in latest_loads(instance, names).items():
        if account_id is not None and load.rows is not None:
            recorded.setdefault(name, {})[account_id] = load.rows
    return recorded


def unless_judged(
    context: dg.AssetExecutionContext, events: Iterable[Event]
) -> Iterator[Event | dg.AssetCheckEvaluation]:
    """The events of a step, which if it fails leaves the checks that it did not judge as they were.

    Dagster calls a check failed that a failed run was to judge and did not: it is reported again,
    or, where there is no table yet, found to have nothing wrong.
    """
    judged: set[dg.AssetCheckKey] = set()
    try:
        for event in events:
            if isinstance(event, dg.AssetCheckEvaluation):
                judged.add(event.asset_check_key)
            yield event
    except Exception:
        for key in sorted(context.selected_asset_check_keys - judged):
            yield _latest_evaluation(context.instance, key) or dg.AssetCheckEvaluation(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=True,
                description="There was no table to judge.",
            )
        raise


def _latest_evaluation(
    instance: dg.DagsterInstance, key: dg.AssetCheckKey
) -> dg.AssetCheckEvaluation | None:
    summary = instance.event_log_storage.get_asset_check_summary_records([key])[key]
    # the latest execution of all is that of this run, which is planned
    record = summary.last_completed_check_execution_record
    event = record.event.dagster_event if record and record.event else None
    evaluation = event.event_specific_data if event else None
    return evaluation if isinstance(evaluation, dg.AssetCheckEvaluation) else None


def _findings(evaluation: dg.AssetCheckEvaluation | None) -> Findings:
    if evaluation is None or "findings" not in evaluation.metadata:
        return {}
    findings = evaluation.metadata["findings"].value
    return findings if isinstance(findings, Mapping) else {}
