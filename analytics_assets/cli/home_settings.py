"""What a home's dagster.yaml lacks of ours, and what comes of that."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from analytics_assets.cli.home_files import delivered


@dataclass(frozen=True, slots=True)
class Rule:
    """One setting of dagster.yaml that the platform counts on.

    Attributes:
        path: Where it stands.
        consequence: What comes of its lack.
        exact: Whether its value has to be ours; otherwise any will do.
        instead: Other places of which one will do, too.
        within: A setting without which there is nothing to lack.
    """

    path: str
    consequence: str
    exact: bool = False
    instead: tuple[str, ...] = ()
    within: str | None = None


RULES: Final = (
    Rule(
        "event_log_storage",
        "Dagster writes each event on its own, so that a sync of many accounts takes longer",
        instead=("storage",),
    ),
    Rule(
        "concurrency.runs.max_concurrent_runs",
        "ten runs at once share the API's quota",
        instead=("run_queue.max_concurrent_runs", "run_coordinator.config.max_concurrent_runs"),
    ),
    Rule(
        "concurrency.pools.default_limit",
        "runs start that can only wait for the warehouse",
    ),
    Rule(
        "concurrency.pools.granularity",
        "a run that waits for the warehouse holds a process",
        exact=True,
    ),
    Rule(
        "run_retries.enabled",
        "a run whose process died is not started again",
        exact=True,
    ),
    Rule(
        "run_retries.retry_on_asset_or_op_failure",
        "a run with accounts that failed is repeated at once, as a whole",
        exact=True,
        within="run_retries.enabled",
    ),
    Rule(
        "run_monitoring.enabled",
        "a run whose process died counts as running for ever",
        exact=True,
    ),
    Rule(
        "freshness.enabled",
        "the UI does not show how old the assets are",
        exact=True,
    ),
)


def lacks(home: Path) -> Iterator[tuple[Rule, str]]:
    """The rules that the home's dagster.yaml does not follow, each with what to do."""
    theirs = yaml.safe_load((home / "dagster.yaml").read_text(encoding="utf-8")) or {}
    ours = yaml.safe_load(delivered("dagster.yaml"))
    for rule in RULES:
        if rule.within and not _at(theirs, rule.within):
            continue
        value, wanted = _at(theirs, rule.path), _at(ours, rule.path)
        # one that the environment gives is not known here
        fits = value == wanted or isinstance(value, dict) if rule.exact else value is not None
        if not fits and all(_at(theirs, other) is None for other in rule.instead):
            yield rule, f"set `{rule.path}` {_in_words(wanted)}"


def _at(settings: Any, path: str) -> Any:
    for key in path.split("."):
        settings = settings.get(key) if isinstance(settings, Mapping) else None
    return settings


def _in_words(value: Any) -> str:
    if isinstance(value, Mapping):
        return "as in the dagster.yaml that `analytics-assets init` writes"
    return f"to {str(value).lower()}"
