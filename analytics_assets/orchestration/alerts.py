"""Failures reach a person: failed runs and failed checks are posted to a webhook."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from typing import Final

import dagster as dg

from analytics_assets import webhook
from analytics_assets.errors import AlertError
from analytics_assets.orchestration.asset_checks import UNREAD, check_specs
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.recorded_checks import findings_of, latest_evaluations
from analytics_assets.orchestration.recorded_runs import made_assets
from analytics_assets.orchestration.run_failures import run_failure
from analytics_assets.settings import (
    PLATFORM_SECTION,
    PlatformSettings,
    platform_settings,
    setting_name,
)

# a longer list ends with how many more there are; the link leads to all of them
_LINES: Final = 20
_NO_WEBHOOK: Final = (
    f"there is nobody to tell: set {setting_name(PLATFORM_SECTION, 'alert_webhook_url')}"
)


def alert_sensors(settings: PlatformSettings) -> list[dg.SensorDefinition]:
    """The two sensors, switched on if the settings say so and there is a webhook."""
    names = AssetNames.of_settings(settings)
    status = (
        dg.DefaultSensorStatus.RUNNING
        if settings.automation and settings.alert_webhook_url
        else dg.DefaultSensorStatus.STOPPED
    )

    @dg.run_failure_sensor(
        name=names.of_definition("alert_on_failed_runs"),
        minimum_interval_seconds=settings.sensor_interval,
        default_status=status,
        description="Posts a run that failed to the webhook, with each account and its cause.",
    )
    def alert_on_failed_runs(context: dg.RunFailureSensorContext) -> dg.SkipReason | None:
        run = context.dagster_run
        if not names.is_ours(run, made_assets(context.instance, run)):
            return dg.SkipReason(f"{run.job_name} is not for the platform's assets")
        current = platform_settings()
        try:
            return _post(current, _failed_run(current, context.instance, run))
        except AlertError as error:
            # after any other error, Dagster goes on with the next run, and nobody is told of this
            raise dg.DagsterError(str(error)) from None

    @dg.sensor(
        name=names.of_definition("alert_on_failed_checks"),
        minimum_interval_seconds=settings.sensor_interval,
        default_status=status,
        description="Posts the checks that failed to the webhook, with what they found; again if"
        " they find something else.",
    )
    def alert_on_failed_checks(
        context: dg.SensorEvaluationContext,
    ) -> dg.SkipReason | dg.SensorResult:
        failed = _failed_checks(context.instance, names)
        found = {key: _mark(evaluation) for key, evaluation in failed.items()}
        cursor = json.dumps(found)
        # before the first tick nobody was to be told
        told = json.loads(context.cursor or cursor)
        if not isinstance(told, dict):  # as 0.2.0 left it: a time
            told = {}
        new = [failed[key] for key, mark in found.items() if mark != told.get(key)]
        if not new:
            return dg.SensorResult(skip_reason="no check has failed since", cursor=cursor)
        current = platform_settings()
        skipped = _post(current, _checks_message(current, new))
        return skipped or dg.SensorResult(
            skip_reason=f"{len(new)} failed checks were posted", cursor=cursor
        )

    return [alert_on_failed_runs, alert_on_failed_checks]


def _post(settings: PlatformSettings, text: str) -> dg.SkipReason | None:
    """Posts the alert; where there is no webhook, says so."""
    if not settings.alert_webhook_url:
        return dg.SkipReason(_NO_WEBHOOK)
    webhook.post(settings.alert_webhook_url, text)
    return None


def _failed_run(
    settings: PlatformSettings, instance: dg.DagsterInstance, run: dg.DagsterRun
) -> str:
    failure = run_failure(instance, run.run_id)
    assets = sorted(key.to_user_string() for key in run.asset_selection or ())
    return _message(
        settings,
        f"Run of {run.job_name} failed" + (f" ({', '.join(assets)})" if assets else ""),
        failure.lines(),
        f"/runs/{run.run_id}",
    )


def _failed_checks(
    instance: dg.DagsterInstance, names: AssetNames
) -> dict[str, dg.AssetCheckEvaluation]:
    """The latest evaluations that failed, by asset and check."""
    # which accounts could not be read, the alert on their run says
    specs = check_specs(names, names.all_names)
    keys = [spec.key for spec in specs if spec.name != UNREAD]
    evaluated = latest_evaluations(instance, keys)
    return {
        key.to_user_string(): evaluation
        for key, (_, evaluation) in evaluated.items()
        if not evaluation.passed
    }


def _mark(evaluation: dg.AssetCheckEvaluation) -> str:
    """What an evaluation has found, in few characters: the same until it is something else."""
    found = [evaluation.severity.value, evaluation.description, findings_of(evaluation)]
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()[:16]


def _checks_message(settings: PlatformSettings, failed: Sequence[dg.AssetCheckEvaluation]) -> str:
    lines = [
        f"{'error' if evaluation.severity == dg.AssetCheckSeverity.ERROR else 'warning'}:"
        f" {evaluation.asset_key.to_user_string()}: {evaluation.check_name}:"
        f" {evaluation.description}"
        for evaluation in sorted(failed, key=lambda found: (found.severity.value, found.asset_key))
    ]
    link = f"/assets/{failed[0].asset_key.to_user_string()}?view=checks"
    return _message(settings, "Checks failed", lines, link)


def _message(settings: PlatformSettings, title: str, lines: Sequence[str], path: str) -> str:
    shown = [f"• {line}" for line in lines[:_LINES]]
    if len(lines) > _LINES:
        shown.append(f"• and {len(lines) - _LINES} more")
    link = f"<{settings.ui_url.rstrip('/')}{path}|Open in Dagster>"
    return "\n".join([f"*{_escaped(title)}*", *map(_escaped, shown), link])


def _escaped(text: str) -> str:
    # what Slack's markup gives a meaning to; the API's words may hold any
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
