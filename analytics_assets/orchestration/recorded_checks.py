"""What checks have found, by the records."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import TypeVar, cast

import dagster as dg

from analytics_assets.orchestration.asset_checks import ALL_DAYS_AT, Findings

Event = TypeVar("Event")


@dataclass(frozen=True, slots=True)
class EarlierFindings:
    """What an evaluation has found, and when; and when it knew of all days of a report.

    Times are in unix seconds.
    """

    at: float
    findings: Findings
    whole_at: float


def earlier_findings(
    instance: dg.DagsterInstance, keys: Collection[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, EarlierFindings]:
    """What the latest evaluation of each check that has judged a table found."""
    found = {}
    for key, (at, evaluation) in latest_evaluations(instance, keys).items():
        if "rows" in evaluation.metadata:
            whole_at = evaluation.metadata.get(ALL_DAYS_AT)
            known_at = cast(float, whole_at.value) if whole_at else 0.0
            found[key] = EarlierFindings(at, findings_of(evaluation), known_at)
    return found


def findings_of(evaluation: dg.AssetCheckEvaluation) -> Findings:
    """What an evaluation has found; empty if nothing."""
    findings = evaluation.metadata.get("findings")
    return cast(Findings, findings.value) if findings else {}


def latest_evaluations(
    instance: dg.DagsterInstance, keys: Collection[dg.AssetCheckKey]
) -> dict[dg.AssetCheckKey, tuple[float, dg.AssetCheckEvaluation]]:
    """The latest evaluation of each check that has one, and when that was, in unix seconds."""
    found = {}
    summaries = instance.event_log_storage.get_asset_check_summary_records(list(keys))
    for key, summary in summaries.items():
        # the latest execution of all is that of this run, which is planned
        record = summary.last_completed_check_execution_record
        event = record.event.dagster_event if record and record.event else None
        evaluation = event.event_specific_data if event else None
        if record and record.event and isinstance(evaluation, dg.AssetCheckEvaluation):
            found[key] = record.event.timestamp, evaluation
    return found


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
        rest = sorted(context.selected_asset_check_keys - judged)
        latest = latest_evaluations(context.instance, rest)
        for key in rest:
            _, evaluation = latest.get(key, (0, None))
            yield evaluation or dg.AssetCheckEvaluation(
                asset_key=key.asset_key,
                check_name=key.name,
                passed=True,
                description="There was no table to judge.",
            )
        raise
