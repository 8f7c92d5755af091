"""The one way into the tables: under the lock, look at them, prepare, load, describe and audit."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dlt import Pipeline
from dlt.extract import DltSource

from analytics_assets.errors import WarehouseError
from analytics_assets.resources import RESOURCES
from analytics_assets.rows.account_rows import AccountRows
from analytics_assets.settings import PlatformSettings
from analytics_assets.warehouse.audit import RowCounts, TableAudit, audit, row_counts
from analytics_assets.warehouse.columns import TableColumns
from analytics_assets.warehouse.comments import write_comments
from analytics_assets.warehouse.file_lock import LockRequest
from analytics_assets.warehouse.location import is_missing
from analytics_assets.warehouse.locks import run_locked
from analytics_assets.warehouse.pipeline import make_pipeline
from analytics_assets.warehouse.publishing import publish, published_file
from analytics_assets.warehouse.read_lists import forget_lists, note_lists, with_parts
from analytics_assets.warehouse.replacement import TableLoad, load_source
from analytics_assets.warehouse.stored import known_columns, refuse_changed_keys, stored_tables
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
        not_published: Why readers have no copy of what was loaded, where they are to have one.
        overtaken: By account, the resources that were not loaded, because somebody else has changed
            rows that were kept from before.
    """

    before: RowCounts = field(default_factory=dict)
    suddenly_empty: Mapping[str, int] = field(default_factory=dict)
    tables: Sequence[TableLoad] = ()
    load_id: str = ""
    columns: Mapping[str, TableColumns] = field(default_factory=dict)
    audits: Mapping[str, TableAudit] = field(default_factory=dict)
    not_published: str = ""
    overtaken: Mapping[str, Sequence[str]] = field(default_factory=dict)


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
    kept. Where there is nothing to load, the tables are audited, and no warehouse is made.

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
    pipeline = make_pipeline(settings, folder)

    def replace_rows() -> LoadOutcome:
        stored = stored_tables(pipeline)
        refuse_changed_keys(stored, [RESOURCES[name] for name in tables], settings.dataset_name)
        before = row_counts(pipeline, [name for name in tables if name in stored.columns])
        read, overtaken = with_parts(pipeline, accounts)
        empty = {} if allow_empty else suddenly_empty(before, read)
        sound = [account for account in read if account.account_id not in empty]
        loaded = [name for name in tables if any(name in a.resources for a in sound)]
        loads = prepare(settings, pipeline, loaded, sound, stored) if loaded else []
        if loads:
            if stored.has_read_lists:
                forget_lists(pipeline, sound)
            # `stored_tables` has just restored the pipeline: dlt need not do it a second time
            pipeline.config.restore_from_destination = not stored.columns
            run(pipeline, load_source(loads))
            note_lists(settings, pipeline, sound, is_there=stored.has_read_lists)
            write_comments(pipeline, [load.resource for load in loads])
        columns = known_columns(stored) | {load.resource.name: load.columns for load in loads}
        load_id = _load_id(pipeline)
        audits = _with_kept_as_loaded(audit(pipeline, columns, tables), loads, load_id)
        return LoadOutcome(before, empty, loads, load_id, columns, audits, overtaken=overtaken)

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
    pipeline = make_pipeline(settings, folder)

    def look() -> LoadOutcome:
        columns = known_columns(stored_tables(pipeline))
        return LoadOutcome(columns=columns, audits=audit(pipeline, columns, tables))

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


def _load_id(pipeline: Pipeline) -> str:
    info = pipeline.last_trace.last_load_info if pipeline.last_trace else None
    return str(info.loads_ids[-1]) if info and info.loads_ids else ""
