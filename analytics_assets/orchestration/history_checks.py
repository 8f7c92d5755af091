"""What is checked of every history."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import dagster as dg

from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.warehouse.history_audit import HistoryAudit, VersionsAudit


@dataclass(frozen=True, slots=True)
class HistoryCheck:
    """One question, asked of every history.

    Attributes:
        description: What holds when the check passes.
        measure: How often it does not hold of an account.
    """

    description: str
    measure: Callable[[VersionsAudit], int]


HISTORY_CHECKS: Final = {
    "open_versions_equal_the_table": HistoryCheck(
        "Every row of the table has its open version, and there is no other. The next load of an"
        " account makes good what is found of it.",
        lambda audit: audit.unequal,
    ),
    "versions_do_not_overlap": HistoryCheck(
        "No two versions of a row were valid at the same time.", lambda audit: audit.overlapping
    ),
}


def history_check_specs(
    names: AssetNames, resource_names: Iterable[str]
) -> Iterator[dg.AssetCheckSpec]:
    """The checks of the named resources' histories, as far as these are assets."""
    for resource_name in resource_names:
        for name, check in HISTORY_CHECKS.items() if resource_name in names.histories else ():
            key = names.history_key(resource_name)
            yield dg.AssetCheckSpec(name, asset=key, description=check.description)


def history_evaluations(
    selected: Collection[dg.AssetCheckKey],
    histories: Mapping[str, HistoryAudit],
    earlier: Callable[[dg.AssetCheckKey], Mapping[str, Any]],
) -> Iterator[dg.AssetCheckEvaluation]:
    """Judges histories by the selected checks.

    Args:
        selected: Checks, those of histories among them.
        histories: What they hold, by resource: of the accounts that are judged.
        earlier: What was found earlier of accounts that are not.
    """
    for key in sorted(selected, key=lambda key: (key.asset_key, key.name)):
        audit = histories.get(AssetNames.resource_name(key.asset_key))
        if key.name not in HISTORY_CHECKS or audit is None:
            continue
        measured = {account: HISTORY_CHECKS[key.name].measure(of) for account, of in audit.items()}
        findings = {**earlier(key), **{account: n for account, n in measured.items() if n}}
        named = "; ".join(f"{account}: {n}" for account, n in sorted(findings.items()))
        yield dg.AssetCheckEvaluation(
            asset_key=key.asset_key,
            check_name=key.name,
            passed=not findings,
            description=named or None,
            metadata={
                "accounts_with_findings": len(findings),
                **({"findings": findings} if findings else {}),
            },
        )
