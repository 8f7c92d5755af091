"""The assets: `accounts`, and what is read account by account."""

# Dagster reads the annotations of assets, so that they must not be strings here.
from collections.abc import Iterator
from typing import Any, Final

import dagster as dg
import pyarrow as pa
from dagster_dlt import DagsterDltResource, build_dlt_asset_specs

from analytics_assets.api.reader import AccountFailure, AccountRead
from analytics_assets.dagster_backend.batches import reported
from analytics_assets.errors import ReadError, SuddenlyEmptyError
from analytics_assets.orchestration.asset_checks import check_specs
from analytics_assets.orchestration.evidence import check_only, check_tables
from analytics_assets.orchestration.ingestion import ingestion, selected_resources
from analytics_assets.orchestration.metadata import (
    ACCOUNTS_VERSION,
    drift_metadata,
    failure,
    load_metadata,
    materializations,
    read_metadata,
)
from analytics_assets.orchestration.partitions import (
    ACCOUNT_PARTITIONS,
    ACCOUNTS_OP,
    LISTING_OP,
    AccountsConfig,
    ListConfig,
    keep_partitions,
    known_accounts,
    requested_accounts,
)
from analytics_assets.orchestration.progress import Progress
from analytics_assets.orchestration.translator import AnalyticsTranslator, without_dlt_objects
from analytics_assets.resources import ACCOUNT_RESOURCES, ACCOUNTS
from analytics_assets.rows.account_rows import AccountRows
from analytics_assets.settings import PlatformSettings
from analytics_assets.text import one_line
from analytics_assets.warehouse.replacement import load_source, plan

WAREHOUSE_POOL = "warehouse"
"""Dagster's pool of the runs that may write at the same time; dagster.yaml sets how many."""

ALLOW_EMPTY_HINT = (
    "If that is right, run again with --allow-empty (in the UI: allow_empty in the run's"
    " configuration)"
)

# an error names so many of the accounts that it is about
_ACCOUNTS_NAMED: Final = 3


def assets(settings: PlatformSettings) -> list[dg.AssetsDefinition]:
    """The assets, as the resource table and the settings declare them."""
    listing = dg.multi_asset(name=LISTING_OP, **_declared([ACCOUNTS.name], settings))
    of_accounts = dg.multi_asset(
        name=ACCOUNTS_OP,
        partitions_def=ACCOUNT_PARTITIONS,
        backfill_policy=dg.BackfillPolicy.single_run(),
        **_declared(list(ACCOUNT_RESOURCES), settings),
    )
    return [listing(accounts_asset), of_accounts(account_assets)]


def _declared(names: list[str], settings: PlatformSettings) -> dict[str, Any]:
    """Assets and checks, as `dlt_assets` would declare them, which knows no checks.

    The pipeline is left out: dlt writes to disk when it makes one, and every run makes its own.
    """
    specs = build_dlt_asset_specs(
        load_source(plan(names, [], {})),
        None,  # type: ignore[arg-type]
        AnalyticsTranslator(settings),
    )
    return {
        "specs": [without_dlt_objects(spec) for spec in specs],
        "check_specs": check_specs(names),
        "can_subset": True,
        "pool": WAREHOUSE_POOL,
    }


def accounts_asset(
    context: dg.AssetExecutionContext,
    config: ListConfig,
    dlt: DagsterDltResource,
    progress: dg.ResourceParam[Progress],
) -> Iterator[dg.MaterializeResult | dg.AssetCheckEvaluation]:  # type: ignore[type-arg]
    """Replaces the list of accounts, and keeps the partitions equal to it."""
    if not context.selected_asset_keys:
        yield from check_only(context, progress, [ACCOUNTS.name])
        return
    with ingestion(context, progress) as run:
        listing = run.reader.read_listing()
        account_ids = _account_ids(listing.rows)
        if not config.allow_empty:
            known = known_accounts(context.instance)
            _refuse_sudden_loss(known, account_ids, run.settings.max_row_loss)
        outcome = run.load(context, dlt, [ACCOUNTS.name], [listing], allow_empty=True)
        keep_partitions(context.instance, account_ids)
    yield dg.MaterializeResult(
        asset_key=dg.AssetKey(ACCOUNTS.name),
        data_version=dg.DataVersion(ACCOUNTS_VERSION),
        metadata={
            "dagster/row_count": listing.rows.count,
            **read_metadata(listing, ACCOUNTS.name),
            **drift_metadata(outcome.audits[ACCOUNTS.name], account_ids),
            **load_metadata(outcome, run.settings, ACCOUNTS.name),
        },
    )
    yield from check_tables(context, run.settings, outcome)


def account_assets(
    context: dg.AssetExecutionContext,
    config: AccountsConfig,
    dlt: DagsterDltResource,
    progress: dg.ResourceParam[Progress],
) -> Iterator[dg.DagsterEvent | dg.AssetCheckEvaluation]:
    """Reads the run's accounts, and replaces the rows of those that were read whole."""
    if not context.selected_asset_keys:
        yield from check_only(context, progress, list(ACCOUNT_RESOURCES))
        return
    account_ids = requested_accounts(context, config)
    names = selected_resources(context, ACCOUNT_RESOURCES)
    reads: list[AccountRead] = []
    failures: list[AccountFailure] = []
    not_published = ""
    with ingestion(context, progress) as run:
        progress.reading(context, len(account_ids))
        for outcome in run.reader.read_accounts(account_ids, names):
            progress.read(context, outcome)
            if isinstance(outcome, AccountFailure):
                failures.append(outcome)
            else:
                reads.append(outcome)
        if reads:
            progress.loading(context, len(reads))
            loaded = run.load(context, dlt, names, reads, allow_empty=config.allow_empty)
            not_published = loaded.not_published
            yield from reported(context, materializations(loaded, run.settings, reads))
            yield from check_tables(context, run.settings, loaded)
            failures += [
                _suddenly_empty(account_id, rows)
                for account_id, rows in loaded.suddenly_empty.items()
            ]
    if failures:
        raise failure(failures, len(account_ids))
    if not_published:  # last: what was loaded is on record
        raise dg.Failure(not_published, allow_retries=False)


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


def _suddenly_empty(account_id: str, rows: int) -> AccountFailure:
    error = f"the API has no row of it, where the tables hold {rows}. {ALLOW_EMPTY_HINT}"
    return AccountFailure(account_id, None, SuddenlyEmptyError(error))


def _account_ids(listing: AccountRows) -> list[str]:
    with pa.memory_map(str(listing.resources[ACCOUNTS.name].path)) as file:
        table = pa.ipc.open_stream(file).read_all()
        return [str(account_id) for account_id in table["account_id"].to_pylist()]
