"""Why a run failed, by what Dagster has on record of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import dagster as dg

from analytics_assets.errors import is_permanent
from analytics_assets.orchestration.metadata import ERROR, FAILED_PARTITIONS
from analytics_assets.text import one_line


@dataclass(frozen=True, slots=True)
class RunFailure:
    """Why a run failed: as a whole, and by the partitions that it names.

    Attributes:
        cause: What went wrong, in one line.
        partitions: By account and resource, what the run says of those that failed.
        error: The type of what failed it as a whole; empty where that is not on record.
    """

    cause: str
    partitions: Mapping[str, Mapping[str, Mapping[str, str]]]
    error: str = ""

    def of(self, account_id: str, resource_name: str) -> tuple[str, bool]:
        """The cause, and whether it is permanent."""
        failed = self.partitions.get(account_id, {}).get(resource_name)
        if failed is None:
            return self.cause, is_permanent(self.error)
        return failed["cause"], is_permanent(failed["error"])

    def lines(self) -> list[str]:
        """A line for each account and cause; the run's own cause, where it names no account."""
        named = {
            f"{account_id}: {failed['cause']}": None
            for account_id, resources in sorted(self.partitions.items())
            for failed in resources.values()
        }
        return list(named) or [self.cause]


def run_failure(instance: dg.DagsterInstance, run_id: str) -> RunFailure:
    """Why a run failed, by its own records."""
    kinds = dg.DagsterEventType
    types, before = {kinds.STEP_FAILURE, kinds.RUN_FAILURE, kinds.ENGINE_EVENT}, ""
    # ascending: a step that failed, or what kept the run from its start, comes before its failure
    for entry in instance.all_logs(run_id, of_type=types):
        event = entry.dagster_event
        if event is not None and event.is_step_failure:
            data = event.step_failure_data.user_failure_data
            told = {key: entry.value for key, entry in data.metadata.items()} if data else {}
            failed = cast(dict[str, Any], told.get(FAILED_PARTITIONS, {}))
            return RunFailure(one_line(failure_text(event)), failed, str(told.get(ERROR, "")))
        if event is not None and event.is_engine_event:
            error = event.engine_event_data.error
            before = error.message if error else before
        elif event is not None:
            ended = f"the run ended without a cause: {event.message}"
            return RunFailure(one_line(before or ended), {})
    return RunFailure("the run's records do not say why it failed", {})


def failure_text(event: dg.DagsterEvent) -> str:
    """What a failed step says to people."""
    data = event.step_failure_data
    if data.user_failure_data is not None and data.user_failure_data.description:
        return data.user_failure_data.description
    error = data.error.cause or data.error if data.error else None
    return " ".join(error.message.split()) if error else "unknown error"
