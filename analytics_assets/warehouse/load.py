"""The one way into the tables: under the lock, look at them, prepare, load, describe and audit."""

from __future__ import annotations

from collections.abc import Callable, Collection, Container, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
from dlt import Pipeline
from dlt.extract import DltSource

from analytics_assets.choice import kept_histories
from analytics_assets.resources import ACCOUNTS
from analytics_assets.rows.account_rows import AccountRows
from analytics_assets.rows.arrow import arrow_array
from analytics_assets.schema import Resource
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.audit import RowCounts, TableAudit, audit, row_counts
from analytics_assets.warehouse.changed_days import changed_days
from analytics_assets.warehouse.comments import write_comments
from analytics_assets.warehouse.destination import storable
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.history import Changes, write_versions
from analytics_assets.warehouse.history_audit import HistoryAudit, audit_history, audit_loaded
from analytics_assets.warehouse.indexes import index_accounts
from analytics_assets.warehouse.locks import look_locked, run_locked
from analytics_assets.warehouse.outcome import LoadOutcome
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets.warehouse.read_lists import READ_LISTS, forget_lists, note_lists, with_parts
from analytics_assets.warehouse.replacement import TableLoad, load_source
from analytics_assets.warehouse.report_days import suddenly_empty_windows
from analytics_assets.warehouse.stored import (
    StoredTables,
    known_columns,
    refuse_changed_keys,
    stored_history,
    stored_tables,
)
from analytics_assets.warehouse.tables import prepare


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

    A table keeps what it has of an account that comes without rows of it, and of lists that were
    kept. Where there is nothing to load, the warehouse is not asked for anything.

    Args:
        settings: Where the warehouse is.
        folder: Where dlt may work.
        tables: The tables in which rows are replaced.
        accounts: The accounts with their rows of these tables, or of some of them.
        request: Who asks for the lock.
        run: Runs the pipeline, with files in Parquet.
        allow_empty: Whether accounts whose tables all become empty at once are loaded, too, and
            windows of reports that do.

    Raises:
        SettingsError: The settings lead to no warehouse.
        WarehouseError: The warehouse could not be written, or what a load cannot do without was
            changed; each table is as it was or new.
    """
    if not any(account.resources for account in accounts):
        return LoadOutcome()
    pipeline, kept = make_pipeline(settings, folder), kept_histories(settings)

    def replace_rows() -> LoadOutcome:
        stored = stored_tables(pipeline, settings.resources)
        refuse_changed_keys(stored, _of_load(settings, tables, kept), settings.dataset_name)
        judged, sound = _judged(settings, pipeline, stored, tables, accounts, allow_empty)
        filled = [name for name in tables if any(name in a.resources for a in sound)]
        loads = prepare(settings, pipeline, filled, sound, stored, kept) if filled else []
        written = _written(settings, pipeline, stored, judged, loads, sound, run)
        return _audited(settings, pipeline, stored, written)

    account_ids = [account.account_id for account in accounts]
    return run_locked(settings, pipeline, replace_rows, request, account_ids)


def _of_load(
    settings: PlatformSettings, tables: Iterable[str], kept: Container[str]
) -> list[Resource]:
    """The resources of a load, and their histories."""
    resources = [settings.resources[name] for name in tables]
    return resources + [resource.history for resource in resources if resource.name in kept]


def _judged(
    settings: PlatformSettings,
    pipeline: Pipeline,
    stored: StoredTables,
    tables: Sequence[str],
    accounts: Sequence[AccountRows],
    allow_empty: bool,
) -> tuple[LoadOutcome, list[AccountRows]]:
    """What the tables hold that speaks against accounts, and those that are to be loaded."""
    there = [name for name in tables if name in stored.columns]
    before = row_counts(pipeline, there, _named(accounts))
    read, overtaken = with_parts(settings, pipeline, accounts)
    judged = LoadOutcome(before=before, overtaken=overtaken)
    if allow_empty:
        return judged, read
    empty = suddenly_empty(before, read)
    windows = suddenly_empty_windows(settings, pipeline, before, read)
    sound = [
        account
        for account in read
        if account.account_id not in empty
        and not any(account.account_id in windows.get(name, {}) for name in account.resources)
    ]
    return replace(judged, suddenly_empty=empty, empty_windows=windows), sound


def _written(
    settings: PlatformSettings,
    pipeline: Pipeline,
    stored: StoredTables,
    judged: LoadOutcome,
    loads: Sequence[TableLoad],
    accounts: Sequence[AccountRows],
    run: Callable[[Pipeline, DltSource], Any],
) -> LoadOutcome:
    """Replaces the rows, and writes what follows from them: histories, read lists, comments."""
    if not loads:
        return judged
    changed = changed_days(pipeline, loads, stored.columns)
    described = [load.resource for load in loads]
    described += [load.history.columns.resource for load in loads if load.history is not None]
    named = [resource.name for resource in described]
    named += [READ_LISTS] if stored.has_read_lists else []
    not_indexed = index_accounts(settings, pipeline, named)
    if stored.has_read_lists:
        forget_lists(settings, pipeline, accounts)
    # `stored_tables` has just restored the pipeline: dlt need not do it a second time
    pipeline.config.restore_from_destination = not stored.columns
    run(pipeline, load_source(loads))
    changes = _write_histories(pipeline, loads)
    note_lists(settings, pipeline, accounts, is_there=stored.has_read_lists)
    write_comments(pipeline, described)
    return replace(
        judged,
        tables=loads,
        load_id=_load_id(pipeline),
        not_indexed=not_indexed,
        changes=changes,
        changed_days=changed,
    )


def _audited(
    settings: PlatformSettings, pipeline: Pipeline, stored: StoredTables, written: LoadOutcome
) -> LoadOutcome:
    """Looks at what the tables hold now of what was written."""
    loads = written.tables
    columns = known_columns(stored) | {load.resource.name: load.columns for load in loads}
    accounts_of = {load.resource.name: _named(load.accounts) for load in loads}
    of_days = [load for load in loads if load.resource.report and load.part_values]
    since = {load.resource.name: min(load.part_values) for load in of_days}
    audits = audit(pipeline, columns, accounts_of, since)
    return replace(
        written,
        columns=columns,
        audits=_with_kept_as_loaded(audits, loads, written.load_id),
        whole=[load.resource.name for load in loads if _is_whole(load.resource, stored)],
        histories=_audit_histories(pipeline, loads),
    )


def _is_whole(resource: Resource, stored: StoredTables) -> bool:
    """Whether all rows of a table are those of the load."""
    # a report comes in pieces
    is_first = resource.name not in stored.columns and resource.report is None
    return is_first or resource.name == ACCOUNTS.name


def audit_tables(
    settings: PlatformSettings,
    folder: Path,
    tables: Sequence[str],
    request: LockRequest,
    accounts: Collection[str] | None = None,
) -> LoadOutcome:
    """Audits tables, and looks at their columns, without a load; makes no warehouse.

    The audit is of the tables as a whole, unless accounts are named.

    Raises:
        WarehouseError: The warehouse could not be read.
    """

    def look(pipeline: Pipeline) -> LoadOutcome:
        stored, kept = stored_tables(pipeline, settings.resources), kept_histories(settings)
        columns = known_columns(stored)
        audits = audit(pipeline, columns, dict.fromkeys(tables, accounts))
        whole = audits if accounts is None else ()
        with pipeline.sql_client() as client:
            histories = {
                name: audit_history(client, columns[name].resource, history)
                for name in whole
                if name in kept and (history := stored_history(stored, columns[name], kept[name]))
            }
        return LoadOutcome(columns=columns, audits=audits, whole=list(whole), histories=histories)

    return look_locked(settings, folder, look, request) or LoadOutcome()


def suddenly_empty(before: RowCounts, accounts: Iterable[AccountRows]) -> dict[str, int]:
    """Accounts without any row, though several of their tables held rows `before`.

    One resource that falls to zero is an ordinary answer. That all do at once is not. Of a part
    that has no row nothing follows for the rest.

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


def _named(accounts: Iterable[AccountRows]) -> list[str] | None:
    """The accounts' ids; None for the list of accounts, which is loaded as a whole."""
    ids = [account.account_id for account in accounts if account.account_id is not None]
    return ids or None


def _with_kept_as_loaded(
    audits: Mapping[str, TableAudit], loads: Sequence[TableLoad], load_id: str
) -> Mapping[str, TableAudit]:
    """The audits, where rows that a load found to be as they should count as loaded by it."""
    found = {name: dict(of_accounts) for name, of_accounts in audits.items()}
    for load in loads:
        name = load.resource.name
        for account in load.accounts:
            key = str(account.account_id)
            if account.resources[name].part is not None and key in found[name]:
                found[name][key] = replace(found[name][key], loaded_at=float(load_id))
    return found


def _write_histories(
    pipeline: Pipeline, loads: Iterable[TableLoad]
) -> dict[str, dict[str, Changes]]:
    changes = {}
    for load in loads:
        if load.history is not None:
            name, ids = load.resource.name, _ids(pipeline, load)
            changes[name] = write_versions(pipeline, load.resource, load.history, ids)
    return changes


def _audit_histories(pipeline: Pipeline, loads: Iterable[TableLoad]) -> dict[str, HistoryAudit]:
    with pipeline.sql_client() as client:
        return {
            load.resource.name: audit_loaded(client, load.resource, _ids(pipeline, load))
            for load in loads
            if load.history is not None
        }


def _ids(pipeline: Pipeline, load: TableLoad) -> list[str]:
    """The accounts' ids as the table has them."""
    ids = arrow_array("text", [account.account_id for account in load.accounts])
    found: list[str] = storable(pa.table({"id": ids}), pipeline)["id"].to_pylist()
    return found


def _load_id(pipeline: Pipeline) -> str:
    info = pipeline.last_trace.last_load_info if pipeline.last_trace else None
    return str(info.loads_ids[-1]) if info and info.loads_ids else ""
