"""The one way into the tables: under the lock, look at them, prepare, load, describe and audit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dlt import Pipeline
from dlt.extract import DltSource

from analytics_assets.choice import kept_histories
from analytics_assets.errors import WarehouseError
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.account_rows import AccountRows
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.audit import RowCounts, TableAudit, audit, row_counts
from analytics_assets.warehouse.columns import TableColumns
from analytics_assets.warehouse.comments import write_comments
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.history import Changes, write_versions
from analytics_assets.warehouse.history_audit import HistoryAudit, audit_history
from analytics_assets.warehouse.location import is_missing
from analytics_assets.warehouse.locks import run_locked
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets.warehouse.publishing import publish, published_file
from analytics_assets.warehouse.replacement import TableLoad, load_source
from analytics_assets.warehouse.stored import (
    has_history,
    known_columns,
    refuse_changed_keys,
    stored_tables,
)
from analytics_assets.warehouse.tables import prepare


@dataclass(frozen=True)
class LoadOutcome:
    """What came of a load.

    Attributes:
        before: The rows that the tables held before.
        suddenly_empty: The accounts that were not loaded, with the rows they keep.
        tables: What was loaded, into the tables that got any account's rows.
        load_id: dlt's name for the load; empty if nothing was loaded.
        columns: The tables' columns.
        audits: What the tables hold now.
        changes: What was done to the histories of the tables, by resource and account.
        histories: What histories hold, by resource: of the accounts loaded, or without a load of
            all.
        not_published: Why readers have no copy of what was loaded, where they are to have one.
    """

    before: RowCounts = field(default_factory=dict)
    suddenly_empty: Mapping[str, int] = field(default_factory=dict)
    tables: Sequence[TableLoad] = ()
    load_id: str = ""
    columns: Mapping[str, TableColumns] = field(default_factory=dict)
    audits: Mapping[str, TableAudit] = field(default_factory=dict)
    changes: Mapping[str, Mapping[str, Changes]] = field(default_factory=dict)
    histories: Mapping[str, HistoryAudit] = field(default_factory=dict)
    not_published: str = ""


def run_pipeline(pipeline: Pipeline, source: DltSource) -> object:
    """Runs the pipeline as dlt does by itself."""
    return pipeline.run(source, loader_file_format="parquet")


def load(
    settings: PlatformSettings,
    folder: Path,
    tables: Sequence[str],
    accounts: Sequence[AccountRows],
    request: LockRequest,
    *,
    run: Callable[[Pipeline, DltSource], Any] = run_pipeline,
    allow_empty: bool = False,
) -> LoadOutcome:
    """Replaces the accounts' rows: afterwards the tables hold those given, and no others of them.

    A table keeps what it has of an account that comes without rows of it. Where there is nothing to
    load, the tables are audited, and no warehouse is made.

    What was loaded is published, where that is asked for; if that fails, the outcome says why.

    Args:
        settings: Where the warehouse is.
        folder: Where dlt may work.
        tables: The tables in which rows are replaced.
        accounts: The accounts with their rows of these tables, or of some of them.
        request: Who asks for the lock.
        run: Runs the pipeline, with files in Parquet.
        allow_empty: Whether accounts whose tables all become empty at once are loaded, too.

    Raises:
        SettingsError: The settings lead to no warehouse, or nowhere to publish.
        WarehouseError: The warehouse could not be written, or what a load cannot do without was
            changed; each table is as it was or new.
    """
    published_file(settings)
    if not any(account.resources for account in accounts):
        return audit_tables(settings, folder, tables, request)
    pipeline, kept = make_pipeline(settings, folder), kept_histories(settings)

    def replace_rows() -> LoadOutcome:
        stored = stored_tables(pipeline)
        checked = [RESOURCES[name] for name in tables]
        checked += [resource.history for resource in checked if resource.name in kept]
        refuse_changed_keys(stored, checked, settings.dataset_name)
        before = row_counts(pipeline, [name for name in tables if name in stored.columns])
        empty = {} if allow_empty else suddenly_empty(before, accounts)
        sound = [account for account in accounts if account.account_id not in empty]
        loaded = [name for name in tables if any(name in a.resources for a in sound)]
        loads = prepare(settings, pipeline, loaded, sound, stored, kept) if loaded else []
        if loads:
            # `stored_tables` has just restored the pipeline: dlt need not do it a second time
            pipeline.config.restore_from_destination = not stored.columns
            run(pipeline, load_source(loads))
            described = [load.resource for load in loads]
            described += [load.history.columns.resource for load in loads if load.history]
            write_comments(pipeline, described)
        changes = _write_histories(pipeline, loads)
        columns = known_columns(stored) | {load.resource.name: load.columns for load in loads}
        audits = audit(pipeline, columns, tables)
        load_id, histories = _load_id(pipeline), _audit_histories(pipeline, loads)
        return LoadOutcome(before, empty, loads, load_id, columns, audits, changes, histories)

    def published(outcome: LoadOutcome) -> LoadOutcome:
        if not outcome.tables:
            return outcome
        try:
            publish(settings)
        except WarehouseError as error:
            return replace(outcome, not_published=str(error))
        return outcome

    account_ids = [account.account_id for account in accounts]
    return run_locked(settings, pipeline, replace_rows, request, account_ids, afterwards=published)


def audit_tables(
    settings: PlatformSettings, folder: Path, tables: Sequence[str], request: LockRequest
) -> LoadOutcome:
    """Audits tables, and looks at their columns, without a load; makes no warehouse.

    Raises:
        WarehouseError: The warehouse could not be read.
    """
    if is_missing(settings):
        return LoadOutcome()
    pipeline, kept = make_pipeline(settings, folder), kept_histories(settings)

    def look() -> LoadOutcome:
        stored = stored_tables(pipeline)
        columns = known_columns(stored)
        with pipeline.sql_client() as client:
            histories = {
                name: audit_history(client, RESOURCES[name], None)
                for name in tables
                if name in columns and name in kept and has_history(stored, RESOURCES[name])
            }
        audits = audit(pipeline, columns, tables)
        return LoadOutcome(columns=columns, audits=audits, histories=histories)

    return run_locked(settings, pipeline, look, request)


def suddenly_empty(before: RowCounts, accounts: Iterable[AccountRows]) -> dict[str, int]:
    """Accounts without any row, though several of their tables hold rows.

    One resource that falls to zero is an ordinary answer. That all do at once is not. Of a part
    that has no row nothing follows for the rest.

    Args:
        before: The rows that the tables of the load hold.
        accounts: What was read of the accounts.

    Returns:
        The rows that the warehouse holds, by account.
    """
    found = {}
    for account in accounts:
        if account.account_id is None or account.count:
            continue
        held = [
            before[name][account.account_id]
            for name, rows in account.resources.items()
            if rows.part is None and account.account_id in before.get(name, {})
        ]
        if len(held) > 1:
            found[account.account_id] = sum(held)
    return found


def _write_histories(
    pipeline: Pipeline, loads: Iterable[TableLoad]
) -> dict[str, dict[str, Changes]]:
    return {
        load.resource.name: write_versions(pipeline, load.resource, load.history, _ids(load))
        for load in loads
        if load.history is not None
    }


def _audit_histories(pipeline: Pipeline, loads: Iterable[TableLoad]) -> dict[str, HistoryAudit]:
    with pipeline.sql_client() as client:
        return {
            load.resource.name: audit_history(client, load.resource, _ids(load))
            for load in loads
            if load.history is not None
        }


def _ids(load: TableLoad) -> list[str]:
    return [str(account.account_id) for account in load.accounts]


def _load_id(pipeline: Pipeline) -> str:
    info = pipeline.last_trace.last_load_info if pipeline.last_trace else None
    return str(info.loads_ids[-1]) if info and info.loads_ids else ""
