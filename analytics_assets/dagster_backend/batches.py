"""Events that are written many at a time, where Dagster's storages write one after the other.

A run has two events for each account and asset. Dagster collects those that are reported as one
batch, and hands them to its storage together, where DAGSTER_EVENT_BATCH_SIZE is set.
"""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, TypeVar
from uuid import uuid4

import dagster as dg
from dagster._core.events import (
    ASSET_EVENTS,
    DagsterEventBatchMetadata,
)
from dagster._core.events.log import EventLogEntry
from dagster._core.storage.event_log import SqlEventLogStorage

_SIZE_SETTING = "DAGSTER_EVENT_BATCH_SIZE"
_SIZE = 500

Item = TypeVar("Item")


def in_one_batch(items: Iterable[Item]) -> Iterator[tuple[Item, DagsterEventBatchMetadata]]:
    """Each item, with what tells Dagster that its event is one of a batch."""
    batch, whole = str(uuid4()), list(items)
    for place, item in enumerate(whole, start=1):
        yield item, DagsterEventBatchMetadata(batch, is_end=place == len(whole))


def reported(
    context: dg.AssetExecutionContext, materializations: Iterable[dg.AssetMaterialization]
) -> Iterator[dg.DagsterEvent]:
    """Reports materialisations, those of an asset as one batch, as Dagster does those of a range.

    Yields the events for the asset's function to yield; one that yields materialisations reports
    each on its own.
    """
    step = context.op_execution_context.get_step_execution_context()
    # Dagster's own storage takes a batch for that of one asset
    for _, of_asset in groupby(materializations, key=lambda event: event.asset_key):
        for materialization, batch_metadata in in_one_batch(of_asset):
            yield dg.DagsterEvent.asset_materialization(step, materialization, batch_metadata)


class BatchedEventLog(SqlEventLogStorage):
    """An event log that stores the events of a batch with a few statements."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        os.environ.setdefault(_SIZE_SETTING, str(_SIZE))
        super().__init__(*args, **kwargs)  # type: ignore[no-untyped-call]

    def store_event_batch(self, events: Sequence[EventLogEntry]) -> None:
        """Stores events, those about assets together."""
        about_assets = [event for event in events if event.dagster_event_type in ASSET_EVENTS]
        # first: if they cannot be stored so, Dagster stores all of the batch one by one
        if about_assets:
            ids = self._insert(about_assets)
            self.store_asset_event_tags(about_assets, ids)
            # an asset's own record tells only of its latest event
            stored = zip(about_assets, ids, strict=True)
            latest = {event.get_dagster_event().asset_key: (event, id_) for event, id_ in stored}
            for event, id_ in latest.values():
                self.store_asset_event(event, id_)
        for event in events:
            if event.dagster_event_type not in ASSET_EVENTS:
                self.store_event(event)

    @abstractmethod
    def _insert(self, events: Sequence[EventLogEntry]) -> list[int]:
        """Inserts the events themselves; their ids."""
