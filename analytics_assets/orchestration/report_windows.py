"""Which days of accounts' reports a run asks for: those that are due, or that somebody names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta, timezone
from typing import Final

import dagster as dg

from analytics_assets.days import (
    Window,
    asked_window,
    due_windows,
    pieces,
    time_zone,
    today,
    until,
)
from analytics_assets.errors import WindowError
from analytics_assets.orchestration.ingestion import Ingestion
from analytics_assets.orchestration.partitions import ReportsConfig
from analytics_assets.orchestration.recorded_loads import Load, loads_of
from analytics_assets.text import one_line
from analytics_assets.warehouse.report_days import ReportDays, held_days, report_days

Windows = Mapping[str, Mapping[str, Sequence[Window]]]
"""By account and report, the windows, the oldest first."""

# a warning names so many of the accounts that it is about
_ACCOUNTS_NAMED: Final = 3


def now() -> datetime:
    """The moment that it is."""
    return datetime.now(timezone.utc)


def windows(
    context: dg.AssetExecutionContext,
    config: ReportsConfig,
    run: Ingestion,
    wanted: Mapping[str, Sequence[str]],
) -> Windows:
    """The windows that a run asks for; none of an account where what is named has not begun.

    Raises:
        WindowError: Somebody asks for days that cannot be.
        WarehouseError: The warehouse could not be read.
    """
    moment = now()
    asked = _asked_window(config, moment)
    since = moment.date() - timedelta(days=run.settings.performance_lookback_days)
    known = report_days(run.settings, run.folder, _by_report(wanted), since, run.request)
    _tell_of_unknown_zones(context, wanted, known)
    days = {account_id: today(known.zones.get(account_id), moment) for account_id in wanted}
    if asked is None:
        return _due(context, run, wanted, known, days)
    found = {}
    for account_id, report_names in wanted.items():
        begun = until(asked, days[account_id])
        found[account_id] = {name: list(pieces(begun)) if begun else [] for name in report_names}
    return found


def _asked_window(config: ReportsConfig, moment: datetime) -> Window | None:
    if config.end_date and not config.start_date:
        raise WindowError("end_date needs a start_date: give the first day, too")
    if not config.start_date:
        return None
    return asked_window(config.start_date, config.end_date or None, moment)


def _due(
    context: dg.AssetExecutionContext,
    run: Ingestion,
    wanted: Mapping[str, Sequence[str]],
    known: ReportDays,
    days: Mapping[str, date],
) -> Windows:
    """What the tables say is due; days without rows are asked for again once a day."""
    settings, by_report = run.settings, _by_report(wanted)
    loads = {
        (load.resource, str(load.account_id)): load
        for load in loads_of(context.instance, run.names, by_report)
    }
    first_today = {
        name: [a for a in ids if _last_asked(loads.get((name, a))) != str(days[a])]
        for name, ids in by_report.items()
    }
    held = held_days(settings, run.folder, first_today, run.request)

    def due(account_id: str, name: str) -> list[Window]:
        newest, load = known.newest.get((name, account_id)), loads.get((name, account_id))
        return due_windows(
            newest,
            held.get((name, account_id)),
            days[account_id],
            lookback_days=settings.performance_lookback_days,
            history_days=settings.performance_history_days,
            # what was loaded and is not there was lost, and all of it is due again
            was_read=load is not None and (newest is not None or not load.rows),
        )

    return {account: {name: due(account, name) for name in of} for account, of in wanted.items()}


def _last_asked(load: Load | None) -> str | None:
    return load.last_day if load else None


def _by_report(wanted: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    """By report, the accounts of which it is wanted."""
    found: dict[str, list[str]] = {}
    for account_id, report_names in wanted.items():
        for name in report_names:
            found.setdefault(name, []).append(account_id)
    return found


def _tell_of_unknown_zones(
    context: dg.AssetExecutionContext, wanted: Mapping[str, object], known: ReportDays
) -> None:
    unknown = [account for account in wanted if time_zone(known.zones.get(account)) is None]
    if unknown:
        named = ", ".join(map(one_line, unknown[:_ACCOUNTS_NAMED]))
        context.log.warning(
            f"accounts without a known time zone, which have the days of UTC ({len(unknown)}):"
            f" {named}"
        )
