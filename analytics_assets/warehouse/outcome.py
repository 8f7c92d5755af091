"""What came of a load, or of several."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

from analytics_assets.warehouse.audit import RowCounts, TableAudit
from analytics_assets.warehouse.columns import TableColumns
from analytics_assets.warehouse.history import Changes
from analytics_assets.warehouse.history_audit import HistoryAudit
from analytics_assets.warehouse.replacement import TableLoad

Figure = TypeVar("Figure")


@dataclass(frozen=True)
class LoadOutcome:
    """What came of a load.

    Attributes:
        before: The rows that the tables held before, of the accounts that were to be loaded.
        suddenly_empty: The accounts that were not loaded, with the rows they keep.
        tables: What was loaded, into the tables that got any account's rows.
        load_id: dlt's name for the load; empty if nothing was loaded.
        columns: The tables' columns.
        audits: What the tables hold now: of the accounts that were loaded into each, or of all; of
            a report's rows, beside their number, from the first day of the load on.
        whole: The tables that were audited as a whole.
        not_indexed: Why a table has no index, where it needs one.
        overtaken: By account, the resources that were not loaded, because somebody else has changed
            rows that were kept from before.
        changes: What was done to the histories of the tables, by resource and account.
        histories: What histories hold, by resource and account, of the accounts of the audits.
        changed_days: The days whose figures are others than before, by report and account.
        empty_windows: By report and account, what was not loaded, with the rows that the table
            keeps of windows without any.
    """

    before: RowCounts = field(default_factory=dict)
    suddenly_empty: Mapping[str, int] = field(default_factory=dict)
    tables: Sequence[TableLoad] = ()
    load_id: str = ""
    columns: Mapping[str, TableColumns] = field(default_factory=dict)
    audits: Mapping[str, TableAudit] = field(default_factory=dict)
    whole: Collection[str] = ()
    not_indexed: str = ""
    overtaken: Mapping[str, Sequence[str]] = field(default_factory=dict)
    changes: Mapping[str, Mapping[str, Changes]] = field(default_factory=dict)
    histories: Mapping[str, HistoryAudit] = field(default_factory=dict)
    changed_days: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    empty_windows: RowCounts = field(default_factory=dict)


def merged(earlier: LoadOutcome, later: LoadOutcome) -> LoadOutcome:
    """What came of two loads together, of which none replaced rows of the other.

    What the tables held before is told by the earlier load, and what they hold now by the later.
    """
    tables = {load.resource.name: load for load in earlier.tables}
    for load in later.tables:
        known = tables.get(load.resource.name)
        accounts = [*(known.accounts if known else ()), *load.accounts]
        tables[load.resource.name] = replace(load, accounts=accounts)
    return LoadOutcome(
        before=_by_account(later.before, earlier.before),
        suddenly_empty={**earlier.suddenly_empty, **later.suddenly_empty},
        empty_windows=_by_account(earlier.empty_windows, later.empty_windows),
        tables=list(tables.values()),
        load_id=later.load_id or earlier.load_id,
        columns={**earlier.columns, **later.columns},
        audits=_by_account(earlier.audits, later.audits),
        whole={*earlier.whole, *later.whole},
        not_indexed=later.not_indexed or earlier.not_indexed,
        overtaken={**earlier.overtaken, **later.overtaken},
        changes=_by_account(earlier.changes, later.changes),
        histories=_by_account(earlier.histories, later.histories),
    )


def _by_account(
    first: Mapping[str, Mapping[str, Figure]], then: Mapping[str, Mapping[str, Figure]]
) -> dict[str, dict[str, Figure]]:
    """Figures by table and account; where both have one, the second's."""
    return {name: {**first.get(name, {}), **then.get(name, {})} for name in {**first, **then}}
