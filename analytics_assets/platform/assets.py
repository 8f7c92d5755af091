"""The assets: `accounts`, and what is read account by account."""

# Dagster reads the annotations of assets, so that they must not be strings here.
from collections.abc import Iterator
from typing import Any

import dagster as dg
import pyarrow as pa
from dagster_dlt import DagsterDltResource, dlt_assets

from analytics_assets.api.reader import AccountFailure, AccountRead
from analytics_assets.api.resources import ACCOUNT_RESOURCES, ACCOUNTS
from analytics_assets.platform.ingestion import ingestion, selected_resources
from analytics_assets.platform.metadata import (
    drift_metadata,
    failure,
    materializations,
    read_metadata,
)
from analytics_assets.platform.partitions import (
    ACCOUNT_PARTITIONS,
    AccountsConfig,
    keep_partitions,
    requested_accounts,
)
from analytics_assets.platform.progress import Progress
from analytics_assets.platform.translator import AnalyticsTranslator
from analytics_assets.settings import platform_settings
from analytics_assets.warehouse.replacement import load_source, plan


def _declared(names: list[str]) -> dict[str, Any]:
    """What `dlt_assets` needs to know at definition time.

    The pipeline is left out: dlt writes to disk when it makes one, and every run makes its own.
    """
    settings = platform_settings()
    return {
        "dlt_source": load_source(plan(names, [], {})),
        "dlt_pipeline": None,
        "dagster_dlt_translator": AnalyticsTranslator(settings.destination, settings.dataset_name),
    }


@dlt_assets(name="accounts", **_declared([ACCOUNTS.name]))
def accounts_asset(
    context: dg.AssetExecutionContext, dlt: DagsterDltResource
) -> Iterator[dg.MaterializeResult]:  # type: ignore[type-arg]
    """Replaces the list of accounts, and keeps the partitions equal to it."""
    with ingestion() as run:
        read = run.reader.read_accounts_list()
        loads, results = run.load(context, dlt, [ACCOUNTS.name], [read])
        keep_partitions(context.instance, _account_ids(read))
    yield dg.MaterializeResult(
        asset_key=results[0].asset_key,
        metadata={
            "dagster/row_count": read.resources[ACCOUNTS.name].rows,
            **read_metadata(read, ACCOUNTS.name),
            **drift_metadata(loads[0]),
        },
    )


@dlt_assets(
    name="account_resources",
    partitions_def=ACCOUNT_PARTITIONS,
    backfill_policy=dg.BackfillPolicy.single_run(),
    **_declared(list(ACCOUNT_RESOURCES)),
)
def account_assets(
    context: dg.AssetExecutionContext,
    config: AccountsConfig,
    dlt: DagsterDltResource,
    progress: dg.ResourceParam[Progress],
) -> Iterator[dg.AssetMaterialization]:
    """Reads the run's accounts, and replaces the rows of those that were read whole."""
    account_ids = requested_accounts(context, config)
    names = selected_resources(context, ACCOUNT_RESOURCES)
    reads: list[AccountRead] = []
    failures: list[AccountFailure] = []
    with ingestion() as run:
        progress.reading(context, len(account_ids))
        for outcome in run.reader.read_accounts(account_ids, names):
            progress.read(context, outcome)
            if isinstance(outcome, AccountFailure):
                failures.append(outcome)
            else:
                reads.append(outcome)
        if reads:
            progress.loading(context, len(reads))
            loads, results = run.load(context, dlt, names, reads)
            yield from materializations(loads, results)
    if failures:
        raise failure(failures, len(account_ids))


def _account_ids(read: AccountRead) -> list[str]:
    with pa.memory_map(str(read.resources[ACCOUNTS.name].path)) as file:
        table = pa.ipc.open_stream(file).read_all()
        return [str(account_id) for account_id in table["account_id"].to_pylist()]
