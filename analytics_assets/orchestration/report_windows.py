"""Which days of accounts' reports are due: by what the tables hold, and when they were loaded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timezone

import dagster as dg

from analytics_assets.days import Window, due_windows, is_first_of_day, today
from analytics_assets.orchestration.ingestion import Ingestion
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.run_records import loads_of
from analytics_assets.warehouse.report_days import ReportDays, held_days

Windows = Mapping[str, Mapping[str, Sequence[Window]]]
"""By account and report, the windows, the oldest first."""


def due(
    context: dg.AssetExecutionContext,
    run: Ingestion,
    wanted: Mapping[str, Sequence[str]],
    known: ReportDays,
    now: datetime,
) -> dict[str, dict[str, list[Window]]]:
    """The windows that are due; days without rows are asked for again once a day.

    Args:
        context: The step's.
        run: Whose settings and warehouse they are.
        wanted: By account, the reports.
        known: What the tables say.
        now: The time.

    Raises:
        WarehouseError: The warehouse could not be read.
    """
    names = AssetNames.of_run(context, run.settings)
    loads = loads_of(context.instance, names, {name for of in wanted.values() for name in of})
    loaded = {
        (load.resource, load.account_id): datetime.fromtimestamp(load.at, timezone.utc)
        for load in loads
    }
    first: dict[str, list[str]] = {}
    for account_id, of in wanted.items():
        for name in of:
            key = (name, account_id)
            if key in known.newest and is_first_of_day(
                known.zones.get(account_id), now, loaded.get(key)
            ):
                first.setdefault(name, []).append(account_id)
    held = held_days(run.settings, run.folder, first, run.request)
    lookback = run.settings.performance_lookback_days
    return {
        account_id: {
            name: due_windows(
                known.newest.get((name, account_id)),
                held.get((name, account_id), ()),
                today(known.zones.get(account_id), now),
                lookback,
                run.settings.performance_history_days,
            )
            for name in of
        }
        for account_id, of in wanted.items()
    }
