"""The assets: `accounts`, and what is read account by account."""

# Dagster reads the annotations of assets, so that they must not be strings here.
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any, Final

import dagster as dg
import pyarrow as pa
from dagster_dlt import DagsterDltResource, build_dlt_asset_specs

from analytics_assets.api.account_reading import AccountRead, ReadFailure
from analytics_assets.choice import refuse_none_left, skipped_accounts
from analytics_assets.dagster_backend.batches import asset_outputs, check_outputs, reported
from analytics_assets.errors import AnalyticsError, ReadError, SuddenlyEmptyError
from analytics_assets.orchestration.asset_checks import check_specs
from analytics_assets.orchestration.evidence import check_only, check_tables, unless_judged
from analytics_assets.orchestration.ingestion import Ingestion, ingestion, selected_resources
from analytics_assets.orchestration.metadata import (
    ACCOUNTS_VERSION,
    SKIPPED_ACCOUNTS,
    drift_metadata,
    early_end,
    failure,
    load_metadata,
    materializations,
    read_metadata,
)
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import (
    ACCOUNT_PARTITIONS,
    AccountsConfig,
    ListConfig,
    has_its_range,
    keep_partitions,
    known_accounts,
    requested_accounts,
)
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.reexecution import earlier_loads, without_partitions
from analytics_assets.orchestration.run_records import listed_accounts
from analytics_assets.orchestration.translator import AnalyticsTranslator, without_dlt_objects
from analytics_assets.resources import ACCOUNTS
from analytics_assets.rows.account_rows import AccountRows
from analytics_assets.settings import PlatformSettings
from analytics_assets.text import one_line
from analytics_assets.warehouse.load import LoadOutcome, merged
from analytics_assets.warehouse.replacement import load_source, plan

WAREHOUSE_POOL = "warehouse"
"""Dagster's pool of the runs that may write at the same time; dagster.yaml sets how many."""

ALLOW_EMPTY_HINT = (
    "If that is right, run again with --allow-empty (in the UI: allow_empty in the run's"
    " configuration)"
)

# an error names so many of the accounts that it is about
_ACCOUNTS_NAMED: Final = 3


def assets(settings: PlatformSettings, api_version: str) -> list[dg.AssetsDefinition]:
    """The assets, as the resource table and the settings declare them."""
    names = AssetNames.of_settings(settings)
    translator = AnalyticsTranslator(settings, names, api_version)
    listing = dg.multi_asset(name=names.listing_op, **_declared(translator, [ACCOUNTS.name]))
    of_accounts = dg.multi_asset(
        name=names.accounts_op,
        partitions_def=ACCOUNT_PARTITIONS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        **_declared(translator, names.account_resources),
    )
    return [listing(accounts_asset), of_accounts(account_assets)]


def _declared(translator: AnalyticsTranslator, resource_names: list[str]) -> dict[str, Any]:
    """Assets and checks, as `dlt_assets` would declare them, which knows no checks.

    The pipeline is left out: dlt writes to disk when it makes one, and every run makes its own.
    """
    specs = build_dlt_asset_specs(
        load_source(plan(resource_names, [], {})),
        None,  # type: ignore[arg-type]
        translator,
    )
    return {
        "specs": [
            each
            for spec in map(without_dlt_objects, specs)
            for each in (spec, *translator.history_specs(spec))
        ],
        "check_specs": check_specs(translator.names, resource_names),
        "can_subset": True,
        "pool": WAREHOUSE_POOL,
    }


def accounts_asset(
    context: dg.AssetExecutionContext,
    config: ListConfig,
    analytics_dlt: DagsterDltResource,
    analytics_progress: dg.ResourceParam[Progress],
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckEvaluation | dg.Output[None]]:
    """Replaces the list of accounts, and keeps the partitions equal to it."""
    if context.selected_asset_keys:
        yield from unless_judged(
            context, _list_accounts(context, config, analytics_dlt, analytics_progress)
        )
    else:
        yield from check_only(context, analytics_progress)
    yield from check_outputs(context)


def account_assets(
    context: dg.AssetExecutionContext,
    config: AccountsConfig,
    analytics_dlt: DagsterDltResource,
    analytics_progress: dg.ResourceParam[Progress],
) -> Iterator[dg.DagsterEvent | dg.AssetCheckEvaluation | dg.Output[None]]:
    """Reads the run's accounts, and replaces the rows of each resource that was read whole."""
    if context.selected_asset_keys:
        yield from unless_judged(
            context, _sync_accounts(context, config, analytics_dlt, analytics_progress)
        )
    else:
        yield from check_only(context, analytics_progress)
    if has_its_range(context):
        yield from asset_outputs(context)
    yield from check_outputs(context)


def _list_accounts(
    context: dg.AssetExecutionContext,
    config: ListConfig,
    dlt: DagsterDltResource,
    progress: Progress,
) -> Iterator[dg.MaterializeResult[None] | dg.AssetCheckEvaluation]:
    with ingestion(context, progress) as run:
        names = AssetNames.of_run(context, run.settings)
        listing = run.reader.read_listing()
        types = _account_types(listing.rows)
        account_ids, skipped = list(types), skipped_accounts(run.settings, types)
        refuse_none_left(account_ids, skipped)
        if not config.allow_empty:
            known = known_accounts(context.instance)
            _refuse_sudden_loss(known, account_ids, run.settings.max_row_loss)
        outcome = run.load(context, dlt, [ACCOUNTS.name], [listing], allow_empty=True)
        run.publish(context)
        keep_partitions(context.instance, [key for key in account_ids if key not in skipped])
    yield dg.MaterializeResult(
        asset_key=names.key(ACCOUNTS.name),
        data_version=dg.DataVersion(ACCOUNTS_VERSION),
        metadata={
            "dagster/row_count": listing.rows.count,
            **read_metadata(listing, ACCOUNTS.name),
            **drift_metadata(outcome.audits[ACCOUNTS.name], account_ids),
            **load_metadata(outcome, run.settings, names, ACCOUNTS.name, account_ids),
            **({SKIPPED_ACCOUNTS: skipped} if skipped else {}),
        },
    )
    yield from check_tables(context, progress, run.settings, outcome)


def _sync_accounts(
    context: dg.AssetExecutionContext,
    config: AccountsConfig,
    dlt: DagsterDltResource,
    progress: Progress,
) -> Iterator[dg.DagsterEvent | dg.AssetCheckEvaluation]:
    resource_names = selected_resources(context)
    account_ids = requested_accounts(context, config)
    loaded_before = earlier_loads(context)
    wanted = without_partitions(resource_names, account_ids, loaded_before)
    so_far = _SoFar()
    try:
        with ingestion(context, progress) as run:
            ended: Exception | None = None
            try:
                known = run.known_lists(context, wanted, full=config.full)
                with closing(run.read(context, progress, wanted, known)) as reads:
                    yield from _load_as_read(context, config, dlt, progress, run, reads, so_far)
            except Exception as error:
                ended, unread = error, list(so_far.failures)
                so_far.failures[:0] = _not_loaded(wanted, so_far.outcome, error)
                if unread and isinstance(error, AnalyticsError):
                    ended = early_end(error, unread, so_far.failures)
            yield from _judge(context, progress, run, so_far)
            if ended is not None:
                raise ended
        if so_far.failures:
            raise failure(so_far.failures, len(account_ids), len(resource_names))
        if so_far.not_published:  # last: what was loaded is on record
            raise dg.Failure(so_far.not_published, allow_retries=False)
    except Exception:
        # what this run did not read, because an earlier one had loaded it, did not fail
        yield from reported(context, loaded_before)
        raise


@dataclass
class _SoFar:
    """What a run has loaded so far, all loads together, and what it could not."""

    outcome: LoadOutcome | None = None
    failures: list[ReadFailure] = field(default_factory=list)
    not_published: str = ""


def _load_as_read(
    context: dg.AssetExecutionContext,
    config: AccountsConfig,
    dlt: DagsterDltResource,
    progress: Progress,
    run: Ingestion,
    reads: Iterable[Sequence[AccountRead]],
    so_far: _SoFar,
) -> Iterator[dg.DagsterEvent]:
    """Loads what was read whole, as it comes, and reports it; without any, goes by the records."""
    resource_names = selected_resources(context)
    names = AssetNames.of_run(context, run.settings)
    for ended in reads:
        so_far.failures += [failed for read in ended for failed in read.failures]
        whole = [read for read in ended if read.rows.resources]
        if not whole:
            continue
        progress.loading(context, len(whole))
        outcome = run.load(context, dlt, resource_names, whole, allow_empty=config.allow_empty)
        so_far.outcome = merged(so_far.outcome, outcome) if so_far.outcome else outcome
        so_far.failures += _suddenly_empty(outcome.suddenly_empty, whole)
        so_far.failures += _overtaken(outcome.overtaken)
        listed = listed_accounts(context.instance, names)
        events = materializations(outcome, run.settings, names, whole, listed)
        yield from reported(context, events)
    if so_far.outcome is None:
        so_far.outcome = run.load(context, dlt, resource_names, [], allow_empty=True)


def _judge(
    context: dg.AssetExecutionContext, progress: Progress, run: Ingestion, so_far: _SoFar
) -> Iterator[dg.AssetCheckEvaluation]:
    """Publishes and judges what was loaded, if anything was looked at."""
    if so_far.outcome is None:
        return
    if so_far.outcome.tables:
        so_far.not_published = run.publish(context)
    yield from check_tables(context, progress, run.settings, so_far.outcome, so_far.failures)


def _not_loaded(
    wanted: Mapping[str, Sequence[str]], outcome: LoadOutcome | None, error: Exception
) -> Iterator[ReadFailure]:
    """What a run that ended with an error was to load, and did not."""
    cause: AnalyticsError = ReadError(f"the run ended with {type(error).__name__}")
    if isinstance(error, AnalyticsError):
        cause = error
    tables = outcome.tables if outcome else ()
    loaded = {(load.resource.name, a.account_id) for load in tables for a in load.accounts}
    for account_id, names in wanted.items():
        if lost := tuple(name for name in names if (name, account_id) not in loaded):
            yield ReadFailure(account_id, None, lost, cause)


def _refuse_sudden_loss(known: list[str], listed: list[str], tolerated: float) -> None:
    """Stops a list that lacks more accounts than a load may lose: their partitions would go.

    Raises:
        ReadError: It lists none, or more than the tolerated share of the known ones is gone.
    """
    gone = sorted(set(known).difference(listed))
    if known and not listed:
        found = f"the API lists none, where there were {len(known)}"
    elif len(gone) > len(known) * tolerated:
        named = ", ".join(one_line(account) for account in gone[:_ACCOUNTS_NAMED])
        more = ", ..." if len(gone) > _ACCOUNTS_NAMED else ""
        found = (
            f"{len(gone)} of {len(known)} accounts are gone from the API's list ({named}{more}),"
            f" which is more than max_row_loss = {tolerated:g} allows"
        )
    else:
        return
    raise ReadError(f"{ACCOUNTS.name}: {found}; nothing was changed. {ALLOW_EMPTY_HINT}")


def _suddenly_empty(
    rows_kept: Mapping[str, int], reads: Iterable[AccountRead]
) -> Iterator[ReadFailure]:
    for read in reads:
        account_id = str(read.rows.account_id)
        if account_id in rows_kept:
            error = (
                f"the API has no row of it, where the tables hold {rows_kept[account_id]}."
                f" {ALLOW_EMPTY_HINT}"
            )
            lost = tuple(read.rows.resources)
            yield ReadFailure(account_id, None, lost, SuddenlyEmptyError(error))


def _overtaken(resources: Mapping[str, Sequence[str]]) -> Iterator[ReadFailure]:
    error = "another load, or somebody, has changed its rows while it was read; sync again"
    for account_id, names in resources.items():
        for name in names:
            yield ReadFailure(account_id, name, (name,), ReadError(error))


def _account_types(listing: AccountRows) -> dict[str, str]:
    """The listed accounts, each with its type; empty where the API has none."""
    with pa.memory_map(str(listing.resources[ACCOUNTS.name].path)) as file:
        table = pa.ipc.open_stream(file).read_all()
        ids, types = (table[column].to_pylist() for column in ("account_id", "type"))
        return {str(key): str(kind or "") for key, kind in zip(ids, types, strict=True)}
