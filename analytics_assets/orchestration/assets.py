"""The assets: `accounts`, and what is read account by account."""

# Dagster reads the annotations of assets, so that they must not be strings here.
from collections.abc import Iterator, Sequence
from typing import Any

import dagster as dg
from dagster_dlt import DagsterDltResource, build_dlt_asset_specs

from analytics_assets.choice import refuse_none_left, skipped_accounts
from analytics_assets.dagster_backend.batches import asset_outputs, check_outputs
from analytics_assets.dagster_backend.run_launcher import note_process
from analytics_assets.errors import ReadError
from analytics_assets.orchestration.account_loads import ALLOW_EMPTY_HINT, Reading, load_accounts
from analytics_assets.orchestration.asset_checks import check_specs
from analytics_assets.orchestration.evidence import check_only, check_tables
from analytics_assets.orchestration.ingestion import ingestion
from analytics_assets.orchestration.list_reads import ListReading
from analytics_assets.orchestration.metadata import (
    ACCOUNTS_VERSION,
    SKIPPED_ACCOUNTS,
    drift_metadata,
    load_metadata,
    read_metadata,
)
from analytics_assets.orchestration.naming import AssetNames
from analytics_assets.orchestration.partitions import (
    ACCOUNT_PARTITIONS,
    AccountsConfig,
    ListConfig,
    ReportsConfig,
    has_its_range,
    keep_partitions,
    known_accounts,
)
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.recorded_checks import unless_judged
from analytics_assets.orchestration.report_reads import ReportReading
from analytics_assets.orchestration.translator import AnalyticsTranslator, without_dlt_objects
from analytics_assets.resources import ACCOUNTS
from analytics_assets.rows.account_rows import AccountRows
from analytics_assets.settings import PlatformSettings
from analytics_assets.speedups import rarely_collecting
from analytics_assets.text import first_of
from analytics_assets.warehouse.replacement import load_source, plan

WAREHOUSE_POOL = "warehouse"
"""Dagster's pool of the runs that may write at the same time; dagster.yaml sets how many."""


def assets(settings: PlatformSettings, api_version: str) -> list[dg.AssetsDefinition]:
    """The assets, as the resource table and the settings declare them."""
    names = AssetNames.of_settings(settings)
    translator = AnalyticsTranslator(settings, names, api_version)
    listing = dg.multi_asset(name=names.listing_op, **_declared(translator, [ACCOUNTS.name]))
    found = [listing(accounts_asset)]
    for op_name, function, resource_names in (
        (names.accounts_op, account_assets, names.account_resources),
        (names.reports_op, report_assets, names.report_names),
    ):
        if resource_names:
            of_accounts = dg.multi_asset(
                name=op_name,
                partitions_def=ACCOUNT_PARTITIONS,
                backfill_policy=dg.BackfillPolicy.single_run(),
                **_declared(translator, resource_names),
            )
            found.append(of_accounts(function))
    return found


def _declared(translator: AnalyticsTranslator, resource_names: Sequence[str]) -> dict[str, Any]:
    """Assets and checks, as `dlt_assets` would declare them, which knows no checks.

    The pipeline is left out: dlt writes to disk when it makes one, and every run makes its own.
    """
    resources = [translator.settings.resources[name] for name in resource_names]
    specs = build_dlt_asset_specs(
        load_source(plan(resources, [], {})),
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
    note_process(context.instance, context.run)
    if context.selected_asset_keys:
        with rarely_collecting():
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
    reading = ListReading(context, config, analytics_progress)
    with rarely_collecting():  # not for reports, of which an answer is megabytes
        yield from _of_accounts(context, config, analytics_dlt, analytics_progress, reading)


def report_assets(
    context: dg.AssetExecutionContext,
    config: ReportsConfig,
    analytics_dlt: DagsterDltResource,
    analytics_progress: dg.ResourceParam[Progress],
) -> Iterator[dg.DagsterEvent | dg.AssetCheckEvaluation | dg.Output[None]]:
    """Reads days of reports of the run's accounts, and replaces the rows of these days."""
    reading = ReportReading(context, config, analytics_progress)
    yield from _of_accounts(context, config, analytics_dlt, analytics_progress, reading)


def _of_accounts(
    context: dg.AssetExecutionContext,
    config: AccountsConfig | ReportsConfig,
    dlt: DagsterDltResource,
    progress: Progress,
    reading: Reading,
) -> Iterator[dg.DagsterEvent | dg.AssetCheckEvaluation | dg.Output[None]]:
    note_process(context.instance, context.run)
    if context.selected_asset_keys:
        events = load_accounts(context, config, dlt, progress, reading)
        yield from unless_judged(context, events)
    else:
        yield from check_only(context, progress)
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
        listing = run.read_listing()
        types = _account_types(listing.rows)
        account_ids, skipped = list(types), skipped_accounts(run.settings, types)
        refuse_none_left(account_ids, skipped)
        if not config.allow_empty:
            known = known_accounts(context.instance)
            _refuse_sudden_loss(known, account_ids, run.settings.max_row_loss)
        outcome = run.load(context, dlt, [ACCOUNTS.name], [listing])
        run.publish(context)
        keep_partitions(context.instance, [key for key in account_ids if key not in skipped])
    yield dg.MaterializeResult(
        asset_key=run.names.key(ACCOUNTS.name),
        data_version=dg.DataVersion(ACCOUNTS_VERSION),
        metadata={
            "dagster/row_count": listing.rows.count,
            **read_metadata(listing, ACCOUNTS.name),
            **drift_metadata(outcome.audits[ACCOUNTS.name], account_ids),
            **load_metadata(outcome, run.settings, run.names, ACCOUNTS.name, account_ids),
            **({SKIPPED_ACCOUNTS: skipped} if skipped else {}),
        },
    )
    yield from check_tables(context, progress, run.settings, outcome)


def _refuse_sudden_loss(known: list[str], listed: list[str], tolerated: float) -> None:
    """Stops a list that lacks more accounts than a load may lose: their partitions would go.

    Raises:
        ReadError: It lists none, or more than the tolerated share of the known ones is gone.
    """
    gone = sorted(set(known).difference(listed))
    if known and not listed:
        found = f"the API lists none, where there were {len(known)}"
    elif len(gone) > len(known) * tolerated:
        found = (
            f"{len(gone)} of {len(known)} accounts are gone from the API's list ({first_of(gone)}),"
            f" which is more than max_row_loss = {tolerated:g} allows"
        )
    else:
        return
    raise ReadError(f"{ACCOUNTS.name}: {found}; nothing was changed. {ALLOW_EMPTY_HINT}")


def _account_types(listing: AccountRows) -> dict[str, str]:
    """The listed accounts, each with its type; empty where the API has none."""
    table = listing.resources[ACCOUNTS.name].table()
    ids, types = (table[column].to_pylist() for column in ("account_id", "type"))
    return {str(key): str(kind or "") for key, kind in zip(ids, types, strict=True)}
