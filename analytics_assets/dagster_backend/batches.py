"""Events that are reported as one batch, where Dagster would report one after the other.

A run has two events for each account and asset. Dagster collects those of a batch, and hands them
to its event log together, where it is asked to.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from itertools import groupby, product, zip_longest
from typing import Final, TypeVar
from uuid import uuid4

import dagster as dg
from dagster._core.definitions.source_asset import SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION
from dagster._core.events import AssetMaterializationPlannedData, DagsterEventBatchMetadata

_SIZE_SETTING: Final = "DAGSTER_EVENT_BATCH_SIZE"
_SIZE: Final = 500
_TENTH_OF_A_MILLISECOND: Final = 0.0001

Item = TypeVar("Item")


def ask_for_batches() -> None:
    """Has Dagster hand batches to this process's event log; it reads no other setting for that."""
    os.environ.setdefault(_SIZE_SETTING, str(_SIZE))


def reported(
    context: dg.AssetExecutionContext, materializations: Iterable[dg.AssetMaterialization]
) -> Iterator[dg.DagsterEvent]:
    """Reports materialisations, those of an asset as one batch, as Dagster does those of a range.

    Yields the events for the asset's function to yield; one that yields materialisations reports
    each on its own. They come asset by asset. No two of an asset have the same millisecond: the UI
    takes them for one.
    """
    step = context.op_execution_context.get_step_execution_context()
    # Dagster's own storage takes a batch for that of one asset
    by_asset = groupby(materializations, key=lambda event: event.asset_key)
    batches = [list(_in_one_batch(of_asset)) for _, of_asset in by_asset]
    for one_of_each in zip_longest(*batches):
        for materialization, batch_metadata in filter(None, one_of_each):
            yield dg.DagsterEvent.asset_materialization(step, materialization, batch_metadata)
        reported_at = _milliseconds()
        while _milliseconds() == reported_at:
            time.sleep(_TENTH_OF_A_MILLISECOND)


def asset_outputs(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
    """The outputs of a step's assets, without which Dagster skips what lies downstream in the run.

    Dagster would log a materialisation for each partition of the run; the step has reported its
    own, with their figures, and for sets of partitions that Dagster has no name for.
    """
    passed_by = {SYSTEM_METADATA_KEY_SOURCE_ASSET_OBSERVATION: True}
    for name, key in context.assets_def.keys_by_output_name.items():
        if key in context.selected_asset_keys:
            yield dg.Output(None, name, metadata=passed_by)


def check_outputs(context: dg.AssetExecutionContext) -> Iterator[dg.Output[None]]:
    """The outputs of a step's checks, which Dagster misses where it is given their evaluations."""
    for name, spec in context.assets_def.check_specs_by_output_name.items():
        if spec.key in context.selected_asset_check_keys:
            yield dg.Output(None, name)


def plan_partitions(context: dg.AssetExecutionContext, partition_keys: Iterable[str]) -> None:
    """Plans partitions of the run's assets, beyond those that Dagster planned when it made the run.

    It plans those of a key or a range. For a set with gaps it has no way (dagster#32335), so that a
    partition that fails would not be shown as failed.
    """
    step_key = context.op_execution_context.get_step_execution_context().step.key
    planned = product(sorted(context.selected_asset_keys), partition_keys)
    for (asset_key, partition_key), batch_metadata in _in_one_batch(planned):
        context.instance.report_dagster_event(
            dg.DagsterEvent.build_asset_materialization_planned_event(
                context.job_name,
                step_key,
                AssetMaterializationPlannedData(asset_key, partition=partition_key),
            ),
            context.run.run_id,
            batch_metadata=batch_metadata,
        )


def _milliseconds() -> int:
    return int(time.time() * 1000)


def _in_one_batch(items: Iterable[Item]) -> Iterator[tuple[Item, DagsterEventBatchMetadata]]:
    """Each item, with what tells Dagster that its event is one of a batch."""
    batch, whole = str(uuid4()), list(items)
    for place, item in enumerate(whole, start=1):
        yield item, DagsterEventBatchMetadata(batch, is_end=place == len(whole))
